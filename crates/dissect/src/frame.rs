//! All that is known of one frame.

use sockeye_proto::frame::{Header, Opcode};
use sockeye_proto::{CloseCode, Role, mask};

use crate::{CloseBody, Field, Finding, Hint, InflateOutcome, Inflated, MessagePart, TextPart};

/// One frame, or as much of it as there is.
///
/// What can be derived is a method, what was seen is a field. The bytes on the wire are `header_bytes`, and after them
/// [`masked_payload`](Self::masked_payload).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The frame's number in its stream, from 1.
    pub number: u64,
    /// Bytes its sender has sent before this frame.
    pub offset: u64,
    /// Who sent it.
    pub sender: Sender,
    /// The header as it stood on the wire: 2 to 14 bytes, fewer where the stream ends within it.
    pub header_bytes: Vec<u8>,
    /// The header as a value; `None` where the stream ends within it.
    pub header: Option<Header>,
    /// The payload, unmasked: as much as has come and as the dissector [keeps](crate::Dissector::keeping), up to the first
    /// byte that is [lost](Self::lost).
    pub payload: Vec<u8>,
    /// Bytes of payload that have come, kept or not, and those that are lost within them.
    pub arrived: u64,
    /// What of the payload is [not here](crate::Dissector::skip), although it was sent.
    pub lost: Option<Lost>,
    /// What the stream lacks for this frame to be whole.
    pub missing: Missing,
    /// The frame's place in its message; `None` for control frames and for data frames outside of any.
    pub message: Option<MessagePart>,
    /// What the payload inflates to; `None` unless it is part of a compressed message, and
    /// [permessage-deflate](crate::Dissector::inflating) was agreed on.
    pub inflated: Option<Inflated>,
    /// For a control frame: the number of the message that it stands within, between two of its fragments (§5.4).
    pub within_message: Option<u64>,
    /// What the payload, inflated, is as text; `None` unless it is part of a text message that was good UTF-8 before this frame.
    pub text_part: Option<TextPart>,
    /// The body of a Close frame that is whole; one longer than is kept (none that keeps the rules is) is not judged.
    pub close: Option<CloseBody>,
    /// Every rule the frame breaks: those of its header in the order of the fields, then those of its payload.
    pub findings: Vec<Finding>,
    /// What is good to know and breaks no rule.
    pub hints: Vec<Hint>,
    /// What a receiver that keeps the rules does with it.
    pub receiver: Receiver,
}

impl Frame {
    /// The header's fields, in the order they have on the wire.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        Field::all_in(&self.header_bytes)
    }

    /// What the frame is; `None` only where not a byte of it is there.
    #[must_use]
    pub fn opcode(&self) -> Option<Opcode> {
        self.header_bytes.first().map(|&first| Opcode::from_bits(first))
    }

    /// Bytes of the stream that belong to this frame.
    #[must_use]
    pub fn size(&self) -> u64 {
        // Saturates only for a length that breaks a rule, all of whose bytes are missing.
        self.arrived.saturating_add(self.header_bytes.len() as u64)
    }

    /// Whether the stream ends before the frame does.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.missing != Missing::Nothing
    }

    /// Bytes of payload that have come and were not kept.
    #[must_use]
    pub fn not_kept(&self) -> u64 {
        self.arrived - self.payload.len() as u64 - self.lost.map_or(0, |lost| lost.bytes)
    }

    /// The payload as it stood on the wire; `None` when MASK is 0 and [`payload`](Self::payload) is just that.
    #[must_use]
    pub fn masked_payload(&self) -> Option<Vec<u8>> {
        let key = self.header?.masking_key()?;
        let mut bytes = self.payload.clone();
        mask::apply(key, 0, &mut bytes);
        Some(bytes)
    }

    /// The frame's bytes on the wire up to the end of the header, and at most `payload` more.
    pub(crate) fn wire_bytes(&self, payload: usize) -> Vec<u8> {
        let mut bytes = self.header_bytes.clone();
        bytes.extend_from_slice(&self.payload[..payload.min(self.payload.len())]);
        if let Some(key) = self.header.and_then(Header::masking_key) {
            mask::apply(key, 0, &mut bytes[self.header_bytes.len()..]);
        }
        bytes
    }

    /// What the frame adds to its message: its payload as it is, or what that inflates to.
    pub(crate) fn content(&self) -> &[u8] {
        self.inflated.as_ref().map_or(&self.payload, |inflated| &inflated.payload)
    }

    /// The characters that lie in this frame as a whole, up to the first byte that is not UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let bytes = &self.content()[self.text_part.as_ref()?.lead..];
        Some(match core::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
        })
    }

    /// The payload of the message that ends with this frame, as far as it was kept; of a compressed one, inflated, if all
    /// of it could be.
    #[must_use]
    pub fn message_payload(&self) -> Option<&[u8]> {
        let message = self.message.as_ref().filter(|message| message.ends && !message.has_gap)?;
        if let Some(inflated) = &self.inflated {
            let is_good = inflated.outcome == InflateOutcome::Good;
            return is_good.then(|| inflated.assembled.as_deref().unwrap_or(&inflated.payload));
        }
        Some(message.assembled.as_deref().unwrap_or(&self.payload))
    }

    /// The text of the message that ends with this frame, if it is one, good UTF-8, and kept as a whole.
    #[must_use]
    pub fn message_text(&self) -> Option<&str> {
        let message = self.message.as_ref().filter(|message| message.kind == Opcode::TEXT)?;
        let len = self.inflated.as_ref().map_or(message.len, |inflated| inflated.len);
        let payload = self.message_payload().filter(|payload| payload.len() as u64 == len)?;
        core::str::from_utf8(payload).ok()
    }

    /// How many percent of what it inflates to the compressed message has that ends with this frame, rounded; `None` too
    /// where it inflates to nothing, or not as a whole.
    #[must_use]
    pub fn percent(&self) -> Option<u64> {
        let message = self.message.as_ref().filter(|message| message.ends)?;
        let inflated = self.inflated.as_ref().filter(|inflated| inflated.outcome == InflateOutcome::Good)?;
        let rounded = message.len.saturating_mul(100).saturating_add(inflated.len / 2);
        rounded.checked_div(inflated.len)
    }
}

/// Who sent a frame, and how we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sender {
    /// The caller said so.
    Given(Role),
    /// Taken from the MASK bit of the stream's first frame: only a client masks.
    Assumed(Role),
    /// The stream ends before that bit.
    Unknown,
}

impl Sender {
    /// The role, if it is known.
    #[must_use]
    pub const fn role(self) -> Option<Role> {
        match self {
            Self::Given(role) | Self::Assumed(role) => Some(role),
            Self::Unknown => None,
        }
    }
}

/// Bytes of a payload that were sent and are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a place and a number are all there is")]
pub struct Lost {
    /// The place of the first of them in the payload, from 0.
    pub at: u64,
    /// How many there are; there may be others between them.
    pub bytes: u64,
}

/// What the stream lacks for a frame to be whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// The frame is whole.
    Nothing,
    /// This many bytes.
    Exactly(u64),
    /// This many bytes before the length of the frame is known.
    AtLeast(u64),
}

/// What a receiver that keeps the rules does with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Receiver {
    /// It takes the frame.
    Takes,
    /// It fails the connection, with this code in its Close frame (§7.1.7).
    Fails(CloseCode),
    /// It no longer reads: it has failed the connection at the frame with this number.
    HasFailed(u64),
    /// It discards the frame: the sender's Close frame was the one with this number (§1.4, §5.5.1).
    Discards(u64),
}
