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
    opening: Duration,
    head: usize,
    fields: usize,
    queue: usize,
    ping: Option<Duration>,
    pong: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // What Python's websockets has: enough for documents, and a server with 1,000 hostile peers lives.
            message: 1 << 20,
            // Assembled in place a fragment costs no memory, the count bounds work on tiny ones. Autobahn sends 65,536.
            fragments: 131_072,
            // What Python's websockets has for closing and for opening. All in all, so that no trickle prolongs it.
            closing: Duration::from_secs(10),
            opening: Duration::from_secs(10),
            // Browsers' requests have a kilobyte or two and some 20 fields. Python's websockets allows 128, and 8 KiB for each.
            head: 8 << 10,
            fields: 128,
            // As much as a message may have that is received: a slow reader costs no more than a fast sender.
            queue: 1 << 20,
            // What Python's websockets has: below the 60 s after which nginx drops what is idle.
            ping: Some(Duration::from_secs(20)),
            pong: Duration::from_secs(20),
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

    /// The most frames a received message may come in, empty ones counted; at least 1. 131,072 unless set.
    #[must_use]
    pub const fn fragments(self, frames: u32) -> Self {
        Self { fragments: if frames == 0 { 1 } else { frames }, ..self }
    }

    /// How long closing may take in all, from the first Close frame to the end of the transport. 10 s unless set.
    #[must_use]
    pub const fn closing(self, time: Duration) -> Self {
        Self { closing: time, ..self }
    }

    /// How long the opening handshake may take in all; no trickle of bytes prolongs it. 10 s unless set.
    #[must_use]
    pub const fn opening(self, time: Duration) -> Self {
        Self { opening: time, ..self }
    }

    /// The most bytes the peer's head of the opening handshake may have, from its first line to the empty one. 8 KiB
    /// unless set.
    #[must_use]
    pub const fn head(self, bytes: usize) -> Self {
        Self { head: bytes, ..self }
    }

    /// The most header fields that head may have. 128 unless set.
    #[must_use]
    pub const fn fields(self, fields: usize) -> Self {
        Self { fields, ..self }
    }

    /// So many bytes may wait to be written before sending waits for room, or counts as too slow. 1 MiB unless set.
    #[must_use]
    pub const fn queue(self, bytes: usize) -> Self {
        Self { queue: bytes, ..self }
    }

    /// How often to ask the peer for a sign of life, with a Ping (§5.5.2). 20 s unless set; `None`: never.
    #[must_use]
    pub const fn ping(self, interval: Option<Duration>) -> Self {
        Self { ping: interval, ..self }
    }

    /// How long the peer may be silent after such a Ping was written. 20 s unless set.
    #[must_use]
    pub const fn pong(self, time: Duration) -> Self {
        Self { pong: time, ..self }
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

    /// The time the opening handshake may take.
    #[must_use]
    pub const fn opening_time(&self) -> Duration {
        self.opening
    }

    /// The bound on the peer's head of the opening handshake, in bytes.
    #[must_use]
    pub const fn max_head(&self) -> usize {
        self.head
    }

    /// The bound on the number of its header fields.
    #[must_use]
    pub const fn max_fields(&self) -> usize {
        self.fields
    }

    /// The bound on what waits to be written, in bytes.
    #[must_use]
    pub const fn max_queue(&self) -> usize {
        self.queue
    }

    /// The time from one sign of life that was asked for to the next question.
    #[must_use]
    pub const fn ping_interval(&self) -> Option<Duration> {
        self.ping
    }

    /// The time the peer may be silent when it was asked.
    #[must_use]
    pub const fn pong_time(&self) -> Duration {
        self.pong
    }
}

/// The peer went over one of our [`Limits`], or all peers together over one that is kept elsewhere.
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
    /// A compressed message taken in pieces of which nothing comes: one empty block after another.
    EmptyBlocks {
        /// The most bytes of payload that may add nothing to the message.
        limit: usize,
    },
    /// All connections together hold as many bytes as the process may spend on them. Not this peer's fault.
    Budget {
        /// The bound, in bytes.
        limit: usize,
    },
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message { len, limit } => write!(f, "a message of at least {len} bytes; the limit is {limit}"),
            Self::Fragments { limit } => write!(f, "a message in more than {limit} frames, the limit"),
            Self::EmptyBlocks { limit } => write!(f, "{limit} compressed bytes and more of which nothing comes"),
            Self::Budget { limit } => write!(f, "all connections together hold the {limit} bytes they may"),
        }
    }
}

impl core::error::Error for LimitExceeded {}
