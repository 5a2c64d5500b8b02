//! What is known of one piece of a connection: a frame, an HTTP head, bytes that are neither, bytes that are missing.

use core::time::Duration;

use crate::{Finding, Frame, Gap, Head, Hint, Opaque, Sender};

/// One piece of what an end has sent. Every view shows records.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The number of the connection, where there may be several.
    pub connection: Option<u64>,
    /// When it came; `None` where nobody looked at a clock.
    pub time: Option<Span>,
    /// What it is.
    pub item: Item,
}

/// What a record is of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "frames are what there is most of")]
#[non_exhaustive]
pub enum Item {
    /// The head of a request or a response of the opening handshake.
    Head(Head),
    /// A frame.
    Frame(Frame),
    /// Bytes that are no frames, or of which nobody can know where one begins.
    Opaque(Opaque),
    /// Bytes that were sent and are not here.
    Gap(Gap),
}

/// From when to when something came, since the beginning of what is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a beginning and an end are all there is")]
pub struct Span {
    /// When its first byte came.
    pub began: Duration,
    /// When its last byte came.
    pub ended: Duration,
}

impl From<Item> for Record {
    /// A record of no connection in particular, at no particular time.
    fn from(item: Item) -> Self {
        Self { connection: None, time: None, item }
    }
}

impl From<Frame> for Record {
    fn from(frame: Frame) -> Self {
        Item::Frame(frame).into()
    }
}

impl Record {
    /// The frame, if it is one.
    #[must_use]
    pub const fn frame(&self) -> Option<&Frame> {
        match &self.item {
            Item::Frame(frame) => Some(frame),
            _ => None,
        }
    }

    /// The head, if it is one.
    #[must_use]
    pub const fn head(&self) -> Option<&Head> {
        match &self.item {
            Item::Head(head) => Some(head),
            _ => None,
        }
    }

    /// Who sent it.
    #[must_use]
    pub const fn sender(&self) -> Sender {
        match &self.item {
            Item::Head(head) => Sender::Given(head.sender()),
            Item::Frame(frame) => frame.sender,
            Item::Opaque(opaque) => Sender::Given(opaque.sender),
            Item::Gap(gap) => Sender::Given(gap.sender),
        }
    }

    /// How many bytes its sender has sent before it.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        match &self.item {
            Item::Head(head) => head.offset,
            Item::Frame(frame) => frame.offset,
            Item::Opaque(opaque) => opaque.offset,
            Item::Gap(gap) => gap.offset,
        }
    }

    /// How many bytes it has, those that are missing within it included.
    #[must_use]
    pub fn size(&self) -> u64 {
        match &self.item {
            Item::Head(head) => head.bytes.len() as u64,
            Item::Frame(frame) => frame.size(),
            Item::Opaque(opaque) => opaque.len,
            Item::Gap(gap) => gap.bytes,
        }
    }

    /// Every rule it breaks.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match &self.item {
            Item::Head(head) => &head.findings,
            Item::Frame(frame) => &frame.findings,
            Item::Opaque(_) | Item::Gap(_) => &[],
        }
    }

    /// What is good to know about it and breaks no rule.
    #[must_use]
    pub fn hints(&self) -> &[Hint] {
        match &self.item {
            Item::Head(head) => &head.hints,
            Item::Frame(frame) => &frame.hints,
            Item::Opaque(_) | Item::Gap(_) => &[],
        }
    }

    /// Whether what came ends before it does.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        match &self.item {
            Item::Frame(frame) => frame.is_cut_off(),
            Item::Opaque(opaque) => opaque.why.is_cut_off(),
            Item::Head(_) | Item::Gap(_) => false,
        }
    }
}
