//! Why a handshake failed: the server's reasons with their HTTP status, and the client's.

use core::fmt;

use http::{HeaderValue, Response, StatusCode, header};

use crate::deflate::NegotiationError;

/// Why a server refuses a request to open a WebSocket (RFC 6455 §4.2.1, §4.2.2, RFC 8441).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The method is not GET.
    Method,
    /// HTTP/1.0 or older: "an HTTP/1.1 or higher GET request".
    HttpVersion,
    /// Over HTTP/2, no extended CONNECT: an ordinary request to an address where only WebSockets live.
    Connect,
    /// An extended CONNECT for another `:protocol`.
    Protocol,
    /// Not exactly one Host header (over HTTP/2, `:authority`), or one that is no host.
    Host,
    /// No `Upgrade: websocket`: an ordinary request to an address where only WebSockets live.
    Upgrade,
    /// No `Connection: Upgrade`.
    Connection,
    /// Not exactly one `Sec-WebSocket-Version`, or another than 13.
    Version,
    /// Not exactly one `Sec-WebSocket-Key`, or not one of 16 bytes.
    Key,
    /// A `Sec-WebSocket-Protocol` that is not a list of different tokens.
    Subprotocol,
    /// A `Sec-WebSocket-Extensions` that is not in the grammar of §9.1.
    Extensions,
    /// The request has a body, whose bytes would pass for frames.
    Body,
    /// The page's origin may not connect (§10.2).
    Origin,
    /// The server has as many connections as it may have.
    Full,
    /// The server is closing its connections, and takes no new ones.
    Draining,
}

impl Refusal {
    /// The HTTP status that says so: 400, 403, 405, 426, 501 or 503.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Method | Self::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Self::Protocol => StatusCode::NOT_IMPLEMENTED,
            Self::Full | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Self::Upgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Origin => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The response that says so, with a line of text that names the reason.
    #[must_use]
    pub fn response<B: From<String>>(&self) -> Response<B> {
        let mut response = Response::new(B::from(format!("{self}\n")));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.4
        match self {
            Self::Method => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
            }
            Self::Connect => {
                headers.insert(header::ALLOW, HeaderValue::from_static("CONNECT"));
            }
            Self::Upgrade | Self::Version => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            _ => {}
        }
        response
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "a WebSocket is opened with GET (RFC 6455 §4.1)",
            Self::HttpVersion => "a WebSocket needs HTTP/1.1 (RFC 6455 §4.1)",
            Self::Connect => "here is a WebSocket: over HTTP/2 it is opened with extended CONNECT (RFC 8441 §4)",
            Self::Protocol => "of the protocols for extended CONNECT only `websocket` is spoken here (RFC 8441 §4)",
            Self::Host => "exactly one Host header is needed (RFC 6455 §4.2.1)",
            Self::Upgrade => "here is a WebSocket: connect with `Upgrade: websocket` (RFC 6455 §4.2.1)",
            Self::Connection => "the Connection header lacks `Upgrade` (RFC 6455 §4.2.1)",
            Self::Version => "only Sec-WebSocket-Version 13 is spoken here (RFC 6455 §4.4)",
            Self::Key => "exactly one Sec-WebSocket-Key of 16 bytes in base64 is needed (RFC 6455 §4.2.1)",
            Self::Subprotocol => "Sec-WebSocket-Protocol is not a list of different tokens (RFC 6455 §4.1)",
            Self::Extensions => "Sec-WebSocket-Extensions cannot be read (RFC 6455 §9.1)",
            Self::Body => "the request that opens a WebSocket has no body (RFC 6455 §4.1)",
            Self::Origin => "pages of this origin may not connect (RFC 6455 §10.2)",
            Self::Full => "the server has as many connections as it may have; try again later",
            Self::Draining => "the server is closing its connections; try again later",
        })
    }
}

impl core::error::Error for Refusal {}

/// Why a client cannot open a WebSocket, or does not take a response for the opening of one (RFC 6455 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The URL is no `ws:` or `wss:` URL with a host (§3).
    Url(&'static str),
    /// A subprotocol the caller offers is no token, or is offered twice.
    InvalidSubprotocol(String),
    /// A header the caller adds has a name or value that no header can have.
    InvalidHeader,
    /// A header the caller adds is one that the handshake sets itself.
    ReservedHeader(http::HeaderName),
    /// A header the caller adds stands there twice, of which a server can follow one. The user name in a URL makes an
    /// `Authorization`, too.
    RepeatedHeader(http::HeaderName),
    /// A user name, password or token the caller gives cannot be sent.
    Credentials(&'static str),
    /// The server answered with another status than 101, or than 200 over HTTP/2.
    Status(StatusCode),
    /// The server sends us elsewhere, where we do not go.
    Redirect(&'static str),
    /// The server takes no WebSockets over HTTP/2: it has not sent `SETTINGS_ENABLE_CONNECT_PROTOCOL` (RFC 8441 §3).
    ExtendedConnect,
    /// The response lacks `Upgrade: websocket`.
    Upgrade,
    /// The response lacks `Connection: Upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` is missing, repeated, or does not answer our key.
    Accept,
    /// The server chose a subprotocol we did not offer, or several.
    Subprotocol,
    /// The server's `Sec-WebSocket-Extensions` does not answer what we offered.
    Extension(NegotiationError),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "not a WebSocket URL: {why} (RFC 6455 §3)"),
            Self::InvalidSubprotocol(name) => {
                write!(f, "subprotocol {name:?} is not a token, or is offered twice (RFC 6455 §4.1)")
            }
            Self::InvalidHeader => f.write_str("a header's name or value has bytes that no header can have"),
            Self::ReservedHeader(name) => write!(f, "the header {name} is set by the handshake itself"),
            Self::RepeatedHeader(name) => {
                write!(f, "the header {name} is set twice, of which a server can follow one")?;
                match *name {
                    header::AUTHORIZATION => f.write_str("; a user name in the URL sets it, too"),
                    _ => Ok(()),
                }
            }
            Self::Credentials(why) => write!(f, "these credentials cannot be sent: {why}"),
            Self::Status(status) => write!(f, "the server answered {status} instead of opening a WebSocket"),
            Self::Redirect(why) => write!(f, "the server's redirection cannot be followed: {why}"),
            Self::ExtendedConnect => f.write_str(
                "the server takes no WebSockets over HTTP/2: it does not enable extended CONNECT (RFC 8441 §3)",
            ),
            Self::Upgrade => f.write_str("the server's 101 lacks `Upgrade: websocket` (RFC 6455 §4.1)"),
            Self::Connection => f.write_str("the server's 101 lacks `Connection: Upgrade` (RFC 6455 §4.1)"),
            Self::Accept => f.write_str("the server's Sec-WebSocket-Accept does not answer our key (RFC 6455 §4.1)"),
            Self::Subprotocol => f.write_str("the server chose a subprotocol we did not offer (RFC 6455 §4.1)"),
            Self::Extension(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for HandshakeError {}

impl From<NegotiationError> for HandshakeError {
    fn from(error: NegotiationError) -> Self {
        Self::Extension(error)
    }
}
