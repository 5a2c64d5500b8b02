//! One connection used from many places: its halves and senders, the queue between them and the wire, and its end as
//! each of them learns of it. Time stands still unless nothing else is left to do: whoever is not woken misses `soon`.

mod edges;
mod end;
mod flushing;
mod handles;
mod pings;
mod queue;

use crate::support::{client_frame, read_frame, soon};
use sockeye::{Error, Limits, Role, Sender, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::DuplexStream;

/// A server's end over a wire that holds `capacity` bytes, and the wire's other end.
fn with_limits(capacity: usize, limits: Limits) -> (WebSocket, DuplexStream) {
    let (near, far) = tokio::io::duplex(capacity);
    (WebSocket::from_stream(near, Role::Server, limits), far)
}

fn pair(capacity: usize, limits: Limits) -> (WebSocket, WebSocket) {
    let (near, far) = tokio::io::duplex(capacity);
    (WebSocket::from_stream(near, Role::Client, limits), WebSocket::from_stream(far, Role::Server, limits))
}

fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    client_frame(true, Opcode::CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

async fn next_text(peer: &mut DuplexStream) -> String {
    let (fin, opcode, payload) = soon(read_frame(peer)).await.expect("a frame comes");
    assert!(fin && opcode == Opcode::TEXT, "{opcode:?}");
    String::from_utf8(payload).unwrap()
}

/// Senders that wait, in this order, on a connection whose queue is full.
fn waiting(
    sender: &Sender,
    messages: impl IntoIterator<Item = String>,
) -> Vec<tokio::task::JoinHandle<Result<(), Error>>> {
    let send = |message| {
        let sender = sender.clone();
        tokio::spawn(async move { sender.send(message).await })
    };
    messages.into_iter().map(send).collect()
}
