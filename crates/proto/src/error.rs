//! What goes wrong in the protocol, and whose fault it is.

use core::fmt;

use crate::close::{CloseCode, CloseReason};
use crate::frame::Violation;
use crate::limits::LimitExceeded;

/// Why the connection was failed: the peer's doing, but for [`LimitExceeded::Budget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke a rule of the RFC.
    Violation(Violation),
    /// The peer went over one of our limits.
    Limit(LimitExceeded),
}

impl Error {
    /// The code of the Close frame that answers it: 1002 or 1007 for a broken rule, 1009 for a limit, 1013
    /// where it is not the peer that is over it.
    #[must_use]
    pub const fn close_code(&self) -> CloseCode {
        match self {
            Self::Violation(violation) => violation.close_code(),
            Self::Limit(LimitExceeded::Budget { .. }) => CloseCode::TRY_AGAIN_LATER,
            Self::Limit(_) => CloseCode::MESSAGE_TOO_BIG,
        }
    }
}

impl Error {
    /// What the Close frame says that answers it: the code, and which rule or limit it was, cut to what such a frame holds.
    #[must_use]
    pub fn close_reason(&self) -> CloseReason {
        let mut text = match self {
            Self::Violation(violation) => violation.to_string(),
            Self::Limit(limit) => limit.to_string(),
        };
        // All of it is ASCII but the section sign.
        let end = (0..=CloseReason::MAX_REASON_LEN.min(text.len())).rev().find(|&i| text.is_char_boundary(i));
        text.truncate(end.unwrap_or(0));
        CloseReason::new(self.close_code(), text).expect("our codes may be sent, and it fits")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(violation) => write!(f, "the peer broke the protocol: {violation}"),
            Self::Limit(limit @ LimitExceeded::Budget { .. }) => write!(f, "a limit is reached: {limit}"),
            Self::Limit(limit) => write!(f, "the peer exceeded a limit: {limit}"),
        }
    }
}

impl core::error::Error for Error {}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<LimitExceeded> for Error {
    fn from(limit: LimitExceeded) -> Self {
        Self::Limit(limit)
    }
}
