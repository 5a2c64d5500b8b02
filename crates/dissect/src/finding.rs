//! What is wrong with a frame: the broken rule, its section, and where.

use core::fmt;

use sockeye_proto::CloseCode;
use sockeye_proto::frame::{Header, Violation};

/// A rule that a frame breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A rule that a connection enforces too, and whose own words say it all.
    Rule(Violation),
    /// Bytes that are not UTF-8, and which byte shows it.
    InvalidUtf8 {
        /// The rule: for text, or for the reason of a Close frame.
        rule: Violation,
        /// Where.
        at: BadUtf8,
    },
    /// A data frame after the sender's Close frame (§5.5.1). A connection does not enforce it: it reads no further.
    DataAfterClose {
        /// The number of the Close frame.
        close: u64,
    },
}

/// The byte at which bytes can no longer be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadUtf8 {
    /// The byte that no text can have here; `None` where the text ends within a character.
    pub byte: Option<u8>,
    /// Its place in the frame's payload, from 0; of a compressed one, in what that inflates to.
    pub in_payload: u64,
    /// Its place in the message, over all frames, or in the reason; from 0.
    pub in_text: u64,
    /// Whether the places are in what was inflated.
    pub inflated: bool,
}

impl Finding {
    /// A name for programs, which stays what it is.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DataAfterClose { .. } => "data-after-close",
            Self::Rule(rule) | Self::InvalidUtf8 { rule, .. } => match rule {
                Violation::ReservedBit(_) => "reserved-bit",
                Violation::ReservedOpcode(_) => "reserved-opcode",
                Violation::FragmentedControl(_) => "fragmented-control",
                Violation::ContinuationWithoutStart => "continuation-without-start",
                Violation::MessageInsideMessage(_) => "message-inside-message",
                Violation::UnmaskedClientFrame => "unmasked-client-frame",
                Violation::MaskedServerFrame => "masked-server-frame",
                Violation::OversizedControl { .. } => "oversized-control",
                Violation::LengthTopBit => "length-top-bit",
                Violation::NonMinimalLength { .. } => "non-minimal-length",
                Violation::TruncatedCloseCode => "truncated-close-code",
                Violation::InvalidCloseCode(_) => "invalid-close-code",
                Violation::InvalidUtf8InCloseReason => "invalid-utf8-in-close-reason",
                Violation::InvalidUtf8InText => "invalid-utf8-in-text",
                Violation::CorruptDeflate => "corrupt-deflate",
                _ => "violation",
            },
        }
    }

    /// The RFC that has the rule: 6455, or 7692 for compressed messages.
    #[must_use]
    pub const fn rfc(self) -> u16 {
        match self {
            Self::Rule(rule) | Self::InvalidUtf8 { rule, .. } => rule.rfc(),
            Self::DataAfterClose { .. } => 6455,
        }
    }

    /// The section of the [RFC](Self::rfc) that has the rule.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::Rule(rule) | Self::InvalidUtf8 { rule, .. } => rule.section(),
            Self::DataAfterClose { .. } => "5.5.1",
        }
    }

    /// The code a receiver fails the connection with; `None` where it does not.
    #[must_use]
    pub const fn close_code(self) -> Option<CloseCode> {
        match self {
            Self::Rule(rule) | Self::InvalidUtf8 { rule, .. } => Some(rule.close_code()),
            Self::DataAfterClose { .. } => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => rule.fmt(f),
            Self::InvalidUtf8 { rule, at } => write!(f, "{rule}: {at}"),
            Self::DataAfterClose { close } => {
                write!(f, "a data frame after the Close in frame {close} (RFC 6455 §5.5.1)")
            }
        }
    }
}

impl fmt::Display for BadUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.byte {
            Some(byte) => {
                let inflated = if self.inflated { "inflated " } else { "" };
                write!(f, "byte {} of the {inflated}payload, {byte:02X}, cannot stand here", self.in_payload)
            }
            None => f.write_str("it ends within a character"),
        }
    }
}

/// Of the rules a padded header breaks, those that the bytes which have come are enough for. `bits` of them are there.
pub(crate) fn is_decided(violation: Violation, header: Header, bits: usize) -> bool {
    let layout = header.layout();
    let needs = match violation {
        Violation::UnmaskedClientFrame | Violation::MaskedServerFrame => layout.mask().end,
        Violation::OversizedControl { .. } | Violation::LengthTopBit | Violation::NonMinimalLength { .. } => {
            layout.extended_len().unwrap_or(layout.len()).end
        }
        _ => layout.opcode().end,
    };
    needs <= bits
}
