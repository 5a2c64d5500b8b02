//! Takes WebSocket bytes apart, bit by bit (RFC 6455, 7692): bytes in, [`Record`]s out, and two ways to show them.
//!
//! The modules stand in the order a byte meets them:
//!
//! | step | module | |
//! |---|---|---|
//! | 1 | [`Dissector`] cuts the bytes of one direction into frames; it never fails | §5.2 |
//! | 2 | `message` follows a message over its frames | §5.4 |
//! | 3 | `inflate` inflates a compressed one, where [permessage-deflate](Dissector::inflating) was agreed on | RFC 7692 |
//! | 4 | `text` follows UTF-8 over them, and the characters that two frames share | §8.1 |
//! | 5 | `close` takes the body of a Close frame apart | §5.5.1 |
//! | 6 | [`Finding`] says what is wrong, with its section | |
//! | 7 | [`Record`] holds all that is known of one frame; a [`Field`] is some bits of its header | |
//! | 8 | [`render`] shows records, as text for people or as JSON Lines | |
//!
//! Everything that reads or judges a frame is `sockeye-proto`'s, the same functions a connection uses. This crate only
//! looks where a connection stops: it goes on after a broken rule, and keeps what it has seen.
//!
//! ```
//! use sockeye_dissect::Dissector;
//! use sockeye_proto::Role;
//!
//! // A client says 你, and cuts it in two: E4 BD in one frame, A0 in the next.
//! let mut dissector = Dissector::new(Role::Client);
//! let mut records = dissector.push(&[0x01, 0x82, 0, 0, 0, 0, 0xE4, 0xBD]);
//! records.extend(dissector.push(&[0x80, 0x81, 0, 0, 0, 0, 0xA0]));
//!
//! let shared = records[1].text_part.as_ref().and_then(|part| part.begins_within.as_ref()).unwrap();
//! assert_eq!(shared.to_string(), "你 E4 BD | A0");
//! assert_eq!(records[1].message_text(), Some("你"));
//! assert!(records.iter().all(|record| record.findings.is_empty()));
//! ```
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod dissector;
mod message;
mod inflate;
mod text;
mod close;
mod finding;
mod field;
mod record;
pub mod render;

pub use close::CloseBody;
pub use dissector::Dissector;
pub use field::Field;
pub use finding::{BadUtf8, Finding};
pub use inflate::{Deflate, InflateOutcome, Inflated};
pub use message::MessagePart;
pub use record::{Missing, Receiver, Record, Sender};
pub use text::{Piece, SharedCharacter, TextPart};
