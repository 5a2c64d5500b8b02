//! A WebSocket on one stream of HTTP/2 (RFC 8441).

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::transport::Transport;

/// hyper's stream as a transport. END_STREAM is its end, as FIN is TCP's; so is RST_STREAM for who reads, and an error
/// for who writes.
pub(super) fn stream(upgraded: Upgraded) -> Transport {
    Transport::of(Stream(TokioIo::new(upgraded)))
}

struct Stream(TokioIo<Upgraded>);

/// So much is written at once. hyper copies what it is given, and holds three writes beyond the peer's window: in whole
/// messages that were bounded by nothing but their size.
const WRITE: usize = 16 << 10;

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &buf[..buf.len().min(WRITE)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
