//! What went over connections, and when: [`Event`]s, which a recording keeps and a capture lets us guess.
//!
//! | module | |
//! |---|---|
//! | `event` | a connection opened, bytes, bytes that are missing, its end |
//! | [`recording`] | the format of `sockeye proxy --record`: lossless, append-only JSON Lines; writing and reading |
//! | [`capture`] | pcap and pcapng: packets, and the TCP streams put together from them |
//! | [`Source`] | whichever of these some bytes are |
//!
//! Nothing here knows of frames: what the bytes mean is `sockeye-dissect`'s. Nothing fails as a whole: a source tells what
//! is [damaged](Damage), where and why, and goes on with what can be read.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use sockeye_proto::Role;
//! use sockeye_traffic::{Ends, Event, Piece, Source, What, recording::{Options, Recorder}};
//!
//! let mut file = Vec::new();
//! let mut recorder = Recorder::new(&mut file, SystemTime::now(), Options::default())?;
//! let opened = What::Opened(Ends::default());
//! recorder.write(&Event { connection: 1, time: Duration::ZERO, what: opened })?;
//! let bytes = What::Bytes { from: Role::Server, bytes: b"\x81\x02hi"[..].into(), redacted: false };
//! recorder.write(&Event { connection: 1, time: Duration::from_millis(3), what: bytes.clone() })?;
//!
//! let mut source = Source::recognise(file.as_slice())?.expect("it is a recording");
//! assert!(matches!(source.next(), Some(Piece::Event(event)) if matches!(event.what, What::Opened(_))));
//! assert!(matches!(source.next(), Some(Piece::Event(event)) if event.what == bytes));
//! assert_eq!(source.next(), None);
//! # Ok::<(), std::io::Error>(())
//! ```
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod event;
pub mod recording;
pub mod capture;
mod source;

pub use event::{Damage, Ending, Ends, Event, Note, Piece, What, rfc3339};
pub use source::{Begun, Source};
