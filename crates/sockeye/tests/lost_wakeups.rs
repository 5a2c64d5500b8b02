//! Lost wake-ups that the models found (`tests/model.rs`), each as the one schedule that it takes.

use std::future::pending;
use std::time::Duration;

use sockeye::{Limits, Role, WebSocket, drive};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::spawn;
use tokio::task::yield_now;
use tokio::time::timeout;

#[tokio::test]
async fn a_message_that_is_taken_in_pieces_may_be_completed_by_another_task() {
    let (mut peer, far) = duplex(64);
    let (sender, mut receiver) = WebSocket::from_stream(far, Role::Client, Limits::default()).split();
    peer.write_all(b"\x81\x02h").await.unwrap();
    let mut stream = receiver.recv_stream().await.unwrap().unwrap();
    peer.write_all(b"i").await.unwrap();
    // It reads the rest before the stream is read for the first time.
    sender.send("from elsewhere").await.unwrap();
    let mut text = String::new();
    let read = timeout(Duration::from_secs(5), stream.read_to_string(&mut text)).await;
    read.expect("it has come").unwrap();
    assert_eq!(text, "hi");
}

#[tokio::test]
async fn a_driving_task_that_is_woken_after_another_task_made_progress_makes_some_itself() {
    let (mut peer, far) = duplex(16);
    let ws = WebSocket::from_stream(far, Role::Server, Limits::default());
    let sender = ws.sender();
    let driving = spawn(drive(async move {
        ws.send(vec![7; 100]).await.unwrap();
        pending::<()>().await;
    }));
    yield_now().await;
    // It finds nothing to do, and leaves the rest to the driving task.
    let flushing = spawn(async move { sender.flush().await });
    yield_now().await;
    let mut frame = [0; 102];
    timeout(Duration::from_secs(5), peer.read_exact(&mut frame)).await.expect("it is written").unwrap();
    flushing.await.unwrap().unwrap();
    driving.abort();
}
