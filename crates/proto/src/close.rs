//! Closing: the codes (RFC 6455 §7.4), the Close frame's body (§5.5.1), and the closing handshake as a table (§7.1).

mod code;
mod handshake;
mod reason;

pub use code::CloseCode;
pub use handshake::{Action, Event, State, table};
pub use reason::{CloseReason, InvalidCloseReason};
