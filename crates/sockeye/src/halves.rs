//! The lower door: both directions of a connection for a handler that does not keep its messages.
//!
//! A small message is lent from room that the thread has for it, and that is with the handler until it asks for the next
//! one; a longer one is a [`Message`] of its own, which is lent from there. So the driver has at any time all that comes
//! next, and reads ahead, answers Pings and closes as if nothing were lent.

use core::fmt;
use core::future::{Future, poll_fn};
use core::task::{Context, Poll};

use sockeye_proto::{CloseCode, CloseReason, Message, MessageRef, Text, stock};

use crate::buffer;
use crate::error::Error;
use crate::receiver::{Receiver, Waits};
use crate::sender::{Leaving, Sender};
use crate::shared::Handle;

/// Receives messages that are lent, made by [`WebSocket::halves`](crate::WebSocket::halves).
///
/// Dropping it discards the message that is lent, and nothing else.
pub struct Incoming<'ws> {
    handle: &'ws Handle,
    lent: Option<Lent>,
}

/// A message that is lent, where it lies meanwhile.
enum Lent {
    /// A small one, in the thread's room.
    Text(String),
    /// The same.
    Binary(Vec<u8>),
    Message(Message),
}

impl Lent {
    /// The most bytes that are copied to the thread's room.
    const SMALL: usize = 4 << 10;

    fn new(message: MessageRef<'_>) -> Self {
        if message.len() > Self::SMALL {
            return Self::Message(message.to_message());
        }
        let mut room = buffer::take_room();
        let Some(text) = message.as_text() else {
            room.extend_from_slice(message.as_bytes());
            return Self::Binary(room);
        };
        let mut room = String::from_utf8(room).expect("it is empty");
        room.push_str(text);
        Self::Text(room)
    }

    fn give_back(self) {
        match self {
            Self::Text(room) => buffer::give_back_room(room.into_bytes()),
            Self::Binary(room) => buffer::give_back_room(room),
            Self::Message(message) => stock::give_back(message.into_bytes()),
        }
    }
}

impl<'a> From<&'a Lent> for MessageRef<'a> {
    fn from(lent: &'a Lent) -> Self {
        match lent {
            Lent::Text(text) => text.into(),
            Lent::Binary(bytes) => bytes.into(),
            Lent::Message(message) => message.into(),
        }
    }
}

impl<'ws> Incoming<'ws> {
    pub(crate) fn new(receiver: &'ws Receiver) -> Self {
        receiver.handle.turn().lend();
        Self { handle: &receiver.handle, lent: None }
    }

    /// Waits for the next message, which can be looked at until the next call. `None` is the end, as for
    /// [`WebSocket::recv`](crate::WebSocket::recv).
    ///
    /// For one of up to 4 KiB that a read brings whole, in one frame and not compressed, nothing is allocated, as long as
    /// nobody else waits on the connection and it has no [`Budget`](crate::Budget). Others are lent from an allocation of
    /// their own; so are those that were read ahead, as while a handler waits for something else, or, outside of a
    /// [driven](crate::drive) future, with each `send`. One that is kept is
    /// [made a `Message`](MessageRef::to_message), or received by [`WebSocket::recv`](crate::WebSocket::recv).
    ///
    /// # Errors
    /// As for [`WebSocket::recv`](crate::WebSocket::recv).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing but the message that was lent before.
    pub async fn recv(&mut self) -> Result<Option<MessageRef<'_>>, Error> {
        self.give_back();
        let waits = Waits { handle: self.handle };
        let received = poll_fn(|cx| self.handle.poll_lent(cx)).await;
        waits.over();
        self.lent = received?;
        Ok(self.lent.as_ref().map(MessageRef::from))
    }

    /// What the peer's Close frame said, once it has come. [`CloseCode::NO_STATUS_RECEIVED`] if it said nothing.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.handle.turn().peer_reason()
    }

    /// Nobody looks at the message any more.
    fn give_back(&mut self) {
        if let Some(lent) = self.lent.take() {
            lent.give_back();
        }
    }
}

impl Handle {
    fn poll_lent(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Lent>, Error>> {
        if let Some(polled) = self.quick_recv(cx, Lent::new) {
            return polled.map(|lent| Ok(Some(lent)));
        }
        self.poll_recv_in_turn(cx).map_ok(|message| message.map(Lent::Message))
    }
}

/// Nothing is held of the thread's any more.
impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        self.give_back();
        self.handle.turn().lend_no_more();
    }
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("lent", &self.lent.as_ref().map(MessageRef::from)).finish_non_exhaustive()
    }
}

/// Sends messages that stay with whoever has them, made by [`WebSocket::halves`](crate::WebSocket::halves).
///
/// It stands in line with all [`Sender`]s of the connection.
pub struct Outgoing<'ws> {
    sender: &'ws Sender,
}

impl<'ws> Outgoing<'ws> {
    pub(crate) const fn new(sender: &'ws Sender) -> Self {
        Self { sender }
    }

    /// Sends a message, as [`Sender::send`] does: a text, bytes, a [`&Message`](Message), or one that is lent. Up to 4 KiB are
    /// copied straight to where they leave from; of more a copy is made, unless it is a `Message`, or was
    /// [lent](Incoming::recv) from one, which is shared.
    ///
    /// # Errors
    /// [`Error::Closed`] once a Close has been sent or received; [`Error::Io`] when writing has failed.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready queues nothing.
    pub fn send<'m, M: Into<MessageRef<'m>>>(
        &mut self,
        message: M,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<'_, 'm, 'ws, M> {
        self.accept(message.into(), Leaving::Sent)
    }

    /// Queues a message without writing it: see [`Sender::feed`].
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn feed<'m, M: Into<MessageRef<'m>>>(
        &mut self,
        message: M,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<'_, 'm, 'ws, M> {
        self.accept(message.into(), Leaving::Fed)
    }

    fn accept<'m>(
        &self,
        message: MessageRef<'m>,
        leaving: Leaving,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<'m, 'ws> {
        self.sender.accept(message.len(), move |connection| connection.send_borrowed(message), leaving)
    }

    /// Waits until all that was accepted so far is with the system's network stack.
    ///
    /// # Errors
    /// [`Error::Io`] when writing failed, [`Error::Closed`] when the connection ended before.
    ///
    /// # Cancel safety
    /// Dropping the future leaves what is queued in the queue.
    pub async fn flush(&mut self) -> Result<(), Error> {
        self.sender.flush().await
    }

    /// Closes the connection as [`Sender::close`] does. Messages that arrive meanwhile are for [`Incoming`] to take;
    /// [`WebSocket::close`](crate::WebSocket::close), once the halves are gone, discards them.
    ///
    /// # Errors
    /// As [`Sender::close`].
    ///
    /// # Cancel safety
    /// As [`Sender::close`].
    pub async fn close(&mut self, code: CloseCode, reason: impl Into<Text>) -> Result<(), Error> {
        self.sender.close(code, reason).await
    }
}

impl fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("sender", self.sender).finish()
    }
}
