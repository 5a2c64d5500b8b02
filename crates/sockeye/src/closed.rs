//! How a connection came to its end, as a value.

use core::fmt;

use sockeye_proto::{CloseCode, CloseReason};

/// How a connection ended: who began closing it, with which code and reason, and whether both ends agreed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sockeye::Error> {
/// # use sockeye::{ClosedBy, CloseCode, Limits, Role, WebSocket};
/// # let (near, far) = tokio::io::duplex(1024);
/// # let client = WebSocket::from_stream(near, Role::Client, Limits::default());
/// # let mut server = WebSocket::from_stream(far, Role::Server, Limits::default());
/// let watched = client.sender();
/// let (closing, _) = tokio::join!(client.close(CloseCode::NORMAL, "bye"), server.recv());
/// closing?;
/// let closed = watched.closed().await;
/// assert_eq!(closed.by(), ClosedBy::Us);
/// assert!(closed.is_clean());
/// assert_eq!(closed.to_string(), "1000 Normal Closure: bye");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    by: ClosedBy,
    reason: Option<CloseReason>,
    clean: bool,
}

/// Who began closing a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are two ends, and what lies between them")]
pub enum ClosedBy {
    /// This end: it was told to close, or the peer broke a rule or a limit.
    Us,
    /// The peer.
    Peer,
    /// Nobody: the connection ended, failed or fell silent without a Close frame.
    Nobody,
}

impl Closed {
    pub(crate) const fn new(by: ClosedBy, reason: Option<CloseReason>, clean: bool) -> Self {
        Self { by, reason, clean }
    }

    /// Who began.
    #[must_use]
    pub const fn by(&self) -> ClosedBy {
        self.by
    }

    /// The code of the Close frame that began it; 1005 if it had none, 1006 if there was no Close frame (RFC 6455 §7.1.5).
    #[must_use]
    pub fn code(&self) -> CloseCode {
        self.reason.as_ref().map_or(CloseCode::ABNORMAL_CLOSURE, CloseReason::code)
    }

    /// The reason in that frame; empty if it had none.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.reason.as_ref().map_or("", CloseReason::reason)
    }

    /// Whether both Close frames went their way, and all that was accepted before them (§7.1.4).
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.clean
    }
}

/// The code and the reason.
impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => reason.fmt(f),
            None => fmt::Display::fmt(&CloseCode::ABNORMAL_CLOSURE, f),
        }
    }
}
