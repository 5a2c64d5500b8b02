//! Driven connections: what leaves together and when, what goes on while a handler waits for something else, and how a
//! handler's end becomes the connection's.

#![expect(clippy::cast_possible_truncation, reason = "numbers that are written as bytes")]

mod ending;
mod nested;
mod sleeping;
mod tasks;
mod writes;

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use crate::support::{client_frame, close_frame, in_time, read_frame};
use sockeye::{Limits, Role, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::TcpStream;

/// The sizes of the writes to a stream, one for each system call there would have been.
#[derive(Clone, Default)]
struct Writes(Arc<Mutex<Vec<usize>>>);

impl Writes {
    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A stream that counts what is written to it.
struct Counted {
    stream: DuplexStream,
    writes: Writes,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = written {
            self.writes.0.lock().unwrap().push(count);
        }
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.poll_write(cx, &all)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A server's end over a wide wire, the writes it does, and the wire's other end.
fn counted() -> (WebSocket, Writes, DuplexStream) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let writes = Writes::default();
    let near = Counted { stream: near, writes: writes.clone() };
    (WebSocket::from_stream(near, Role::Server, Limits::default()), writes, far)
}

fn ping(payload: &str) -> Vec<u8> {
    client_frame(true, Opcode::PING, payload.as_bytes())
}

async fn next(peer: &mut (impl AsyncRead + Unpin)) -> (Opcode, String) {
    let (fin, opcode, payload) = in_time(read_frame(peer)).await.expect("a frame comes");
    assert!(fin);
    (opcode, String::from_utf8_lossy(&payload).into_owned())
}

async fn next_text(peer: &mut (impl AsyncRead + Unpin)) -> String {
    let (opcode, text) = next(peer).await;
    assert_eq!(opcode, Opcode::TEXT, "{text:?}");
    text
}

/// The code of the Close that comes next; it is answered, and the server ends the stream.
async fn answered_close(peer: &mut TcpStream) -> u16 {
    let (_, opcode, payload) = in_time(read_frame(peer)).await.expect("a Close frame comes");
    assert_eq!(opcode, Opcode::CLOSE);
    let code = u16::from_be_bytes(payload[..2].try_into().unwrap());
    peer.write_all(&close_frame(code)).await.unwrap();
    assert!(in_time(read_frame(peer)).await.is_none(), "the stream ends after the Close");
    code
}
