//! Messages: what an application sends and receives (RFC 6455 §5.4, §5.6).

use core::fmt;

use bytes::{Bytes, BytesMut};

use crate::frame::Opcode;
use crate::message_ref::MessageRef;
use crate::text::Text;

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

/// The two kinds of data (§5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the RFC has these two kinds of data")]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Bytes of any meaning.
    Binary,
}

impl MessageKind {
    /// The opcode of a message's first frame.
    pub(crate) const fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::TEXT,
            Self::Binary => Opcode::BINARY,
        }
    }
}

impl Message {
    /// Which of the two it is.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

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
        self.kind().opcode()
    }
}

/// The kind, the length, and the beginning of a text.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&MessageRef::from(self), f)
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

/// A copy. By way of a box it is made in registers: what `Bytes::copy_from_slice` leaves in memory word by word a processor
/// waits for before it can be moved on in larger pieces.
#[inline]
pub(crate) fn own(bytes: &[u8]) -> Bytes {
    let own: Box<[u8]> = bytes.into();
    own.into()
}

impl From<&[u8]> for Message {
    fn from(data: &[u8]) -> Self {
        Self::Binary(own(data))
    }
}

impl<const N: usize> From<&[u8; N]> for Message {
    fn from(data: &[u8; N]) -> Self {
        Self::from(data.as_slice())
    }
}
