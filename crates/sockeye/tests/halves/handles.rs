//! Readers, writers and senders: what goes on without the others, and what the last one leaves.

use std::time::Duration;

use super::{close_frame, next_text, pair, with_limits};
use crate::support::{client_frame, others_wait, read_close, read_frame, server, soon, text};
use sockeye::{CloseCode, ClosedBy, Limits, Message};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::task::JoinSet;

#[tokio::test(start_paused = true)]
async fn readers_and_writers_on_four_tasks_lose_nothing_on_a_narrow_wire() {
    for capacity in [1, 7, 64, 4096] {
        let (client, server) = pair(capacity, Limits::default().queue(100));
        let mut tasks = JoinSet::new();
        for ws in [client, server] {
            let (sender, mut receiver) = ws.split();
            tasks.spawn(async move {
                for number in 0..300 {
                    sender.send(number.to_string()).await.unwrap();
                }
                // It stays until the other end has all of it.
                drop(sender.closed().await);
            });
            tasks.spawn(async move {
                for number in 0..300 {
                    assert_eq!(receiver.recv().await.unwrap(), Some(number.to_string().into()));
                }
            });
        }
        // Both readers are done, are dropped, and the writers are let go.
        for _ in 0..2 {
            soon(tasks.join_next()).await.unwrap().unwrap();
        }
        tasks.shutdown().await;
    }
}

/// What a peer says: a text in two frames with a Ping between, another text and Ping, a Close.
fn script() -> Vec<u8> {
    [
        client_frame(false, Opcode::TEXT, "你".as_bytes()),
        client_frame(true, Opcode::PING, b"1"),
        client_frame(true, Opcode::CONTINUATION, "好".as_bytes()),
        text("more"),
        client_frame(true, Opcode::PING, b"2"),
        close_frame(4000, "enough"),
    ]
    .concat()
}

async fn answers_to_the_script(peer: &mut DuplexStream) {
    for payload in [b"1", b"2"] {
        assert_eq!(soon(read_frame(peer)).await, Some((true, Opcode::PONG, payload.to_vec())));
    }
    assert_eq!(soon(read_close(peer)).await, (4000, "enough".into()));
    // The server has ended its side; now the client ends its own.
    peer.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_receiver_dropped_anywhere_leaves_pings_answered_and_the_close_noticed() {
    let script = script();
    for cut in 0..=script.len() {
        for polled in [false, true] {
            let (ws, mut peer) = server(4096);
            let (sender, mut receiver) = ws.split();
            peer.write_all(&script[..cut]).await.unwrap();
            if polled {
                let _ = tokio::time::timeout(Duration::ZERO, receiver.recv()).await;
            }
            drop(receiver);
            peer.write_all(&script[cut..]).await.unwrap();
            let (closed, ()) = soon(async { tokio::join!(sender.closed(), answers_to_the_script(&mut peer)) }).await;
            assert_eq!(
                (closed.by(), closed.code().as_u16(), closed.reason()),
                (ClosedBy::Peer, 4000, "enough"),
                "{cut}"
            );
            assert!(closed.is_clean(), "cut at {cut}, polled: {polled}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_receiver_does_not_judge_what_it_discards_by_its_size() {
    let (ws, mut peer) = with_limits(4096, Limits::default().message(10));
    let (sender, receiver) = ws.split();
    drop(receiver);
    let peer = tokio::spawn(async move {
        peer.write_all(&client_frame(true, Opcode::BINARY, &[0; 300_000])).await.unwrap();
        peer.write_all(&client_frame(true, Opcode::PING, b"still there?")).await.unwrap();
        assert_eq!(read_frame(&mut peer).await.unwrap(), (true, Opcode::PONG, b"still there?".to_vec()));
        peer.write_all(&close_frame(1000, "")).await.unwrap();
        read_close(&mut peer).await
    });
    assert!(soon(sender.closed()).await.is_clean());
    assert_eq!(peer.await.unwrap().0, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_goes_on_when_all_senders_are_dropped_wherever_that_is() {
    let script = script();
    for cut in 0..=script.len() {
        let (ws, mut peer) = server(4096);
        let another = ws.sender();
        let (sender, mut receiver) = ws.split();
        peer.write_all(&script[..cut]).await.unwrap();
        let first = tokio::time::timeout(Duration::ZERO, receiver.recv()).await;
        drop((sender, another));
        peer.write_all(&script[cut..]).await.unwrap();
        let mut received: Vec<_> = first.into_iter().map(|first| first.unwrap().unwrap()).collect();
        let reading = async {
            for _ in 0..3 {
                match soon(receiver.recv()).await.unwrap() {
                    Some(message) => received.push(message),
                    None => break,
                }
            }
        };
        tokio::join!(reading, answers_to_the_script(&mut peer));
        assert_eq!(received, ["你好".into(), Message::from("more")], "{cut}");
        assert_eq!(receiver.close_reason().unwrap().to_string(), "4000: enough");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_to_be_dropped_says_close_1001_whichever_it_is() {
    for last in 0..4 {
        let (ws, mut peer) = server(4096);
        let clone = ws.sender();
        let (sender, receiver) = ws.split();
        let mut handles: Vec<Box<dyn std::any::Any + Send>> =
            vec![Box::new(clone.clone()), Box::new(clone), Box::new(sender), Box::new(receiver)];
        let last = handles.remove(last);
        drop(handles);
        others_wait().await;
        assert!(tokio::time::timeout(Duration::ZERO, read_frame(&mut peer)).await.is_err(), "it is open");
        drop(last);
        assert_eq!(soon(read_close(&mut peer)).await, (1001, String::new()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_websocket_dropped_with_a_full_wire_delivers_all_it_accepted_and_then_1001() {
    for capacity in [1, 10, 1000] {
        let (ws, mut peer) = server(capacity);
        for number in 0..50 {
            ws.send(format!("message {number}")).await.unwrap();
        }
        drop(ws);
        for number in 0..50 {
            assert_eq!(next_text(&mut peer).await, format!("message {number}"));
        }
        assert_eq!(soon(read_close(&mut peer)).await, (1001, String::new()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_send_accepted_is_written_without_any_further_call() {
    let (ws, mut peer) = server(10);
    ws.send("x".repeat(1000)).await.unwrap();
    ws.try_send("tried").unwrap();
    assert_eq!(next_text(&mut peer).await.len(), 1000);
    assert_eq!(next_text(&mut peer).await, "tried");
    // And again, after the task that wrote it has gone.
    others_wait().await;
    ws.send("y".repeat(1000)).await.unwrap();
    assert_eq!(next_text(&mut peer).await.len(), 1000);
    assert_eq!(ws.sender().queued_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn close_behind_a_full_queue_delivers_everything_first() {
    let (ws, mut peer) = with_limits(10, Limits::default().queue(500));
    let mut accepted = 0;
    while ws.try_send(format!("message {accepted:3}")).is_ok() {
        accepted += 1;
        assert!(accepted < 100);
    }
    let closing = tokio::spawn(async move { ws.close(CloseCode::from(4001), "that was all").await });
    for number in 0..accepted {
        assert_eq!(next_text(&mut peer).await, format!("message {number:3}"));
    }
    let (_, opcode, payload) = soon(read_frame(&mut peer)).await.unwrap();
    assert_eq!((opcode, &payload[2..]), (Opcode::CLOSE, &b"that was all"[..]));
    peer.write_all(&close_frame(4001, "")).await.unwrap();
    peer.shutdown().await.unwrap();
    soon(closing).await.unwrap().unwrap();
}
