//! What carries a connection's bytes. One type, so that [`WebSocket`](crate::WebSocket) is one type.

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
    Other(Pin<Box<dyn Duplex>>),
    /// One that a server counts, for as long as it is open.
    Seated(Box<Seated>),
    /// Given back to the system: the connection has ended.
    Ended,
}

/// Apart, as connections that nobody counts do not pay for it.
pub(crate) struct Seated {
    transport: Transport,
    seat: Arc<Seat>,
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

impl Transport {
    pub(crate) fn seated(self, seat: Arc<Seat>) -> Self {
        Self::Seated(Box::new(Seated { transport: self, seat }))
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
            Self::Other(stream) => match stream.as_mut().poll_read(cx, buf) {
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
            Self::Other(stream) => stream.as_mut().poll_write(cx, buf),
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
            Self::Other(stream) => stream.as_mut().poll_write_vectored(cx, bufs),
            Self::Seated(seated) => seated.sent(|transport| transport.poll_write_vectored(cx, bufs)),
            Self::Ended => Poll::Ready(Err(ended())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Other(stream) => stream.is_write_vectored(),
            Self::Seated(seated) => seated.transport.is_write_vectored(),
            Self::Ended => false,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Other(stream) => stream.as_mut().poll_flush(cx),
            Self::Seated(seated) => Pin::new(&mut seated.transport).poll_flush(cx),
            Self::Ended => Poll::Ready(Err(ended())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Other(stream) => stream.as_mut().poll_shutdown(cx),
            Self::Seated(seated) => Pin::new(&mut seated.transport).poll_shutdown(cx),
            Self::Ended => Poll::Ready(Err(ended())),
        }
    }
}

fn ended() -> io::Error {
    io::ErrorKind::NotConnected.into()
}
