//! What can go wrong with a connection, and whose fault it is: the network's, the peer's, or the caller's.

mod proxy;

use core::fmt;
use std::borrow::Cow;
use std::io;

use bytes::Bytes;
use http::Response;
use http::header::LOCATION;
use sockeye_proto::close::InvalidCloseReason;
use sockeye_proto::connection::CannotSend;
use sockeye_proto::handshake::HandshakeError;
use sockeye_proto::handshake::client::is_redirection;
use sockeye_proto::{CloseCode, Error as ProtocolError};

pub use proxy::ProxyError;

/// An error of a [`WebSocket`](crate::WebSocket), or of opening one.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The network: a read or a write failed, or no connection could be made.
    Io(io::Error),
    /// The network or the peer: the connection ended without a closing handshake. Close code 1006 stands for that.
    Aborted,
    /// The peer broke a rule or one of our limits. It was told so with a Close frame, unless we had closed before.
    Protocol(ProtocolError),
    /// The opening handshake failed: by what the server answered, or by what the caller asked for.
    Handshake(HandshakeError),
    /// The server opened no WebSocket. This is its answer: the status, the headers, and what has come within a second of
    /// the first 16 KiB of the body, where the reason may stand.
    Refused(Box<Response<Bytes>>),
    /// A `wss:` URL, and no TLS with the server: whose fault that is, its text says. Close code 1015 stands for that.
    Tls(TlsError),
    /// There is no way to the server through the proxy.
    Proxy(ProxyError),
    /// What came instead of an HTTP response could not be read as one.
    Http(Box<dyn core::error::Error + Send + Sync>),
    /// The caller's own code, asked [before a try](crate::reconnect::Reconnect::before_each) or behind it, said no.
    Hook(Box<dyn core::error::Error + Send + Sync>),
    /// A deadline passed.
    Timeout(Phase),
    /// The caller: the connection is closing or closed, nothing more can be sent.
    Closed,
    /// The caller: this Close frame must not be sent.
    InvalidClose(InvalidCloseReason),
}

/// Why there is no TLS with a server. Displayed, it names the host and the reason; its source has the particulars.
#[derive(Debug)]
pub struct TlsError(Box<Particulars>);

/// Apart, as every `Result` of a connection's has the size of the largest error.
#[derive(Debug)]
struct Particulars {
    host: String,
    why: Cow<'static, str>,
    source: Option<Box<dyn core::error::Error + Send + Sync>>,
}

impl TlsError {
    #[cfg(feature = "tls")]
    pub(crate) fn new(
        host: &str,
        why: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn core::error::Error + Send + Sync>>,
    ) -> Self {
        Self(Box::new(Particulars { host: host.to_owned(), why: why.into(), source: Some(source.into()) }))
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn without_feature(host: &str) -> Self {
        Self(Box::new(Particulars {
            host: host.to_owned(),
            why: Cow::Borrowed("this program is built without the feature `ring` or `aws-lc` of sockeye"),
            source: None,
        }))
    }

    /// The server's name or address, as it stands in the URL.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.host
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no TLS with {}: {}", self.0.host, self.0.why)
    }
}

impl core::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Connecting and the opening handshake, TLS and all.
    Opening,
    /// Connecting, where [that has a deadline of its own](crate::Connect::connect_timeout).
    Connecting,
    /// The peer's life: it answered no Ping, and sent nothing else, for as long as [`Limits::pong`](crate::Limits::pong) allows.
    Keepalive,
    /// The closing handshake.
    Closing,
    /// Room in the queue, for a `send_timeout`.
    Sending,
}

/// Whose error it is, for a caller who wants to decide by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The network: the connection could not be made, or ended on its way. Trying again may help.
    Network,
    /// The peer broke a rule or a limit, or answers with something else than a WebSocket.
    Peer,
    /// A deadline passed.
    Timeout,
    /// The connection is closing or closed.
    Closed,
    /// The caller asked for what cannot be.
    Caller,
}

impl Error {
    /// Whose error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        use HandshakeError::{Credentials, InvalidHeader, InvalidSubprotocol, RepeatedHeader, ReservedHeader, Url};
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::TimedOut => ErrorKind::Timeout,
            Self::Io(_) | Self::Aborted | Self::Hook(_) => ErrorKind::Network,
            Self::Timeout(_) => ErrorKind::Timeout,
            Self::Protocol(_) | Self::Refused(_) | Self::Http(_) | Self::Tls(_) => ErrorKind::Peer,
            Self::Proxy(error) => error.kind(),
            Self::Closed => ErrorKind::Closed,
            Self::Handshake(
                Url(_) | InvalidSubprotocol(_) | InvalidHeader | ReservedHeader(_) | RepeatedHeader(_) | Credentials(_),
            )
            | Self::InvalidClose(_) => ErrorKind::Caller,
            Self::Handshake(_) => ErrorKind::Peer,
        }
    }

    /// The code that answers the peer (1002, 1007, 1009), or the one that stands for an end without: 1006 where the
    /// connection just ended, 1015 where TLS failed.
    #[must_use]
    pub const fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Protocol(error) => Some(error.close_code()),
            Self::Aborted | Self::Io(_) | Self::Timeout(Phase::Closing | Phase::Keepalive) => {
                Some(CloseCode::ABNORMAL_CLOSURE)
            }
            Self::Tls(_) => Some(CloseCode::TLS_HANDSHAKE),
            _ => None,
        }
    }

    /// The same error once more, of those that a connection ends with: sender and receiver both learn of it.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Io(error) => Self::Io(duplicate(error)),
            Self::Protocol(error) => Self::Protocol(*error),
            Self::Timeout(phase) => Self::Timeout(*phase),
            Self::Closed => Self::Closed,
            _ => Self::Aborted,
        }
    }

    /// Whether a deadline passed.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Timeout(_) => true,
            Self::Io(error) => error.kind() == io::ErrorKind::TimedOut,
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("the connection failed"),
            Self::Aborted => f.write_str("the connection ended without a closing handshake"),
            // These say all there is to say; their `source` is what lies below them.
            Self::Protocol(error) => error.fmt(f),
            Self::Handshake(error) => error.fmt(f),
            Self::Refused(answer) => {
                HandshakeError::Status(answer.status()).fmt(f)?;
                let elsewhere = answer.headers().get(LOCATION).filter(|_| is_redirection(answer.status()));
                if let Some(shown) = elsewhere.and_then(|location| shown(location.as_bytes())) {
                    return write!(f, ", and points to {shown}");
                }
                reason(answer.body()).map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Self::Tls(error) => error.fmt(f),
            Self::Proxy(error) => error.fmt(f),
            Self::InvalidClose(error) => error.fmt(f),
            Self::Http(_) => f.write_str("the server's answer could not be read as HTTP"),
            Self::Hook(error) => error.fmt(f),
            Self::Timeout(Phase::Opening) => f.write_str("opening the connection took too long"),
            Self::Timeout(Phase::Connecting) => f.write_str("connecting with the server took too long"),
            Self::Timeout(Phase::Keepalive) => f.write_str("the peer has fallen silent: it answered no Ping in time"),
            Self::Timeout(Phase::Closing) => f.write_str("the peer did not finish closing in time"),
            Self::Timeout(Phase::Sending) => f.write_str("the queue had no room for the message in time"),
            Self::Closed => f.write_str("the connection is closed"),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Http(error) => Some(&**error),
            Self::Hook(error) => error.source(),
            Self::Tls(error) => error.source(),
            Self::Proxy(error) => error.source(),
            _ => None,
        }
    }
}

/// For code that reads and writes a message as a stream: the error itself is kept as what it stems from.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Io(error) => error.kind(),
            Error::Aborted => io::ErrorKind::UnexpectedEof,
            Error::Timeout(_) => io::ErrorKind::TimedOut,
            Error::Closed => io::ErrorKind::BrokenPipe,
            Error::Protocol(_) | Error::Http(_) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<HandshakeError> for Error {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

impl From<TlsError> for Error {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

impl From<ProxyError> for Error {
    fn from(error: ProxyError) -> Self {
        Self::Proxy(error)
    }
}

impl From<InvalidCloseReason> for Error {
    fn from(error: InvalidCloseReason) -> Self {
        Self::InvalidClose(error)
    }
}

impl From<CannotSend> for Error {
    fn from(_: CannotSend) -> Self {
        Self::Closed
    }
}

/// What an answer's body says, if that is for people and not a page.
fn reason(body: &[u8]) -> Option<String> {
    if body.starts_with(b"<") { None } else { shown(body) }
}

/// The first line of a text of the peer's, as it may stand in a log.
fn shown(text: &[u8]) -> Option<String> {
    /// Of a longer line only the beginning says what is wrong.
    const SHOWN: usize = 120;
    let text = &text[..text.len().min(4 * SHOWN)];
    let text = match core::str::from_utf8(text) {
        Ok(text) => text,
        // It is cut within a character.
        Err(error) if error.error_len().is_none() => core::str::from_utf8(&text[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let line = text.lines().next().filter(|line| !line.is_empty())?;
    let harmless = |c: char| matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1;
    Some(line.chars().take(SHOWN).map(|c| if harmless(c) { c } else { char::REPLACEMENT_CHARACTER }).collect())
}

/// The same error of the system's once more; one of a layer's own keeps its kind and its words.
pub(crate) fn duplicate(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}
