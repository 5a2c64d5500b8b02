//! A request's head: whether it may pass, and what of it has to be another one for the upstream.

use core::ops::Range;

use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, TE, UPGRADE};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use sockeye_proto::handshake::{Key, contains_token, tokens};

use super::fields::{self, Field};
use super::{Body, MAX_FIELDS, Refused};

/// The head of a request, whole.
#[derive(Debug)]
pub(crate) struct Request {
    bytes: Vec<u8>,
    method: Method,
    target: Range<usize>,
    fields: Vec<Field>,
    headers: HeaderMap,
    asks: bool,
    body: Body,
}

/// What the upstream is to read in place of what the client wrote.
#[derive(Debug, Default)]
pub(crate) struct Change<'a> {
    /// Its own name.
    pub(crate) host: Option<&'a [u8]>,
    /// What is asked for.
    pub(crate) target: Option<&'a str>,
    /// Fields in place of those with their names, or in addition.
    pub(crate) fields: &'a [(HeaderName, HeaderValue)],
}

impl Request {
    /// Reads a head, from its first byte to the end of its empty line.
    ///
    /// What two readers could understand in two ways does not pass: it is how requests are smuggled past whoever looks at
    /// them in between.
    pub(crate) fn read(bytes: Vec<u8>) -> Result<Self, Refused> {
        if bytes.starts_with(b"PRI * HTTP/2.0\r\n") {
            return Err(Refused::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "HTTP/2 is not relayed, only HTTP/1.1"));
        }
        let mut slots = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut slots);
        match parsed.parse(&bytes) {
            Ok(httparse::Status::Complete(len)) if len == bytes.len() && !bytes.starts_with(b"\r") => {}
            Ok(_) => return Err(Refused::bad("it begins with an empty line, or a line does not end with CR LF")),
            Err(httparse::Error::TooManyHeaders) => {
                let why = format!("it has more than {MAX_FIELDS} fields");
                return Err(Refused::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, why));
            }
            Err(error) => return Err(Refused::bad(format!("it is no HTTP/1.1: {error}"))),
        }
        if parsed.version != Some(1) {
            return Err(Refused::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 is relayed"));
        }
        // The parser takes a line that ends with LF alone, too.
        let mut lines = bytes.split(|&byte| byte == b'\n');
        let last = lines.next_back();
        if last != Some(b"") || !lines.all(|line| line.ends_with(b"\r") && !line[..line.len() - 1].contains(&b'\r')) {
            return Err(Refused::bad("a line does not end with CR LF"));
        }
        let method = parsed.method.unwrap_or_default();
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| Refused::bad("its method is none"))?;
        let target = parsed.path.unwrap_or_default();
        if method == Method::CONNECT {
            let why = "CONNECT: this relays to one server, and is no proxy to others";
            return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, why));
        }
        if !(target.starts_with('/') || target == "*" && method == Method::OPTIONS) {
            return Err(Refused::bad("it asks for a whole URL: this relays to one server, and is no proxy to others"));
        }
        let start = target.as_ptr() as usize - bytes.as_ptr() as usize;
        let target = start..start + target.len();
        let (fields, headers) = fields::places(&bytes, parsed.headers)
            .zip(fields::map(parsed.headers))
            .ok_or_else(|| Refused::bad("a name or value of its fields is none of HTTP's"))?;
        let mut hosts = headers.get_all(HOST).into_iter();
        let is_host = |host: &[u8]| Authority::try_from(host).is_ok() && !host.contains(&b'@');
        if !hosts.next().is_some_and(|host| is_host(host.as_bytes())) || hosts.next().is_some() {
            return Err(Refused::bad("it must have one Host field, with a host in it"));
        }
        let Some(body) = Body::of(&headers, Body::Length(0)) else {
            return Err(Refused::bad("where its body ends cannot be told for certain"));
        };
        let asks = contains_token(&headers, UPGRADE, "websocket");
        if asks && !body.has_ended() {
            return Err(Refused::bad("it asks for a WebSocket and has a body: where frames begin cannot be told"));
        }
        Ok(Self { bytes, method, target, fields, headers, asks, body })
    }

    /// Whether bytes may begin a request.
    pub(crate) fn may_begin(bytes: &[u8]) -> bool {
        bytes.first().is_none_or(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
    }

    /// Whether it asks for a WebSocket, well made or not.
    pub(crate) const fn asks(&self) -> bool {
        self.asks
    }

    /// The key that the answer is to answer, if it is one.
    pub(crate) fn key(&self) -> Option<Key> {
        let mut keys = self.headers.get_all(SEC_WEBSOCKET_KEY).into_iter();
        keys.next().filter(|_| keys.next().is_none()).and_then(Key::parse)
    }

    pub(crate) const fn method(&self) -> &Method {
        &self.method
    }

    /// Path and query, as they were asked for.
    pub(crate) fn target(&self) -> &str {
        core::str::from_utf8(&self.bytes[self.target.clone()]).unwrap_or("/")
    }

    /// What follows the head.
    pub(crate) fn into_body(self) -> Body {
        self.body
    }

    /// The head for the upstream: byte for byte what it was, but for what is changed.
    ///
    /// One that asks for no WebSocket goes over a connection of its own that ends with the response: what it says about its
    /// own connection (RFC 9110 §7.6.1) is replaced by that.
    pub(crate) fn changed(&self, change: &Change<'_>) -> Vec<u8> {
        let named: Vec<HeaderName> =
            tokens(&self.headers, CONNECTION).filter_map(|name| HeaderName::try_from(name).ok()).collect();
        let is_hop = |name: &HeaderName| {
            [CONNECTION, UPGRADE, TE].contains(name)
                || ["keep-alive", "proxy-connection"].contains(&name.as_str())
                || (named.contains(name) && !END_TO_END.contains(&name.as_str()))
        };
        let mut head = Vec::with_capacity(self.bytes.len() + 64);
        let mut at = 0;
        let mut replace = |place: Range<usize>, by: &[u8]| {
            head.extend_from_slice(&self.bytes[at..place.start]);
            head.extend_from_slice(by);
            at = place.end;
        };
        if let Some(target) = change.target {
            replace(self.target.clone(), target.as_bytes());
        }
        for field in &self.fields {
            let is_replaced = change.fields.iter().any(|(name, _)| *name == field.name);
            if is_replaced || !self.asks && is_hop(&field.name) {
                replace(field.line.clone(), b"");
            } else if field.name == HOST
                && let Some(host) = change.host
            {
                replace(field.value.clone(), host);
            }
        }
        let end = self.bytes.len() - 2;
        replace(end..end, if self.asks { b"" } else { b"Connection: close\r\n" });
        for (name, value) in change.fields {
            replace(end..end, &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        head.extend_from_slice(&self.bytes[end..]);
        head
    }
}

/// Fields that `Connection` may not take away: where they are missing the message is another one.
const END_TO_END: [&str; 4] = ["host", "content-length", "transfer-encoding", "content-type"];

#[cfg(test)]
mod tests {
    use super::*;

    const OPENING: &str = "GET /chat?x=1 HTTP/1.1\r\nHost:a.example:8080 \r\nX-Odd:  spaces \r\nupgrade: WebSocket\r\n\
        Connection: keep-alive, Upgrade, X-Odd\r\nSec-WebSocket-Version: 13\r\nEmpty:\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    fn read(head: &str) -> Result<Request, Refused> {
        Request::read(head.as_bytes().to_vec())
    }

    fn changed(head: &str, change: &Change<'_>) -> String {
        String::from_utf8(read(head).unwrap().changed(change)).unwrap()
    }

    #[test]
    fn of_a_request_for_a_websocket_nothing_changes_but_what_is_to_change() {
        let request = read(OPENING).unwrap();
        assert!(request.asks() && request.key().is_some());
        assert_eq!(request.target(), "/chat?x=1");
        assert_eq!(changed(OPENING, &Change::default()), OPENING);
        let change = Change { host: Some(b"b"), ..Change::default() };
        assert_eq!(changed(OPENING, &change), OPENING.replace("a.example:8080", "b"));
        let change = Change { host: Some(b"b"), target: Some("/echo"), fields: &[] };
        let expected = OPENING.replace("a.example:8080", "b").replace("/chat?x=1", "/echo");
        assert_eq!(changed(OPENING, &change), expected);
        let odd = (HeaderName::from_static("x-odd"), HeaderValue::from_static("y"));
        let change = Change { fields: &[odd], ..Change::default() };
        let expected = OPENING.replace("X-Odd:  spaces \r\n", "").replace("==\r\n", "==\r\nx-odd: y\r\n");
        assert_eq!(changed(OPENING, &change), expected);
    }

    #[test]
    fn of_other_requests_what_is_about_their_connection_is_replaced() {
        let head = "POST / HTTP/1.1\r\nKeep-Alive: 5\r\nHost: a\r\nConnection: keep-alive, X-Hop, Content-Length\r\n\
            X-Hop: 1\r\nX-End: 2\r\nUpgrade: h2c\r\nProxy-Connection: x\r\nTE: trailers\r\nContent-Length: 2\r\n\r\n";
        let expected = "POST / HTTP/1.1\r\nHost: a\r\nX-End: 2\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
        assert_eq!(changed(head, &Change::default()), expected);
        assert_eq!(read(head).unwrap().into_body(), Body::Length(2));
    }

    #[test]
    fn what_could_be_read_in_two_ways_does_not_pass() {
        let opening = |more: &str| OPENING.replace("\r\n\r\n", &format!("\r\n{more}\r\n"));
        let plain = |more: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{more}\r\n");
        for (head, status) in [
            (opening("Content-Length: 5\r\n"), 400),
            (opening("Transfer-Encoding: chunked\r\n"), 400),
            (opening("Host: b\r\n"), 400),
            (opening(" folded: b\r\n"), 400),
            (opening("X : b\r\n"), 400),
            (opening("X: b\n"), 400),
            (opening("X: b\rX: c\r\n"), 400),
            (opening("X: \0\r\n"), 400),
            (OPENING.replace("Host", "Xost"), 400),
            (OPENING.replace("a.example:8080", ""), 400),
            (OPENING.replace("a.example:8080", "a@b"), 400),
            (OPENING.replace("a.example:8080", "a, b"), 400),
            (OPENING.replace("/chat", "http://b/chat"), 400),
            (OPENING.replace("HTTP/1.1", "HTTP/1.0"), 505),
            (OPENING.replace("HTTP/1.1", "HTTP/9.1"), 400),
            (format!("\r\n{OPENING}"), 400),
            (OPENING.replace('\r', ""), 400),
            (plain("Content-Length: 5\r\nContent-Length: 6\r\n"), 400),
            (plain("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400),
            (plain("Transfer-Encoding: chunked, identity\r\n"), 400),
            (plain("").replace("GET /", "CONNECT b:1"), 405),
            (plain("").replace("GET /", "GET *"), 400),
            (plain(&"X: y\r\n".repeat(300)), 431),
            ("PRI * HTTP/2.0\r\n\r\n".to_owned(), 505),
            ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), 400),
        ] {
            let refused = read(&head).expect_err(&head);
            assert_eq!(refused.status.as_u16(), status, "{head:?}: {refused}");
        }
        assert!(read(&opening("Content-Length: 0\r\n")).is_ok());
        assert!(read(&plain("").replace("GET /", "OPTIONS *")).is_ok());
    }
}
