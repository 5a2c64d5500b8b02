//! The WebSocket protocol (RFC 6455) without I/O: no socket, clock, thread or hidden randomness. Bytes come in as
//! arguments and messages come out, and the other way round.
//!
//! The modules stand in the order a byte meets them:
//!
//! | step | inbound: bytes to messages | |
//! |---|---|---|
//! | 1 | [`frame::Header::parse`] reads the header, without judging it | §5.2 |
//! | 2 | [`frame::rules`] judges it | §5 |
//! | 3 | [`mask`] unmasks the payload in place | §5.3 |
//! | 4 | [`deflate`] inflates it, if the message is compressed | RFC 7692 |
//! | 5 | [`utf8`] checks text as it arrives | §8.1 |
//! | 6 | fragments are put together: a [`message`], whole or in pieces | §5.4 |
//! | 7 | [`close`] reads the Close frame and keeps the closing handshake's state | §7 |
//! | 8 | [`connection`] does all of it, and answers Pings | §5.5 |
//!
//! Outbound it is [`message`] → [`deflate`] → [`frame`] (encode) → [`mask`] → bytes, in [`connection`] as well.
//! Before all that comes the opening [`handshake`] (§4), as functions over [`http`]'s requests and responses.
//!
//! ```
//! use sockeye_proto::{Connection, Event, Limits};
//!
//! // What a browser sends for ws.send("Hello"), here with the masking key of §5.7.
//! let mut bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
//! let mut connection = Connection::server(Limits::default());
//! let received = connection.receive(&mut bytes);
//! assert_eq!(received.consumed, 11);
//! assert!(matches!(received.event, Some(Event::Message(message)) if message.as_text() == Some("Hello")));
//! ```
#![warn(missing_docs, clippy::std_instead_of_core, clippy::unwrap_used)]

mod role;
pub mod frame;
pub mod mask;
pub mod deflate;
pub mod utf8;
mod text;
pub mod message;
mod message_ref;
mod assembler;
pub mod close;
pub mod connection;
mod limits;
mod error;
pub mod stock;
mod token;
pub mod handshake;

pub use close::{CloseCode, CloseReason};
pub use connection::{Connection, Event};
pub use error::Error;
pub use frame::Violation;
pub use limits::{LimitExceeded, Limits};
pub use message::{Message, MessageKind};
pub use message_ref::MessageRef;
pub use role::Role;
pub use text::Text;
