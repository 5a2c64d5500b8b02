//! All that comes in answer to a request which opens no WebSocket: responses on the way to the one that counts, its head, its
//! body. It passes as it comes; what is followed is where it ends.

use http::{Method, StatusCode};

use super::{Body, MAX_HEAD, Response, head_end};

/// An answer, as far as it has passed.
#[derive(Debug)]
pub(crate) struct Answer {
    method: Method,
    at: At,
}

#[derive(Debug)]
enum At {
    /// In a head, so much of which has come.
    Head(Vec<u8>),
    Body(Body),
}

impl Answer {
    /// The answer to a request with this method.
    pub(crate) const fn to(method: Method) -> Self {
        Self { method, at: At::Head(Vec::new()) }
    }

    /// Whether all of it has passed.
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(&self.at, At::Body(body) if body.has_ended())
    }

    /// How many of these bytes belong to it; the rest stands behind it. `Err` where it is none.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let mut taken = 0;
        while taken < bytes.len() && !self.has_ended() {
            taken += match &mut self.at {
                At::Body(body) => body.take(&bytes[taken..])?,
                At::Head(head) => {
                    let looked = head.len();
                    let piece = &bytes[taken..];
                    let piece = &piece[..piece.len().min(MAX_HEAD - looked)];
                    head.extend_from_slice(piece);
                    match head_end(head, looked) {
                        Some(end) => {
                            self.at = after(&head[..end], &self.method)?;
                            end - looked
                        }
                        None if !Response::may_begin(head) => return Err("it is no HTTP/1.1".to_owned()),
                        None if head.len() == MAX_HEAD => {
                            return Err(format!("its head has more than {MAX_HEAD} bytes"));
                        }
                        None => piece.len(),
                    }
                }
            };
        }
        Ok(taken)
    }
}

/// Where an answer goes on behind this head.
fn after(head: &[u8], method: &Method) -> Result<At, String> {
    let response = Response::read(head)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err("it switches to another protocol, and nobody has asked for that".to_owned());
    }
    if response.is_interim() {
        return Ok(At::Head(Vec::new()));
    }
    let body = response.body(method).ok_or("where its body ends cannot be told for certain")?;
    Ok(At::Body(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_it_ends_however_it_is_cut() {
        for (method, answer, behind) in [
            (Method::GET, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\n\r\n"),
            (Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "hi"),
            (Method::GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", "hi"),
            (Method::GET, "HTTP/1.0 200 OK\r\n\r\nhi", ""),
            (
                Method::POST,
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n\
                 HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
                "0\r\n\r\n",
            ),
        ] {
            let all = [answer, behind].concat();
            for step in 1..=all.len() {
                let mut passing = Answer::to(method.clone());
                let taken: usize = all.as_bytes().chunks(step).map(|piece| passing.take(piece).unwrap()).sum();
                assert_eq!(taken, answer.len(), "{answer:?} in pieces of {step}");
                assert_eq!(passing.has_ended(), !behind.is_empty());
            }
        }
    }

    #[test]
    fn how_long_a_head_may_be_does_not_depend_on_how_it_comes() {
        let of = |len: usize| format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(len - 24));
        for (len, may_pass) in [(MAX_HEAD, true), (MAX_HEAD + 1, false), (3 * MAX_HEAD, false)] {
            for step in [len, len - 1, 1000, 1] {
                let mut passing = Answer::to(Method::GET);
                let passes = of(len).as_bytes().chunks(step).all(|piece| passing.take(piece).is_ok());
                assert_eq!(passes, may_pass, "{len} bytes in pieces of {step}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(2 * MAX_HEAD));
        for bytes in [
            "HTTP/2 200\r\n",
            "SSH-2.0-x\r\n",
            "\u{16}\u{3}\u{1}",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 xyz\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            &long,
        ] {
            assert!(Answer::to(Method::GET).take(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
    }
}
