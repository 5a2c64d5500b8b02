//! What happens on connections.

use core::fmt;
use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use sockeye_proto::Role;

/// Something that happened on a connection. Those of one connection and one direction stand in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever writes a recording makes them")]
pub struct Event {
    /// The number of the connection, by which the events of a source belong together.
    pub connection: u64,
    /// When, since the beginning of the recording or capture: less than 2^64 ns, which are 584 years.
    pub time: Duration,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever writes a recording makes them; another one is another version")]
pub enum What {
    /// It was opened, or is first seen.
    Opened(Ends),
    /// An end has sent bytes, at least one.
    Bytes {
        /// Which end.
        from: Role,
        /// What.
        bytes: Bytes,
        /// Whether something of it was replaced by as many `*`, because it was a credential.
        redacted: bool,
    },
    /// An end has sent bytes, at least one, that are not here.
    Missing {
        /// Which end.
        from: Role,
        /// How many.
        bytes: u64,
    },
    /// It ended.
    Ended(Ending),
}

/// Between whom a connection is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever writes a recording makes them")]
pub struct Ends {
    /// The client's address: `127.0.0.1:50000`.
    pub client: Option<String>,
    /// The server's address.
    pub server: Option<String>,
    /// The URL that leads to the server, where it is known.
    pub target: Option<String>,
    /// Whether the first bytes that an end has sent may be missing.
    pub joined: bool,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever writes a recording makes them; another one is another version")]
pub enum Ending {
    /// Both ends have said that they send no more; who said it first.
    Closed(Option<Role>),
    /// An end has broken it off; which one.
    Reset(Option<Role>),
    /// It failed for this reason.
    Failed(String),
    /// There were too many at once, and this one was not followed any further.
    GivenUp,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(None) => f.write_str("closed"),
            Self::Closed(Some(by)) => write!(f, "closed, by the {by} first"),
            Self::Reset(None) => f.write_str("reset"),
            Self::Reset(Some(by)) => write!(f, "reset by the {by}"),
            Self::Failed(why) => write!(f, "failed: {why}"),
            Self::GivenUp => f.write_str("not followed any further: there are too many at once"),
        }
    }
}

/// What a source gives, piece by piece.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what is read, what is not, and what is to be said of it")]
pub enum Piece {
    /// Something that happened.
    Event(Event),
    /// Something that is to be known about what was read, or left out.
    Note(Note),
    /// Something that cannot be read.
    Damage(Damage),
}

/// What is to be known about a source: nothing is wrong with it, but it may not have all that somebody expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The recording reached its limit, in bytes; what came after that is not in it.
    Full(u64),
    /// So many fragments of IP packets were left out: they are not put together.
    Fragments(u64),
    /// So many packets have less than was sent, by the limit that the capture was made with.
    CutPackets(u64),
    /// So many packets are of a link type that is not read; its number (`LINKTYPE_…`).
    Link(u64, u16),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(limit) => {
                write!(f, "the recording was full, at its limit of {limit} bytes: what came after that is not in it")
            }
            Self::Fragments(1) => {
                f.write_str("1 fragment of an IP packet is left out, as none are put together: expect gaps")
            }
            Self::Fragments(count) => {
                write!(f, "{count} fragments of IP packets are left out, as none are put together: expect gaps")
            }
            Self::CutPackets(count) => {
                let were = if *count == 1 { "packet was" } else { "packets were" };
                write!(f, "{count} {were} captured in part (a snapshot length, as tcpdump -s sets it): expect gaps")
            }
            Self::Link(count, link) => write!(f, "link type {link} is not read: packets left out: {count}"),
        }
    }
}

/// Something that cannot be read: where and why. What comes behind it may be readable.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a place and a reason are all there is")]
pub struct Damage {
    /// The first byte that cannot be read, from 0.
    pub offset: u64,
    /// Its line, from 1, where there are lines.
    pub line: Option<u64>,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}", self.offset)?;
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        write!(f, ": {}", self.why)
    }
}

/// A time as recordings have it: RFC 3339, to the nanosecond. `None` before 1970 and after 9999, where that has none.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let time = UNIX_EPOCH + Duration::from_nanos(1_795_000_000_123_456_789);
/// assert_eq!(sockeye_traffic::rfc3339(time).as_deref(), Some("2026-11-18T11:06:40.123456789Z"));
/// ```
#[must_use]
pub fn rfc3339(time: SystemTime) -> Option<String> {
    const YEAR_10000: u64 = 253_402_300_800;
    let since = time.duration_since(UNIX_EPOCH).ok().filter(|since| since.as_secs() < YEAR_10000)?;
    Some(humantime::format_rfc3339_nanos(UNIX_EPOCH + since).to_string())
}
