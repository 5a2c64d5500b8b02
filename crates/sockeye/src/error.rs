//! What can go wrong with a connection, and whose fault it is: the network's, the peer's, or the caller's.

use core::fmt;
use std::io;

use sockeye_proto::close::InvalidCloseReason;
use sockeye_proto::connection::Closing;
use sockeye_proto::handshake::HandshakeError;
use sockeye_proto::{CloseCode, Error as ProtocolError};

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
    /// What came instead of an HTTP response could not be read as one.
    Http(Box<dyn core::error::Error + Send + Sync>),
    /// A deadline passed.
    Timeout(Phase),
    /// The caller: the connection is closing or closed, nothing more can be sent.
    Closed,
    /// The caller: this Close frame must not be sent.
    InvalidClose(InvalidCloseReason),
    /// The caller: a Ping carries at most 125 bytes, and this is how many it was given.
    PingTooLong(usize),
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Connecting and the opening handshake.
    Opening,
    /// The closing handshake.
    Closing,
}

impl Error {
    /// The code that answers the peer (1002, 1007, 1009), or 1006 where the connection just ended.
    #[must_use]
    pub const fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Protocol(error) => Some(error.close_code()),
            Self::Aborted | Self::Io(_) | Self::Timeout(Phase::Closing) => Some(CloseCode::ABNORMAL_CLOSURE),
            _ => None,
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
            Self::InvalidClose(error) => error.fmt(f),
            Self::Http(_) => f.write_str("the server's answer could not be read as HTTP"),
            Self::Timeout(Phase::Opening) => f.write_str("opening the connection took too long"),
            Self::Timeout(Phase::Closing) => f.write_str("the peer did not finish closing in time"),
            Self::Closed => f.write_str("the connection is closed"),
            Self::PingTooLong(len) => write!(f, "a Ping of {len} bytes; 125 fit (RFC 6455 §5.5)"),
        }
    }
}

impl core::error::Error for Error {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Http(error) => Some(&**error),
            _ => None,
        }
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

impl From<InvalidCloseReason> for Error {
    fn from(error: InvalidCloseReason) -> Self {
        Self::InvalidClose(error)
    }
}

impl From<Closing> for Error {
    fn from(_: Closing) -> Self {
        Self::Closed
    }
}
