//! What happens to a WebSocket that connects again, in order.

use core::ops::Range;
use core::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;
use sockeye_proto::handshake::HandshakeError;
use sockeye_proto::{CloseCode, Message};

use crate::closed::{Closed, ClosedBy};
use crate::error::{Error, ErrorKind};

/// What happens, in the order in which it does: `Connecting`, and then either `Connected`, messages and `Disconnected`, or
/// `Failed`; then `Waiting` before the next try, or `Ended` as the last of all.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A try begins.
    #[non_exhaustive]
    Connecting {
        /// Which one since there was last a connection, from 1 on.
        attempt: u32,
    },
    /// There is a connection, and what is queued leaves.
    #[non_exhaustive]
    Connected {
        /// The subprotocol that was agreed on.
        subprotocol: Option<String>,
    },
    /// A message has come.
    Message(Message),
    /// The connection has ended: why, and what is known of the messages that were sent on it.
    Disconnected(Disconnected),
    /// A try has failed.
    #[non_exhaustive]
    Failed {
        /// Which one it was.
        attempt: u32,
        /// Why.
        error: Error,
    },
    /// There is time before the next try.
    #[non_exhaustive]
    Waiting {
        /// How much.
        delay: Duration,
    },
    /// There will be no further try.
    Ended(Ended),
}

impl Event {
    /// Whether trying again mends nothing, by the rule that holds unless [another is set](super::Reconnect::give_up_when).
    ///
    /// A connection that has ended is final
    /// * when the peer closed it with 1000 (it is done), 1002 or 1003 (it does not understand us), 1008 (it does not want us),
    ///   1010 (it wants an extension that we do not speak), 3000 or 3003 (unauthorized, forbidden).
    ///
    /// A try that has failed is
    /// * when the server answers with another status than 408, 425, 429 and those from 500 on: 401, 403 and 404 among them;
    /// * when what it answers is not the answer to our request;
    /// * when its certificate is not trusted, or it will not speak TLS with us;
    /// * when the mistake is ours: a URL, a header, credentials for a proxy.
    ///
    /// All else passes: networks that fail, servers that are restarted or overloaded, deadlines.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Disconnected(lost) => lost.closed.by() == ClosedBy::Peer && is_final_code(lost.closed.code()),
            Self::Failed { error, .. } => is_final_error(error),
            Self::Ended(_) => true,
            _ => false,
        }
    }

    /// How long the server wants us to wait (RFC 9110 §10.2.3), if it says so in seconds.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        /// What a server may ask for without our taking it for a mistake.
        const MOST: u64 = 3600;
        let Self::Failed { error: Error::Refused(answer), .. } = self else {
            return None;
        };
        let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.parse::<u64>().ok()?;
        Some(Duration::from_secs(seconds.min(MOST)))
    }
}

const fn is_final_code(code: CloseCode) -> bool {
    matches!(code.as_u16(), 1000 | 1002 | 1003 | 1008 | 1010 | 3000 | 3003)
}

fn is_final_error(error: &Error) -> bool {
    match error {
        Error::Refused(answer) => match answer.status() {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => false,
            status => !status.is_server_error(),
        },
        Error::Handshake(HandshakeError::Status(_)) => false,
        Error::Handshake(_) => true,
        // The connection may have broken in the middle of its handshake.
        Error::Tls(error) => core::error::Error::source(error).is_none_or(|source| !source.is::<std::io::Error>()),
        error => error.kind() == ErrorKind::Caller,
    }
}

/// How a connection has ended, and what is known of the messages that were sent on it.
#[derive(Debug)]
pub struct Disconnected {
    pub(super) closed: Closed,
    pub(super) error: Option<Error>,
    pub(super) lived: Duration,
    pub(super) written: Range<u64>,
    pub(super) uncertain: Range<u64>,
    pub(super) unsent: Vec<(u64, Message)>,
}

impl Disconnected {
    /// Who closed it, with which code and reason, and whether both ends agreed.
    #[must_use]
    pub const fn closed(&self) -> &Closed {
        &self.closed
    }

    /// The error that it ended with, if it was no closing handshake.
    #[must_use]
    pub const fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// How long it had lasted.
    #[must_use]
    pub const fn lived(&self) -> Duration {
        self.lived
    }

    /// The numbers of the messages that were given to the network on this connection, whole or in part.
    #[must_use]
    pub fn written(&self) -> Range<u64> {
        self.written.clone()
    }

    /// The numbers of those among them of which nobody knows whether the peer has them. They are not sent again.
    #[must_use]
    pub fn uncertain(&self) -> Range<u64> {
        self.uncertain.clone()
    }

    /// The messages that were accepted and of which not a byte has left, with their numbers: where
    /// [they are given back](super::Unsent::GiveBack).
    #[must_use]
    pub fn unsent(&self) -> &[(u64, Message)] {
        &self.unsent
    }

    /// The same, to keep.
    #[must_use]
    pub fn into_unsent(self) -> Vec<(u64, Message)> {
        self.unsent
    }
}

/// Why there will be no further try, and what will never be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub(super) by: EndedBy,
    pub(super) unsent: Vec<(u64, Message)>,
}

impl Ended {
    /// Why.
    #[must_use]
    pub const fn by(&self) -> EndedBy {
        self.by
    }

    /// The messages that were accepted and of which not a byte has left, with their numbers.
    #[must_use]
    pub fn unsent(&self) -> &[(u64, Message)] {
        &self.unsent
    }
}

/// Why there will be no further try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndedBy {
    /// It was closed from here.
    Us,
    /// The event before was [final](Event::is_final).
    FinalEvent,
    /// [So many tries](super::Backoff::attempts) in a row have failed.
    Attempts,
}
