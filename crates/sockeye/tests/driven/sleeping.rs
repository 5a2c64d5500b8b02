//! What goes on while a handler waits for something else.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{answered_close, next, next_text, ping};
use crate::support::{client_frame, close_frame, in_time, open, read_close, read_frame, server, soon, start, text};
use sockeye::{ClosedBy, Error, HandlerResult, Limits, Role, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::yield_now;

/// Serves one connection with a handler that sleeps until it is told to go on.
async fn sleeper<F>(go_on: impl FnOnce(WebSocket) -> F + Send + 'static) -> (TcpStream, oneshot::Sender<()>)
where
    F: Future<Output = HandlerResult> + Send + 'static,
{
    let (wake, woken) = oneshot::channel::<()>();
    let once = Arc::new(Mutex::new(Some((woken, go_on))));
    let handler = move |ws: WebSocket| {
        let (woken, go_on) = once.lock().unwrap().take().expect("one connection");
        async move {
            drop(woken.await);
            go_on(ws).await
        }
    };
    let address = start(|listener| sockeye::serve(listener, handler)).await;
    (open(address).await, wake)
}

#[tokio::test]
async fn a_sleeping_handler_answers_pings_and_finds_the_messages_when_it_wakes() {
    let (mut peer, wake) = sleeper(|mut ws| async move {
        for expected in ["one", "two"] {
            assert_eq!(ws.recv().await?, Some(expected.into()));
        }
        Ok(ws.send("both were there").await?)
    })
    .await;
    for (message, payload) in [("one", "1"), ("two", "2")] {
        peer.write_all(&[text(message), ping(payload)].concat()).await.unwrap();
        assert_eq!(next(&mut peer).await, (Opcode::PONG, payload.into()));
    }
    wake.send(()).unwrap();
    assert_eq!(next_text(&mut peer).await, "both were there");
    assert_eq!(answered_close(&mut peer).await, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_next_message_was_read_before_it_was_driven_is_driven_all_the_same() {
    let (near, mut far) = tokio::io::duplex(4096);
    let mut ws = WebSocket::from_stream(near, Role::Server, Limits::default());
    far.write_all(&[text("one"), text("two")].concat()).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("one".into()));
    let driven = tokio::spawn(sockeye::drive(async move {
        assert_eq!(ws.recv().await.unwrap(), Some("two".into()));
        tokio::time::sleep(Duration::from_secs(5)).await;
    }));
    yield_now().await;
    far.write_all(&ping("there?")).await.unwrap();
    assert_eq!(soon(read_frame(&mut far)).await, Some((true, Opcode::PONG, b"there?".to_vec())));
    driven.await.unwrap();
}

#[tokio::test]
async fn a_sleeping_handler_answers_close_and_learns_of_it_when_it_wakes() {
    let (told, tell) = oneshot::channel();
    let (mut peer, wake) = sleeper(|mut ws| async move {
        let sent = ws.send("too late").await;
        told.send((matches!(sent, Err(Error::Closed)), ws.recv().await, ws.close_reason())).unwrap();
        Ok(())
    })
    .await;
    peer.write_all(&[text("last words"), close_frame(4000)].concat()).await.unwrap();
    assert_eq!(in_time(read_close(&mut peer)).await.0, 4000);
    wake.send(()).unwrap();
    let (refused, received, reason) = in_time(tell).await.unwrap();
    assert!(refused, "nothing can be sent any more");
    assert_eq!(received.unwrap(), Some("last words".into()));
    assert_eq!(reason.unwrap().code().as_u16(), 4000);
}

#[tokio::test(start_paused = true)]
async fn two_sleeping_ends_keep_each_other_alive() {
    let (near, far) = tokio::io::duplex(4096);
    let ends = [(near, Role::Client), (far, Role::Server)].map(|(stream, role)| {
        let ws = WebSocket::from_stream(stream, role, Limits::default());
        tokio::spawn(sockeye::drive(async move {
            ws.send("first").await.unwrap();
            tokio::time::sleep(Duration::from_secs(3600)).await;
            assert!(ws.latency().is_some(), "Pings were answered");
            ws.send("an hour later").await.unwrap();
            ws
        }))
    });
    for end in ends {
        let mut ws = end.await.unwrap();
        assert_eq!(soon(ws.recv()).await.unwrap(), Some("first".into()));
        assert_eq!(soon(ws.recv()).await.unwrap(), Some("an hour later".into()));
        std::mem::forget(ws);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_end_gives_up_a_peer_that_is_silent() {
    let (ws, peer) = server(4096);
    let sender = ws.sender();
    let started = tokio::time::Instant::now();
    let sleeping = tokio::spawn(sockeye::drive(async move {
        ws.send("first").await.unwrap();
        tokio::time::sleep(Duration::from_secs(600)).await;
        ws.send("too late").await
    }));
    let closed = sender.closed().await;
    assert_eq!((closed.by(), started.elapsed().as_secs()), (ClosedBy::Nobody, 40));
    assert!(matches!(sleeping.await.unwrap(), Err(Error::Closed)));
    drop(peer);
}

/// Writes until the other end takes no more; how much it took.
async fn fill(peer: &mut DuplexStream, bytes: &[u8]) -> usize {
    let mut taken = 0;
    while taken < bytes.len() {
        match tokio::time::timeout(Duration::from_millis(1), peer.write(&bytes[taken..])).await {
            Ok(count) => taken += count.unwrap(),
            Err(_) => break,
        }
    }
    taken
}

#[tokio::test(start_paused = true)]
async fn reading_ahead_stops_at_64_kib_and_goes_on_with_nothing_lost() {
    const WIRE: usize = 1024;
    for size in [0, 1, 100, 1000, 60_000, 100_000, 1_000_000] {
        let (mut ws, mut peer) = server(WIRE);
        let (wake, woken) = oneshot::channel::<()>();
        let count = 4_000_000 / (size + 40);
        let handler = tokio::spawn(sockeye::drive(async move {
            ws.send("awake").await.unwrap();
            drop(woken.await);
            for number in 0..count {
                let message = ws.recv().await.unwrap().expect("nothing is lost").into_bytes();
                assert!(message.len() == size && message.iter().all(|byte| *byte == number as u8), "{number}");
                if number % 100 == 0 {
                    yield_now().await;
                }
            }
            ws.recv().await.unwrap()
        }));
        let script: Vec<u8> = (0..count)
            .flat_map(|number| client_frame(true, Opcode::BINARY, &vec![number as u8; size]))
            .chain(text("the end"))
            .collect();
        let taken = fill(&mut peer, &script).await;
        // A read of up to 64 KiB more may lie between the wire and the messages.
        assert!(taken < 3 * (64 << 10), "{taken} bytes were taken of a sleeping handler's messages of {size}");
        assert!(taken > WIRE + if size < 1000 { 8_000 } else { 60_000 }, "only {taken} bytes were taken: {size}");
        assert_eq!(next_text(&mut peer).await, "awake");
        wake.send(()).unwrap();
        in_time(peer.write_all(&script[taken..])).await.unwrap();
        assert_eq!(soon(handler).await.unwrap(), Some("the end".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_handler_that_holds_its_peer_back_does_not_give_it_up() {
    let (mut ws, mut peer) = server(1024);
    let handler = tokio::spawn(sockeye::drive(async move {
        ws.send("awake").await.unwrap();
        // Nothing of what the peer sends can be read, its Pongs neither.
        tokio::time::sleep(Duration::from_secs(300)).await;
        let mut count = 0;
        while let Some(message) = ws.recv().await? {
            count += message.len();
        }
        Ok::<_, Error>(count)
    }));
    let script = client_frame(true, Opcode::BINARY, &[7; 1000]).repeat(1000);
    let taken = fill(&mut peer, &script).await;
    assert!(taken < script.len());
    let (mut reading, mut writing) = tokio::io::split(peer);
    let rest = script[taken..].to_vec();
    let writing = tokio::spawn(async move {
        writing.write_all(&rest).await.unwrap();
        writing.write_all(&close_frame(1000)).await.unwrap();
        writing.shutdown().await.unwrap();
    });
    for _ in 0..1000 {
        match read_frame(&mut reading).await {
            Some((_, opcode, payload)) if opcode == Opcode::CLOSE => {
                assert_eq!(payload, 1000_u16.to_be_bytes());
                break;
            }
            Some(_) => {}
            None => panic!("no Close came"),
        }
    }
    writing.await.unwrap();
    assert_eq!(soon(handler).await.unwrap().unwrap(), 1_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_sleeps_over_a_stream_has_256_kib_of_it_read_and_no_more() {
    const WIRE: usize = 1024;
    const SIZE: usize = 4 << 20;
    let (mut ws, mut peer) = server(WIRE);
    let (wake, woken) = oneshot::channel::<()>();
    let handler = tokio::spawn(sockeye::drive(async move {
        let mut stream = ws.recv_stream().await.unwrap().expect("a message begins");
        let mut read = stream.read_piece().await.unwrap().expect("a piece of it").len();
        drop(woken.await);
        while let Some(piece) = stream.read_piece().await.unwrap() {
            read += piece.len();
        }
        read
    }));
    let frame = client_frame(true, Opcode::BINARY, &vec![7; SIZE]);
    let taken = fill(&mut peer, &frame).await;
    // Beside what is held: the piece that was read, as much as the wire holds, and a read of up to 64 KiB.
    let held = 256 << 10;
    assert!((held..held + (64 << 10) + 3 * WIRE).contains(&taken), "{taken} bytes were taken");
    wake.send(()).unwrap();
    in_time(peer.write_all(&frame[taken..])).await.unwrap();
    assert_eq!(soon(handler).await.unwrap(), SIZE);
}
