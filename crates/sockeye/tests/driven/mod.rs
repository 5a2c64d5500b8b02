//! Driven connections: what leaves together and when, what goes on while a handler waits for something else, and how a
//! handler's end becomes the connection's.

#![expect(clippy::cast_possible_truncation, reason = "numbers that are written as bytes")]

mod ending;
mod nested;
mod sleeping;
mod tasks;
mod writes;

use crate::counted::Calls;
use crate::support::{client_frame, close_frame, in_time, read_frame};
use sockeye::{Limits, Role, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;

/// A server's end over a wide wire, the writes it does, and the wire's other end.
fn counted() -> (WebSocket, Calls, DuplexStream) {
    let (near, calls, far) = crate::counted::pair(1 << 20);
    (WebSocket::from_stream(near, Role::Server, Limits::default()), calls, far)
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
