//! Why something cannot be sent now.

use core::fmt;

/// What a connection answers when it is asked to send something it must not send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CannotSend {
    /// A Close has been sent or received: "the application MUST NOT send any more data frames" (§5.5.1).
    Closing,
    /// Another message is being sent in fragments, whose frames no other data frame may interrupt (§5.4).
    InFragments,
}

impl fmt::Display for CannotSend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closing => "the connection is closing; no more can be sent",
            Self::InFragments => "another message is being sent in fragments, and has not ended",
        })
    }
}

impl core::error::Error for CannotSend {}
