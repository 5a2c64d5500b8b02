//! Recordings: what went over connections, byte for byte, as JSON Lines that are only ever appended to.
//!
//! The first line says what the file is; each further one is something that happened:
//!
//! ```text
//! {"event":"recording","version":1,"started":"2026-11-26T10:53:11.123456789Z","crc32":"…"}
//! {"event":"opened","time_ns":0,"connection":1,"client":"127.0.0.1:50000","server":"127.0.0.1:9001","crc32":"…"}
//! {"event":"bytes","time_ns":52000,"connection":1,"from":"client","offset":0,"bytes":"R0VUIC8…","crc32":"…"}
//! {"event":"missing","time_ns":81000,"connection":1,"from":"server","offset":129,"count":4096,"crc32":"…"}
//! {"event":"ended","time_ns":99000,"connection":1,"how":"closed","by":"client","crc32":"…"}
//! {"event":"full","time_ns":99000,"limit":1073741824,"crc32":"…"}
//! ```
//!
//! | member | of | |
//! |---|---|---|
//! | `version` | `recording` | 1; a reader refuses any other |
//! | `started` | `recording` | when the recording began (RFC 3339) |
//! | `time_ns` | all others | nanoseconds since then. Lines of one connection and direction are in order, others may stand a little late |
//! | `connection` | all others but `full` | a number for each |
//! | `client`, `server`, `target` | `opened` | addresses, and the URL of the server; each may be left out |
//! | `joined` | `opened` | true where the connection's first bytes may not be here |
//! | `from` | `bytes`, `missing` | `"client"` or `"server"` |
//! | `offset` | `bytes`, `missing` | bytes that this end has sent before: a reader notices a line that is gone |
//! | `bytes` | `bytes` | what was sent, in base64; more than 64 KiB stand in several lines of the same time |
//! | `redacted` | `bytes` | true where credentials in it were replaced by as many `*` |
//! | `count` | `missing` | how many bytes were sent that nobody had room for |
//! | `how`, `by`, `why` | `ended` | `"closed"`, `"reset"`, `"failed"` or `"given up"`; by which end, or why, where it is known |
//! | `limit` | `full` | the file's limit in bytes, which the next line would have gone beyond; nothing is recorded after it |
//! | `crc32` | all | always last: eight hex digits, the CRC-32 (as in zlib) of all bytes of the line before `,"crc32"` |
//!
//! A line stands for itself: recordings can be cut, joined and filtered by line (`grep`, `jq -c`), as long as the first
//! line stays and no line is changed. Readers pass over members they do not know.

mod line;
mod reader;
mod redact;
mod writer;

pub use reader::Reader;
pub use writer::{Options, Recorder};

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u64 = 1;

/// The longest line that is read, in bytes; the longest that is written has less.
const MAX_LINE: usize = 256 << 10;

/// Bytes of a connection that one line holds at most.
const MAX_BYTES: usize = 64 << 10;
