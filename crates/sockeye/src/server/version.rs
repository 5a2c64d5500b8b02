//! Which version of HTTP a connection speaks: one of HTTP/2 begins with bytes that no request of HTTP/1.1 begins with
//! (RFC 9113 §3.4).
//!
//! What has come of a head is read at once, and given to hyper as if nobody had looked: hyper-util, which can do the same, takes
//! 24 bytes from the system, and hyper's parser finds a head that is not whole yet.

use core::future::poll_fn;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};
use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// So much is read at once: a head without large cookies fits. It is less than hyper takes at once, so it takes all of it.
const AT_ONCE: usize = 2 << 10;

/// A stream whose first bytes have been read, and are still to be read by whoever it is given to.
#[derive(Debug)]
pub(super) struct Begun<S> {
    first: Bytes,
    stream: S,
}

/// Reads what tells the version, for as long as it takes.
///
/// # Errors
/// Those of the stream.
pub(super) async fn read<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<(Version, Begun<S>)> {
    let mut first = BytesMut::new();
    let version = poll_fn(|cx| {
        loop {
            // On the stack: whoever says nothing has no memory for it.
            let mut buffer = [MaybeUninit::uninit(); AT_ONCE];
            let mut buffer = ReadBuf::uninit(&mut buffer);
            ready!(Pin::new(&mut stream).poll_read(cx, &mut buffer))?;
            first.extend_from_slice(buffer.filled());
            if first.starts_with(PREFACE) {
                return Poll::Ready(io::Result::Ok(Version::HTTP_2));
            }
            if buffer.filled().is_empty() || !PREFACE.starts_with(&first) {
                return Poll::Ready(Ok(Version::HTTP_11));
            }
        }
    })
    .await?;
    Ok((version, Begun { first: first.freeze(), stream }))
}

impl<S> Begun<S> {
    /// The stream, and what is still to be read before it.
    pub(super) fn into_parts(self) -> (S, Bytes) {
        (self.stream, self.first)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let len = self.first.len().min(buf.remaining());
        buf.put_slice(&self.first[..len]);
        self.first.advance(len);
        if self.first.is_empty() {
            // The memory is of no use any more.
            self.first = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// What is made of bytes that come in two pieces, and what can be read of them then.
    async fn judged(bytes: &[u8], cut: usize) -> (Version, Vec<u8>) {
        let (version, mut begun) = read(AsyncReadExt::chain(&bytes[..cut], &bytes[cut..])).await.unwrap();
        let mut again = Vec::new();
        begun.read_to_end(&mut again).await.unwrap();
        (version, again)
    }

    #[tokio::test]
    async fn the_preface_is_http_2_wherever_it_is_cut_and_nothing_is_lost() {
        let bytes = [&PREFACE[..], b"\0\0\0\x04\0\0\0\0\0"].concat();
        for cut in 0..=bytes.len() {
            assert_eq!(judged(&bytes, cut).await, (Version::HTTP_2, bytes.clone()), "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn anything_else_is_http_1_1_wherever_it_is_cut_and_nothing_is_lost() {
        let long = format!("GET / HTTP/1.1\r\nCookie: {}\r\n\r\n", "a".repeat(2 * AT_ONCE));
        // The preface's beginning, with another byte behind it or nothing.
        let almost = (0..PREFACE.len()).flat_map(|len| [PREFACE[..len].to_vec(), [&PREFACE[..len], b"-"].concat()]);
        for bytes in almost.chain([long.into_bytes()]) {
            for cut in 0..=bytes.len() {
                assert_eq!(judged(&bytes, cut).await, (Version::HTTP_11, bytes.clone()), "cut at {cut}");
            }
        }
    }
}
