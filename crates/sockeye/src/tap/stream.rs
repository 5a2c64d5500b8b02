//! A transport around a transport, which copies what passes to a watch.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, ErrorKind, IoSlice};

use sockeye_proto::Role;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::event::Ending;
use super::line::Line;

/// A stream that is watched, from [`Tap::stream`](super::Tap::stream). It is the stream itself in everything else.
#[derive(Debug)]
pub struct Tapped<S> {
    stream: S,
    /// Ours.
    role: Role,
    line: Line,
    /// Who has ended first what it sends.
    ended: Option<Role>,
}

impl<S> Tapped<S> {
    pub(super) const fn new(stream: S, role: Role, line: Line) -> Self {
        Self { stream, role, line, ended: None }
    }

    fn read(&mut self, read: &Poll<io::Result<()>>, bytes: &[u8], had_room: bool) {
        let peer = self.role.peer();
        match read {
            Poll::Ready(Ok(())) if !bytes.is_empty() => self.line.push(peer, bytes),
            Poll::Ready(Ok(())) if had_room => self.ended = self.ended.or(Some(peer)),
            Poll::Ready(Err(error)) => self.failed(error),
            _ => {}
        }
    }

    fn failed(&mut self, error: &io::Error) {
        let peer = self.role.peer();
        self.line.end(match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ending::Reset(peer),
            // TLS whose peer has only ended TCP.
            ErrorKind::UnexpectedEof => Ending::Closed(self.ended.or(Some(peer))),
            _ => Ending::Failed(error.to_string()),
        });
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let had_room = buf.remaining() > 0;
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.read(&read, &buf.filled()[before..], had_room);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        match &written {
            Poll::Ready(Ok(len)) => {
                let role = self.role;
                self.line.push(role, &buf[..*len]);
            }
            Poll::Ready(Err(error)) => self.failed(error),
            Poll::Pending => {}
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        match &written {
            Poll::Ready(Ok(len)) => {
                let (role, mut left) = (self.role, *len);
                for slice in bufs {
                    let part = left.min(slice.len());
                    self.line.push(role, &slice[..part]);
                    left -= part;
                }
            }
            Poll::Ready(Err(error)) => self.failed(error),
            Poll::Pending => {}
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(cx);
        if matches!(ended, Poll::Ready(Ok(()))) {
            self.ended = self.ended.or(Some(self.role));
        }
        ended
    }
}

impl<S> Drop for Tapped<S> {
    fn drop(&mut self) {
        // One that is dropped is closed.
        self.line.end(Ending::Closed(self.ended.or(Some(self.role))));
    }
}
