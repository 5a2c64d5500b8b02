//! What a page says to its composer.

use http::uri::PathAndQuery;
use serde_json::Value;
use sockeye::Message;

/// One thing to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    Open { path: String, compression: bool },
    Send(Vec<u8>),
    End,
    Drop,
}

/// The digits of what is sent at once: a frame of half a MiB.
pub(crate) const MOST_HEX: usize = 1 << 20;

impl Order {
    /// Reads one; else a sentence that says why it is none.
    pub(super) fn read(message: &Message) -> Result<Self, String> {
        let Message::Text(text) = message else { return Err("what to do is said in a text message".into()) };
        let order: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
        let is_set = |name| order.get(name).and_then(Value::as_bool).unwrap_or_default();
        if let Some(open) = order.get("open") {
            let path = open.get("path").and_then(Value::as_str).unwrap_or("/echo");
            let is_path = path.starts_with('/') && path.parse::<PathAndQuery>().is_ok();
            let path = is_path.then(|| path.to_owned()).ok_or("a path begins with / and has no spaces")?;
            return Ok(Self::Open { path, compression: open.get("compression").is_some_and(|set| set == true) });
        }
        match order.get("send").map(Value::as_str) {
            Some(Some(hex)) if hex.len() > MOST_HEX => Err(format!("at most {MOST_HEX} digits are sent at once")),
            Some(Some(digits)) => hex(digits).map(Self::Send).ok_or_else(|| "hex has two digits for each byte".into()),
            Some(None) => Err("what is sent is a string of hex".into()),
            None if is_set("end") => Ok(Self::End),
            None if is_set("drop") => Ok(Self::Drop),
            None => Err("open, send, end or drop is needed".into()),
        }
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |&[high, low]: &[u8; 2]| Some(value(high)? << 4 | value(low)?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_and_what_is_none_is_named() {
        let read = |text: &str| Order::read(&text.into());
        let open = |path: &str, compression| Ok(Order::Open { path: path.into(), compression });
        assert_eq!(read(r#"{"open":{}}"#), open("/echo", false));
        assert_eq!(read(r#"{"open":{"path":"/a?b","compression":true}}"#), open("/a?b", true));
        assert_eq!(read(r#"{"send":"8185aB"}"#), Ok(Order::Send(vec![0x81, 0x85, 0xAB])));
        assert_eq!(read(r#"{"send":""}"#), Ok(Order::Send(vec![])));
        assert_eq!(read(r#"{"end":true}"#), Ok(Order::End));
        assert_eq!(read(r#"{"drop":true}"#), Ok(Order::Drop));
        let long = format!("{{\"send\":\"{}\"}}", "0".repeat(MOST_HEX + 2));
        for (text, why) in [
            ("", "it is no JSON: EOF while parsing a value at line 1 column 0"),
            ("[]", "open, send, end or drop is needed"),
            (r#"{"end":false}"#, "open, send, end or drop is needed"),
            (r#"{"send":[1]}"#, "what is sent is a string of hex"),
            (r#"{"send":"8"}"#, "hex has two digits for each byte"),
            (r#"{"send":"+1"}"#, "hex has two digits for each byte"),
            (r#"{"send":"好好"}"#, "hex has two digits for each byte"),
            (&long, "at most 1048576 digits are sent at once"),
            (r#"{"open":{"path":"echo"}}"#, "a path begins with / and has no spaces"),
            (r#"{"open":{"path":"/ HTTP/1.1\r\nX: y"}}"#, "a path begins with / and has no spaces"),
        ] {
            assert_eq!(read(text), Err(why.to_owned()), "{text}");
        }
        assert!(Order::read(&Message::from(vec![1])).is_err());
    }
}
