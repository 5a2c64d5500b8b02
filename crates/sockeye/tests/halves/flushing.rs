//! Flushing, beside others who go on sending.

use std::time::Duration;

use super::with_limits;
use crate::support::{others_wait, soon};
use sockeye::{Limits, WebSocket};
use tokio::io::AsyncReadExt;

/// A connection to a peer that takes 1 KiB in a millisecond, and a sender that always has more to say.
fn busy(limits: Limits) -> WebSocket {
    let (ws, mut peer) = with_limits(1024, limits.ping(None));
    let sender = ws.sender();
    tokio::spawn(async move {
        while peer.read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    tokio::spawn(async move { while sender.send(vec![1; 1000]).await.is_ok() {} });
    ws
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_what_was_sent_before_it_and_not_for_a_busy_sender_beside_it() {
    let ws = busy(Limits::default().queue(16 << 10));
    others_wait().await;
    for _ in 0..10 {
        ws.send("mine").await.unwrap();
        soon(ws.flush()).await.unwrap();
    }
}

#[cfg(feature = "futures")]
#[tokio::test(start_paused = true)]
async fn a_flush_of_a_sink_does_not_wait_for_a_busy_sender_beside_it() {
    use std::future::poll_fn;
    use std::pin::Pin;

    use futures_sink::Sink;
    use sockeye::Message;

    let ws = busy(Limits::default().queue(16 << 10));
    let mut sink = ws.sender();
    others_wait().await;
    for _ in 0..10 {
        // What `SinkExt::send` does.
        soon(poll_fn(|cx| Pin::new(&mut sink).poll_ready(cx))).await.unwrap();
        Pin::new(&mut sink).start_send(Message::from("mine")).unwrap();
        soon(poll_fn(|cx| Pin::new(&mut sink).poll_flush(cx))).await.unwrap();
    }
}
