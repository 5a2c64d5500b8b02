//! The sending half of a connection, of which there can be many.

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use sockeye_proto::connection::{CannotSend, Prepared};
use sockeye_proto::{CloseCode, CloseReason, Connection, Message, MessageKind, Text};

use crate::closed::Closed;
use crate::error::{Error, Phase};
use crate::send_stream::SendStream;
use crate::shared::{Handle, Quick, Reads, Turn};
use crate::waiters::{Place, Wants};

/// Sends on a connection, from any task: cloned and given to whoever has something to say.
///
/// What one `Sender` sends arrives in the order in which it was sent; messages of several are interleaved as whole
/// messages. Made by [`WebSocket::sender`](crate::WebSocket::sender) and [`split`](crate::WebSocket::split).
///
/// It lives on when the receiving half is dropped; messages that arrive then are discarded. When the last handle to a
/// connection is dropped it closes with 1001, as a [`WebSocket`](crate::WebSocket) does.
///
/// The futures of its methods are to be polled or dropped: one that is kept and not polled may hold up others in line.
///
/// ```
/// # use sockeye::{Limits, Role, WebSocket};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sockeye::Error> {
/// # let (near, far) = tokio::io::duplex(1024);
/// # let client = WebSocket::from_stream(near, Role::Client, Limits::default());
/// # let mut server = WebSocket::from_stream(far, Role::Server, Limits::default());
/// for name in ["one", "two"] {
///     let sender = client.sender();
///     tokio::spawn(async move { sender.send(name).await });
/// }
/// assert_eq!(server.recv().await?, Some("one".into()));
/// assert_eq!(server.recv().await?, Some("two".into()));
/// # Ok(()) }
/// ```
pub struct Sender {
    pub(crate) handle: Handle,
    #[cfg(feature = "futures")]
    pub(crate) slot: Slot,
}

/// What a sink has taken and not sent yet, and its place among those who wait.
#[cfg(feature = "futures")]
#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) message: Option<Message>,
    /// The position a flush waits for.
    pub(crate) flushing: Option<u64>,
    pub(crate) place: Option<Place>,
}

/// What [`Sender::try_send`] could not queue, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError {
    /// The queue has no room now, or others wait for it. The message is given back.
    Full(Message),
    /// The connection is closing or closed. The message is given back.
    Closed(Message),
}

/// How a message that was accepted leaves.
#[derive(Clone, Copy)]
pub(crate) enum Leaving {
    /// By itself.
    Sent,
    /// With what follows it.
    Fed,
}

impl Sender {
    pub(crate) fn new(handle: Handle) -> Self {
        Self {
            handle,
            #[cfg(feature = "futures")]
            slot: Default::default(),
        }
    }

    /// Sends a message, in one frame, compressed where that was agreed on and makes it smaller.
    ///
    /// Waits while the queue, of [`Limits::queue`](crate::Limits::queue) bytes, has no room for it, behind those who waited
    /// before; a message larger than that goes once nothing else is queued. `Ok` says that it is accepted: it will be
    /// written before anything that is sent later, and before a Close, without any further call. In a [driven](crate::drive)
    /// future it leaves when that waits for something, everywhere else at once.
    ///
    /// # Errors
    /// [`Error::Closed`] once a Close has been sent or received; [`Error::Io`] when writing has failed.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready queues nothing.
    pub fn send<M: Into<Message>>(&self, message: M) -> impl Future<Output = Result<(), Error>> + Send + use<'_, M> {
        let message = message.into();
        self.accept(message.len(), |connection| connection.send(message), Leaving::Sent)
    }

    /// Sends a message that is never compressed: one that holds a secret beside what others may have chosen, whose size
    /// would tell (RFC 7692 §8). Otherwise it is [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn send_uncompressed<M: Into<Message>>(
        &self,
        message: M,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<'_, M> {
        let message = message.into();
        self.accept(message.len(), |connection| connection.send_uncompressed(message), Leaving::Sent)
    }

    /// Sends a message that goes to many: it is framed, and compressed, once for all connections of a server that compress
    /// alike, and shared. Otherwise it is [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn send_prepared(&self, prepared: &Prepared) -> impl Future<Output = Result<(), Error>> + Send {
        self.accept(prepared.message().len(), |connection| connection.send_prepared(prepared), Leaving::Sent)
    }

    /// Queues a message without writing it, for one who batches by hand: [`flush`](Self::flush) writes what is queued, as do
    /// `send`, `recv`, and the queue itself at 64 KiB.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn feed<M: Into<Message>>(&self, message: M) -> impl Future<Output = Result<(), Error>> + Send + use<'_, M> {
        let message = message.into();
        self.accept(message.len(), |connection| connection.send(message), Leaving::Fed)
    }

    /// Waits until all that was accepted so far is with the system's network stack.
    ///
    /// # Errors
    /// [`Error::Io`] when writing failed, [`Error::Closed`] when the connection ended before.
    ///
    /// # Cancel safety
    /// Dropping the future leaves what is queued in the queue.
    pub async fn flush(&self) -> Result<(), Error> {
        let position = self.handle.turn().connection.accepted();
        let mut place = None;
        poll_fn(|cx| self.handle.poll_watch(cx, &mut place, Reads::Ahead, |driver| driver.flushed(position))).await
    }

    /// Sends a message if it can be queued now; never waits. Otherwise it is [`send`](Self::send).
    ///
    /// # Errors
    /// [`TrySendError`] with the message, to be sent another time or place. An error of the transport is told by the next
    /// `send`, `flush` or `recv`.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        let message = message.into();
        match self.try_turn(message.len()) {
            Ok(mut turn) => {
                turn.connection.send(message).expect("there is room on an open connection");
                turn.leave_at_once();
                Ok(())
            }
            Err(error) => Err(error(message)),
        }
    }

    /// Sends a message that goes to many, if it can be queued now; never waits: [`try_send`](Self::try_send) and
    /// [`send_prepared`](Self::send_prepared) in one, for a broadcast that no slow subscriber may hold up.
    ///
    /// # Errors
    /// As [`try_send`](Self::try_send).
    pub fn try_send_prepared(&self, prepared: &Prepared) -> Result<(), TrySendError> {
        let mut turn = self.try_turn(prepared.message().len()).map_err(|error| error(prepared.message().clone()))?;
        turn.connection.send_prepared(prepared).expect("there is room on an open connection");
        turn.leave_at_once();
        Ok(())
    }

    /// A turn in which a message of this length can be queued, or how it cannot.
    fn try_turn(&self, len: usize) -> Result<Turn<'_>, fn(Message) -> TrySendError> {
        let turn = self.handle.turn();
        match turn.room_for(None, Wants::Turn(len)) {
            Some(Ok(())) => Ok(turn),
            Some(Err(_)) => Err(TrySendError::Closed),
            None => Err(TrySendError::Full),
        }
    }

    /// Sends a message, and waits at most so long for the queue to have room. Otherwise it is [`send`](Self::send).
    ///
    /// # Errors
    /// [`Error::Timeout`] with nothing queued; else as [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub async fn send_timeout(&self, message: impl Into<Message>, timeout: Duration) -> Result<(), Error> {
        let sent = tokio::time::timeout(timeout, self.send(message)).await;
        sent.unwrap_or(Err(Error::Timeout(Phase::Sending)))
    }

    /// Begins a message that is sent as it is written, in as many frames as it takes: see [`SendStream`]. Others who want to
    /// send wait until it has ended.
    #[must_use = "nothing is sent before it is written to"]
    pub fn send_stream(&self, kind: MessageKind) -> SendStream<'_> {
        SendStream::new(&self.handle, kind)
    }

    /// Sends a Ping and waits for its Pong; returns the round trip, from when the Ping was written. While another Ping of
    /// ours is unanswered it is that one's Pong that is waited for. A Pong behind messages that nobody takes is not seen
    /// before they are taken, but for the first 64 KiB of them.
    ///
    /// # Errors
    /// [`Error::Closed`] once a Close has been sent or received, or how the connection ended before the Pong came.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the Ping on its way.
    pub async fn ping(&self) -> Result<Duration, Error> {
        let (mut probe, mut place) = (None, None);
        poll_fn(|cx| {
            self.handle.poll_watch(cx, &mut place, Reads::Ahead, |driver| {
                let probe = match probe {
                    Some(probe) => probe,
                    None => match driver.connection.probe() {
                        Ok(sent) => *probe.insert(sent),
                        Err(error) => return Some(Err(error.into())),
                    },
                };
                match driver.connection.answered(probe) {
                    Some(round_trip) => Some(Ok(round_trip)),
                    None => driver.has_ended().then(|| Err(driver.ended().err().unwrap_or(Error::Closed))),
                }
            })
        })
        .await
    }

    /// The round trip of the latest Ping that was answered, [the keepalive's](crate::Limits::ping) or
    /// [one's own](Self::ping).
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.handle.turn().connection.latency()
    }

    /// Closes the connection: sends Close behind all that was accepted, waits for the peer's and for the end of the
    /// transport, at most for [`Limits::closing`](crate::Limits::closing) in all. Messages that arrive meanwhile are for
    /// the receiving half to take.
    ///
    /// A connection that is closing already is waited for; one that is closed is left alone.
    ///
    /// # Errors
    /// [`Error::InvalidClose`] for a code that must not be sent or a reason of more than 123 bytes, and nothing is sent;
    /// [`Error::Aborted`], [`Error::Io`] or [`Error::Timeout`] when the peer does not close in its turn.
    ///
    /// # Cancel safety
    /// Dropping the future after its first poll leaves the Close queued; whatever is called next brings it to its end.
    pub async fn close(&self, code: CloseCode, reason: impl Into<Text>) -> Result<(), Error> {
        self.close_with(CloseReason::new(code, reason)?).await
    }

    pub(crate) async fn close_with(&self, reason: CloseReason) -> Result<(), Error> {
        let (mut reason, mut place) = (Some(reason), None);
        poll_fn(|cx| {
            self.handle.poll_watch(cx, &mut place, Reads::Ahead, |driver| {
                if let Some(reason) = reason.take() {
                    driver.close(reason);
                }
                driver.has_ended().then(|| driver.ended())
            })
        })
        .await
    }

    /// Waits for the connection to end, however that comes about.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn closed(&self) -> Closed {
        let mut place = None;
        poll_fn(|cx| self.handle.poll_watch(cx, &mut place, Reads::Ahead, |driver| driver.closed())).await
    }

    /// Whether nothing can be sent any more: a Close has gone either way, or the connection has failed or ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.handle.turn().check_writable().is_err()
    }

    /// Bytes that wait to be written, their frames' headers included.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.handle.turn().connection.queued()
    }

    /// Waits for room, queues, and lets it leave.
    pub(crate) fn accept<Q>(&self, len: usize, queue: Q, leaving: Leaving) -> Accept<'_, Q>
    where
        Q: FnOnce(&mut Connection) -> Result<(), CannotSend>,
    {
        Accept { sender: self, len, queue: Some(queue), leaving, place: None }
    }
}

/// A message that waits to be accepted. A future by hand, as an `async fn` would hold the message several times.
pub(crate) struct Accept<'a, Q> {
    sender: &'a Sender,
    len: usize,
    queue: Option<Q>,
    leaving: Leaving,
    place: Option<Place>,
}

impl<Q> Future for Accept<'_, Q>
where
    Q: FnOnce(&mut Connection) -> Result<(), CannotSend> + Unpin,
{
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { sender, len, queue, leaving, place } = self.get_mut();
        if place.is_none() && matches!(leaving, Leaving::Sent) {
            let queue = |connection: &mut Connection| queue.take().expect("a message is accepted once")(connection);
            match sender.handle.quick_accept(*len, queue) {
                Some(Quick::Sent) => return Poll::Ready(Ok(())),
                Some(Quick::Queued) => return Poll::Ready(sender.handle.turn().leave()),
                Some(Quick::Refused(why)) => return Poll::Ready(Err(why.into())),
                None => {}
            }
        }
        sender.handle.poll_accept(cx, place, Wants::Turn(*len), |turn| {
            let queue = queue.take().expect("a message is accepted once");
            queue(&mut turn.connection)?;
            match leaving {
                Leaving::Sent => turn.leave(),
                Leaving::Fed => turn.gather(),
            }
        })
    }
}

/// Another handle to the same connection. What a sink has taken and not sent yet stays with it.
impl Clone for Sender {
    fn clone(&self) -> Self {
        Self::new(self.handle.clone())
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("connection", &self.handle.turn().connection).finish_non_exhaustive()
    }
}

impl TrySendError {
    /// The message, back again.
    #[must_use]
    pub fn into_message(self) -> Message {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::Closed(_) => "the connection is closed",
        })
    }
}

impl core::error::Error for TrySendError {}
