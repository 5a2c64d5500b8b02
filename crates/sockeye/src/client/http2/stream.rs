//! One stream of an HTTP/2 connection as a stream of bytes: what is in its DATA frames (RFC 8441 §5).

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::shared::Slot;

/// What is written gathers here for as long as h2 still has something of the stream's: so a burst of small messages leaves in a
/// few DATA frames. Each in one of its own, it would be taken for an attack by servers that count how many frames they hold:
/// h2, and hyper with it, ends the connection at 130 of them in its defaults.
pub(super) struct Http2Stream {
    sending: SendStream<Bytes>,
    /// What was written and h2 does not have yet.
    unsent: BytesMut,
    receiving: RecvStream,
    /// What was received and not read.
    unread: Bytes,
    /// Our side has been ended.
    ended: bool,
    /// Its place on a connection that is shared.
    _slot: Option<Slot>,
}

/// So much gathers.
const GATHERED: usize = 64 << 10;

impl Http2Stream {
    /// The most that h2 is to hold of a stream before it says that there is room: so it says so when all has left.
    pub(super) const HELD: usize = 1;

    pub(super) fn new(sending: SendStream<Bytes>, receiving: RecvStream, slot: Option<Slot>) -> Self {
        let (unsent, unread) = (BytesMut::new(), Bytes::new());
        Self { sending, unsent, receiving, unread, ended: false, _slot: slot }
    }

    /// Hands to h2 what has gathered, once it has nothing of the stream's any more and the server's window is open.
    fn poll_hand_over(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unsent.is_empty() {
            return Poll::Ready(Ok(()));
        }
        // Only while there is something to send: what is reserved is taken from the streams beside this one.
        self.sending.reserve_capacity(self.unsent.len());
        if self.sending.capacity() == 0 {
            match ready!(self.sending.poll_capacity(cx)) {
                Some(room) => drop(room.map_err(io_error)?),
                None => return Poll::Ready(Err(self.refusal(cx))),
            }
        }
        // More than the window has room for waits with h2, which asks for no more before it has left.
        let data = core::mem::take(&mut self.unsent).freeze();
        Poll::Ready(self.sending.send_data(data, false).map_err(io_error))
    }

    /// Why nothing can be sent any more.
    fn refusal(&mut self, cx: &mut Context<'_>) -> io::Error {
        match self.sending.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => io_error(reason.into()),
            Poll::Ready(Err(error)) => io_error(error),
            Poll::Pending => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

impl AsyncRead for Http2Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(self.receiving.poll_data(cx)) {
                Some(data) => self.unread = data.map_err(io_error)?,
                // END_STREAM.
                None => return Poll::Ready(Ok(())),
            }
        }
        let len = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..len]);
        self.unread.advance(len);
        // What was read makes room in the server's window, and nothing else does. It fails on a stream that has ended.
        let _ = self.receiving.flow_control().release_capacity(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http2Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.unsent.len() >= GATHERED {
            ready!(self.poll_hand_over(cx))?;
        }
        let mut written = 0;
        for buf in bufs {
            let taken = buf.len().min(GATHERED - self.unsent.len());
            self.unsent.extend_from_slice(&buf[..taken]);
            written += taken;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Ready when all that was written is with h2, whose task sends it.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_hand_over(cx)
    }

    /// Sends END_STREAM, which stands for TCP's FIN.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_hand_over(cx))?;
        if !core::mem::replace(&mut self.ended, true) {
            self.sending.send_data(Bytes::new(), true).map_err(io_error)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        // To a server that has ended its side this is an end in good order. h2 resets the stream with CANCEL otherwise, which
        // stands for TCP's RST (RFC 8441 §5).
        if !self.ended && self.receiving.is_end_stream() {
            let _ = self.sending.send_data(Bytes::new(), true);
        }
    }
}

fn io_error(error: h2::Error) -> io::Error {
    let kind = match () {
        () if error.is_io() => return error.into_io().unwrap_or_else(|| io::ErrorKind::Other.into()),
        () if error.is_reset() => io::ErrorKind::ConnectionReset,
        () if error.is_go_away() => io::ErrorKind::ConnectionAborted,
        () => io::ErrorKind::BrokenPipe,
    };
    io::Error::new(kind, error)
}
