//! A message that somebody else holds.

use core::fmt;

use crate::message::{Message, MessageKind};

/// A message that is borrowed: text or binary data, as a [`Message`] is. Made of a `&str`, bytes, or a `&Message`.
///
/// ```
/// use sockeye_proto::{Message, MessageRef};
///
/// let message = MessageRef::from("你好");
/// assert_eq!(message.as_text(), Some("你好"));
/// assert_eq!(message.to_message(), Message::from("你好"));
/// ```
#[derive(Clone, Copy)]
pub struct MessageRef<'a>(Lent<'a>);

#[derive(Clone, Copy)]
enum Lent<'a> {
    Text(&'a str),
    Binary(&'a [u8]),
    /// One that can be shared.
    Message(&'a Message),
}

impl<'a> MessageRef<'a> {
    /// Which of the two it is.
    #[must_use]
    pub const fn kind(self) -> MessageKind {
        match self.0 {
            Lent::Text(_) => MessageKind::Text,
            Lent::Binary(_) => MessageKind::Binary,
            Lent::Message(message) => message.kind(),
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(self) -> Option<&'a str> {
        match self.0 {
            Lent::Text(text) => Some(text),
            Lent::Binary(_) => None,
            Lent::Message(message) => message.as_text(),
        }
    }

    /// The payload, whatever its kind.
    #[must_use]
    pub fn as_bytes(self) -> &'a [u8] {
        match self.0 {
            Lent::Text(text) => text.as_bytes(),
            Lent::Binary(bytes) => bytes,
            Lent::Message(message) => message.as_bytes(),
        }
    }

    /// The payload's length, in bytes.
    #[must_use]
    pub fn len(self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// A message to keep: a copy, or, made of a `&Message`, another handle to that one.
    #[must_use]
    #[inline]
    pub fn to_message(self) -> Message {
        match self.0 {
            Lent::Text(text) => text.into(),
            Lent::Binary(bytes) => bytes.into(),
            Lent::Message(message) => message.clone(),
        }
    }
}

impl<'a> From<&'a Message> for MessageRef<'a> {
    fn from(message: &'a Message) -> Self {
        Self(Lent::Message(message))
    }
}

macro_rules! message_ref_from {
    ($($kind:ident: $($from:ty),+;)+) => {$($(
        impl<'a> From<&'a $from> for MessageRef<'a> {
            fn from(data: &'a $from) -> Self {
                Self(Lent::$kind(data))
            }
        }
    )+)+};
}

message_ref_from! {
    Text: str, String;
    Binary: [u8], Vec<u8>;
}

impl<'a, const N: usize> From<&'a [u8; N]> for MessageRef<'a> {
    fn from(data: &'a [u8; N]) -> Self {
        Self(Lent::Binary(data))
    }
}

impl From<MessageRef<'_>> for Message {
    fn from(message: MessageRef<'_>) -> Self {
        message.to_message()
    }
}

impl PartialEq for MessageRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind() && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for MessageRef<'_> {}

/// The kind, the length, and the beginning of a text.
impl fmt::Debug for MessageRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 80;
        match self.as_text() {
            Some(text) if text.chars().nth(SHOWN).is_some() => {
                let start: String = text.chars().take(SHOWN).collect();
                write!(f, "Text({start:?}… {} bytes)", text.len())
            }
            Some(text) => write!(f, "Text({text:?})"),
            None => write!(f, "Binary({} bytes)", self.len()),
        }
    }
}
