//! A wire that counts what is read and written at once.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// One end of a wire that holds so many bytes, what is asked of it, and its other end.
pub(crate) fn pair(capacity: usize) -> (Counted, Calls, DuplexStream) {
    let (stream, far) = tokio::io::duplex(capacity);
    let calls = Calls::default();
    (Counted { stream, calls: calls.clone() }, calls, far)
}

pub(crate) struct Counted {
    stream: DuplexStream,
    calls: Calls,
}

/// What is asked of a stream: its calls are the system calls there would have been.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<Sizes>>);

#[derive(Default)]
struct Sizes {
    writes: Vec<usize>,
    most_read: usize,
}

impl Calls {
    /// The sizes of the writes since the last time.
    pub(crate) fn take_writes(&self) -> Vec<usize> {
        std::mem::take(&mut self.sizes().writes)
    }

    /// The most bytes that a read has had room for since the last time.
    pub(crate) fn take_most_read(&self) -> usize {
        std::mem::take(&mut self.sizes().most_read)
    }

    fn sizes(&self) -> MutexGuard<'_, Sizes> {
        self.0.lock().unwrap()
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut sizes = self.calls.sizes();
        sizes.most_read = sizes.most_read.max(buf.remaining());
        drop(sizes);
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = written {
            self.calls.sizes().writes.push(count);
        }
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.poll_write(cx, &all)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
