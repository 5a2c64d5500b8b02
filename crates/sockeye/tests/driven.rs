//! Driven connections: what leaves together and when, what goes on while a handler waits for something else, and how a
//! handler's end becomes the connection's.

#![expect(clippy::cast_possible_truncation, reason = "numbers that are written as bytes")]

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::support::{client_frame, in_time, open, read_close, read_frame, soon, start};
use sockeye::{ClosedBy, Error, HandlerResult, Limits, Message, Role, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::yield_now;

/// The sizes of the writes to a stream, one for each system call there would have been.
#[derive(Clone, Default)]
struct Writes(Arc<Mutex<Vec<usize>>>);

impl Writes {
    fn take(&self) -> Vec<usize> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A stream that counts what is written to it.
struct Counted {
    stream: DuplexStream,
    writes: Writes,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = written {
            self.writes.0.lock().unwrap().push(count);
        }
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.poll_write(cx, &all)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A server's end over a wide wire, the writes it does, and the wire's other end.
fn counted() -> (WebSocket, Writes, DuplexStream) {
    let (near, far) = tokio::io::duplex(1 << 20);
    let writes = Writes::default();
    let near = Counted { stream: near, writes: writes.clone() };
    (WebSocket::from_stream(near, Role::Server, Limits::default()), writes, far)
}

fn server(capacity: usize) -> (WebSocket, DuplexStream) {
    let (near, far) = tokio::io::duplex(capacity);
    (WebSocket::from_stream(near, Role::Server, Limits::default()), far)
}

async fn others_wait() {
    for _ in 0..50 {
        yield_now().await;
    }
}

fn text(payload: &str) -> Vec<u8> {
    client_frame(true, Opcode::TEXT, payload.as_bytes())
}

fn ping(payload: &str) -> Vec<u8> {
    client_frame(true, Opcode::PING, payload.as_bytes())
}

fn close_frame(code: u16) -> Vec<u8> {
    client_frame(true, Opcode::CLOSE, &code.to_be_bytes())
}

async fn next(peer: &mut (impl AsyncRead + Unpin)) -> (Opcode, String) {
    let (fin, opcode, payload) = in_time(read_frame(peer)).await.expect("a frame comes");
    assert!(fin);
    (opcode, String::from_utf8_lossy(&payload).into_owned())
}

async fn next_text(peer: &mut (impl AsyncRead + Unpin)) -> String {
    let (opcode, text) = next(peer).await;
    assert_eq!(opcode, Opcode::TEXT, "{text:?}");
    text
}

/// The code of the Close that comes next; it is answered, and the server ends the stream.
async fn answered_close(peer: &mut TcpStream) -> u16 {
    let (_, opcode, payload) = in_time(read_frame(peer)).await.expect("a Close frame comes");
    assert_eq!(opcode, Opcode::CLOSE);
    let code = u16::from_be_bytes(payload[..2].try_into().unwrap());
    peer.write_all(&close_frame(code)).await.unwrap();
    assert!(in_time(read_frame(peer)).await.is_none(), "the stream ends after the Close");
    code
}

// --- when bytes leave ---

#[tokio::test(start_paused = true)]
async fn what_is_sent_in_one_poll_leaves_in_one_write() {
    let (ws, writes, _peer) = counted();
    sockeye::drive(async {
        for rounds in 1..5 {
            for number in 0..10 {
                ws.send(number.to_string()).await.unwrap();
            }
            ws.feed("fed").await.unwrap();
            ws.try_send("tried").unwrap();
            ws.send_timeout("timed", Duration::from_secs(1)).await.unwrap();
            assert!(writes.take().is_empty(), "in the middle of a poll");
            yield_now().await;
            assert_eq!(writes.take(), [10 * 3 + 5 + 7 + 7], "round {rounds}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whatever_the_future_waits_for_what_it_sent_leaves() {
    let (ws, writes, _peer) = counted();
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
            assert_eq!(writes.take(), [10]);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_beside_a_recv_that_waits_leaves_when_the_future_waits() {
    // One recv, polled first; then a message is sent, and the future waits. Both in one poll.
    let (mut ws, writes, _peer) = counted();
    let sender = ws.sender();
    let driven = tokio::spawn(sockeye::drive(async move { tokio::join!(ws.recv(), sender.send("beside it")).0 }));
    others_wait().await;
    assert_eq!(writes.take(), [11]);
    drop(driven);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_last_leaves_when_the_future_ends() {
    let (ws, writes, mut peer) = counted();
    sockeye::drive(async {
        ws.send("one").await.unwrap();
        ws.send("two").await.unwrap();
    })
    .await;
    assert_eq!(writes.take(), [10]);
    // It is driven no more.
    ws.send("three").await.unwrap();
    ws.send("four").await.unwrap();
    assert_eq!(writes.take(), [7, 6]);
    // And if the WebSocket is dropped within, the Close goes with it.
    sockeye::drive(async move {
        ws.send("five").await.unwrap();
        drop(ws);
    })
    .await;
    assert_eq!(writes.take().len(), 1, "the message and the Close together");
    for expected in ["one", "two", "three", "four", "five"] {
        assert_eq!(next_text(&mut peer).await, expected);
    }
    assert_eq!(soon(read_close(&mut peer)).await.0, 1001);
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_64_kib_leaves_before_the_future_waits() {
    let (ws, writes, _peer) = counted();
    sockeye::drive(async {
        for (number, size) in [(64, 1 << 10), (8, 8 << 10), (1, 64 << 10)] {
            for _ in 0..number - 1 {
                ws.send(vec![7; size]).await.unwrap();
            }
            assert!(writes.take().is_empty(), "less than 64 KiB");
            ws.send(vec![7; size]).await.unwrap();
            let written: usize = writes.take().into_iter().sum();
            assert!(written >= 64 << 10, "{written} bytes were written");
            ws.flush().await.unwrap();
            writes.take();
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn flush_writes_in_the_middle_of_a_poll() {
    let (ws, writes, _peer) = counted();
    sockeye::drive(async {
        for _ in 0..3 {
            ws.send("one").await.unwrap();
            ws.send("two").await.unwrap();
            ws.flush().await.unwrap();
            assert_eq!(writes.take(), [10]);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn outside_send_writes_at_once_and_feed_waits_for_flush() {
    let (mut ws, writes, mut peer) = counted();
    ws.send("one").await.unwrap();
    ws.send("two").await.unwrap();
    assert_eq!(writes.take(), [5, 5]);
    for number in 0..10 {
        ws.feed(number.to_string()).await.unwrap();
    }
    assert!(writes.take().is_empty());
    ws.flush().await.unwrap();
    assert_eq!(writes.take(), [30]);
    // So do send, recv, and 64 KiB.
    ws.feed("fed").await.unwrap();
    ws.send("sent").await.unwrap();
    assert_eq!(writes.take(), [11]);
    ws.feed("fed").await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, ws.recv()).await.is_err());
    assert_eq!(writes.take(), [5]);
    for _ in 0..64 {
        ws.feed(vec![7; 1 << 10]).await.unwrap();
    }
    assert!(writes.take().into_iter().sum::<usize>() >= 64 << 10);
    // recv that has a message to give does not go to the network.
    peer.write_all(&[text("a"), text("b")].concat()).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("a".into()));
    writes.take();
    ws.flush().await.unwrap();
    ws.feed("fed").await.unwrap();
    writes.take();
    assert!(tokio::time::timeout(Duration::ZERO, ws.closed()).await.is_err());
    assert_eq!(writes.take(), [5]);
}

#[tokio::test(start_paused = true)]
async fn the_answers_to_a_batch_leave_in_one_write() {
    for batch in [1, 2, 10, 100] {
        let (mut ws, writes, mut peer) = counted();
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
            assert_eq!(writes.take(), [batch * 6]);
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

// --- while a handler waits for something else ---

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

// --- halves, tasks and futures within ---

#[tokio::test(start_paused = true)]
async fn a_half_in_a_spawned_task_writes_at_once() {
    let (ws, writes, _peer) = counted();
    sockeye::drive(async {
        ws.send("of the handler").await.unwrap();
        let (sender, counted) = (ws.sender(), writes.clone());
        tokio::spawn(async move {
            counted.take();
            for message in ["one", "two"] {
                sender.send(message).await.unwrap();
                assert_eq!(counted.take(), [message.len() + 2]);
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

#[tokio::test(start_paused = true)]
async fn drives_within_a_drive_leave_each_connection_to_the_first_that_used_it() {
    let (outer, outer_writes, mut outer_peer) = counted();
    let (inner, inner_writes, mut inner_peer) = counted();
    sockeye::drive(async {
        outer.send("outer").await.unwrap();
        sockeye::drive(async {
            inner.send("inner").await.unwrap();
            inner.send("inner").await.unwrap();
            // Of the other drive: it writes through here.
            outer.send("from within").await.unwrap();
            assert!(inner_writes.take().is_empty());
            yield_now().await;
            assert_eq!(inner_writes.take(), [14]);
            inner.send("last").await.unwrap();
        })
        .await;
        assert_eq!(inner_writes.take(), [6], "the inner drive has ended");
        outer.send("outer").await.unwrap();
        inner.send("inner").await.unwrap();
        yield_now().await;
        outer_writes.take();
        inner_writes.take();
        outer.send("still").await.unwrap();
        outer.send("driven").await.unwrap();
        inner.send("by the").await.unwrap();
        inner.send("outer one").await.unwrap();
        yield_now().await;
        assert_eq!(outer_writes.take(), [15]);
        assert_eq!(inner_writes.take(), [19], "the outer drive has taken it over");
    })
    .await;
    for expected in ["outer", "from within", "outer", "still", "driven"] {
        assert_eq!(next_text(&mut outer_peer).await, expected);
    }
    for expected in ["inner", "inner", "last", "inner", "by the", "outer one"] {
        assert_eq!(next_text(&mut inner_peer).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn one_connection_in_two_drives_at_once_stalls_in_neither() {
    for capacity in [16, 4096] {
        let (near, mut peer) = tokio::io::duplex(capacity);
        let ws = WebSocket::from_stream(near, Role::Server, Limits::default().queue(100));
        let (sender, mut receiver) = ws.split();
        let echo = sender.clone();
        let first = tokio::spawn(sockeye::drive(async move {
            for number in 0..100 {
                sender.send(format!("a{number}")).await.unwrap();
            }
        }));
        let second = tokio::spawn(sockeye::drive(async move {
            for number in 0..100 {
                echo.send(format!("b{number}")).await.unwrap();
                if number % 7 == 0 {
                    yield_now().await;
                }
            }
            // The first drive has ended by now, or has not.
            assert_eq!(receiver.recv().await.unwrap(), Some("now".into()));
            echo.send("heard").await.unwrap();
            receiver
        }));
        let (mut a, mut b) = (0, 0);
        for _ in 0..200 {
            let text = soon(next_text(&mut peer)).await;
            let (name, number) = text.split_at(1);
            let next = if name == "a" { &mut a } else { &mut b };
            assert_eq!(number, next.to_string());
            *next += 1;
        }
        soon(first).await.unwrap();
        peer.write_all(&text("now")).await.unwrap();
        assert_eq!(soon(next_text(&mut peer)).await, "heard");
        drop(soon(second).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_moves_from_a_drive_to_another_that_is_already_using_it() {
    let (near, mut peer) = tokio::io::duplex(4096);
    let mut ws = WebSocket::from_stream(near, Role::Server, Limits::default());
    let sender = ws.sender();
    // The first drives it; the second waits on it, and the first ends.
    let first = tokio::spawn(sockeye::drive(async move {
        sender.send("first").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }));
    others_wait().await;
    let second = tokio::spawn(sockeye::drive(async move {
        while let Some(message) = ws.recv().await.unwrap() {
            ws.send(message).await.unwrap();
        }
    }));
    others_wait().await;
    first.await.unwrap();
    assert_eq!(next_text(&mut peer).await, "first");
    for number in 0..3 {
        peer.write_all(&text(&number.to_string())).await.unwrap();
        assert_eq!(soon(next_text(&mut peer)).await, number.to_string());
    }
    peer.write_all(&close_frame(1000)).await.unwrap();
    assert_eq!(soon(read_close(&mut peer)).await.0, 1000);
    drop(peer);
    soon(second).await.unwrap();
}

/// Polls its futures only when each of them was woken, as `FuturesUnordered` does.
struct Woken<F> {
    futures: Vec<Option<Child<F>>>,
}

type Child<F> = (Pin<Box<F>>, Arc<Flag>);

struct Flag {
    woken: AtomicBool,
    parent: Mutex<Option<Waker>>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if let Some(parent) = self.parent.lock().unwrap().take() {
            parent.wake();
        }
    }
}

impl<F: Future<Output = ()>> Woken<F> {
    fn new(futures: impl IntoIterator<Item = F>) -> Self {
        let flag = || Arc::new(Flag { woken: AtomicBool::new(true), parent: Mutex::new(None) });
        Self { futures: futures.into_iter().map(|future| Some((Box::pin(future), flag()))).collect() }
    }
}

impl<F: Future<Output = ()>> Future for Woken<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        for slot in &mut self.futures {
            let Some((future, flag)) = slot else { continue };
            *flag.parent.lock().unwrap() = Some(cx.waker().clone());
            if flag.woken.swap(false, Ordering::SeqCst) {
                let waker = Waker::from(Arc::clone(flag));
                if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    *slot = None;
                }
            }
        }
        if self.futures.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[tokio::test(start_paused = true)]
async fn futures_that_are_polled_only_when_woken_are_woken_in_and_out_of_a_drive() {
    type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
    for driven in [false, true] {
        let (near, mut peer) = tokio::io::duplex(16);
        let ws = WebSocket::from_stream(near, Role::Server, Limits::default().queue(50));
        let (sender, mut receiver) = ws.split();
        let mut work: Vec<Work> = Vec::new();
        for name in 0..4 {
            let sender = sender.clone();
            work.push(Box::pin(async move {
                for number in 0..10 {
                    sender.send(format!("{name} {number}")).await.unwrap();
                }
                sender.flush().await.unwrap();
            }));
        }
        let pinging = sender.clone();
        work.push(Box::pin(async move {
            pinging.ping().await.unwrap();
        }));
        work.push(Box::pin(async move {
            for number in 0..10 {
                assert_eq!(receiver.recv().await.unwrap(), Some(number.to_string().into()));
            }
            assert_eq!(receiver.recv().await.unwrap(), None);
        }));
        work.push(Box::pin(async move { assert!(sender.closed().await.is_clean()) }));
        let work = Woken::new(work);
        let working = if driven { tokio::spawn(async move { sockeye::drive(work).await }) } else { tokio::spawn(work) };
        let mut next = [0; 4];
        let mut said = 0;
        for _ in 0..41 {
            let (opcode, payload) = {
                let (_, opcode, payload) = soon(read_frame(&mut peer)).await.expect("a frame comes");
                (opcode, payload)
            };
            if opcode == Opcode::PING {
                peer.write_all(&client_frame(true, Opcode::PONG, &payload)).await.unwrap();
                continue;
            }
            let text = String::from_utf8(payload).unwrap();
            let (name, number) = text.split_once(' ').unwrap();
            let next = &mut next[name.parse::<usize>().unwrap()];
            assert_eq!(number, next.to_string());
            *next += 1;
            if said < 10 {
                soon(peer.write_all(&client_frame(true, Opcode::TEXT, said.to_string().as_bytes()))).await.unwrap();
                said += 1;
            }
        }
        soon(peer.write_all(&close_frame(1000))).await.unwrap();
        assert_eq!(soon(read_close(&mut peer)).await.0, 1000);
        drop(peer);
        soon(working).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn select_within_a_handler_loses_nothing() {
    let (mut ws, mut peer) = server(64);
    let (to_handler, mut from_outside) = tokio::sync::mpsc::channel::<String>(1);
    let handler = tokio::spawn(sockeye::drive(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        let mut received = Vec::new();
        loop {
            tokio::select! {
                message = ws.recv() => match message.unwrap() {
                    Some(message) => received.push(message.as_text().unwrap().to_string()),
                    None => return received,
                },
                Some(command) = from_outside.recv() => ws.send(command).await.unwrap(),
                _ = ticks.tick() => {}
            }
        }
    }));
    for number in 0..100 {
        to_handler.send(format!("{number} out")).await.unwrap();
        // A frame that arrives byte by byte, while the timer cancels recv again and again.
        for byte in text(&format!("{number} in")) {
            peer.write_all(&[byte]).await.unwrap();
            if byte % 3 == 0 {
                tokio::time::sleep(Duration::from_micros(700)).await;
            }
        }
        assert_eq!(soon(next_text(&mut peer)).await, format!("{number} out"));
    }
    peer.write_all(&close_frame(1000)).await.unwrap();
    assert_eq!(soon(read_close(&mut peer)).await.0, 1000);
    drop(peer);
    let received = soon(handler).await.unwrap();
    assert!(received.iter().enumerate().all(|(number, text)| *text == format!("{number} in")));
    assert_eq!(received.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn join_of_reader_and_writer_within_a_handler_stalls_neither() {
    let (near, mut peer) = tokio::io::duplex(64);
    let ws = WebSocket::from_stream(near, Role::Server, Limits::default().queue(200));
    let handler = tokio::spawn(sockeye::drive(async move {
        let (sender, mut receiver) = ws.split();
        let reading = async {
            for number in 0..200 {
                assert_eq!(receiver.recv().await.unwrap(), Some(format!("{number}").into()));
            }
        };
        let writing = async {
            for number in 0..200 {
                sender.send(format!("{number}")).await.unwrap();
            }
        };
        tokio::join!(reading, writing);
    }));
    for number in 0..200 {
        peer.write_all(&text(&number.to_string())).await.unwrap();
        assert_eq!(soon(next_text(&mut peer)).await, number.to_string());
    }
    soon(handler).await.unwrap();
    assert_eq!(soon(read_close(&mut peer)).await.0, 1001);
}

// --- how a handler ends ---

#[tokio::test]
async fn a_handler_s_end_closes_the_connection_behind_what_it_sent() {
    type End = fn(WebSocket) -> Pin<Box<dyn Future<Output = HandlerResult> + Send>>;
    let ends: [(u16, End); 6] = [
        (1000, |ws| Box::pin(async move { Ok(ws.send("last").await?) })),
        (1000, |ws| Box::pin(async move { Ok(ws.try_send("last")?) })),
        (1000, |ws| Box::pin(async move { Ok(ws.feed("last").await?) })),
        (1011, |ws| {
            Box::pin(async move {
                ws.send("last").await?;
                Err("of the handler's own".into())
            })
        }),
        (1011, |ws| {
            Box::pin(async move {
                ws.send("last").await?;
                panic!("a bug in the handler");
            })
        }),
        (1011, |ws| {
            Box::pin(async move {
                ws.feed("last").await?;
                yield_now().await;
                panic!("a bug in the handler, later");
            })
        }),
    ];
    for (number, (code, end)) in ends.into_iter().enumerate() {
        let address = start(|listener| sockeye::serve(listener, end)).await;
        let mut peer = open(address).await;
        assert_eq!(next_text(&mut peer).await, "last", "{number}");
        assert_eq!(answered_close(&mut peer).await, code, "{number}");
    }
}

#[tokio::test]
async fn a_handler_that_panics_before_its_first_await_closes_with_1011() {
    fn handler(_: WebSocket) -> Pin<Box<dyn Future<Output = HandlerResult> + Send>> {
        panic!("before there is a future")
    }
    let address = start(|listener| sockeye::serve(listener, handler)).await;
    let mut peer = open(address).await;
    assert_eq!(answered_close(&mut peer).await, 1011);
}

#[tokio::test]
async fn a_handler_that_drops_its_websocket_stays_open_until_it_ends() {
    for fails in [false, true] {
        let (wake, woken) = oneshot::channel::<()>();
        let once = Arc::new(Mutex::new(Some(woken)));
        let handler = move |ws: WebSocket| {
            let woken = once.lock().unwrap().take().unwrap();
            async move {
                ws.send("before").await?;
                drop(ws);
                drop(woken.await);
                if fails { Err("it failed".into()) } else { Ok(()) }
            }
        };
        let address = start(|listener| sockeye::serve(listener, handler)).await;
        let mut peer = open(address).await;
        assert_eq!(next_text(&mut peer).await, "before");
        peer.write_all(&[text("discarded"), ping("?")].concat()).await.unwrap();
        assert_eq!(next(&mut peer).await, (Opcode::PONG, "?".into()));
        wake.send(()).unwrap();
        assert_eq!(answered_close(&mut peer).await, if fails { 1011 } else { 1000 });
    }
}

#[tokio::test]
async fn a_handler_that_keeps_only_a_sender_discards_what_comes_and_closes_when_it_ends() {
    let (wake, woken) = oneshot::channel::<()>();
    let once = Arc::new(Mutex::new(Some(woken)));
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let handler = move |ws: WebSocket| {
        let (woken, keep) = (once.lock().unwrap().take().unwrap(), Arc::clone(&keep));
        async move {
            let (sender, receiver) = ws.split();
            drop(receiver);
            *keep.lock().unwrap() = Some(sender.clone());
            sender.send("before").await?;
            drop(woken.await);
            Ok(())
        }
    };
    let address = start(|listener| sockeye::serve(listener, handler)).await;
    let mut peer = open(address).await;
    assert_eq!(next_text(&mut peer).await, "before");
    peer.write_all(&[client_frame(true, Opcode::BINARY, &[0; 300_000]), ping("?")].concat()).await.unwrap();
    assert_eq!(next(&mut peer).await, (Opcode::PONG, "?".into()));
    let outside = kept.lock().unwrap().take().unwrap();
    outside.send("from outside").await.unwrap();
    assert_eq!(next_text(&mut peer).await, "from outside");
    wake.send(()).unwrap();
    // The sender that is left does not keep it open.
    assert_eq!(answered_close(&mut peer).await, 1000);
    assert!(matches!(outside.send("after").await, Err(Error::Closed)));
}

#[tokio::test]
async fn a_handler_that_gives_its_websocket_away_leaves_it_open() {
    let (give, mut given) = tokio::sync::mpsc::channel::<WebSocket>(1);
    let handler = move |ws: WebSocket| {
        let give = give.clone();
        async move {
            ws.send("of the handler").await?;
            give.send(ws).await.unwrap();
            Ok(())
        }
    };
    let address = start(|listener| sockeye::serve(listener, handler)).await;
    let mut peer = open(address).await;
    let mut ws = in_time(given.recv()).await.unwrap();
    assert_eq!(next_text(&mut peer).await, "of the handler");
    ws.send("of the new owner").await.unwrap();
    assert_eq!(next_text(&mut peer).await, "of the new owner");
    peer.write_all(&text("to the new owner")).await.unwrap();
    assert_eq!(in_time(ws.recv()).await.unwrap(), Some("to the new owner".into()));
    drop(ws);
    assert_eq!(in_time(read_close(&mut peer)).await.0, 1001);
}

#[tokio::test]
async fn a_handler_that_ends_before_its_answers_have_left_delivers_them() {
    // More than the system's buffers hold, to a peer that does not read yet.
    let handler = |ws: WebSocket| async move {
        for _ in 0..40 {
            ws.send(vec![7; 1 << 20]).await?;
        }
        Ok(())
    };
    let address = start(|listener| sockeye::serve(listener, handler)).await;
    let mut peer = open(address).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..40 {
        let (_, opcode, payload) = in_time(read_frame(&mut peer)).await.unwrap();
        assert!(opcode == Opcode::BINARY && payload.len() == 1 << 20);
    }
    assert_eq!(answered_close(&mut peer).await, 1000);
}

#[tokio::test]
async fn a_handler_that_closes_itself_is_not_closed_twice() {
    let handler = |ws: WebSocket| async move { Ok(ws.close(4000.into(), "by the handler").await?) };
    let address = start(|listener| sockeye::serve(listener, handler)).await;
    let mut peer = open(address).await;
    let (_, opcode, payload) = in_time(read_frame(&mut peer)).await.unwrap();
    assert_eq!((opcode, &payload[2..]), (Opcode::CLOSE, &b"by the handler"[..]));
    peer.write_all(&close_frame(4000)).await.unwrap();
    assert!(in_time(read_frame(&mut peer)).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_a_panic_in_a_drive_leaves_behind_can_be_used() {
    let (ws, mut peer) = server(4096);
    let sender = ws.sender();
    let panicked = tokio::spawn(sockeye::drive(async move {
        ws.send("accepted").await.unwrap();
        panic!("in a driven future");
    }));
    assert!(panicked.await.unwrap_err().is_panic());
    // The same thread goes on, and is no longer marked as driving.
    sender.send("still there").await.unwrap();
    assert_eq!(soon(next_text(&mut peer)).await, "accepted");
    assert_eq!(soon(next_text(&mut peer)).await, "still there");
    let (another, writes, _peer) = counted();
    another.send("at once").await.unwrap();
    assert_eq!(writes.take(), [9]);
}

#[tokio::test(start_paused = true)]
async fn what_a_panic_in_a_drive_had_accepted_leaves_even_if_nobody_sends_more() {
    let (ws, mut peer) = server(4096);
    let sender = ws.sender();
    let panicked = tokio::spawn(sockeye::drive(async move {
        ws.send("accepted").await.unwrap();
        panic!("in a driven future");
    }));
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(soon(next_text(&mut peer)).await, "accepted");
    drop(sender);
    assert_eq!(soon(read_close(&mut peer)).await.0, 1001);
}

#[tokio::test]
async fn many_handlers_on_many_threads_keep_their_connections_apart() {
    static SERVED: AtomicUsize = AtomicUsize::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let done = runtime.spawn(async {
        let handler = |mut ws: WebSocket| async move {
            while let Some(message) = ws.recv().await? {
                ws.send(message).await?;
                SERVED.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        };
        let address = start(|listener| sockeye::serve(listener, handler)).await;
        let mut clients = tokio::task::JoinSet::new();
        for name in 0..20 {
            clients.spawn(async move {
                let mut ws = sockeye::connect(format!("ws://{address}/")).await.unwrap();
                for number in 0..50 {
                    let message = Message::from(format!("{name} {number}"));
                    ws.send(message.clone()).await.unwrap();
                    assert_eq!(ws.recv().await.unwrap(), Some(message));
                }
                ws.close(1000.into(), "").await.unwrap();
            });
        }
        clients.join_all().await;
    });
    in_time(done).await.unwrap();
    assert_eq!(SERVED.load(Ordering::SeqCst), 1000);
    runtime.shutdown_background();
}
