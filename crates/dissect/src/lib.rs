//! Takes WebSocket connections apart, bit by bit (RFC 6455, 7692): bytes in, [`Record`]s out, and ways to show them.
//!
//! The modules stand in the order a byte meets them:
//!
//! | step | module | |
//! |---|---|---|
//! | 1 | [`Conversation`] follows both directions of a connection; it never fails | §1.2 |
//! | 2 | `head` cuts out the heads of HTTP, `handshake` judges them | §4 |
//! | 3 | [`Dissector`] cuts the bytes of one direction into frames; it never fails either | §5.2 |
//! | 4 | `payload` unmasks, `message` follows a message over its frames | §5.3, §5.4 |
//! | 5 | `inflate` inflates a compressed one, where [permessage-deflate](Dissector::inflating) was agreed on | RFC 7692 |
//! | 6 | `text` follows UTF-8 over them, and the characters that two frames share | §8.1 |
//! | 7 | `close` takes the body of a Close frame apart | §5.5.1 |
//! | 8 | [`Finding`] says what is wrong, with its section; [`Hint`] what is allowed and good to know | |
//! | 9 | [`Frame`] holds all that is known of one frame; a [`Field`] is some bits of its header | |
//! | 10 | `opaque` has what cannot be taken apart, and why: [`Opaque`], [`Gap`] | |
//! | 11 | [`Record`] is one of these pieces, with its connection and time | |
//! | 12 | [`render`] shows records, as text for people or as JSON Lines | |
//!
//! Everything that reads or judges a frame or the opening handshake is `sockeye-proto`'s, the same functions a connection
//! uses. This crate only looks where a connection stops: it goes on after a broken rule, and keeps what it has seen.
//!
//! ```
//! use sockeye_dissect::Dissector;
//! use sockeye_proto::Role;
//!
//! // A client says 你, and cuts it in two: E4 BD in one frame, A0 in the next.
//! let mut dissector = Dissector::new(Role::Client);
//! let mut frames = dissector.push(&[0x01, 0x82, 0, 0, 0, 0, 0xE4, 0xBD]);
//! frames.extend(dissector.push(&[0x80, 0x81, 0, 0, 0, 0, 0xA0]));
//!
//! let shared = frames[1].text_part.as_ref().and_then(|part| part.begins_within.as_ref()).unwrap();
//! assert_eq!(shared.to_string(), "你 E4 BD | A0");
//! assert_eq!(frames[1].message_text(), Some("你"));
//! assert!(frames.iter().all(|frame| frame.findings.is_empty()));
//! ```
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod conversation;
mod head;
mod handshake;
mod dissector;
mod payload;
mod message;
mod inflate;
mod text;
mod close;
mod finding;
mod hint;
mod field;
mod frame;
mod opaque;
mod record;
pub mod render;

pub use close::CloseBody;
pub use conversation::Conversation;
pub use dissector::{Dissector, Skip};
pub use field::Field;
pub use finding::{BadUtf8, Finding};
pub use frame::{Frame, Lost, Missing, Receiver, Sender};
pub use head::{Head, HeaderField, Opening, StartLine};
pub use hint::Hint;
pub use inflate::{Deflate, InflateOutcome, Inflated};
pub use message::MessagePart;
pub use opaque::{Gap, Opaque, Why};
pub use record::{Item, Record, Span};
pub use text::{Piece, SharedCharacter, TextPart};
