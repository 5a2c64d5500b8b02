//! The lower door: both directions of a connection for a handler that does not keep its messages.
//!
//! ```text
//! thread's buffer --read--> Driver::unparsed --split off--> Incoming::message --> &str, &[u8]
//!        ^                                                        |
//!        └───────── once nothing of it is lent or unparsed ───────┘
//! ```
//! A lent message and the bytes behind it are two parts of one buffer (`BytesMut` counts them): the driver has at any time all
//! that comes next, and reads ahead, answers Pings and closes as if nothing were lent.

use core::fmt;
use core::future::{Future, poll_fn};
use core::task::{Context, Poll};

use sockeye_proto::{CloseCode, CloseReason, Message, MessageRef, Text};

use crate::buffer;
use crate::error::Error;
use crate::receiver::{Receiver, Waits};
use crate::sender::{Leaving, Sender};
use crate::shared::Handle;
use crate::stream::Reading;

/// Receives messages that are lent, made by [`WebSocket::halves`](crate::WebSocket::halves).
///
/// Dropping it discards the message that is lent, and nothing else.
pub struct Incoming<'ws> {
    handle: &'ws Handle,
    /// The message that is lent.
    message: Option<Message>,
}

impl<'ws> Incoming<'ws> {
    pub(crate) fn new(receiver: &'ws Receiver) -> Self {
        receiver.handle.turn().lend();
        Self { handle: &receiver.handle, message: None }
    }

    /// Waits for the next message, which can be looked at until the next call. `None` is the end, as for
    /// [`WebSocket::recv`](crate::WebSocket::recv).
    ///
    /// A message that lies whole in one frame, uncompressed, is neither copied nor allocated: it stays in the buffer of
    /// 64 KiB that it was read into, which it holds as long as it is lent. Others are lent from an allocation of their own;
    /// so are those that were read ahead, as while a handler waits for something else, or, outside of a
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
        self.message = received?;
        Ok(self.message.as_ref().map(MessageRef::from))
    }

    /// What the peer's Close frame said, once it has come. [`CloseCode::NO_STATUS_RECEIVED`] if it said nothing.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.handle.turn().peer_reason()
    }

    /// Nobody looks at the message any more. If it was the last of its buffer, that is the thread's again.
    fn give_back(&mut self) {
        if let Some(message) = self.message.take()
            && let Ok(buffer) = message.into_bytes().try_into_mut()
        {
            buffer::give_back(buffer);
        }
    }
}

impl Handle {
    fn poll_lent(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        if let Some(polled) = self.quick_recv(cx) {
            return polled.map(|message| Ok(Some(message)));
        }
        self.poll_read(cx, Reading::Whole, |driver| {
            let message = match driver.take_message() {
                Some(message) => message,
                None => Ok(Some(driver.take_lent()?)),
            };
            driver.read_as(Reading::Nobody);
            Some(message)
        })
    }
}

/// Nothing is held of the thread's buffer any more: what has come behind the message is kept in one of its size.
impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        self.give_back();
        self.handle.turn().lend_no_more();
    }
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("message", &self.message).finish_non_exhaustive()
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
    /// copied straight to where they leave from; of more a copy is made, unless it is a message of 32 KiB, which is shared.
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
