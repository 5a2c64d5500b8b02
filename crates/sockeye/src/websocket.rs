//! The WebSocket people hold: a handle to a [`Driver`], whose methods are the whole interface.

use core::fmt;
use core::future::poll_fn;
use core::task::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sockeye_proto::close::State;
use sockeye_proto::connection::{Closing, ControlPayload, Prepared};
use sockeye_proto::deflate::Compression;
use sockeye_proto::handshake::Agreed;
use sockeye_proto::{CloseCode, CloseReason, Connection, Limits, Message, Role, Text};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::Error;
use crate::random;
use crate::stream::Driver;
use crate::transport::Transport;

/// A WebSocket connection, client's or server's end, over whatever transport.
///
/// What arrives is read while a method of it is awaited: that is when Pings are answered and a Close is noticed. A
/// `WebSocket` that is dropped while open says Close 1001 if that needs no waiting, and ends the transport; one that a
/// server's handler drops stays open until the handler ends, which closes it with 1000 or 1011.
pub struct WebSocket {
    shared: Arc<Mutex<Driver>>,
    subprotocol: Option<String>,
}

impl WebSocket {
    /// A WebSocket over a stream on which the opening handshake is done.
    ///
    /// ```
    /// use sockeye::{Limits, Message, Role, WebSocket};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sockeye::Error> {
    /// let (near, far) = tokio::io::duplex(1024);
    /// let mut client = WebSocket::from_stream(near, Role::Client, Limits::default());
    /// let mut server = WebSocket::from_stream(far, Role::Server, Limits::default());
    /// client.send("你好").await?;
    /// assert_eq!(server.recv().await?, Some(Message::from("你好")));
    /// # Ok(()) }
    /// ```
    pub fn from_stream(stream: impl AsyncRead + AsyncWrite + Send + 'static, role: Role, limits: Limits) -> Self {
        Self::new(Transport::Other(Box::pin(stream)), connection(role, limits), Bytes::new(), None)
    }

    /// A WebSocket as its opening handshake has agreed. `early` are bytes that whoever did it has read beyond its end.
    pub(crate) fn opened(
        (transport, early): (Transport, Bytes),
        role: Role,
        limits: Limits,
        compression: &Compression,
        agreed: Agreed,
    ) -> Self {
        let mut connection = connection(role, limits);
        if let Some(params) = agreed.compression {
            connection = connection.with_compression(compression, params);
        }
        Self::new(transport, connection, early, agreed.subprotocol)
    }

    fn new(transport: Transport, connection: Connection, early: Bytes, subprotocol: Option<String>) -> Self {
        let driver = Driver::new(transport, connection, early);
        Self { shared: Arc::new(Mutex::new(driver)), subprotocol }
    }

    /// Waits for the next message.
    ///
    /// `None` is the end: the closing handshake is done, [`close_reason`](Self::close_reason) has what the peer said.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the peer broke a rule or a limit, [`Error::Aborted`] or [`Error::Io`] when the
    /// connection ended without a Close. Messages that came before it are given first; after it comes `None`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what was received stays for the next call.
    pub async fn recv(&mut self) -> Result<Option<Message>, Error> {
        poll_fn(|cx| self.lock().poll_recv(cx)).await
    }

    /// Sends a message, in one frame, compressed where that was agreed on and makes it smaller. `Ok` says that all of it
    /// is with the system's network stack.
    ///
    /// # Errors
    /// [`Error::Closed`] once a Close has been sent or received; [`Error::Io`] when writing fails.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the message queued whole, or not at all if it was still waiting for the queue, of 1 MiB,
    /// to have room. What is queued is written by whatever is called next.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let message = message.into();
        self.send_by(|connection| connection.send(message)).await
    }

    /// Sends a message that is never compressed: one that holds a secret beside what others may have chosen, whose size
    /// would tell (RFC 7692 §8). Otherwise it is [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub async fn send_uncompressed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        let message = message.into();
        self.send_by(|connection| connection.send_uncompressed(message)).await
    }

    /// Sends a message that goes to many: it is framed, and compressed, once for all connections of a server that compress
    /// alike, and shared.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    /// As [`send`](Self::send).
    pub async fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Error> {
        self.send_by(|connection| connection.send_prepared(prepared)).await
    }

    /// Waits for room, queues, and waits until all that is queued is written.
    async fn send_by(&self, queue: impl FnOnce(&mut Connection) -> Result<(), Closing>) -> Result<(), Error> {
        let mut queue = Some(queue);
        poll_fn(|cx| {
            let mut driver = self.lock();
            if queue.is_some() {
                ready!(driver.poll_room(cx))?;
            }
            if let Some(queue) = queue.take() {
                queue(&mut driver.connection)?;
            }
            driver.poll_flush(cx)
        })
        .await
    }

    /// Sends a Ping with at most 125 bytes of payload. The peer answers it with a Pong, if it lives.
    ///
    /// # Errors
    /// [`Error::PingTooLong`]; else as [`send`](Self::send).
    ///
    /// # Cancel safety
    /// Dropping the future after its first poll leaves the Ping queued.
    pub async fn ping(&mut self, payload: impl AsRef<[u8]>) -> Result<(), Error> {
        let payload = payload.as_ref();
        let payload = ControlPayload::new(payload).ok_or(Error::PingTooLong(payload.len()))?;
        self.lock().connection.ping(payload)?;
        poll_fn(|cx| self.lock().poll_flush(cx)).await
    }

    /// Closes the connection: sends Close, waits for the peer's and for the end of the transport, at most for
    /// [`Limits::closing`] in all. Messages that arrive meanwhile are discarded.
    ///
    /// A connection that is closing already is waited for; one that is closed is left alone.
    ///
    /// # Errors
    /// [`Error::InvalidClose`] for a code that must not be sent or a reason of more than 123 bytes, and nothing is sent;
    /// [`Error::Aborted`], [`Error::Io`] or [`Error::Timeout`] when the peer does not close in its turn.
    ///
    /// # Cancel safety
    /// Dropping the future after its first poll leaves the Close queued; `recv` or another `close` brings it to its end.
    pub async fn close(&mut self, code: CloseCode, reason: impl Into<Text>) -> Result<(), Error> {
        let reason = CloseReason::new(code, reason)?;
        self.lock().connection.close(reason);
        poll_fn(|cx| self.lock().poll_closed(cx)).await
    }

    /// What the peer's Close frame said, once it has come. [`CloseCode::NO_STATUS_RECEIVED`] if it said nothing.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.lock().peer_reason.clone()
    }

    /// The subprotocol that both ends agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// A second handle to the same connection, with which the server closes it when its handler has ended.
    pub(crate) fn keep(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), subprotocol: None }
    }

    /// Whether a Close has gone either way, or the transport has ended.
    pub(crate) fn is_closing(&self) -> bool {
        self.lock().connection.state() != State::Open
    }

    /// Whether this is the only handle.
    pub(crate) fn is_last(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }

    fn lock(&self) -> MutexGuard<'_, Driver> {
        // A panic while it was locked is a transport's: the protocol has none that a peer can bring about.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connection(role: Role, limits: Limits) -> Connection {
    match role {
        Role::Client => Connection::client(limits, random::masking_key),
        Role::Server => Connection::server(limits),
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("connection", &self.lock().connection).finish_non_exhaustive()
    }
}
