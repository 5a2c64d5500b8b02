//! The WebSocket people hold: both halves of a connection in one value.

mod builder;

use core::fmt;
use core::future::Future;
use core::time::Duration;
use std::sync::Arc;

use bytes::Bytes;
use sockeye_proto::connection::Prepared;
use sockeye_proto::deflate::Compression;
use sockeye_proto::handshake::Agreed;
use sockeye_proto::{CloseCode, CloseReason, Connection, Limits, Message, MessageKind, Role, Text};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::budget::Budget;
use crate::closed::Closed;
use crate::error::Error;
use crate::halves::{Incoming, Outgoing};
use crate::random;
use crate::receiver::Receiver;
use crate::recv_stream::RecvStream;
use crate::send_stream::SendStream;
use crate::sender::{Sender, TrySendError};
use crate::shared::{Handle, Shared};
use crate::stream::Reading;
use crate::transport::Transport;
pub use builder::WebSocketBuilder;

/// A WebSocket connection, client's or server's end, over whatever transport.
///
/// It sends and receives itself; [`sender`](Self::sender) gives handles to send with from other tasks, and
/// [`split`](Self::split) takes it apart.
///
/// What arrives is read while a method of it or of a [`Sender`] is awaited, and all the time in a [driven](crate::drive)
/// future, as a server's handler is: that is when Pings are answered and a Close is noticed. What `send` has accepted is
/// written in any case. A `WebSocket` that is dropped while open says Close 1001; a task of its own sees to it that what was
/// accepted before is written, and that the peer has ended the connection, too, for at most [`Limits::closing`]. One that a
/// server's handler drops stays open until the handler ends, which closes it with 1000 or 1011.
///
/// # Panics
/// Its methods keep deadlines by tokio's timer: outside a tokio runtime that has one they panic.
pub struct WebSocket {
    sender: Sender,
    receiver: Receiver,
}

impl WebSocket {
    /// A WebSocket over a stream on which the opening handshake is done; [`builder`](Self::builder) is the longer form, for
    /// what that has agreed on.
    ///
    /// ```
    /// use sockeye::{Limits, Message, Role, WebSocket};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sockeye::Error> {
    /// let (near, far) = tokio::io::duplex(1024);
    /// let client = WebSocket::from_stream(near, Role::Client, Limits::default());
    /// let mut server = WebSocket::from_stream(far, Role::Server, Limits::default());
    /// client.send("你好").await?;
    /// assert_eq!(server.recv().await?, Some(Message::from("你好")));
    /// # Ok(()) }
    /// ```
    pub fn from_stream(stream: impl AsyncRead + AsyncWrite + Send + 'static, role: Role, limits: Limits) -> Self {
        Self::builder(role).limits(limits).over(stream)
    }

    /// A WebSocket over a stream on which the opening handshake is done, with all that this may have agreed on.
    pub fn builder(role: Role) -> WebSocketBuilder {
        WebSocketBuilder::new(role)
    }

    /// A WebSocket as its opening handshake has agreed. `early` are bytes that whoever did it has read beyond its end.
    pub(crate) fn opened(
        (transport, early): (Transport, Bytes),
        role: Role,
        limits: Arc<Limits>,
        budget: Option<Budget>,
        compression: &Compression,
        agreed: Agreed,
    ) -> Self {
        let mut connection = match role {
            Role::Client => Connection::client(limits, random::masking_key),
            Role::Server => Connection::server(limits),
        };
        if let Some(params) = agreed.compression {
            connection = connection.with_compression(compression, params);
        }
        let handle = Handle::new(Shared::new(transport, connection, &early, budget, agreed.subprotocol));
        Self { sender: Sender::new(handle.clone()), receiver: Receiver { handle } }
    }

    // --- receiving ---

    /// Waits for the next message.
    ///
    /// `None` is the end: the closing handshake is done; [`close_reason`](Self::close_reason) has what the peer said, and
    /// [`closed`](Self::closed) how it came about.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the peer broke a rule or a limit; [`Error::Aborted`], [`Error::Io`] or [`Error::Timeout`]
    /// when the connection ended without a closing handshake. Messages that came before it are given first; after it
    /// comes `None`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what was received stays for the next call.
    pub fn recv(&mut self) -> impl Future<Output = Result<Option<Message>, Error>> + Send + use<'_> {
        self.receiver.recv()
    }

    /// Waits for the next message to begin, and gives it as a stream, whatever its size: see [`RecvStream`]. `None` is
    /// the end, as for [`recv`](Self::recv).
    ///
    /// # Errors
    /// As for [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing. Dropping the stream skips what is left of its message.
    pub async fn recv_stream(&mut self) -> Result<Option<RecvStream<'_>>, Error> {
        self.receiver.recv_stream().await
    }

    // --- sending ---

    /// Sends a message, in one frame, compressed where that was agreed on and makes it smaller. `Ok` says that it is
    /// accepted, and will be written without any further call: [`Sender::send`] has it all.
    ///
    /// # Errors
    /// [`Error::Closed`] once a Close has been sent or received; [`Error::Io`] when writing has failed.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready queues nothing.
    pub fn send<M: Into<Message>>(&self, message: M) -> impl Future<Output = Result<(), Error>> + Send + use<'_, M> {
        self.sender.send(message)
    }

    /// Sends a message that is never compressed, for one that holds a secret: see [`Sender::send_uncompressed`].
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
        self.sender.send_uncompressed(message)
    }

    /// Sends a message that goes to many: see [`Sender::send_prepared`].
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn send_prepared(&self, prepared: &Prepared) -> impl Future<Output = Result<(), Error>> + Send {
        self.sender.send_prepared(prepared)
    }

    /// Queues a message without writing it: see [`Sender::feed`].
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub fn feed<M: Into<Message>>(&self, message: M) -> impl Future<Output = Result<(), Error>> + Send + use<'_, M> {
        self.sender.feed(message)
    }

    /// Waits until all that was accepted so far is with the system's network stack.
    ///
    /// # Errors
    /// [`Error::Io`] when writing failed, [`Error::Closed`] when the connection ended before.
    ///
    /// # Cancel safety
    /// Dropping the future leaves what is queued in the queue.
    pub async fn flush(&self) -> Result<(), Error> {
        self.sender.flush().await
    }

    /// Sends a message if it can be queued now; never waits: see [`Sender::try_send`].
    ///
    /// # Errors
    /// [`TrySendError`], with the message.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        self.sender.try_send(message)
    }

    /// Sends a message, and waits at most so long for the queue to have room: see [`Sender::send_timeout`].
    ///
    /// # Errors
    /// [`Error::Timeout`] with nothing queued; else as [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub async fn send_timeout(&self, message: impl Into<Message>, timeout: Duration) -> Result<(), Error> {
        self.sender.send_timeout(message, timeout).await
    }

    /// Begins a message that is sent as it is written, in as many frames as it takes: see [`SendStream`].
    #[must_use = "nothing is sent before it is written to"]
    pub fn send_stream(&self, kind: MessageKind) -> SendStream<'_> {
        self.sender.send_stream(kind)
    }

    /// Bytes that wait to be written, their frames' headers included.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.sender.queued_bytes()
    }

    // --- keeping alive ---

    /// Sends a Ping and waits for its Pong; returns the round trip: see [`Sender::ping`].
    ///
    /// # Errors
    /// [`Error::Closed`] once a Close has been sent or received, or how the connection ended before the Pong came.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the Ping on its way.
    pub async fn ping(&self) -> Result<Duration, Error> {
        self.sender.ping().await
    }

    /// The round trip of the latest Ping that was answered, [the keepalive's](Limits::ping) or [one's own](Self::ping).
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.sender.latency()
    }

    // --- closing ---

    /// Closes the connection: sends Close behind all that was accepted, waits for the peer's and for the end of the
    /// transport, at most for [`Limits::closing`] in all. Messages that arrive meanwhile are discarded.
    ///
    /// A connection that is closing already is waited for; one that is closed is left alone.
    ///
    /// # Errors
    /// [`Error::InvalidClose`] for a code that must not be sent or a reason of more than 123 bytes, and nothing is sent;
    /// [`Error::Aborted`], [`Error::Io`] or [`Error::Timeout`] when the peer does not close in its turn.
    ///
    /// # Cancel safety
    /// Dropping the future after its first poll leaves the Close queued; `recv` or another `close` brings it to its end.
    pub async fn close(&self, code: CloseCode, reason: impl Into<Text>) -> Result<(), Error> {
        let reason = CloseReason::new(code, reason)?;
        let _discards = Discards::new(&self.receiver);
        let closed = self.sender.close_with(reason).await;
        // This was the reader who was told.
        self.shared().turn().tell();
        closed
    }

    /// Waits for the connection to end, and says how that came about. While it waits messages are read ahead, no more.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn closed(&self) -> Closed {
        self.sender.closed().await
    }

    /// Whether nothing can be sent any more: a Close has gone either way, or the connection has failed or ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// What the peer's Close frame said, once it has come. [`CloseCode::NO_STATUS_RECEIVED`] if it said nothing.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.receiver.close_reason()
    }

    // --- the connection ---

    /// The subprotocol that both ends agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.shared().subprotocol()
    }

    /// A handle to send with, for other tasks.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Takes it apart, to send and receive in different tasks.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// Both directions at once, for a handler that does not keep its messages: they are [lent](Incoming::recv), and sent
    /// without being owned, so that a small one costs no allocation. What was received and not taken is there for
    /// [`recv`](Self::recv) when the halves are gone.
    ///
    /// ```
    /// # use sockeye::{Limits, Role, WebSocket};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sockeye::Error> {
    /// # let (near, far) = tokio::io::duplex(1024);
    /// # let client = WebSocket::from_stream(near, Role::Client, Limits::default());
    /// # let mut ws = WebSocket::from_stream(far, Role::Server, Limits::default());
    /// # client.send("你好").await?;
    /// # tokio::spawn(async move { client.close(sockeye::CloseCode::NORMAL, "").await });
    /// let (mut incoming, mut outgoing) = ws.halves();
    /// while let Some(message) = incoming.recv().await? {
    ///     outgoing.send(message).await?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn halves(&mut self) -> (Incoming<'_>, Outgoing<'_>) {
        (Incoming::new(&self.receiver), Outgoing::new(&self.sender))
    }

    #[cfg(feature = "futures")]
    pub(crate) fn sink(self: core::pin::Pin<&mut Self>) -> core::pin::Pin<&mut Sender> {
        core::pin::Pin::new(&mut self.get_mut().sender)
    }

    /// The connection itself.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.receiver.handle
    }
}

/// Messages are discarded, for as long as this is there.
struct Discards<'a>(&'a Receiver);

impl<'a> Discards<'a> {
    fn new(receiver: &'a Receiver) -> Self {
        receiver.handle.turn().read_as(Reading::Discard);
        Self(receiver)
    }
}

impl Drop for Discards<'_> {
    fn drop(&mut self) {
        self.0.handle.turn().read_again();
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("connection", &self.receiver.handle.turn().connection)
            .field("subprotocol", &self.subprotocol())
            .finish_non_exhaustive()
    }
}
