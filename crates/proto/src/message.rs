//! Messages, and how they are put together from frames (RFC 6455 §5.4).

use core::fmt;

use bytes::buf::Limit;
use bytes::{BufMut, Bytes, BytesMut};

use crate::deflate::{Inflater, Input, room};
use crate::error::Error;
use crate::frame::{Header, Opcode, Violation};
use crate::limits::{LimitExceeded, Limits};
use crate::text::Text;
use crate::utf8::{InvalidUtf8, Validated, Validator};

/// A message: what an application sends and receives. Only data is a message; Ping, Pong and Close are not.
///
/// ```
/// use sockeye_proto::Message;
///
/// let message = Message::from("你好");
/// assert_eq!(message.as_text(), Some("你好"));
/// assert_eq!(message.len(), 6);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the RFC has these two kinds of data")]
pub enum Message {
    /// UTF-8 text.
    Text(Text),
    /// Bytes of any meaning.
    Binary(Bytes),
}

impl Message {
    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The payload, whatever its kind.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The payload, whatever its kind, without copying it.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The payload's length, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The opcode of its first frame.
    pub(crate) const fn opcode(&self) -> Opcode {
        match self {
            Self::Text(_) => Opcode::TEXT,
            Self::Binary(_) => Opcode::BINARY,
        }
    }
}

/// The kind, the length, and the beginning of a text.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 80;
        match self {
            Self::Text(text) if text.chars().nth(SHOWN).is_some() => {
                let start: String = text.chars().take(SHOWN).collect();
                write!(f, "Text({start:?}… {} bytes)", text.len())
            }
            Self::Text(text) => write!(f, "Text({text:?})"),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
        }
    }
}

macro_rules! message_from {
    ($($kind:ident: $($from:ty),+;)+) => {$($(
        impl From<$from> for Message {
            fn from(data: $from) -> Self {
                Self::$kind(data.into())
            }
        }
    )+)+};
}

message_from! {
    Text: Text, String, &str;
    Binary: Bytes, BytesMut, Vec<u8>;
}

impl From<&[u8]> for Message {
    fn from(data: &[u8]) -> Self {
        Self::Binary(Bytes::copy_from_slice(data))
    }
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(data: &[u8; N]) -> Self {
        Self::from(data.as_slice())
    }
}

/// Puts the data frames of one message after another together.
///
/// Holds what has arrived of the message, and grows with that, never with what a header claims.
#[derive(Debug)]
pub(crate) struct Assembler {
    kind: Option<Kind>,
    /// Frames begun, the first included.
    fragments: u32,
    payload: BytesMut,
    /// Whether RSV1 said that the message is compressed.
    compressed: bool,
    /// Bytes of the frames begun so far, as their headers claim.
    claimed: u64,
    /// How much of the payload has been unmasked and checked; the rest has just landed.
    settled: usize,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text(Validator),
    Binary,
}

impl Assembler {
    pub(crate) fn new() -> Self {
        Self { kind: None, fragments: 0, payload: BytesMut::new(), compressed: false, claimed: 0, settled: 0 }
    }

    /// Whether a message was begun that has not ended.
    pub(crate) const fn in_message(&self) -> bool {
        self.kind.is_some()
    }

    /// Begins a data frame: judges what its header claims by the limits, before any of its payload is taken.
    pub(crate) fn begin_frame(&mut self, header: Header, limits: &Limits) -> Result<(), Error> {
        match header.opcode() {
            Opcode::TEXT => self.kind = Some(Kind::Text(Validator::default())),
            Opcode::BINARY => self.kind = Some(Kind::Binary),
            _ => debug_assert!(self.in_message(), "the rules allow no other data frame"),
        }
        if header.opcode() != Opcode::CONTINUATION {
            self.compressed = header.rsv(1);
        }
        let limit = limits.max_message();
        self.claimed = self.claimed.saturating_add(header.payload_len());
        // A compressed message is judged by what comes out of it; what goes in can hardly be larger.
        let most = if self.compressed { Inflater::most_input(limit) } else { limit };
        if self.claimed > most as u64 {
            return Err(LimitExceeded::Message { len: self.claimed, limit }.into());
        }
        self.fragments += 1;
        if self.fragments > limits.max_fragments() {
            return Err(LimitExceeded::Fragments { limit: limits.max_fragments() }.into());
        }
        Ok(())
    }

    /// Whether the message that was begun is compressed.
    pub(crate) const fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Takes the next piece of a compressed payload, unmasked; `last` ends the message.
    pub(crate) fn push_compressed(
        &mut self,
        piece: &[u8],
        last: bool,
        inflater: &mut Inflater,
        limits: &Limits,
    ) -> Result<(), Error> {
        let limit = limits.max_message();
        let input = if last { Input::last(piece) } else { Input::part(piece) };
        inflater.inflate(input, limit, |inflated| {
            self.check(inflated)?;
            room::append(&mut self.payload, inflated, limit);
            Ok(())
        })?;
        if last {
            room::fit(&mut self.payload);
        }
        Ok(())
    }

    /// Takes the next piece of payload, unmasked.
    #[inline]
    pub(crate) fn push(&mut self, piece: &[u8], remaining: u64) -> Result<(), Error> {
        self.check(piece)?;
        self.grow_for(piece.len() as u64, remaining);
        self.payload.extend_from_slice(piece);
        self.settled = self.payload.len();
        Ok(())
    }

    /// A whole message in one piece, copied out in one allocation of its size.
    #[inline]
    pub(crate) fn whole(&mut self, payload: &[u8]) -> Result<Message, Error> {
        self.check(payload)?;
        let bytes = Bytes::copy_from_slice(payload);
        self.message(bytes)
    }

    /// Where the rest of a frame's payload may be read to directly: at most `remaining` bytes.
    pub(crate) fn landing(&mut self, remaining: u64) -> Limit<&mut BytesMut> {
        self.grow_for(1, remaining);
        let spare = self.payload.capacity() - self.payload.len();
        let limit = usize::try_from(remaining).map_or(spare, |remaining| remaining.min(spare));
        (&mut self.payload).limit(limit)
    }

    /// What has been read into the landing, for unmasking; then it is to be [checked](Self::check_landed).
    pub(crate) fn landed(&mut self) -> &mut [u8] {
        &mut self.payload[self.settled..]
    }

    /// Checks what has landed.
    pub(crate) fn check_landed(&mut self) -> Result<(), Error> {
        let landed = &self.payload[self.settled..];
        self.settled = self.payload.len();
        match &mut self.kind {
            Some(Kind::Text(validator)) => validator.feed(landed).map_err(invalid_text),
            _ => Ok(()),
        }
    }

    /// Bytes held of the message so far.
    pub(crate) fn len(&self) -> usize {
        self.payload.len()
    }

    /// Ends the message.
    pub(crate) fn finish(&mut self) -> Result<Message, Error> {
        let payload = core::mem::take(&mut self.payload).freeze();
        self.message(payload)
    }

    #[inline]
    fn check(&mut self, piece: &[u8]) -> Result<(), Error> {
        match &mut self.kind {
            Some(Kind::Text(validator)) => validator.feed(piece).map_err(invalid_text),
            _ => Ok(()),
        }
    }

    #[inline]
    fn message(&mut self, payload: Bytes) -> Result<Message, Error> {
        self.fragments = 0;
        self.claimed = 0;
        self.settled = 0;
        match self.kind.take() {
            Some(Kind::Text(validator)) => {
                let proof: Validated = validator.finish().map_err(invalid_text)?;
                Ok(Message::Text(Text::from_validated(payload, proof)))
            }
            _ => Ok(Message::Binary(payload)),
        }
    }

    /// Makes room for at least `least` more bytes of the `remaining` that the frame's header claims. Room doubles with
    /// what has arrived, so that a claim of 1 GB with 10 bytes behind it costs a few kilobytes.
    fn grow_for(&mut self, least: u64, remaining: u64) {
        const FIRST: u64 = 16 << 10;
        let len = self.payload.len();
        if ((self.payload.capacity() - len) as u64) < least {
            let doubled = (len as u64).max(FIRST).min(remaining).max(least);
            self.payload.reserve(usize::try_from(doubled).unwrap_or(usize::MAX));
        }
    }
}

fn invalid_text(_: InvalidUtf8) -> Error {
    Violation::InvalidUtf8InText.into()
}
