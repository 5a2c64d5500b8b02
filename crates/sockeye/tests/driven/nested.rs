//! Drives within drives, and futures within one.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::{counted, next_text};
use crate::support::{client_frame, close_frame, others_wait, read_close, read_frame, server, soon, text};
use sockeye::{Limits, Role, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::AsyncWriteExt;
use tokio::task::yield_now;

#[tokio::test(start_paused = true)]
async fn drives_within_a_drive_leave_each_connection_to_the_first_that_used_it() {
    let (outer, outer_calls, mut outer_peer) = counted();
    let (inner, inner_calls, mut inner_peer) = counted();
    sockeye::drive(async {
        outer.send("outer").await.unwrap();
        sockeye::drive(async {
            inner.send("inner").await.unwrap();
            inner.send("inner").await.unwrap();
            // Of the other drive: it writes through here.
            outer.send("from within").await.unwrap();
            assert!(inner_calls.take_writes().is_empty());
            yield_now().await;
            assert_eq!(inner_calls.take_writes(), [14]);
            inner.send("last").await.unwrap();
        })
        .await;
        assert_eq!(inner_calls.take_writes(), [6], "the inner drive has ended");
        outer.send("outer").await.unwrap();
        inner.send("inner").await.unwrap();
        yield_now().await;
        outer_calls.take_writes();
        inner_calls.take_writes();
        outer.send("still").await.unwrap();
        outer.send("driven").await.unwrap();
        inner.send("by the").await.unwrap();
        inner.send("outer one").await.unwrap();
        yield_now().await;
        assert_eq!(outer_calls.take_writes(), [15]);
        assert_eq!(inner_calls.take_writes(), [19], "the outer drive has taken it over");
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
