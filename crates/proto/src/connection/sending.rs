//! What the application says: messages, whole or in fragments, and Pings.

use bytes::Bytes;

use super::{CannotSend, Connection, ControlPayload, Prepared};
use crate::close::State;
use crate::frame::Opcode;
use crate::message::{Message, MessageKind};
use crate::message_ref::MessageRef;

impl Connection {
    /// Queues a message as one frame, compressed where that was agreed on and makes it smaller. Never waits, and queues
    /// it whole or not at all.
    ///
    /// # Errors
    /// [`CannotSend::Closing`] once a Close has been sent or received: "the application MUST NOT send any more data
    /// frames" (§5.5.1); [`CannotSend::InFragments`] before the last fragment of another message.
    #[inline]
    pub fn send(&mut self, message: Message) -> Result<(), CannotSend> {
        self.may_begin()?;
        let opcode = message.opcode();
        self.writer.message(opcode, message.into_bytes());
        Ok(())
    }

    /// [Sends](Self::send) a message that is only lent: a small one is copied straight to where it leaves from.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_borrowed(&mut self, message: MessageRef<'_>) -> Result<(), CannotSend> {
        self.may_begin()?;
        self.writer.borrowed_message(message);
        Ok(())
    }

    /// Queues a message that is never compressed: one that holds a secret beside what others may have chosen, whose size
    /// would tell (RFC 7692 §8).
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_uncompressed(&mut self, message: Message) -> Result<(), CannotSend> {
        self.may_begin()?;
        let opcode = message.opcode();
        self.writer.plain_message(opcode, message.into_bytes());
        Ok(())
    }

    /// Queues a message that many connections send, and that is framed and compressed only once for all servers that
    /// compress alike.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), CannotSend> {
        self.may_begin()?;
        self.writer.prepared(prepared);
        Ok(())
    }

    /// Queues one frame of a message that is sent in fragments (§5.4), never compressed.
    ///
    /// The first call begins the message, of this `kind`; in the calls after it `kind` is of no meaning. `fin` ends it; a
    /// message of one such frame is a good one. Until then no other message can be sent, but Pings and the Close, which
    /// leaves the message without an end. That the fragments of a text make UTF-8 is up to the caller; they may be cut
    /// within a character.
    ///
    /// # Errors
    /// [`CannotSend::Closing`], as for [`send`](Self::send).
    pub fn send_fragment(&mut self, kind: MessageKind, payload: Bytes, fin: bool) -> Result<(), CannotSend> {
        self.while_open()?;
        let opcode = if self.in_fragments { Opcode::CONTINUATION } else { kind.opcode() };
        self.writer.fragment(fin, opcode, payload);
        self.in_fragments = !fin;
        Ok(())
    }

    /// Whether a message was begun in [fragments](Self::send_fragment) that has not ended.
    #[must_use]
    pub const fn in_fragments(&self) -> bool {
        self.in_fragments
    }

    /// Queues a Ping (§5.5.2). It is written before the messages that wait; where one waits already, it takes its place.
    /// The keepalive's own Pings, and those of [`probe`](Self::probe), are no concern of it.
    ///
    /// # Errors
    /// [`CannotSend::Closing`], as for [`send`](Self::send).
    pub fn ping(&mut self, payload: ControlPayload) -> Result<(), CannotSend> {
        self.while_open()?;
        self.writer.controls().ping(payload);
        Ok(())
    }

    pub(super) const fn while_open(&self) -> Result<(), CannotSend> {
        match self.state {
            State::Open => Ok(()),
            _ => Err(CannotSend::Closing),
        }
    }

    /// Whether a message may begin.
    fn may_begin(&self) -> Result<(), CannotSend> {
        self.while_open()?;
        if self.in_fragments { Err(CannotSend::InFragments) } else { Ok(()) }
    }
}
