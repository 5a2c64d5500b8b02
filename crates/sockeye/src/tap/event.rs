//! What a watch is told.

use std::time::Instant;

use bytes::Bytes;
use sockeye_proto::Role;
use sockeye_proto::deflate::Params;

/// Something that has happened on a connection. Those of one connection stand in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a connection, a time and what happened are all there is")]
pub struct Event {
    /// The number of the connection among those of the tap, from 1; or the one it was [opened
    /// with](super::Tap::open_as).
    pub connection: u64,
    /// When.
    pub time: Instant,
    /// What.
    pub what: What,
}

/// What has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever watches has to know of all of it")]
pub enum What {
    /// A connection is there.
    Opened(Box<Ends>),
    /// An end has sent bytes, at least one.
    Bytes {
        /// Which end.
        from: Role,
        /// What: as much as was read or written at once, 64 KiB at most.
        bytes: Bytes,
    },
    /// An end has sent bytes, at least one, for which the channel had no room.
    Missing {
        /// Which end.
        from: Role,
        /// How many.
        bytes: u64,
    },
    /// It has ended.
    Ended(Ending),
}

/// Between whom a connection is, and where what is seen of it begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever has connections of their own makes them")]
pub struct Ends {
    /// The client's address: `127.0.0.1:50000`.
    pub client: Option<String>,
    /// The server's address.
    pub server: Option<String>,
    /// What the client asked for: a URL, or the path and query of one.
    pub target: Option<String>,
    /// Where its bytes begin.
    pub begins: Begins,
}

/// Where the bytes of a connection begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a connection is a handshake and frames")]
pub enum Begins {
    /// With the opening handshake, over HTTP/1.1.
    #[default]
    Handshake,
    /// With the first frame of either end: over HTTP/2, say, whose handshake is none of its own. What was agreed on of
    /// permessage-deflate, without which they cannot be read.
    Frames(Option<Params>),
}

/// How a connection ended, as far as one of its ends can see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the ways for a stream to end")]
pub enum Ending {
    /// Closed; by which end first, where that is known.
    Closed(Option<Role>),
    /// Broken off, by which end.
    Reset(Role),
    /// It failed for this reason.
    Failed(String),
}

/// What did not find its way to a watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// Connections that it knows nothing of.
    pub connections: u64,
    /// Bytes, those of such connections included.
    pub bytes: u64,
}
