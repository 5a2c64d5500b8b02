//! The four bits that say what a frame is.

use core::fmt;

/// A frame's opcode (RFC 6455 §5.2): its low four bits of the first byte.
///
/// A newtype rather than an enum, so that the ten reserved values can be held and shown like any other.
///
/// ```
/// use sockeye_proto::frame::Opcode;
///
/// assert_eq!(Opcode::from_bits(0x84), Opcode::from_bits(4));
/// assert!(Opcode::from_bits(4).is_reserved());
/// assert_eq!(Opcode::TEXT.to_string(), "text");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Opcode(u8);

impl Opcode {
    /// A further part of the message that an earlier frame began.
    pub const CONTINUATION: Self = Self(0x0);
    /// The beginning of a text message: UTF-8.
    pub const TEXT: Self = Self(0x1);
    /// The beginning of a binary message.
    pub const BINARY: Self = Self(0x2);
    /// The last frame an endpoint sends (§5.5.1).
    pub const CLOSE: Self = Self(0x8);
    /// "Are you there?" (§5.5.2)
    pub const PING: Self = Self(0x9);
    /// The answer to a Ping, with the Ping's own payload (§5.5.3).
    pub const PONG: Self = Self(0xA);

    /// The opcode in the low four bits of a frame's first byte; the other bits are ignored.
    #[must_use]
    pub const fn from_bits(first_byte: u8) -> Self {
        Self(first_byte & 0x0F)
    }

    /// The opcode as a number from 0 to 15.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether this is a control opcode: "opcodes where the most significant bit of the opcode is 1" (§5.5), reserved
    /// ones included.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.0 & 0x8 != 0
    }

    /// Whether RFC 6455 leaves this opcode for future use (3–7 and B–F).
    #[must_use]
    pub const fn is_reserved(self) -> bool {
        !matches!(self.0, 0x0..=0x2 | 0x8..=0xA)
    }

    /// The RFC's name for it, in lower case; `reserved` for those without one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0x0 => "continuation",
            0x1 => "text",
            0x2 => "binary",
            0x8 => "close",
            0x9 => "ping",
            0xA => "pong",
            _ => "reserved",
        }
    }
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_reserved() { write!(f, "reserved opcode {:#X}", self.0) } else { f.write_str(self.name()) }
    }
}

impl fmt::Debug for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opcode({:#X} {})", self.0, self.name())
    }
}
