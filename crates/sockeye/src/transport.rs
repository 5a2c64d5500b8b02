//! What carries a connection's bytes. One type, so that [`WebSocket`](crate::WebSocket) is one type.

use core::any::Any;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::server::Seat;

/// Anything bytes go in and out of.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// Plain TCP, which is most connections and is called directly, or anything else behind a pointer.
pub(crate) enum Transport {
    Tcp(TcpStream),
    Other(Layered),
    /// One that a server counts, for as long as it is open.
    Seated(Box<Seated>),
    /// Given back to the system: the connection has ended.
    Ended,
}

/// A stream that may buffer what is written, as TLS and other layers do.
pub(crate) struct Layered {
    stream: Pin<Box<dyn Duplex>>,
    /// Bytes have been written that it may still hold: the position up to which all is with the system's network stack.
    unflushed: Option<u64>,
}

/// Apart, as connections that nobody counts do not pay for it.
pub(crate) struct Seated {
    transport: Transport,
    seat: Arc<Seat>,
}

impl Transport {
    /// Whatever stream it is, as what it is.
    pub(crate) fn of(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let mut stream = Some(stream);
        match (&mut stream as &mut dyn Any).downcast_mut().and_then(Option::take) {
            Some(tcp) => Self::Tcp(tcp),
            None => {
                let stream = Box::pin(stream.expect("it is no TCP stream, and was not taken"));
                Self::Other(Layered { stream, unflushed: None })
            }
        }
    }

    /// The same, counted by a server for as long as it is open.
    pub(crate) fn seated(self, seat: Arc<Seat>) -> Self {
        Self::Seated(Box::new(Seated { transport: self, seat }))
    }

    /// The position up to which all is with the system's network stack, if some of what was written may not be.
    #[inline]
    pub(crate) fn unflushed(&self) -> Option<u64> {
        match self {
            Self::Other(layered) => layered.unflushed,
            Self::Seated(seated) => seated.transport.unflushed(),
            _ => None,
        }
    }

    /// More is about to be written; all up to this position has been written before.
    #[inline]
    pub(crate) fn is_written_to(&mut self, position: impl FnOnce() -> u64) {
        match self {
            Self::Other(layered) => drop(layered.unflushed.get_or_insert_with(position)),
            Self::Seated(seated) => seated.transport.is_written_to(position),
            _ => {}
        }
    }

    /// All that was written is with the system's network stack.
    pub(crate) fn is_flushed(&mut self) {
        match self {
            Self::Other(layered) => layered.unflushed = None,
            Self::Seated(seated) => seated.transport.is_flushed(),
            _ => {}
        }
    }
}

impl Seated {
    fn sent(&mut self, write: impl FnOnce(Pin<&mut Transport>) -> Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let written = write(Pin::new(&mut self.transport));
        if let Poll::Ready(Ok(bytes)) = written {
            self.seat.traffic().sent(bytes);
        }
        written
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            // A TLS stream whose peer ended TCP without TLS's close_notify, which many do. That alert is there for protocols
            // that take the end of the stream for the end of what was said: without it, whoever holds the wire can cut the
            // rest off. A WebSocket takes no such thing from the stream's end. Each message says its own length and each
            // connection its own end, by Close frames, and TLS authenticates both; where they are missing the connection is
            // `Aborted`, whoever cut it. So this is an end like TCP's, and the closing handshake is what judges it.
            Self::Other(layered) => match layered.stream.as_mut().poll_read(cx, buf) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                read => read,
            },
            Self::Seated(seated) => {
                let before = buf.filled().len();
                let read = Pin::new(&mut seated.transport).poll_read(cx, buf);
                seated.seat.traffic().received(buf.filled().len() - before);
                read
            }
            Self::Ended => Poll::Ready(Err(ended())),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Other(layered) => layered.stream.as_mut().poll_write(cx, buf),
            Self::Seated(seated) => seated.sent(|transport| transport.poll_write(cx, buf)),
            Self::Ended => Poll::Ready(Err(ended())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Other(layered) => layered.stream.as_mut().poll_write_vectored(cx, bufs),
            Self::Seated(seated) => seated.sent(|transport| transport.poll_write_vectored(cx, bufs)),
            Self::Ended => Poll::Ready(Err(ended())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Other(layered) => layered.stream.is_write_vectored(),
            Self::Seated(seated) => seated.transport.is_write_vectored(),
            Self::Ended => false,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Other(layered) => layered.stream.as_mut().poll_flush(cx),
            Self::Seated(seated) => Pin::new(&mut seated.transport).poll_flush(cx),
            Self::Ended => Poll::Ready(Err(ended())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Other(layered) => layered.stream.as_mut().poll_shutdown(cx),
            Self::Seated(seated) => Pin::new(&mut seated.transport).poll_shutdown(cx),
            Self::Ended => Poll::Ready(Err(ended())),
        }
    }
}

fn ended() -> io::Error {
    io::ErrorKind::NotConnected.into()
}
