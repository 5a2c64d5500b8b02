//! The driver: the protocol of `sockeye-proto` over a transport. The only file that touches socket I/O.
//!
//! One function makes progress on a connection, [`Driver::progress`]; whatever is called on a
//! [`WebSocket`](crate::WebSocket) calls that, and returns once what it waits for has come about. So neither direction can
//! starve the other, and there is one place to look when something hangs.

use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker, ready};
use std::io::{self, IoSlice};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use sockeye_proto::close::State;
use sockeye_proto::connection::Received;
use sockeye_proto::{CloseCode, CloseReason, Connection, Event, Message};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::buffer;
use crate::error::{Error, Phase};
use crate::transport::Transport;

/// All of a connection: the protocol's state, its transport, and what has been received and not yet taken.
pub(crate) struct Driver {
    pub(crate) connection: Connection,
    transport: Transport,
    /// Bytes read and not yet handed to the connection: they wait until the message before them is taken, so that its
    /// answer is not cut off by what may be wrong with them.
    unparsed: BytesMut,
    /// A message that nobody has taken yet. Nothing is read while there is one.
    next: Option<Message>,
    /// What the peer's Close frame said.
    pub(crate) peer_reason: Option<CloseReason>,
    /// What `recv` has to report once there is no message left.
    failure: Option<Error>,
    /// The transport failed: what waits will never be written. Reading goes on, for what the peer sent before.
    broken: Option<io::Error>,
    /// The transport has taken bytes that it may still hold: TLS and other layers buffer, TCP does not.
    unflushed: bool,
    /// Nothing more can be read.
    read_ended: bool,
    shutting_down: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

/// So many bytes may wait to be written before `send` waits for room.
const QUEUE: usize = 1 << 20;
/// So many reads that bring no message before other tasks have their turn.
const TURNS: usize = 32;
/// So many pieces go into one system call.
const SLICES: usize = 16;

impl Driver {
    /// `early` are bytes that whoever did the opening handshake has read beyond its end.
    pub(crate) fn new(transport: Transport, connection: Connection, early: Bytes) -> Self {
        Self {
            connection,
            transport,
            // Copied: hyper's buffer of 8 KiB would stay for the sake of a few bytes, or of none.
            unparsed: BytesMut::from(&early[..]),
            next: None,
            peer_reason: None,
            failure: None,
            broken: None,
            unflushed: false,
            read_ended: false,
            shutting_down: false,
            timer: None,
        }
    }

    /// Waits for the next message, or the end.
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        self.poll_until(cx, |driver| match driver.next.take() {
            Some(message) => Some(Ok(Some(message))),
            None => driver.has_ended().then(|| driver.failure.take().map_or(Ok(None), Err)),
        })
    }

    /// Waits until the queue has room for another message.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_until(cx, |driver| match driver.check_writable() {
            Ok(()) => (driver.connection.queued() < QUEUE).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        })
    }

    /// Waits until everything queued is written.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_until(cx, |driver| match driver.check_writable() {
            _ if !driver.has_unwritten() => Some(Ok(())),
            Ok(()) => None,
            Err(error) => Some(Err(error)),
        })
    }

    /// Waits for the end of the closing handshake and of the transport, and discards messages meanwhile.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_until(cx, |driver| {
            driver.next = None;
            driver.has_ended().then(|| driver.failure.take().map_or(Ok(()), Err))
        })
    }

    /// Makes progress until there is what the caller looks for.
    fn poll_until<T>(&mut self, cx: &mut Context<'_>, mut look: impl FnMut(&mut Self) -> Option<T>) -> Poll<T> {
        for _ in 0..TURNS {
            if let Some(found) = look(self) {
                return Poll::Ready(found);
            }
            ready!(self.progress(cx));
        }
        // Control frames or discarded messages without end: the other tasks of this thread have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The one function that makes progress: writes what waits, reads what has come, hands it to the protocol, and keeps
    /// the deadline. Ready when something has changed, so that the caller looks again for what it waits for.
    fn progress(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (waited, worked) = (self.has_unwritten(), self.broken.is_none());
        self.write(cx);
        self.notice_end();
        let breaks = worked && self.broken.is_some();
        if self.has_ended() || breaks || (waited && !self.has_unwritten()) {
            return Poll::Ready(());
        }
        // Before reading: a peer that floods a closing connection must not keep us from looking at the clock.
        if self.poll_deadline(cx).is_ready() {
            return Poll::Ready(());
        }
        if self.next.is_some() || self.read_ended {
            return Poll::Pending;
        }
        ready!(self.read(cx));
        if self.next.is_some() {
            // A Ping that came with it is answered now: the caller may not call again for long.
            self.write(cx);
        }
        Poll::Ready(())
    }

    /// Writes until nothing waits or the transport takes no more; then ends the writing side, if it is time to.
    fn write(&mut self, cx: &mut Context<'_>) {
        while self.broken.is_none() && self.connection.has_outgoing() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.connection.outgoing(&mut slices);
            match Pin::new(&mut self.transport).poll_write_vectored(cx, &slices[..count]) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => self.broken = Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.connection.written(written);
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => self.broken = Some(error),
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.transport).poll_flush(cx) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => {
                    self.broken.get_or_insert(error);
                }
            }
        }
        self.shutting_down |= self.connection.wants_shutdown();
        if self.shutting_down && Pin::new(&mut self.transport).poll_shutdown(cx).is_ready() {
            self.shutting_down = false;
        }
    }

    /// Reads once, and takes what came apart.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.unparsed.is_empty() {
            let mut bytes = core::mem::take(&mut self.unparsed);
            let parsed = self.receive(&mut bytes);
            bytes.advance(parsed);
            if !bytes.is_empty() {
                self.unparsed = bytes;
            }
            return Poll::Ready(());
        }
        if let Some(mut landing) = self.connection.landing() {
            // A large payload: what is left of it is read to where it will stay.
            let read = ready!(pin!(self.transport.read_buf(&mut landing)).poll(cx));
            if self.took(read) {
                let event = self.connection.landed();
                self.take_event(event);
            }
            return Poll::Ready(());
        }
        buffer::lend(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            let read = ready!(Pin::new(&mut self.transport).poll_read(cx, &mut buffer));
            let bytes = buffer.filled_mut();
            if self.took(read.map(|()| bytes.len())) {
                let parsed = self.receive(bytes);
                self.unparsed.extend_from_slice(&bytes[parsed..]);
            }
            Poll::Ready(())
        })
    }

    /// Whether a read brought bytes; if it did not, nothing more will come.
    fn took(&mut self, read: io::Result<usize>) -> bool {
        match read {
            Ok(0) => self.read_ended = true,
            Ok(_) => return true,
            Err(error) => {
                self.read_ended = true;
                // A reset after the closing handshake is one way to end; `notice_end` knows.
                self.broken.get_or_insert(error);
            }
        }
        false
    }

    /// Hands bytes to the protocol until they are used up or have given a message. Returns how many it took.
    fn receive(&mut self, bytes: &mut [u8]) -> usize {
        let mut parsed = 0;
        while parsed < bytes.len() && self.next.is_none() {
            let Received { consumed, event, .. } = self.connection.receive(&mut bytes[parsed..]);
            parsed += consumed;
            self.take_event(event);
        }
        parsed
    }

    fn take_event(&mut self, event: Option<Event>) {
        match event {
            Some(Event::Message(message)) => self.next = Some(message),
            Some(Event::Close(reason)) => self.peer_reason = Some(reason),
            Some(Event::Failed(error)) => self.failure = Some(Error::Protocol(error)),
            _ => {}
        }
    }

    /// Ends the connection once nothing more can come and nothing more can be written.
    fn notice_end(&mut self) {
        let leaving = self.has_unwritten() || self.shutting_down;
        let writes = self.broken.is_none() && leaving && !self.connection.state().reads();
        if self.read_ended && self.unparsed.is_empty() && !writes {
            self.end(None);
        }
    }

    /// Waits for the closing deadline, where there is one. A transport that can no longer be written to is closing, too,
    /// whatever the protocol says.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = match self.connection.deadline(Instant::now) {
            None if self.broken.is_none() => return Poll::Pending,
            deadline => deadline,
        };
        let timer = self.timer.get_or_insert_with(|| {
            let deadline = deadline.unwrap_or_else(|| Instant::now() + self.connection.limits().closing_time());
            Box::pin(tokio::time::sleep_until(deadline.into()))
        });
        ready!(timer.as_mut().poll(cx));
        self.end(Some(Error::Timeout(Phase::Closing)));
        Poll::Ready(())
    }

    fn end(&mut self, timeout: Option<Error>) {
        let lost = self.connection.has_unsent_messages();
        match self.connection.transport_ended() {
            // `failure` says why.
            State::Failed => {}
            // Clean: both Close frames went their way, and what was accepted before ours.
            State::Exchanged if !lost => {}
            _ => {
                let broken = self.broken.as_ref().map(|error| Error::Io(duplicate(error)));
                self.failure = timeout.or(broken).or(Some(Error::Aborted));
            }
        }
        self.unflushed = false;
        self.transport = Transport::Ended;
        self.timer = None;
        self.unparsed = BytesMut::new();
    }

    /// Whether anything of ours has not left yet.
    fn has_unwritten(&self) -> bool {
        self.connection.has_outgoing() || self.unflushed
    }

    fn has_ended(&self) -> bool {
        self.connection.state() == State::Closed
    }

    /// An error for the caller who waits for something to be written that never will be.
    fn check_writable(&self) -> Result<(), Error> {
        match &self.broken {
            Some(error) => Err(Error::Io(duplicate(error))),
            None if self.has_ended() => Err(Error::Closed),
            None => Ok(()),
        }
    }
}

/// Nobody will call again: says Close 1001 if that needs no waiting.
impl Drop for Driver {
    fn drop(&mut self) {
        if self.connection.state() == State::Open {
            self.connection.close(CloseReason::new(CloseCode::GOING_AWAY, "").expect("it may be sent"));
            self.write(&mut Context::from_waker(Waker::noop()));
        }
    }
}

/// The same error once more: both the sender and the receiver learn of it.
fn duplicate(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}
