//! What leaves together, and when.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{answered_close, counted, next_text};
use crate::support::{close_frame, in_time, open, others_wait, read_close, soon, start, text};
use sockeye::WebSocket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::yield_now;

#[tokio::test(start_paused = true)]
async fn what_is_sent_in_one_poll_leaves_in_one_write() {
    let (ws, calls, _peer) = counted();
    sockeye::drive(async {
        for rounds in 1..5 {
            for number in 0..10 {
                ws.send(number.to_string()).await.unwrap();
            }
            ws.feed("fed").await.unwrap();
            ws.try_send("tried").unwrap();
            ws.send_timeout("timed", Duration::from_secs(1)).await.unwrap();
            assert!(calls.take_writes().is_empty(), "in the middle of a poll");
            yield_now().await;
            assert_eq!(calls.take_writes(), [10 * 3 + 5 + 7 + 7], "round {rounds}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whatever_the_future_waits_for_what_it_sent_leaves() {
    let (ws, calls, _peer) = counted();
    let (wake, woken) = oneshot::channel::<()>();
    type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;
    let waits: [Wait; 4] = [
        Box::pin(yield_now()),
        Box::pin(tokio::time::sleep(Duration::from_millis(1))),
        Box::pin(async { drop(woken.await) }),
        Box::pin(async { drop(tokio::spawn(async {}).await) }),
    ];
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(wake);
    });
    sockeye::drive(async {
        for wait in waits {
            ws.send("one").await.unwrap();
            ws.send("two").await.unwrap();
            wait.await;
            assert_eq!(calls.take_writes(), [10]);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_beside_a_recv_that_waits_leaves_when_the_future_waits() {
    // One recv, polled first; then a message is sent, and the future waits. Both in one poll.
    let (mut ws, calls, _peer) = counted();
    let sender = ws.sender();
    let driven = tokio::spawn(sockeye::drive(async move { tokio::join!(ws.recv(), sender.send("beside it")).0 }));
    others_wait().await;
    assert_eq!(calls.take_writes(), [11]);
    drop(driven);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_last_leaves_when_the_future_ends() {
    let (ws, calls, mut peer) = counted();
    sockeye::drive(async {
        ws.send("one").await.unwrap();
        ws.send("two").await.unwrap();
    })
    .await;
    assert_eq!(calls.take_writes(), [10]);
    // It is driven no more.
    ws.send("three").await.unwrap();
    ws.send("four").await.unwrap();
    assert_eq!(calls.take_writes(), [7, 6]);
    // And if the WebSocket is dropped within, the Close goes with it.
    sockeye::drive(async move {
        ws.send("five").await.unwrap();
        drop(ws);
    })
    .await;
    assert_eq!(calls.take_writes().len(), 1, "the message and the Close together");
    for expected in ["one", "two", "three", "four", "five"] {
        assert_eq!(next_text(&mut peer).await, expected);
    }
    assert_eq!(soon(read_close(&mut peer)).await.0, 1001);
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_64_kib_leaves_before_the_future_waits() {
    let (ws, calls, _peer) = counted();
    sockeye::drive(async {
        for (number, size) in [(64, 1 << 10), (8, 8 << 10), (1, 64 << 10)] {
            for _ in 0..number - 1 {
                ws.send(vec![7; size]).await.unwrap();
            }
            assert!(calls.take_writes().is_empty(), "less than 64 KiB");
            ws.send(vec![7; size]).await.unwrap();
            let written: usize = calls.take_writes().into_iter().sum();
            assert!(written >= 64 << 10, "{written} bytes were written");
            ws.flush().await.unwrap();
            calls.take_writes();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn flush_writes_in_the_middle_of_a_poll() {
    let (ws, calls, _peer) = counted();
    sockeye::drive(async {
        for _ in 0..3 {
            ws.send("one").await.unwrap();
            ws.send("two").await.unwrap();
            ws.flush().await.unwrap();
            assert_eq!(calls.take_writes(), [10]);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn outside_send_writes_at_once_and_feed_waits_for_flush() {
    let (mut ws, calls, mut peer) = counted();
    ws.send("one").await.unwrap();
    ws.send("two").await.unwrap();
    assert_eq!(calls.take_writes(), [5, 5]);
    for number in 0..10 {
        ws.feed(number.to_string()).await.unwrap();
    }
    assert!(calls.take_writes().is_empty());
    ws.flush().await.unwrap();
    assert_eq!(calls.take_writes(), [30]);
    // So do send, recv, and 64 KiB.
    ws.feed("fed").await.unwrap();
    ws.send("sent").await.unwrap();
    assert_eq!(calls.take_writes(), [11]);
    ws.feed("fed").await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, ws.recv()).await.is_err());
    assert_eq!(calls.take_writes(), [5]);
    for _ in 0..64 {
        ws.feed(vec![7; 1 << 10]).await.unwrap();
    }
    assert!(calls.take_writes().into_iter().sum::<usize>() >= 64 << 10);
    // recv that has a message to give does not go to the network.
    peer.write_all(&[text("a"), text("b")].concat()).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("a".into()));
    calls.take_writes();
    ws.flush().await.unwrap();
    ws.feed("fed").await.unwrap();
    calls.take_writes();
    assert!(tokio::time::timeout(Duration::ZERO, ws.closed()).await.is_err());
    assert_eq!(calls.take_writes(), [5]);
}

#[tokio::test(start_paused = true)]
async fn the_answers_to_a_batch_leave_in_one_write() {
    for batch in [1, 2, 10, 100] {
        let (mut ws, calls, mut peer) = counted();
        let echo = tokio::spawn(sockeye::drive(async move {
            while let Some(message) = ws.recv().await.unwrap() {
                ws.send(message).await.unwrap();
            }
        }));
        for _ in 0..3 {
            let frames: Vec<u8> = (0..batch).flat_map(|number| text(&format!("{number:4}"))).collect();
            peer.write_all(&frames).await.unwrap();
            for number in 0..batch {
                assert_eq!(next_text(&mut peer).await, format!("{number:4}"));
            }
            assert_eq!(calls.take_writes(), [batch * 6]);
        }
        peer.write_all(&close_frame(1000)).await.unwrap();
        assert_eq!(soon(read_close(&mut peer)).await.0, 1000);
        drop(peer);
        soon(echo).await.unwrap();
    }
}

#[tokio::test]
async fn the_answers_of_a_server_s_handler_leave_together_and_before_it_sleeps() {
    let (wake, woken) = oneshot::channel::<()>();
    let woken = Arc::new(Mutex::new(Some(woken)));
    let handler = move |mut ws: WebSocket| {
        let woken = Arc::clone(&woken);
        async move {
            let woken = woken.lock().unwrap().take().unwrap();
            for _ in 0..3 {
                let message = ws.recv().await?.unwrap();
                ws.send(message).await?;
            }
            drop(woken.await);
            Ok(())
        }
    };
    let address = start(|listener| sockeye::serve(listener, handler)).await;
    let mut peer = open(address).await;
    peer.write_all(&[text("a"), text("b"), text("c")].concat()).await.unwrap();
    // All in one segment, while the handler sleeps.
    let mut buffer = [0; 64];
    let count = in_time(peer.read(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..count], b"\x81\x01a\x81\x01b\x81\x01c");
    drop(wake);
    assert_eq!(answered_close(&mut peer).await, 1000);
}
