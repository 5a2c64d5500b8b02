//! How it ends.

use std::time::Duration;

use super::{accept, close, connected, events, quick, receive, serving};
use crate::support::{in_time, read_frame, server_frame};
use sockeye::reconnect::{Backoff, EndedBy, Event};
use sockeye::{CloseCode, Error, HandshakeError, Message};
use sockeye_proto::frame::Opcode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

#[tokio::test]
async fn closing_sends_what_is_queued_and_without_a_connection_gives_it_back() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |_, mut stream, head| {
        let tell = tell.clone();
        async move {
            accept(&mut stream, &head).await;
            receive(stream, tell).await;
        }
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    connected(&mut ws).await;
    for number in 0..100 {
        ws.try_send(number.to_string()).unwrap();
    }
    assert!(matches!(ws.close(CloseCode::NO_STATUS_RECEIVED, "").await, Err(Error::InvalidClose(_))));
    let ended = in_time(ws.close(CloseCode::NORMAL, "bye")).await.unwrap();
    assert_eq!((ended.by(), ended.unsent().len()), (EndedBy::Us, 0));
    for number in 0..100 {
        assert_eq!(told.recv().await.unwrap(), number.to_string());
    }
    assert_eq!(events(&mut ws, 100).await, ["disconnected 1000", "ended Us"]);
    assert_eq!(in_time(ws.close(CloseCode::NORMAL, "again")).await.unwrap(), ended);

    // A port that was just free.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let backoff = Backoff::default().first(Duration::from_secs(3600)).most(Duration::from_secs(3600));
    let mut ws = sockeye::connect(format!("ws://{closed}/")).reconnect(backoff).start();
    ws.send("one").await.unwrap();
    ws.send("two").await.unwrap();
    assert_eq!(events(&mut ws, 3).await, ["connecting 1", "failed 1", "waiting"]);
    let ended = in_time(ws.close(CloseCode::NORMAL, "")).await.unwrap();
    assert_eq!(ended.unsent(), [(0, Message::from("one")), (1, Message::from("two"))]);
}

#[tokio::test]
async fn a_hook_or_a_server_that_never_answers_does_not_keep_it_from_being_closed() {
    let ws =
        sockeye::connect("ws://127.0.0.1:9/").reconnect(quick()).before_each(|_, _| core::future::pending()).start();
    assert_eq!(in_time(ws.close(CloseCode::NORMAL, "")).await.unwrap().by(), EndedBy::Us);
    let address = serving(|_, stream, _| async move {
        core::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    assert_eq!(events(&mut ws, 1).await, ["connecting 1"]);
    assert_eq!(in_time(ws.close(CloseCode::NORMAL, "")).await.unwrap().by(), EndedBy::Us);
}

#[tokio::test]
async fn who_drops_it_closes_it_with_1001_behind_what_was_accepted() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |_, mut stream, head| {
        let tell = tell.clone();
        async move {
            accept(&mut stream, &head).await;
            while let Some((_, opcode, payload)) = read_frame(&mut stream).await {
                let text = String::from_utf8_lossy(&payload).into_owned();
                tell.send(if opcode == Opcode::CLOSE { format!("{payload:?}") } else { text }).unwrap();
            }
        }
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    connected(&mut ws).await;
    ws.try_send("one").unwrap();
    ws.try_send("two").unwrap();
    drop(ws);
    for expected in ["one", "two", "[3, 233]"] {
        assert_eq!(in_time(told.recv()).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn one_who_only_sends_drops_the_events_and_goes_on() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = serving(move |number, mut stream, head| {
        let tell = tell.clone();
        async move {
            accept(&mut stream, &head).await;
            // More than would be kept for somebody.
            for _ in 0..20 {
                stream.write_all(&server_frame(true, Opcode::TEXT, &[b'x'; 10 << 10])).await.unwrap();
            }
            if number < 3 {
                return close(&mut stream, 1012).await;
            }
            receive(stream, tell).await;
        }
    })
    .await;
    let (sender, events) = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start().split();
    drop(events);
    for number in 0.. {
        sender.send(number.to_string()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        if told.try_recv().is_ok() {
            break;
        }
    }
    assert_eq!(in_time(sender.close(CloseCode::NORMAL, "")).await.unwrap().by(), EndedBy::Us);
    assert!(matches!(sender.send("more").await, Err(Error::Closed)));
}

/// A handshake that is not the answer to our request is no network's failure.
#[tokio::test]
async fn a_wrong_answer_ends_it() {
    let address = serving(|_, mut stream, _| async move {
        let answer = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).reconnect(quick()).start();
    let mut last = None;
    while let Some(event) = in_time(ws.recv()).await {
        if let Event::Failed { error, .. } = event {
            last = Some(error);
        }
    }
    assert!(matches!(last, Some(Error::Handshake(HandshakeError::Accept))), "{last:?}");
}
