//! What people hold of a WebSocket that connects again.

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll};
use std::sync::Arc;

use sockeye_proto::{CloseCode, CloseReason, Message, Text};

use super::event::{Ended, Event};
use super::state::Shared;
use crate::error::Error;
use crate::sender::TrySendError;

/// A client's WebSocket that connects again when its connection is lost: see the [module](super) for what it promises.
///
/// A task of its own keeps it going, whether or not its methods are called; what waits to be taken is bounded: beyond 64 KiB of
/// events nothing is read, and no further try is made. [`split`](Self::split) takes it apart, for one who only sends to drop
/// the events. Dropping all of it closes the connection with 1001, once what was accepted is written, if there is one.
pub struct Reconnecting {
    sender: Sender,
    events: Events,
}

/// Sends on whatever connection there is, from any task.
#[derive(Clone)]
pub struct Sender {
    alive: Arc<Alive>,
}

/// What happens to a WebSocket that connects again, and the messages that come. Dropping it discards them.
pub struct Events {
    alive: Arc<Alive>,
}

/// As long as there is one, somebody can call.
struct Alive(Arc<Shared>);

impl Reconnecting {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let alive = Arc::new(Alive(shared));
        Self { sender: Sender { alive: Arc::clone(&alive) }, events: Events { alive } }
    }

    /// Waits for the next event: see [`Events::recv`].
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Sends a message, now or on the next connection: see [`Sender::send`].
    ///
    /// # Errors
    /// [`Error::Closed`] where nothing is accepted.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready accepts nothing.
    pub async fn send(&self, message: impl Into<Message>) -> Result<u64, Error> {
        self.sender.send(message).await
    }

    /// Sends a message if it can be accepted now: see [`Sender::try_send`].
    ///
    /// # Errors
    /// [`TrySendError`], with the message.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<u64, TrySendError> {
        self.sender.try_send(message)
    }

    /// Ends it: see [`Sender::close`]. What happened until then is there to be [taken](Self::recv).
    ///
    /// # Errors
    /// As for [`Sender::close`].
    ///
    /// # Cancel safety
    /// Dropping the future after its first poll changes nothing about the closing.
    pub async fn close(&self, code: CloseCode, reason: impl Into<Text>) -> Result<Ended, Error> {
        self.sender.close(code, reason).await
    }

    /// Whether there is a connection now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.sender.is_connected()
    }

    /// A handle to send with, for other tasks.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Takes it apart.
    #[must_use]
    pub fn split(self) -> (Sender, Events) {
        (self.sender, self.events)
    }

    #[cfg(feature = "futures")]
    pub(crate) const fn events(&self) -> &Events {
        &self.events
    }
}

impl Sender {
    /// Sends a message. `Ok` says that it is accepted, and has its number: messages are numbered from 0 on, in the order in
    /// which they are accepted and sent. What becomes of it [events](Event::Disconnected) tell by that.
    ///
    /// Waits while there is no room for it in the queue, of [`Limits::queue`](crate::Limits::queue) bytes.
    ///
    /// # Errors
    /// [`Error::Closed`] where nothing is accepted: it has ended, or is being closed; and without a connection, if unsent
    /// messages are [given back](super::Unsent::GiveBack).
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready accepts nothing.
    pub async fn send(&self, message: impl Into<Message>) -> Result<u64, Error> {
        let (message, shared) = (message.into(), self.shared());
        let room = shared.room.acquire_many(shared.cost(message.len())).await.map_err(|_| Error::Closed)?;
        let number = shared.accept(message).ok_or(Error::Closed)?;
        // Given back when the message leaves the queue.
        room.forget();
        Ok(number)
    }

    /// Sends a message if it can be accepted now; never waits. Otherwise it is [`send`](Self::send).
    ///
    /// # Errors
    /// [`TrySendError`], with the message.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<u64, TrySendError> {
        let (message, shared) = (message.into(), self.shared());
        match shared.room.try_acquire_many(shared.cost(message.len())) {
            Ok(room) => match shared.accept(message.clone()) {
                Some(number) => {
                    room.forget();
                    Ok(number)
                }
                None => Err(TrySendError::Closed(message)),
            },
            Err(tokio::sync::TryAcquireError::NoPermits) => Err(TrySendError::Full(message)),
            Err(tokio::sync::TryAcquireError::Closed) => Err(TrySendError::Closed(message)),
        }
    }

    /// Ends it, and returns how: sends what is queued, closes the connection, and waits for that, at most twice as long as
    /// [`Limits::closing`](crate::Limits::closing); without a connection at once. Messages that arrive meanwhile are discarded.
    ///
    /// # Errors
    /// [`Error::InvalidClose`] for a code that must not be sent or a reason of more than 123 bytes, and nothing happens.
    ///
    /// # Cancel safety
    /// Dropping the future after its first poll changes nothing about the closing.
    pub async fn close(&self, code: CloseCode, reason: impl Into<Text>) -> Result<Ended, Error> {
        self.shared().close(CloseReason::new(code, reason)?);
        Ok(self.ended().await)
    }

    /// Waits until there will be no further try, and says why.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.shared().ended.subscribe();
        let ended = ended.wait_for(Option::is_some).await.expect("its other end is held here");
        ended.clone().expect("it was waited for")
    }

    /// Whether there is a connection now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared().is_connected()
    }

    /// Bytes of the messages that wait to be sent.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.shared().queued_bytes()
    }

    fn shared(&self) -> &Shared {
        &self.alive.0
    }
}

impl Events {
    /// Waits for the next event. `None` comes after [`Event::Ended`], the last one.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    pub(crate) fn poll_recv(&self, cx: &Context<'_>) -> Poll<Option<Event>> {
        self.alive.0.poll_event(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.alive.0.go_deaf();
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.close(CloseReason::new(CloseCode::GOING_AWAY, "").expect("it may be sent"));
    }
}

impl fmt::Debug for Reconnecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting").field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
