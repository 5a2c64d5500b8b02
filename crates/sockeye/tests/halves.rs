//! One connection used from many places: its halves and senders, the queue between them and the wire, and its end as
//! each of them learns of it. Time stands still unless nothing else is left to do: whoever is not woken misses `soon`.

use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::support::{Broken, client_frame, read_close, read_frame, soon};
use sockeye::{
    CloseCode, Closed, ClosedBy, Error, Limits, Message, Phase, Role, Sender, TrySendError, WebSocket, drive,
};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::{JoinSet, yield_now};

/// A server's end over a wire that holds `capacity` bytes, and the wire's other end.
fn with_limits(capacity: usize, limits: Limits) -> (WebSocket, DuplexStream) {
    let (near, far) = tokio::io::duplex(capacity);
    (WebSocket::from_stream(near, Role::Server, limits), far)
}

fn server(capacity: usize) -> (WebSocket, DuplexStream) {
    with_limits(capacity, Limits::default())
}

fn pair(capacity: usize, limits: Limits) -> (WebSocket, WebSocket) {
    let (near, far) = tokio::io::duplex(capacity);
    (WebSocket::from_stream(near, Role::Client, limits), WebSocket::from_stream(far, Role::Server, limits))
}

/// All other tasks run until they wait.
async fn others_wait() {
    for _ in 0..50 {
        yield_now().await;
    }
}

fn text(payload: &str) -> Vec<u8> {
    client_frame(true, Opcode::TEXT, payload.as_bytes())
}

fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    client_frame(true, Opcode::CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

async fn next_text(peer: &mut DuplexStream) -> String {
    let (fin, opcode, payload) = soon(read_frame(peer)).await.expect("a frame comes");
    assert!(fin && opcode == Opcode::TEXT, "{opcode:?}");
    String::from_utf8(payload).unwrap()
}

// --- halves ---

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

// --- the queue ---

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

/// Senders that wait, in this order, on a connection whose queue is full.
fn waiting(
    sender: &Sender,
    messages: impl IntoIterator<Item = String>,
) -> Vec<tokio::task::JoinHandle<Result<(), Error>>> {
    let send = |message| {
        let sender = sender.clone();
        tokio::spawn(async move { sender.send(message).await })
    };
    messages.into_iter().map(send).collect()
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

// --- the end ---

/// How a connection ends in a test: what the peer does, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    OurClose,
    PeersClose,
    PeersEmptyClose,
    Violation,
    Abort,
    Silence,
}

const ENDS: [End; 6] = [End::OurClose, End::PeersClose, End::PeersEmptyClose, End::Violation, End::Abort, End::Silence];

/// Brings it about, from outside of all who wait. The code and reason of our Close frame, if one came.
async fn bring_about(end: End, sender: &Sender, mut peer: DuplexStream) -> Option<(u16, String)> {
    match end {
        End::OurClose => {
            let sender = sender.clone();
            let closing = tokio::spawn(async move { sender.close(CloseCode::from(4002), "ours").await });
            let frame = next_close(&mut peer).await;
            peer.write_all(&close_frame(4002, "")).await.unwrap();
            assert!(read_frame(&mut peer).await.is_none());
            closing.await.unwrap().unwrap();
            Some(frame)
        }
        End::PeersClose => {
            peer.write_all(&close_frame(4003, "theirs")).await.unwrap();
            Some(next_close(&mut peer).await)
        }
        End::PeersEmptyClose => {
            peer.write_all(&client_frame(true, Opcode::CLOSE, b"")).await.unwrap();
            assert_eq!(data_skipped(&mut peer).await, Some((true, Opcode::CLOSE, vec![])));
            None
        }
        End::Violation => {
            // A frame with RSV3 that nobody has agreed on.
            peer.write_all(&[0x91, 0x80, 0, 0, 0, 0]).await.unwrap();
            Some(next_close(&mut peer).await)
        }
        End::Abort => {
            drop(peer);
            None
        }
        End::Silence => {
            // It reads, and says nothing.
            while let Some((_, opcode, _)) = read_frame(&mut peer).await {
                assert_ne!(opcode, Opcode::CLOSE);
            }
            None
        }
    }
}

async fn data_skipped(peer: &mut DuplexStream) -> Option<(bool, Opcode, Vec<u8>)> {
    for _ in 0..10_000 {
        match read_frame(peer).await {
            Some((_, opcode, _)) if opcode != Opcode::CLOSE => {}
            other => return other,
        }
    }
    panic!("no Close came");
}

async fn next_close(peer: &mut DuplexStream) -> (u16, String) {
    let (_, _, payload) = data_skipped(peer).await.expect("a Close comes");
    (u16::from_be_bytes([payload[0], payload[1]]), String::from_utf8(payload[2..].to_vec()).unwrap())
}

fn said(closed: &Closed) -> (ClosedBy, u16, bool) {
    (closed.by(), closed.code().as_u16(), closed.is_clean())
}

#[tokio::test(start_paused = true)]
async fn every_handle_learns_how_the_connection_ended() {
    for end in ENDS {
        let (ws, peer) = server(4096);
        let (sender, mut receiver) = ws.split();
        let mut watching = JoinSet::new();
        for _ in 0..3 {
            let sender = sender.clone();
            watching.spawn(async move {
                assert!(!sender.is_closed());
                let closed = sender.closed().await;
                assert!(sender.is_closed());
                // As often as one likes to know.
                assert_eq!(soon(sender.closed()).await, closed);
                closed
            });
        }
        let reading = tokio::spawn(async move {
            let first = receiver.recv().await;
            // An error is told once; then comes the end, again and again.
            for _ in 0..3 {
                assert!(receiver.recv().await.unwrap().is_none());
            }
            (first, receiver.close_reason())
        });
        others_wait().await;
        let frame = bring_about(end, &sender, peer).await;
        let expected = match end {
            End::OurClose => (ClosedBy::Us, 4002, true),
            End::PeersClose => (ClosedBy::Peer, 4003, true),
            End::PeersEmptyClose => (ClosedBy::Peer, 1005, true),
            End::Violation => (ClosedBy::Us, 1002, false),
            End::Abort | End::Silence => (ClosedBy::Nobody, 1006, false),
        };
        for closed in soon(watching.join_all()).await {
            assert_eq!(said(&closed), expected, "{end:?}");
        }
        let (first, reason) = soon(reading).await.unwrap();
        match end {
            End::OurClose | End::PeersClose | End::PeersEmptyClose => assert_eq!(first.unwrap(), None, "{end:?}"),
            End::Violation => assert!(matches!(first, Err(Error::Protocol(_))), "{first:?}"),
            End::Abort => assert!(matches!(first, Err(Error::Aborted)), "{first:?}"),
            End::Silence => assert!(matches!(first, Err(Error::Timeout(Phase::Keepalive))), "{first:?}"),
        }
        let peer_said = reason.map(|reason| reason.code().as_u16());
        assert_eq!(
            peer_said,
            match end {
                End::OurClose => Some(4002),
                End::PeersClose => Some(4003),
                End::PeersEmptyClose => Some(1005),
                _ => None,
            }
        );
        if let Some((code, _)) = frame {
            assert_eq!(code, expected.1, "{end:?}: what was told on the wire");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_reason_in_closed_is_that_of_the_close_frame_that_began_it() {
    for end in [End::OurClose, End::PeersClose, End::Violation] {
        let (ws, peer) = server(4096);
        let sender = ws.sender();
        let watching = tokio::spawn(async move { ws.closed().await });
        others_wait().await;
        let (code, reason) = bring_about(end, &sender, peer).await.unwrap();
        let closed = soon(watching).await.unwrap();
        assert_eq!((closed.code().as_u16(), closed.reason()), (code, &reason[..]), "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_is_given_up_after_an_interval_and_a_window() {
    let (ws, peer) = server(4096);
    let started = tokio::time::Instant::now();
    let sender = ws.sender();
    let (closed, _) = tokio::join!(ws.closed(), bring_about(End::Silence, &sender, peer));
    assert_eq!(said(&closed), (ClosedBy::Nobody, 1006, false));
    assert_eq!(started.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_waited_for_ends_when_the_connection_does() {
    for end in ENDS {
        // The peer does not read, and the queue is full.
        let (ws, peer) = with_limits(64, Limits::default().queue(100));
        let (sender, mut receiver) = ws.split();
        sender.send("x".repeat(300)).await.unwrap();
        let mut sends = JoinSet::new();
        for _ in 0..3 {
            let sender = sender.clone();
            sends.spawn(async move { sender.send("never".repeat(50)).await });
        }
        let spawned = sender.clone();
        let pinging = tokio::spawn(async move { spawned.ping().await });
        let spawned = sender.clone();
        let flushing = tokio::spawn(async move { spawned.flush().await });
        let spawned = sender.clone();
        let watching = tokio::spawn(async move { spawned.closed().await });
        let reading = tokio::spawn(async move {
            let ended = receiver.recv().await;
            assert!(matches!(ended, Ok(None) | Err(_)), "no message comes");
        });
        others_wait().await;
        assert!(!flushing.is_finished() && sends.try_join_next().is_none(), "they wait");
        bring_about(end, &sender, peer).await;
        soon(watching).await.unwrap();
        soon(reading).await.unwrap();
        let pinged = soon(pinging).await.unwrap();
        assert!(pinged.is_err(), "{end:?}: nobody answered");
        let flushed = soon(flushing).await.unwrap();
        // Where the peer read everything, all that was accepted was written.
        assert_eq!(flushed.is_ok(), end != End::Abort, "{end:?} {flushed:?}");
        for sent in soon(sends.join_all()).await {
            // A peer that reads and then falls silent has read them.
            match end {
                End::Silence => sent.unwrap(),
                End::Abort => assert!(matches!(sent, Err(Error::Closed | Error::Io(_))), "{sent:?}"),
                // Room came before the Close did, or it did not.
                _ => assert!(matches!(sent, Ok(()) | Err(Error::Closed)), "{end:?} {sent:?}"),
            }
        }
        assert!(matches!(sender.send("after").await, Err(Error::Closed | Error::Io(_))), "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_in_line_are_told_when_somebody_closes() {
    let (ws, peer) = with_limits(16, Limits::default().queue(100));
    ws.send("x".repeat(300)).await.unwrap();
    let sender = ws.sender();
    let tasks = waiting(&sender, (0..4).map(|number| number.to_string()));
    others_wait().await;
    // The first poll of close is enough.
    assert!(tokio::time::timeout(Duration::ZERO, sender.close(CloseCode::NORMAL, "")).await.is_err());
    for task in tasks {
        assert!(matches!(soon(task).await.unwrap(), Err(Error::Closed)));
    }
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_for_senders_from_the_first_close_on_either_way() {
    let (ws, mut peer) = server(4096);
    assert!(!ws.sender().is_closed());
    assert!(tokio::time::timeout(Duration::ZERO, ws.close(CloseCode::NORMAL, "")).await.is_err(), "the peer waits");
    assert!(ws.sender().is_closed());
    assert!(matches!(ws.send("late").await, Err(Error::Closed)));
    assert!(matches!(ws.feed("late").await, Err(Error::Closed)));
    assert!(matches!(ws.ping().await, Err(Error::Closed)));
    assert_eq!(next_close(&mut peer).await, (1000, String::new()));

    let (mut ws, mut peer) = server(4096);
    peer.write_all(&[text("before"), close_frame(1001, "")].concat()).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("before".into()));
    assert!(ws.recv().await.unwrap().is_none());
    assert!(ws.sender().is_closed());
    assert!(matches!(ws.send("late").await, Err(Error::Closed)));
    // One that is closed is left alone.
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    assert_eq!(soon(read_close(&mut peer)).await.0, 1001);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_must_not_be_sent_is_refused_and_nothing_is_sent() {
    let (ws, mut peer) = server(4096);
    for (code, reason) in [(1005, String::new()), (1006, String::new()), (999, String::new()), (1000, "x".repeat(124))]
    {
        let error = ws.close(CloseCode::from(code), reason).await.unwrap_err();
        assert!(matches!(error, Error::InvalidClose(_)), "{code}: {error}");
    }
    assert!(!ws.sender().is_closed());
    ws.send("open").await.unwrap();
    assert_eq!(next_text(&mut peer).await, "open");
}

#[tokio::test(start_paused = true)]
async fn messages_that_arrive_while_a_sender_closes_are_for_the_receiver() {
    let (ws, mut peer) = server(4096);
    let (sender, mut receiver) = ws.split();
    let closing = tokio::spawn(async move { sender.close(CloseCode::NORMAL, "").await });
    assert_eq!(next_close(&mut peer).await.0, 1000);
    peer.write_all(&[text("on its way"), text("too"), close_frame(1000, "")].concat()).await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!(soon(receiver.recv()).await.unwrap(), Some("on its way".into()));
    assert_eq!(soon(receiver.recv()).await.unwrap(), Some("too".into()));
    assert_eq!(soon(receiver.recv()).await.unwrap(), None);
    soon(closing).await.unwrap().unwrap();
}

// --- pings ---

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_by_its_own_pong_only_and_measured_from_when_it_was_written() {
    let (ws, mut peer) = server(4096);
    assert_eq!(ws.latency(), None);
    let sender = ws.sender();
    let pinging = tokio::spawn(async move { sender.ping().await });
    let (_, opcode, payload) = soon(read_frame(&mut peer)).await.unwrap();
    assert_eq!(opcode, Opcode::PING);
    for wrong in [&b""[..], b"unsolicited", &payload[1..]] {
        peer.write_all(&client_frame(true, Opcode::PONG, wrong)).await.unwrap();
    }
    others_wait().await;
    assert!(!pinging.is_finished() && ws.latency().is_none());
    tokio::time::sleep(Duration::from_millis(70)).await;
    peer.write_all(&client_frame(true, Opcode::PONG, &payload)).await.unwrap();
    let round_trip = soon(pinging).await.unwrap().unwrap();
    assert_eq!((round_trip.as_millis(), ws.latency()), (70, Some(round_trip)));
    // Said twice, it counts once.
    peer.write_all(&client_frame(true, Opcode::PONG, &payload)).await.unwrap();
    let (again, ()) = tokio::join!(ws.ping(), async {
        let (_, _, payload) = soon(read_frame(&mut peer)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        peer.write_all(&client_frame(true, Opcode::PONG, &payload)).await.unwrap();
    });
    assert_eq!(again.unwrap().as_millis(), 5);
}

#[tokio::test(start_paused = true)]
async fn pings_at_once_join_one_and_one_dropped_does_not_take_the_others_along() {
    for dropped in 0..4 {
        let (ws, mut peer) = server(4096);
        let pinging: Vec<_> = (0..4)
            .map(|_| {
                let sender = ws.sender();
                tokio::spawn(async move { sender.ping().await })
            })
            .collect();
        others_wait().await;
        pinging[dropped].abort();
        let (_, opcode, payload) = soon(read_frame(&mut peer)).await.unwrap();
        assert_eq!(opcode, Opcode::PING);
        assert!(tokio::time::timeout(Duration::ZERO, read_frame(&mut peer)).await.is_err(), "one Ping for all");
        peer.write_all(&client_frame(true, Opcode::PONG, &payload)).await.unwrap();
        for (number, ping) in pinging.into_iter().enumerate() {
            assert_eq!(soon(ping).await.is_ok_and(|answer| answer.is_ok()), number != dropped);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_only_receives_answers_pings() {
    let (mut ws, mut peer) = server(4096);
    let reading = tokio::spawn(async move { ws.recv().await });
    for payload in [&b"one"[..], b"", &[0xff; 125]] {
        peer.write_all(&client_frame(true, Opcode::PING, payload)).await.unwrap();
        assert_eq!(soon(read_frame(&mut peer)).await, Some((true, Opcode::PONG, payload.to_vec())));
    }
    assert!(!reading.is_finished());
}

#[tokio::test(start_paused = true)]
async fn one_who_only_sends_notices_a_close_and_an_abort() {
    for abort in [false, true] {
        let (ws, mut peer) = server(4096);
        ws.send("before").await.unwrap();
        if abort {
            drop(peer);
        } else {
            // Two messages lie before it, which nobody will ever take.
            peer.write_all(&[text("unread"), text("unread"), close_frame(1000, "")].concat()).await.unwrap();
        }
        let mut failed = None;
        for _ in 0..10 {
            failed = ws.send("more").await.err();
            if failed.is_some() {
                break;
            }
            others_wait().await;
        }
        assert!(matches!(failed, Some(Error::Closed | Error::Io(_))), "abort {abort}: {failed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_only_sends_answers_pings_with_his_sends() {
    let (ws, mut peer) = server(4096);
    peer.write_all(&client_frame(true, Opcode::PING, b"?")).await.unwrap();
    ws.send("first").await.unwrap();
    ws.send("second").await.unwrap();
    let mut frames = Vec::new();
    for _ in 0..3 {
        frames.push(soon(read_frame(&mut peer)).await.unwrap().1);
    }
    assert!(frames.contains(&Opcode::PONG), "{frames:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_of_the_end_answers_pings_and_loses_no_message() {
    let (mut ws, mut peer) = server(4096);
    let sender = ws.sender();
    let mut watching = pin!(sender.closed());
    peer.write_all(&[text("one"), client_frame(true, Opcode::PING, b"?"), text("two")].concat()).await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, &mut watching).await.is_err());
    assert_eq!(soon(read_frame(&mut peer)).await, Some((true, Opcode::PONG, b"?".to_vec())));
    assert_eq!(ws.recv().await.unwrap(), Some("one".into()));
    assert_eq!(ws.recv().await.unwrap(), Some("two".into()));
}

// --- flushing ---

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

    use futures_sink::Sink;

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

// --- at the edges ---

#[tokio::test(start_paused = true)]
async fn a_transport_that_cannot_be_written_to_is_given_up_after_the_closing_time_be_it_none_or_for_ever() {
    for closing in [Duration::ZERO, Duration::from_secs(10), Duration::MAX] {
        let limits = Limits::default().ping(None).closing(closing);
        let mut ws = WebSocket::from_stream(Broken, Role::Server, limits);
        let sent = ws.send("x").await;
        assert!(matches!(&sent, Err(Error::Io(error)) if error.kind() == ErrorKind::BrokenPipe), "{sent:?}");
        let received = tokio::time::timeout(Duration::from_secs(11), ws.recv()).await;
        match received {
            Err(_) => assert_eq!(closing, Duration::MAX),
            Ok(ended) => assert!(ended.is_err() && closing < Duration::MAX, "{ended:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_room_in_the_queue_no_time_to_close_and_no_interval_between_pings_are_limits_like_others() {
    let (ws, mut peer) = with_limits(1024, Limits::default().queue(0));
    ws.send("a").await.unwrap();
    ws.send("b").await.unwrap();
    assert_eq!((next_text(&mut peer).await, next_text(&mut peer).await), ("a".into(), "b".into()));

    let (ws, _peer) = with_limits(1024, Limits::default().closing(Duration::ZERO));
    assert!(matches!(soon(ws.close(CloseCode::NORMAL, "")).await, Err(Error::Timeout(Phase::Closing))));

    let (mut ws, _peer) = with_limits(1024, Limits::default().ping(Some(Duration::ZERO)).pong(Duration::ZERO));
    assert!(matches!(soon(ws.recv()).await, Err(Error::Timeout(Phase::Keepalive))));
}

#[tokio::test(start_paused = true)]
async fn what_writes_the_rest_of_an_answer_does_not_read_a_bad_frame_behind_the_next_message() {
    let (mut ws, peer) = server(64);
    let (mut reading, mut writing) = tokio::io::split(peer);
    // Two good messages, and a frame with a reserved opcode. The peer reads on later.
    let bytes = [text("one"), text("two"), client_frame(true, Opcode::from_bits(3), b"")].concat();
    writing.write_all(&bytes).await.unwrap();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = reading.read_to_end(&mut Vec::new()).await;
    });
    assert_eq!(ws.recv().await.unwrap(), Some("one".into()));
    ws.send("an answer that is longer than the wire ".repeat(5)).await.unwrap();
    // The application is at work, and the answer leaves meanwhile.
    others_wait().await;
    assert_eq!(soon(ws.recv()).await.unwrap(), Some("two".into()));
    ws.send("another answer").await.expect("what is behind a message does not cut off the answer to it");
}

/// A waker that holds a handle of the connection it waits for, as those of tasks do that own one.
struct Owner(#[expect(dead_code, reason = "it is there to be dropped")] Mutex<Sender>);

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

/// Polls a future with a waker that only the connection keeps, and again with another: the connection drops the first.
fn replaces_its_waker(future: impl Future, sender: Sender) {
    let mut future = pin!(future);
    let owner = Waker::from(Arc::new(Owner(Mutex::new(sender))));
    assert!(future.as_mut().poll(&mut Context::from_waker(&owner)).is_pending());
    drop(owner);
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[test]
fn a_waker_that_owns_a_handle_is_dropped_under_no_lock() {
    let (done, is_done) = mpsc::channel();
    // A deadlock stops the thread, not the test.
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        for way in ["recv", "closed", "ping", "send", "drive"] {
            let (mut ws, _peer) = with_limits(16, Limits::default().queue(100));
            let sender = ws.sender();
            match way {
                "recv" => replaces_its_waker(ws.recv(), sender),
                "closed" => replaces_its_waker(ws.closed(), sender),
                "ping" => replaces_its_waker(ws.ping(), sender),
                "send" => {
                    ws.try_send("x".repeat(90)).unwrap();
                    replaces_its_waker(ws.send("x".repeat(90)), sender);
                }
                _ => replaces_its_waker(
                    drive(async {
                        drop(ws.try_send("x"));
                        std::future::pending::<()>().await;
                    }),
                    sender,
                ),
            }
            done.send(way).unwrap();
        }
    });
    for _ in 0..5 {
        is_done.recv_timeout(Duration::from_secs(30)).expect("it does not hang");
    }
    thread.join().unwrap();
}

#[tokio::test]
async fn what_one_poll_sends_to_three_hundred_connections_leaves_in_it() {
    for number in 0..300 {
        let (near, _far) = tokio::io::duplex(4096);
        let ws = WebSocket::from_stream(near, Role::Server, Limits::default());
        ws.try_send("news").unwrap();
        assert_eq!(ws.queued_bytes(), 0, "connection {number}");
    }
}
