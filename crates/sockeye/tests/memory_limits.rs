//! What many connections hold in all, and what an idle one does: nothing.

#[path = "support/heap.rs"]
mod heap;
mod support;

use core::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sockeye::{
    Budget, CloseCode, Error, ErrorKind, LimitExceeded, Limits, Message, ProtocolError, Role, Upgrader, WebSocket,
};
use sockeye_proto::frame::Opcode;
use support::{client_frame, exchange, read_close, read_frame, request};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, sleep, timeout};

/// A server's end of a connection under a budget, which nobody drives, and the peer's end of the wire.
async fn opened(upgrader: Upgrader, capacity: usize) -> (WebSocket, DuplexStream) {
    let (near, mut far) = tokio::io::duplex(capacity);
    let (give, mut given) = unbounded_channel();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let upgrade = upgrader.upgrade(&mut request).expect("a good request");
        let give = give.clone();
        let response: Response<Empty<Bytes>> = upgrade.on_upgrade(|ws| async move {
            give.send(ws).unwrap();
            Ok(())
        });
        core::future::ready(Ok::<_, Infallible>(response))
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(near), service);
    tokio::spawn(connection.with_upgrades());
    let head = exchange(&mut far, request("").as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    (given.recv().await.unwrap(), far)
}

/// Lets all tasks do what they can.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_100_connections_that_hold_half_a_message_each_only_the_one_that_goes_over_the_budget_is_failed() {
    const HALF: usize = 8_000;
    let budget = Budget::new(100 * HALF);
    let mut peers = Vec::new();
    let mut servers = Vec::new();
    let message = client_frame(true, Opcode::BINARY, &[7; 2 * HALF]);
    let half = message.len() - HALF;
    for _ in 0..100 {
        let (mut ws, mut peer) = opened(Upgrader::default().budget(&budget), 64 << 10).await;
        servers.push(tokio::spawn(async move {
            let mut messages = 0;
            loop {
                match ws.recv().await {
                    Ok(Some(message)) => {
                        assert_eq!(message.len(), 2 * HALF);
                        messages += 1;
                        ws.send("thanks").await.unwrap();
                    }
                    Ok(None) => return (messages, None),
                    Err(error) => return (messages, Some(error)),
                }
            }
        }));
        peer.write_all(&message[..half]).await.unwrap();
        peers.push(peer);
    }
    settle().await;
    assert_eq!(budget.used(), budget.limit(), "all is used, and none is over it");

    // The first one sends one byte more. It is told at once, whatever else it does or does not do.
    let over = Instant::now();
    peers[0].write_all(&message[half..=half]).await.unwrap();
    let (code, reason) = read_close(&mut peers[0]).await;
    assert_eq!((code, over.elapsed()), (1013, Duration::ZERO), "{reason}");
    drop(peers.remove(0));
    let (messages, error) = servers.remove(0).await.unwrap();
    let error = error.expect("an error");
    let limit = ProtocolError::Limit(LimitExceeded::Budget { limit: 100 * HALF });
    assert!(messages == 0 && matches!(error, Error::Protocol(given) if given == limit), "{error:?}");
    assert_eq!((error.kind(), error.close_code()), (ErrorKind::Peer, Some(CloseCode::TRY_AGAIN_LATER)));
    assert_eq!(budget.used(), 99 * HALF);

    // The others live, and finish what they have begun, one after the other.
    for peer in &mut peers {
        peer.write_all(&message[half..]).await.unwrap();
        assert_eq!(read_frame(peer).await, Some((true, Opcode::TEXT, b"thanks".to_vec())));
        assert!(budget.used() < budget.limit());
    }
    settle().await;
    assert_eq!(budget.used(), 0, "those that are idle hold nothing");

    // And all may begin again; half of what has come is given back when they are gone.
    for peer in &mut peers {
        peer.write_all(&message[..half]).await.unwrap();
    }
    settle().await;
    assert_eq!(budget.used(), 99 * HALF);
    drop(peers);
    for server in servers {
        let (messages, error) = server.await.unwrap();
        assert!(messages == 1 && matches!(error, Some(Error::Aborted)), "{error:?}");
    }
    assert_eq!(budget.used(), 0, "all are gone");
}

#[tokio::test(start_paused = true)]
async fn sends_over_the_budget_wait_until_their_own_queue_is_written_and_go_on() {
    let budget = Budget::new(100_000);
    let upgrader = Upgrader::default().budget(&budget).limits(Limits::default().ping(None));
    let (greedy, mut slow) = opened(upgrader.clone(), 256).await;
    greedy.send(vec![0; 150_000]).await.unwrap();
    let held = budget.used();
    assert!(held > budget.limit(), "one message goes alone, whatever its size");

    let (ws, mut peer) = opened(upgrader, 256).await;
    ws.send(vec![1; 1000]).await.unwrap();
    assert!(timeout(Duration::from_secs(60), ws.send(vec![2; 1000])).await.is_err(), "it waits");
    assert!(ws.try_send("no").is_err());
    let sending = tokio::spawn(async move {
        for number in 2..=10 {
            ws.send(vec![number; 1000]).await.unwrap();
        }
        ws
    });
    for number in 1..=10 {
        sleep(Duration::from_secs(1)).await;
        let (_, _, payload) = read_frame(&mut peer).await.unwrap();
        assert!(payload == [number; 1000], "message {number}");
        assert!(budget.used() > budget.limit(), "while the other one holds all there is");
    }
    let ws = sending.await.unwrap();

    let (_, _, payload) = read_frame(&mut slow).await.unwrap();
    assert_eq!(payload.len(), 150_000);
    settle().await;
    assert_eq!(budget.used(), 0);
    drop((ws, greedy));
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_nobody_takes_counts_until_it_is_dropped_with_its_connection() {
    let budget = Budget::new(1 << 20);
    let (ws, mut peer) = opened(Upgrader::default().budget(&budget), 64 << 10).await;
    peer.write_all(&client_frame(true, Opcode::BINARY, &[0; 30_000])).await.unwrap();
    // It is read ahead, and given to nobody.
    assert!(timeout(Duration::from_secs(1), ws.closed()).await.is_err());
    assert!((30_000..31_000).contains(&budget.used()), "{}", budget.used());
    drop(ws);
    drop(peer);
    settle().await;
    assert_eq!(budget.used(), 0);
}

/// A thread keeps one small buffer for whatever connection writes next.
const KEPT: usize = 4 << 10;

/// Both ends of a connection over TCP, whose buffers are the system's.
async fn over_tcp() -> (WebSocket, WebSocket) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let end = |stream, role| WebSocket::from_stream(stream, role, Limits::default());
    (end(client, Role::Client), end(server, Role::Server))
}

/// Sends a message there and back.
async fn there_and_back(client: &mut WebSocket, server: &mut WebSocket, len: usize) {
    let echo = async {
        let message = server.recv().await.unwrap().expect("a message");
        server.send(message).await.unwrap();
        // Whoever has sent more than the system takes has it written while it waits for something.
        server.flush().await.unwrap();
    };
    let ask = async {
        client.send(vec![7; len]).await.unwrap();
        assert_eq!(client.recv().await.unwrap().map(|message| message.len()), Some(len));
    };
    tokio::join!(echo, ask);
}

#[test]
fn a_connection_whose_last_read_ended_within_a_frame_holds_no_more_than_what_it_has_of_that() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (near, mut far) = tokio::io::duplex(64 << 10);
        let mut ws = WebSocket::from_stream(near, Role::Server, Limits::default());
        let frame = client_frame(true, Opcode::BINARY, &[7; 100]);
        let batch = frame.repeat(500);
        let mut before = 0;
        // The first time the pipe makes its buffer.
        for rest in [&frame[..], &frame[..1]] {
            far.write_all(&[&batch, rest].concat()).await.unwrap();
            for _ in 0..500 {
                ws.recv().await.unwrap();
            }
            if rest == frame {
                ws.recv().await.unwrap();
                before = heap::held();
            }
        }
        assert!(timeout(Duration::from_millis(10), ws.recv()).await.is_err());
        let held = heap::held() - before;
        assert!(held < 4 << 10, "{held} bytes");
    });
}

#[test]
fn an_idle_connection_holds_after_a_thousand_messages_and_a_mebibyte_what_it_held_before() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // The thread's own buffer, and what else is made once.
        let (mut client, mut server) = over_tcp().await;
        there_and_back(&mut client, &mut server, 1 << 20).await;
        drop((client, server));
        settle().await;

        let without = heap::held();
        let (mut client, mut server) = over_tcp().await;
        let fresh = heap::held() - without;
        there_and_back(&mut client, &mut server, 1).await;
        let before = heap::held() - without;
        for _ in 0..1000 {
            there_and_back(&mut client, &mut server, 1024).await;
        }
        heap::forget_peak();
        there_and_back(&mut client, &mut server, 1 << 20).await;
        let peak = heap::peak() - without;
        let after = heap::held() - without;
        println!("both ends: {fresh} bytes fresh, {before} used once, {after} used much, {peak} with 1 MiB on its way");
        assert!((after - before).unsigned_abs() <= KEPT, "{before} bytes before, {after} after");
        assert!(after < 8 << 10, "{after} bytes");
        drop((client, server));
        settle().await;
        assert!((heap::held() - without).unsigned_abs() <= KEPT, "all is given back");
    });
}

#[test]
fn a_message_that_was_taken_holds_at_most_twice_its_bytes_and_gives_them_back() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut client, mut server) = over_tcp().await;
        there_and_back(&mut client, &mut server, 1 << 20).await;
        there_and_back(&mut client, &mut server, 1).await;
        for len in [1, 1000, 5000, 100_000, 1 << 20] {
            let before = heap::held();
            let (sent, received) = tokio::join!(
                async {
                    client.send(vec![7; len]).await.unwrap();
                    client.flush().await
                },
                server.recv()
            );
            sent.unwrap();
            let message = received.unwrap().expect("a message");
            let held = heap::held() - before;
            println!("{len} bytes: {held} held");
            assert!(held <= (2 * len + KEPT).cast_signed(), "{len} bytes: {held} held");
            assert!(matches!(&message, Message::Binary(bytes) if bytes.len() == len));
            drop(message);
            assert!((heap::held() - before).unsigned_abs() <= KEPT, "{len} bytes");
        }
    });
}
