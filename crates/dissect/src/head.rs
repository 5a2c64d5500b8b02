//! The heads of HTTP/1.1 that open a WebSocket (§4): cut out of the bytes, and read by `httparse`.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use sockeye_proto::Role;
use sockeye_proto::handshake::Agreed;

use crate::opaque::Why;
use crate::{Finding, Hint};

/// The head of a request or of a response, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// Bytes its sender has sent before it.
    pub offset: u64,
    /// All of it, as it stood on the wire, with the empty line at its end.
    pub bytes: Vec<u8>,
    /// Its first line.
    pub start: StartLine,
    /// Its fields, in their order; those before the mistake, where it cannot be read to its end.
    pub fields: Vec<HeaderField>,
    /// What it means for a WebSocket.
    pub opening: Opening,
    /// Every rule it breaks; none is looked for in a request that does not ask for a WebSocket.
    pub findings: Vec<Finding>,
    /// What is good to know and breaks no rule.
    pub hints: Vec<Hint>,
}

/// The first line of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "HTTP has requests and responses")]
pub enum StartLine {
    /// A client's.
    Request {
        /// `GET`
        method: String,
        /// What it asks for, as it stands there.
        target: String,
    },
    /// A server's.
    Response {
        /// `101`
        status: StatusCode,
        /// The words behind it, which mean nothing.
        reason: String,
    },
    /// One that cannot be read.
    Unread(Role),
}

/// A field of a head, as it stands there: nothing is decoded, no letter made small.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeaderField {
    /// Its name.
    pub name: String,
    /// Its value, without the white space around it.
    pub value: Vec<u8>,
}

/// What a head means for a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opening {
    /// A request that asks for one, well or badly.
    Asks {
        /// The `Sec-WebSocket-Accept` that answers its key; `None` without a key that keeps the rules.
        accept: Option<String>,
    },
    /// A response that opens it: frames follow, both ways.
    Opens(Agreed),
    /// Neither: HTTP goes on.
    Nothing,
}

impl Head {
    /// Who sent it.
    #[must_use]
    pub const fn sender(&self) -> Role {
        match self.start {
            StartLine::Request { .. } => Role::Client,
            StartLine::Response { .. } => Role::Server,
            StartLine::Unread(role) => role,
        }
    }

    /// The values of all fields of this name, letter case aside.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| &field.value[..])
    }
}

/// The bytes of a head, until the empty line has come.
#[derive(Debug, Default)]
pub(crate) struct HeadBytes {
    bytes: Vec<u8>,
}

impl HeadBytes {
    /// As many bytes are looked at: eight times what `sockeye` takes as a server.
    pub(crate) const MAX: usize = 64 << 10;

    pub(crate) const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Takes bytes up to the head's end. Gives how many it took, and whether that was it.
    ///
    /// # Errors
    /// Why it will never be a head.
    pub(crate) fn push(&mut self, sender: Role, bytes: &[u8]) -> (usize, Result<bool, Why>) {
        for (i, &byte) in bytes.iter().enumerate() {
            if self.bytes.len() == Self::MAX {
                return (i, Err(Why::LongHead));
            }
            self.bytes.push(byte);
            if !self.may_be_a_head(sender) {
                // Taken back: what it is instead begins with the first byte.
                self.bytes.pop();
                return (i, Err(self.instead(byte)));
            }
            if byte == b'\n' && self.ends() {
                return (i + 1, Ok(true));
            }
        }
        (bytes.len(), Ok(false))
    }

    /// What has come.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// `\r\n\r\n`, and what `httparse` takes for it: a lone `\n` ends a line, too (RFC 9112 §2.2).
    fn ends(&self) -> bool {
        // A server may begin with empty lines; they end nothing.
        let begun = self.bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n'));
        begun && (self.bytes.ends_with(b"\n\r\n") || self.bytes.ends_with(b"\n\n"))
    }

    /// Whether these bytes, which end where the latest one came, can become a head: a method or `HTTP/1.` comes first.
    fn may_be_a_head(&self, sender: Role) -> bool {
        let start = self.bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(self.bytes.len());
        if start > EMPTY_LINES {
            return false;
        }
        let line = &self.bytes[start..];
        match sender {
            Role::Server => {
                const VERSION: &[u8] = b"HTTP/1.";
                let there = line.len().min(VERSION.len());
                line[..there] == VERSION[..there]
            }
            Role::Client if line.len() > LONGEST_METHOD => true,
            Role::Client => {
                let method = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
                let is_token = line[..method].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
                is_token && method < LONGEST_METHOD && (line.is_empty() || method > 0) && !line.starts_with(b"PRI ")
            }
        }
    }

    /// What begins with these bytes and this one, and is no head.
    fn instead(&self, byte: u8) -> Why {
        const TLS_HANDSHAKE: u8 = 22;
        match self.bytes[..] {
            // Nothing has come before it.
            [] if byte == TLS_HANDSHAKE => Why::Tls,
            _ if self.bytes.ends_with(b"PRI") => Why::Http2,
            _ => Why::NotHttp,
        }
    }
}

/// Letters in the longest method there is (`UPDATEREDIRECTREF`, RFC 4437), and some more.
const LONGEST_METHOD: usize = 24;

/// Bytes of empty lines before a head, which a reader is to pass over (RFC 9112 §2.2); more make no head.
const EMPTY_LINES: usize = 16;

/// How many fields a head may have.
const MAX_FIELDS: usize = 512;

/// A head as the types that the handshake is judged by; `None` where it cannot be read.
pub(crate) enum Read {
    Request(Request<()>),
    Response(Response<()>),
    Bad,
}

/// Reads a head.
pub(crate) fn read(sender: Role, offset: u64, bytes: Vec<u8>) -> (Head, Read) {
    let mut slots = vec![httparse::EMPTY_HEADER; MAX_FIELDS];
    let (start, read, failed) = match sender {
        Role::Client => {
            let mut head = httparse::Request::new(&mut slots);
            let parsed = head.parse(&bytes);
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            let start = StartLine::Request { method: text(head.method), target: text(head.path) };
            let request = request(&head).map(Read::Request);
            (if head.path.is_some() { start } else { StartLine::Unread(sender) }, request, parsed.err())
        }
        Role::Server => {
            let mut head = httparse::Response::new(&mut slots);
            let parsed = head.parse(&bytes);
            let status = head.code.and_then(|code| StatusCode::from_u16(code).ok());
            let start = status.map_or(StartLine::Unread(sender), |status| StartLine::Response {
                status,
                reason: head.reason.unwrap_or_default().to_owned(),
            });
            (start, status.and_then(|status| response(&head, status)).map(Read::Response), parsed.err())
        }
    };
    let fields = slots
        .iter()
        .take_while(|field| !field.name.is_empty())
        .map(|field| HeaderField { name: field.name.to_owned(), value: field.value.to_vec() });
    let fields: Vec<_> = fields.collect();
    let (read, findings) = match (failed, read) {
        (None, Some(read)) => (read, Vec::new()),
        (Some(error), _) => (Read::Bad, vec![Finding::MalformedHead(error.to_string())]),
        (None, None) => (Read::Bad, vec![Finding::MalformedHead("a name or value that HTTP has not".to_owned())]),
    };
    let head = Head { offset, bytes, start, fields, opening: Opening::Nothing, findings, hints: Vec::new() };
    (head, read)
}

fn request(head: &httparse::Request<'_, '_>) -> Option<Request<()>> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(head.method?.as_bytes()).ok()?;
    *request.uri_mut() = Uri::try_from(head.path?).ok()?;
    *request.version_mut() = version(head.version)?;
    *request.headers_mut() = headers(head.headers)?;
    Some(request)
}

fn response(head: &httparse::Response<'_, '_>, status: StatusCode) -> Option<Response<()>> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = version(head.version)?;
    *response.headers_mut() = headers(head.headers)?;
    Some(response)
}

const fn version(minor: Option<u8>) -> Option<Version> {
    match minor {
        Some(0) => Some(Version::HTTP_10),
        Some(1) => Some(Version::HTTP_11),
        _ => None,
    }
}

fn headers(parsed: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for field in parsed {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        headers.try_append(name, HeaderValue::from_bytes(field.value).ok()?).ok()?;
    }
    Some(headers)
}
