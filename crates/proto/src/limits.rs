//! What a peer can make us hold, and for how long. On by default.

use core::fmt;
use core::time::Duration;

/// The bounds on one connection.
///
/// ```
/// use sockeye_proto::Limits;
///
/// let limits = Limits::default().message(64 << 20); // 64 MiB
/// assert_eq!(limits.max_message(), 64 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    message: usize,
    fragments: u32,
    closing: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // What Python's websockets has: enough for documents, and a server with 1,000 hostile peers lives.
            message: 1 << 20,
            // Assembled in place a fragment costs no memory, the count bounds work on tiny ones. Autobahn sends 65,536.
            fragments: 131_072,
            closing: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// The most bytes a received message may have. A message that claims more is refused on its frame's header, before a
    /// byte of it is stored. 1 MiB unless set.
    #[must_use]
    pub const fn message(self, bytes: usize) -> Self {
        Self { message: bytes, ..self }
    }

    /// The most frames a received message may come in, empty ones counted. 131,072 unless set.
    #[must_use]
    pub const fn fragments(self, frames: u32) -> Self {
        Self { fragments: frames, ..self }
    }

    /// How long closing may take in all, from the first Close frame to the end of the transport. 10 s unless set.
    #[must_use]
    pub const fn closing(self, time: Duration) -> Self {
        Self { closing: time, ..self }
    }

    /// The bound on a message, in bytes.
    #[must_use]
    pub const fn max_message(&self) -> usize {
        self.message
    }

    /// The bound on a message, in frames.
    #[must_use]
    pub const fn max_fragments(&self) -> u32 {
        self.fragments
    }

    /// The time closing may take.
    #[must_use]
    pub const fn closing_time(&self) -> Duration {
        self.closing
    }
}

/// The peer went over one of our [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitExceeded {
    /// A message of more bytes than [`Limits::message`] allows.
    Message {
        /// The bytes it would have had, as far as its frames' headers tell.
        len: u64,
        /// The bound.
        limit: usize,
    },
    /// A message in more frames than [`Limits::fragments`] allows.
    Fragments {
        /// The bound.
        limit: u32,
    },
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { len, limit } => write!(f, "a message of at least {len} bytes; the limit is {limit}"),
            Self::Fragments { limit } => write!(f, "a message in more than {limit} frames, the limit"),
        }
    }
}

impl core::error::Error for LimitExceeded {}
