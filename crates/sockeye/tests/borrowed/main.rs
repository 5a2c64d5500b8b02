//! Messages that are lent: what `WebSocket::halves` receives and sends, and what it leaves behind.

#[path = "../support/heap.rs"]
mod heap;
#[path = "../support/mod.rs"]
mod support;

mod cost;
mod doors;
mod ends;
mod left;
mod received;
mod together;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use sockeye::{HandlerResult, Limits, Message, Role, WebSocket};
use tokio::io::DuplexStream;

/// A server's end, and the peer's end of the wire.
fn pair(capacity: usize) -> (WebSocket, DuplexStream) {
    let (near, far) = tokio::io::duplex(capacity);
    (WebSocket::from_stream(near, Role::Server, Limits::default().message(300)), far)
}

async fn echo(mut ws: WebSocket) -> HandlerResult {
    let (mut incoming, mut outgoing) = ws.halves();
    while let Some(message) = incoming.recv().await? {
        outgoing.send(message).await?;
    }
    Ok(())
}

/// Receives one message and keeps it.
async fn kept(ws: &mut WebSocket) -> Option<Message> {
    let (mut incoming, _) = ws.halves();
    incoming.recv().await.unwrap().map(Message::from)
}

/// What a future has come to already.
async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
