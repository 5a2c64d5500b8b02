//! The frame: what its header says, and which rules it must keep.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-------+-+-------------+-------------------------------+
//! |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
//! |I|S|S|S|  (4)  |A|     (7)     |             (16/64)           |
//! |N|V|V|V|       |S|             |   (if payload len==126/127)   |
//! | |1|2|3|       |K|             |                               |
//! +-+-+-+-+-------+-+-------------+ - - - - - - - - - - - - - - - +
//! |     Extended payload length continued, if payload len == 127  |
//! + - - - - - - - - - - - - - - - +-------------------------------+
//! |                               |Masking-key, if MASK set to 1  |
//! +-------------------------------+-------------------------------+
//! | Masking-key (continued)       |          Payload Data         |
//! +-------------------------------- - - - - - - - - - - - - - - - +
//! :                     Payload Data continued ...                :
//! +---------------------------------------------------------------+
//! ```
//! (RFC 6455 §5.2)
//!
//! Parsing and judging are apart. [`Header::parse`] takes any bytes and has no opinion; [`rules`] says what is wrong with
//! them, either as one quick yes or no ([`rules::check`]) or as a list with sections ([`rules::violations`]).

mod opcode;
mod header;
pub mod rules;

pub use header::{Encoded, Header, Layout, LengthForm, Parse};
pub use opcode::Opcode;
pub use rules::{Context, Violation};
