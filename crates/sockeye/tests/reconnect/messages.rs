//! What becomes of messages, and of those that wait.

use std::sync::Arc;
use std::time::Duration;

use super::{accept, answer, connected, disconnected, quick, receive, serving};
use crate::support::{in_time, read_frame, server_frame};
use sockeye::reconnect::Unsent;
use sockeye::{CloseCode, ClosedBy, Error, Limits, Message, TrySendError};
use sockeye_proto::frame::Opcode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

#[tokio::test]
async fn what_was_not_sent_is_kept_and_goes_first_on_the_next_connection() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |number, mut stream, head| {
        let tell = tell.clone();
        async move {
            if number < 3 {
                return answer(stream, "503 Service Unavailable").await;
            }
            accept(&mut stream, &head).await;
            receive(stream, tell).await;
        }
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    for number in 0..10 {
        assert_eq!(ws.send(number.to_string()).await.unwrap(), number);
    }
    connected(&mut ws).await;
    assert_eq!(ws.send("10").await.unwrap(), 10);
    for number in 0..11 {
        assert_eq!(in_time(told.recv()).await.unwrap(), number.to_string());
    }
    assert_eq!(ws.sender().queued_bytes(), 0);
    let ended = in_time(ws.close(CloseCode::NORMAL, "bye")).await.unwrap();
    assert!(ended.unsent().is_empty());
    let lost = disconnected(&mut ws).await;
    assert_eq!((lost.written(), lost.uncertain()), (0..11, 11..11), "the peer's Close says that it has read them");
    assert_eq!((lost.closed().by(), lost.closed().is_clean(), lost.error().is_none()), (ClosedBy::Us, true, true));
}

#[tokio::test]
async fn what_was_not_sent_is_given_back_where_that_is_wanted() {
    let (all_sent, is_sent) = tokio::sync::watch::channel(false);
    let address = serving(move |number, mut stream, head| {
        let mut is_sent = is_sent.clone();
        async move {
            if number > 0 {
                return answer(stream, "410 Gone").await;
            }
            accept(&mut stream, &head).await;
            // Nothing more is read, and all buffers are full.
            is_sent.wait_for(|sent| *sent).await.unwrap();
        }
    })
    .await;
    let limits = Limits::default().queue(64 << 20);
    let attempt = sockeye::connect(format!("ws://{address}/")).limits(limits);
    let mut ws = attempt.reconnect(quick()).unsent(Unsent::GiveBack).start();
    assert!(matches!(ws.send("too early").await, Err(Error::Closed)));
    match ws.try_send("too early") {
        Err(TrySendError::Closed(message)) => assert_eq!(message, Message::from("too early")),
        other => panic!("{other:?}"),
    }
    connected(&mut ws).await;
    // More than any kernel takes.
    assert_eq!(ws.send(vec![0; 32 << 20]).await.unwrap(), 0);
    for number in 1..=3u8 {
        assert_eq!(ws.send(vec![number]).await.unwrap(), u64::from(number));
    }
    // It has begun.
    while ws.sender().queued_bytes() > 3 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    all_sent.send(true).unwrap();
    let lost = disconnected(&mut ws).await;
    assert_eq!((lost.written(), lost.uncertain()), (0..1, 0..1), "{lost:?}");
    let unsent: Vec<_> =
        lost.into_unsent().into_iter().map(|(number, message)| (number, message.into_bytes())).collect();
    assert_eq!(unsent, [(1, vec![1].into()), (2, vec![2].into()), (3, vec![3].into())]);
    let ended = in_time(ws.sender().ended()).await;
    assert!(ended.unsent().is_empty());
}

#[tokio::test]
async fn a_message_of_which_a_part_has_left_is_uncertain_and_not_sent_again() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |number, mut stream, head| {
        let tell = tell.clone();
        async move {
            accept(&mut stream, &head).await;
            if number == 0 {
                // A part of it, and then a reset.
                let mut part = [0; 1000];
                tokio::io::AsyncReadExt::read_exact(&mut stream, &mut part).await.unwrap();
                stream.set_zero_linger().unwrap();
                return;
            }
            receive(stream, tell).await;
        }
    })
    .await;
    let limits = Limits::default().queue(64 << 20);
    let mut ws = sockeye::connect(format!("ws://{address}/")).limits(limits).reconnect(quick()).start();
    ws.send("x".repeat(32 << 20)).await.unwrap();
    for number in 1..=3 {
        ws.send(number.to_string()).await.unwrap();
    }
    let lost = disconnected(&mut ws).await;
    assert_eq!((lost.written(), lost.uncertain()), (0..1, 0..1));
    assert!(lost.error().is_some() && lost.unsent().is_empty());
    for number in 1..=3 {
        assert_eq!(in_time(told.recv()).await.unwrap(), number.to_string());
    }
}

#[tokio::test]
async fn what_the_peer_has_read_is_not_uncertain_and_what_came_after_is() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |number, mut stream, head| {
        let tell = tell.clone();
        async move {
            if number > 0 {
                return answer(stream, "410 Gone").await;
            }
            accept(&mut stream, &head).await;
            let mut pings = 0;
            while let Some((_, opcode, payload)) = read_frame(&mut stream).await {
                match opcode {
                    Opcode::PING => {
                        pings += 1;
                        tell.send(format!("ping {pings}")).unwrap();
                        // The third one is sent once the first two have said what they had to say.
                        if pings < 3 {
                            stream.write_all(&server_frame(true, Opcode::PONG, &payload)).await.unwrap();
                        }
                    }
                    _ if payload == b"last" => return,
                    _ => tell.send(String::from_utf8(payload).unwrap()).unwrap(),
                }
            }
        }
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    for number in 0..5 {
        ws.send(number.to_string()).await.unwrap();
    }
    while in_time(told.recv()).await.unwrap() != "ping 2" {}
    ws.send("5").await.unwrap();
    while in_time(told.recv()).await.unwrap() != "ping 3" {}
    ws.send("last").await.unwrap();
    let lost = disconnected(&mut ws).await;
    assert_eq!((lost.written(), lost.uncertain()), (0..7, 5..7));
}

/// The keepalive's own, say, which went before the message.
#[tokio::test]
async fn a_pong_to_an_older_ping_proves_nothing() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let sent = Arc::new(tokio::sync::Notify::new());
    let is_sent = Arc::clone(&sent);
    let address = serving(move |number, mut stream, head| {
        let (tell, is_sent) = (tell.clone(), Arc::clone(&is_sent));
        async move {
            if number > 0 {
                return answer(stream, "410 Gone").await;
            }
            accept(&mut stream, &head).await;
            let (_, opcode, payload) = read_frame(&mut stream).await.unwrap();
            assert_eq!(opcode, Opcode::PING);
            tell.send(()).unwrap();
            is_sent.notified().await;
            // Nothing more has been read, and never will be.
            stream.write_all(&server_frame(true, Opcode::PONG, &payload)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    })
    .await;
    let limits = Limits::default().ping(Some(Duration::from_millis(50)));
    let mut ws = sockeye::connect(format!("ws://{address}/")).limits(limits).reconnect(quick()).start();
    in_time(told.recv()).await.unwrap();
    ws.send("who reads this?").await.unwrap();
    // Until it is asked for.
    tokio::time::sleep(Duration::from_millis(500)).await;
    sent.notify_one();
    assert_eq!(disconnected(&mut ws).await.uncertain(), 0..1);
}

#[tokio::test]
async fn without_pings_all_messages_of_a_connection_are_uncertain_when_it_breaks() {
    let address = serving(|number, mut stream, head| async move {
        if number > 0 {
            return answer(stream, "410 Gone").await;
        }
        accept(&mut stream, &head).await;
        while let Some((_, opcode, payload)) = read_frame(&mut stream).await {
            assert_ne!(opcode, Opcode::PING);
            if payload == b"last" {
                return;
            }
        }
    })
    .await;
    let attempt = sockeye::connect(format!("ws://{address}/")).limits(Limits::default().ping(None));
    let mut ws = attempt.reconnect(quick()).start();
    ws.send("first").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    ws.send("last").await.unwrap();
    assert_eq!(disconnected(&mut ws).await.uncertain(), 0..2);
}

// --- the queue ---

#[tokio::test]
async fn the_queue_is_bounded_and_a_message_larger_than_it_goes_alone() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (open, opened) = tokio::sync::watch::channel(false);
    let address = serving(move |_, mut stream, head| {
        let (tell, mut opened) = (tell.clone(), opened.clone());
        async move {
            opened.wait_for(|open| *open).await.unwrap();
            accept(&mut stream, &head).await;
            receive(stream, tell).await;
        }
    })
    .await;
    let attempt = sockeye::connect(format!("ws://{address}/")).limits(Limits::default().queue(10_000));
    let ws = attempt.reconnect(quick()).start();
    let mut sent = 0;
    while ws.try_send("x".repeat(100)).is_ok() {
        sent += 1;
    }
    assert!((20..100).contains(&sent), "{sent}");
    let sender = ws.sender();
    let waiting = tokio::spawn(async move {
        let large = sender.send("y".repeat(50_000)).await.unwrap();
        (large, sender.send("z").await.unwrap())
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    open.send(true).unwrap();
    assert_eq!(in_time(waiting).await.unwrap(), (sent, sent + 1));
    let mut lens = Vec::new();
    for _ in 0..sent + 2 {
        lens.push(in_time(told.recv()).await.unwrap().len());
    }
    assert_eq!(lens[lens.len() - 3..], [100, 50_000, 1]);
}

#[tokio::test]
async fn a_send_that_is_given_up_accepts_nothing() {
    // A port that was just free.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let attempt = sockeye::connect(format!("ws://{closed}/")).limits(Limits::default().queue(1000));
    let ws = attempt.reconnect(quick()).start();
    assert_eq!(ws.send("x".repeat(900)).await.unwrap(), 0);
    assert!(tokio::time::timeout(Duration::from_millis(50), ws.send("y".repeat(900))).await.is_err());
    let ended = in_time(ws.close(CloseCode::NORMAL, "")).await.unwrap();
    assert_eq!(ended.unsent(), [(0, Message::from("x".repeat(900)))]);
}

#[tokio::test]
async fn messages_that_nobody_takes_make_the_server_wait_and_pings_are_answered_meanwhile() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |_, mut stream, head| {
        let tell = tell.clone();
        async move {
            accept(&mut stream, &head).await;
            let (mut read, mut write) = stream.into_split();
            // Some of it is taken ahead, and the rest waits in the sockets' buffers.
            write.write_all(&server_frame(true, Opcode::TEXT, &[b'x'; 60 << 10])).await.unwrap();
            write.write_all(&server_frame(true, Opcode::PING, b"still there?")).await.unwrap();
            let (_, opcode, payload) = read_frame(&mut read).await.unwrap();
            tell.send((opcode, payload)).unwrap();
            let message = server_frame(true, Opcode::TEXT, &[b'x'; 10 << 10]);
            let mut sent = 0;
            while sent < 100 << 20
                && tokio::time::timeout(Duration::from_millis(500), write.write_all(&message)).await.is_ok()
            {
                sent += message.len();
            }
            tell.send((Opcode::TEXT, sent.to_be_bytes().to_vec())).unwrap();
            core::future::pending::<()>().await;
        }
    })
    .await;
    let _ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    assert_eq!(in_time(told.recv()).await.unwrap(), (Opcode::PONG, b"still there?".to_vec()));
    let (_, sent) = in_time(told.recv()).await.unwrap();
    let sent = usize::from_be_bytes(sent.try_into().unwrap());
    assert!(sent < 50 << 20, "{sent} bytes");
}
