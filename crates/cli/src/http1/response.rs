//! A response's head, and the responses that are our own.

use http::header::SEC_WEBSOCKET_ACCEPT;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use sockeye_proto::handshake::client::{Offer, verify};
use sockeye_proto::handshake::{HandshakeError, Key};

use super::fields;
use super::{Body, MAX_FIELDS};

/// The head of a response, whole.
#[derive(Debug)]
pub(crate) struct Response {
    status: StatusCode,
    headers: HeaderMap,
}

impl Response {
    /// Reads a head, from its first byte to the end of its empty line. `Err` says what is wrong with it.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut slots = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut parsed = httparse::Response::new(&mut slots);
        match parsed.parse(bytes) {
            // The parser takes empty lines before it.
            Ok(httparse::Status::Complete(len)) if len == bytes.len() && Self::may_begin(bytes) => {}
            Ok(_) => return Err("it begins with an empty line, or a line does not end with CR LF".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let (status, headers) =
            status.zip(fields::map(parsed.headers)).ok_or("a name or value of its fields is none of HTTP's")?;
        Ok(Self { status, headers })
    }

    /// Whether bytes may begin a response.
    pub(crate) fn may_begin(bytes: &[u8]) -> bool {
        const VERSION: &[u8] = b"HTTP/1.";
        let len = bytes.len().min(VERSION.len());
        bytes[..len] == VERSION[..len]
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether it only says that another one will follow (RFC 9110 §15.2).
    pub(crate) fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }

    /// Whether it opens the WebSocket that was asked for with this key. What else may be wrong with it is the client's to judge.
    pub(crate) fn opens(&self, key: Option<&Key>) -> Result<(), HandshakeError> {
        let mut response = http::Response::new(());
        (*response.status_mut(), *response.headers_mut()) = (self.status, self.headers.clone());
        let none = Key::new([0; 16]);
        match verify(&response, key.unwrap_or(&none), &Offer::default()) {
            Err(HandshakeError::Accept) if key.is_none() => Ok(()),
            Err(
                error @ (HandshakeError::Status(_)
                | HandshakeError::Upgrade
                | HandshakeError::Connection
                | HandshakeError::Accept),
            ) => Err(error),
            _ => Ok(()),
        }
    }

    /// What follows the head, in answer to a request with this method; `None` where that cannot be told.
    pub(crate) fn body(&self, method: &Method) -> Option<Body> {
        let has_none = self.status.is_informational()
            || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&self.status)
            || method == Method::HEAD;
        if has_none { Some(Body::Length(0)) } else { Body::of(&self.headers, Body::UntilEnd) }
    }
}

/// The head of a response, byte for byte, but with this answer to a key in place of its own.
pub(crate) fn accepting(head: &[u8], accept: &HeaderValue) -> Vec<u8> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut slots);
    let fields = parsed.parse(head).ok().and_then(|_| fields::places(head, parsed.headers)).unwrap_or_default();
    match fields.into_iter().find(|field| field.name == SEC_WEBSOCKET_ACCEPT) {
        Some(field) => [&head[..field.value.start], accept.as_bytes(), &head[field.value.end..]].concat(),
        None => head.to_vec(),
    }
}

/// A response of our own, after which the connection ends.
pub(crate) fn refusal(status: StatusCode, why: &str) -> Vec<u8> {
    let reason = status.canonical_reason().unwrap_or_default();
    let text = format!("sockeye proxy: {why}\n");
    let allow = if status == StatusCode::METHOD_NOT_ALLOWED { "Allow: GET\r\n" } else { "" };
    format!(
        "HTTP/1.1 {} {reason}\r\n{allow}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}",
        status.as_u16(),
        text.len()
    )
    .into_bytes()
}
