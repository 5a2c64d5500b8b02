//! Halves in other tasks, and what is left of a drive that was dropped.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use super::{counted, next, next_text, ping};
use crate::support::{close_frame, in_time, open, others_wait, read_close, server, soon, start, text};
use sockeye::{ClosedBy, Limits, Role, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;

#[tokio::test(start_paused = true)]
async fn a_half_in_a_spawned_task_writes_at_once() {
    let (ws, calls, _peer) = counted();
    sockeye::drive(async {
        ws.send("of the handler").await.unwrap();
        let (sender, calls) = (ws.sender(), calls.clone());
        tokio::spawn(async move {
            calls.take_writes();
            for message in ["one", "two"] {
                sender.send(message).await.unwrap();
                assert_eq!(calls.take_writes(), [message.len() + 2]);
            }
        })
        .await
        .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_receiver_in_a_spawned_task_goes_on_while_the_handler_sleeps_and_after_it() {
    let (wake, woken) = oneshot::channel::<()>();
    let once = Arc::new(Mutex::new(Some(woken)));
    let handler = move |ws: WebSocket| {
        let woken = once.lock().unwrap().take().unwrap();
        async move {
            let (sender, mut receiver) = ws.split();
            let echo = sender.clone();
            tokio::spawn(async move {
                while let Ok(Some(message)) = receiver.recv().await {
                    echo.send(message).await.unwrap();
                }
            });
            sender.send("asleep").await?;
            drop(woken.await);
            Ok(sender.send("gone").await?)
        }
    };
    let address = start(|listener| sockeye::serve(listener, handler)).await;
    let mut peer = open(address).await;
    assert_eq!(next_text(&mut peer).await, "asleep");
    for number in 0..20 {
        peer.write_all(&text(&number.to_string())).await.unwrap();
        assert_eq!(next_text(&mut peer).await, number.to_string());
    }
    wake.send(()).unwrap();
    assert_eq!(next_text(&mut peer).await, "gone");
    for number in 0..20 {
        peer.write_all(&[text(&number.to_string()), ping("?")].concat()).await.unwrap();
        let answers = [next(&mut peer).await, next(&mut peer).await];
        assert!(answers.contains(&(Opcode::TEXT, number.to_string())), "{answers:?}");
        assert!(answers.contains(&(Opcode::PONG, "?".into())), "{answers:?}");
    }
    peer.write_all(&close_frame(4000)).await.unwrap();
    assert_eq!(in_time(read_close(&mut peer)).await.0, 4000, "the new owner closes");
}

#[tokio::test(start_paused = true)]
async fn senders_in_other_tasks_have_their_turn_while_the_driven_one_sleeps() {
    let (near, mut peer) = tokio::io::duplex(16);
    let ws = WebSocket::from_stream(near, Role::Server, Limits::default().queue(100));
    let senders: Vec<_> = (0..4).map(|_| ws.sender()).collect();
    let driven = tokio::spawn(sockeye::drive(async move {
        ws.send("x".repeat(90)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        ws
    }));
    others_wait().await;
    for (number, sender) in senders.into_iter().enumerate() {
        tokio::spawn(async move { sender.send(number.to_string().repeat(90)).await.unwrap() });
    }
    others_wait().await;
    assert_eq!(soon(next_text(&mut peer)).await, "x".repeat(90));
    for number in 0..4 {
        assert_eq!(soon(next_text(&mut peer)).await, number.to_string().repeat(90));
    }
    drop(driven.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_elsewhere_are_woken_when_the_driven_future_is_dropped() {
    let (near, mut peer) = tokio::io::duplex(64);
    let ws = WebSocket::from_stream(near, Role::Server, Limits::default().queue(100));
    let (sender, watching) = (ws.sender(), ws.sender());
    let (own, mut receiver) = ws.split();
    let driven = tokio::spawn(sockeye::drive(async move {
        own.send("x".repeat(90)).await.unwrap();
        pending::<()>().await;
    }));
    others_wait().await;
    let sending = tokio::spawn(async move { sender.send("y".repeat(90)).await });
    let watching = tokio::spawn(async move { watching.closed().await });
    let reading = tokio::spawn(async move { receiver.recv().await });
    others_wait().await;
    driven.abort();
    others_wait().await;
    assert_eq!(soon(next_text(&mut peer)).await, "x".repeat(90));
    assert_eq!(soon(next_text(&mut peer)).await, "y".repeat(90));
    soon(sending).await.unwrap().unwrap();
    peer.write_all(&text("read by whom it was for")).await.unwrap();
    assert_eq!(soon(reading).await.unwrap().unwrap(), Some("read by whom it was for".into()));
    drop(peer);
    assert_eq!(soon(watching).await.unwrap().by(), ClosedBy::Nobody);
}

#[tokio::test(start_paused = true)]
async fn a_drive_that_is_dropped_leaves_its_connection_to_be_used_without() {
    for sent in [false, true] {
        let (mut ws, mut peer) = server(4096);
        let dropped = tokio::time::timeout(
            Duration::from_millis(10),
            sockeye::drive(async {
                if sent {
                    ws.send("driven").await.unwrap();
                }
                ws.recv().await.unwrap()
            }),
        );
        assert!(dropped.await.is_err());
        if sent {
            assert_eq!(next_text(&mut peer).await, "driven");
        }
        ws.send("undriven").await.unwrap();
        assert_eq!(soon(next_text(&mut peer)).await, "undriven");
        peer.write_all(&text("heard")).await.unwrap();
        assert_eq!(soon(ws.recv()).await.unwrap(), Some("heard".into()));
        // And driven again.
        let mut ws = sockeye::drive(async move {
            ws.send("again").await.unwrap();
            ws
        })
        .await;
        assert_eq!(soon(next_text(&mut peer)).await, "again");
        peer.write_all(&text("and again")).await.unwrap();
        assert_eq!(soon(ws.recv()).await.unwrap(), Some("and again".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dropped_drive_has_accepted_is_written_nonetheless() {
    let (ws, mut peer) = server(4096);
    {
        // Queued in a poll of an outer future that never waits before the drive is gone.
        let mut driven = pin!(sockeye::drive(async {
            ws.send("accepted").await.unwrap();
            pending::<()>().await;
        }));
        poll_fn(|cx| Poll::Ready(driven.as_mut().poll(cx).is_ready())).await;
    }
    assert_eq!(soon(next_text(&mut peer)).await, "accepted");
}

#[tokio::test(start_paused = true)]
async fn what_a_dropped_drive_has_accepted_for_a_full_wire_is_written_nonetheless() {
    let (ws, mut peer) = server(16);
    {
        let mut driven = pin!(sockeye::drive(async {
            ws.send("accepted".repeat(100)).await.unwrap();
            pending::<()>().await;
        }));
        poll_fn(|cx| Poll::Ready(driven.as_mut().poll(cx).is_ready())).await;
    }
    // `Ok` from send: it will be written without any further call.
    assert_eq!(soon(next_text(&mut peer)).await, "accepted".repeat(100));
}

#[tokio::test(start_paused = true)]
async fn what_an_ended_drive_has_accepted_for_a_full_wire_is_written_nonetheless() {
    let (ws, mut peer) = server(16);
    sockeye::drive(async {
        ws.send("accepted".repeat(100)).await.unwrap();
    })
    .await;
    assert_eq!(soon(next_text(&mut peer)).await, "accepted".repeat(100));
    drop(ws);
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_comes_between_a_connection_s_first_use_and_the_end_of_that_poll_is_answered() {
    let (ws, mut peer) = server(1024);
    sockeye::drive(async {
        {
            // Nothing is left to do, and who is woken by what comes next is gone before it comes.
            let mut closed = pin!(ws.closed());
            let ended = poll_fn(|cx| Poll::Ready(closed.as_mut().poll(cx))).await;
            assert!(ended.is_pending());
        }
        peer.write_all(&ping("there?")).await.unwrap();
        assert_eq!(soon(next(&mut peer)).await, (Opcode::PONG, "there?".into()));
    })
    .await;
}
