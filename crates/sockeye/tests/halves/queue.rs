//! The queue between senders and the wire.

use std::time::Duration;

use super::{close_frame, next_text, pair, waiting, with_limits};
use crate::support::{others_wait, read_close, soon};
use sockeye::{Error, Limits, Message, Phase, TrySendError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

#[tokio::test(start_paused = true)]
async fn many_senders_lose_nothing_double_nothing_and_keep_their_order() {
    const SENDERS: usize = 8;
    const EACH: usize = 60;
    for (capacity, queue) in [(1, 40), (64, 40), (64, 1), (4096, 1 << 20)] {
        let (ws, mut peer) = with_limits(capacity, Limits::default().queue(queue));
        let (sender, receiver) = ws.split();
        let mut tasks = JoinSet::new();
        for name in 0..SENDERS {
            let sender = sender.clone();
            tasks.spawn(async move {
                for number in 0..EACH {
                    sender.send(format!("{name} {number}")).await.unwrap();
                }
            });
        }
        drop((sender, receiver));
        let mut next = [0; SENDERS];
        for _ in 0..SENDERS * EACH {
            let text = next_text(&mut peer).await;
            let (name, number) = text.split_once(' ').unwrap();
            let next = &mut next[name.parse::<usize>().unwrap()];
            assert_eq!(number.parse::<usize>().unwrap(), *next);
            *next += 1;
        }
        tasks.join_all().await;
        assert_eq!(soon(read_close(&mut peer)).await.0, 1001);
    }
}

#[tokio::test(start_paused = true)]
async fn senders_wait_for_room_in_line_and_one_who_leaves_it_takes_nobody_with_him() {
    for leaving in 0_u32..32 {
        let (ws, mut peer) = with_limits(16, Limits::default().queue(100));
        ws.send("x".repeat(90)).await.unwrap();
        let tasks = waiting(&ws.sender(), (0..5).map(|number| number.to_string().repeat(60)));
        others_wait().await;
        for (number, task) in tasks.iter().enumerate() {
            assert!(!task.is_finished(), "{number} waits");
            if leaving & 1 << number != 0 {
                task.abort();
            }
        }
        others_wait().await;
        assert_eq!(next_text(&mut peer).await, "x".repeat(90));
        for number in (0..5).filter(|number| leaving & 1 << number == 0) {
            assert_eq!(next_text(&mut peer).await, number.to_string().repeat(60), "{leaving:05b}");
        }
        others_wait().await;
        assert_eq!(ws.sender().queued_bytes(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_leaves_the_line_when_it_is_his_turn_hands_it_on() {
    for leaving in 0..3 {
        let (ws, mut peer) = with_limits(16, Limits::default().queue(100));
        ws.send("x".repeat(90)).await.unwrap();
        let tasks = waiting(&ws.sender(), (0..3).map(|number| number.to_string().repeat(60)));
        others_wait().await;
        // The peer makes room, and whoever is woken by that is gone before he runs.
        assert_eq!(peer.read_exact(&mut [0; 16]).await.unwrap(), 16);
        tasks[leaving].abort();
        let mut rest = vec![0; 92 - 16];
        soon(peer.read_exact(&mut rest)).await.unwrap();
        for number in (0..3).filter(|number| *number != leaving) {
            assert_eq!(next_text(&mut peer).await, number.to_string().repeat(60), "{leaving} left");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_larger_than_the_queue_goes_alone_and_in_its_turn() {
    let (ws, mut peer) = with_limits(16, Limits::default().queue(100));
    ws.send("x".repeat(50)).await.unwrap();
    let tasks = waiting(&ws.sender(), ["large".repeat(1000), "small".into(), "huge".repeat(9000), "last".into()]);
    others_wait().await;
    assert!(tasks.iter().all(|task| !task.is_finished()), "one is too large, the others behind it");
    assert!(matches!(ws.try_send("overtaking"), Err(TrySendError::Full(message)) if message == "overtaking".into()));
    for expected in ["x".repeat(50), "large".repeat(1000), "small".into(), "huge".repeat(9000), "last".into()] {
        assert!(next_text(&mut peer).await == expected, "{} bytes in order", expected.len());
    }
}

#[tokio::test(start_paused = true)]
async fn try_send_gives_the_message_back_when_the_queue_is_full_and_when_it_is_closed() {
    let (ws, mut peer) = with_limits(16, Limits::default().queue(100));
    ws.try_send("x".repeat(90)).unwrap();
    for size in [30, 90, 1000] {
        let message = Message::from("y".repeat(size));
        let error = ws.try_send(message.clone()).unwrap_err();
        assert_eq!(error, TrySendError::Full(message.clone()));
        assert!(error.into_message() == message);
    }
    next_text(&mut peer).await;
    others_wait().await;
    ws.try_send("again").unwrap();
    assert_eq!(next_text(&mut peer).await, "again");
    peer.write_all(&close_frame(1000, "")).await.unwrap();
    peer.shutdown().await.unwrap();
    soon(ws.closed()).await;
    assert_eq!(ws.try_send("too late"), Err(TrySendError::Closed("too late".into())));
}

#[tokio::test(start_paused = true)]
async fn send_timeout_waits_so_long_and_queues_nothing() {
    let (ws, mut peer) = with_limits(16, Limits::default().queue(100));
    ws.send_timeout("x".repeat(90), Duration::ZERO).await.expect("there is room");
    let before = (ws.sender().queued_bytes(), tokio::time::Instant::now());
    let error = ws.send_timeout("y".repeat(90), Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Phase::Sending)) && error.is_timeout(), "{error}");
    assert_eq!((ws.sender().queued_bytes(), before.1.elapsed().as_millis()), (before.0, 300));
    // Room comes while it waits: it goes.
    let sender = ws.sender();
    let sent = tokio::spawn(async move { sender.send_timeout("z".repeat(90), Duration::from_millis(300)).await });
    others_wait().await;
    assert_eq!(next_text(&mut peer).await, "x".repeat(90));
    assert_eq!(next_text(&mut peer).await, "z".repeat(90));
    sent.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn queued_bytes_are_what_waits_with_its_headers() {
    let (client, server) = pair(1 << 20, Limits::default());
    for (ws, header) in [(&client, 6), (&server, 2)] {
        assert_eq!(ws.sender().queued_bytes(), 0);
        ws.feed("").await.unwrap();
        ws.feed("abc").await.unwrap();
        assert_eq!(ws.sender().queued_bytes(), 2 * header + 3);
        ws.feed(vec![7; 200]).await.unwrap();
        assert_eq!(ws.sender().queued_bytes(), 3 * header + 2 + 203);
        soon(ws.flush()).await.unwrap();
        assert_eq!(ws.sender().queued_bytes(), 0);
    }
}
