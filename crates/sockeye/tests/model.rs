//! The driver as it is shipped, under [shuttle]: its locks and tasks are simulated, and each test tries schedules by the
//! thousand, half of them at random, half by PCT (few preemptions, at all places). A wake-up that is lost is a deadlock,
//! which shuttle reports; no deadline can save it, as the clock of these tests stands still.
//!
//! `cargo xtask test model`, or by hand:
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test -p sockeye --no-default-features --test model --target-dir target/model
//! ```
//! `MODEL_SCHEDULES=100000` tries more of them, `SHUTTLE_RANDOM_SEED=…` those of another run, and `MODEL_SCHEDULE=…`,
//! with the name of a test, the one that a failure has printed.
//!
//! [shuttle]: https://docs.rs/shuttle
#![cfg(shuttle)]

use std::collections::VecDeque;
use std::env;
use std::future::{pending, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Waker};

use shuttle::future::{JoinHandle, block_on, spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::Mutex;
use shuttle::{Config, MaxSteps, Runner};
use sockeye::{CloseCode, Error, Limits, Message, MessageKind, Receiver, Role, Sender, WebSocket, drive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::runtime::{Builder, Runtime};

// --- sending and receiving ---

#[test]
fn what_one_task_sends_another_receives() {
    explore(|wire| async move {
        let (client, mut server) = wire.pair(3, limits());
        let sending = spawn(async move {
            send(&client.sender(), "message", 3).await;
            client.close(CloseCode::NORMAL, "").await.unwrap();
        });
        assert_eq!(texts(&mut server).await, ["message 0", "message 1", "message 2"]);
        sending.await.unwrap();
    });
}

#[test]
fn both_ends_send_and_receive_in_different_tasks() {
    explore(|wire| async move {
        let (client, server) = wire.pair(5, limits());
        let tasks = [client, server].map(|end| {
            let (sender, mut receiver) = end.split();
            let sending = spawn(async move { send(&sender, "message", 2).await });
            let receiving = spawn(async move {
                for number in 0..2 {
                    assert_eq!(receiver.recv().await.unwrap(), Some(format!("message {number}").into()));
                }
            });
            [sending, receiving]
        });
        join(tasks.into_iter().flatten()).await;
    });
}

#[test]
fn a_send_that_is_dropped_in_line_lets_the_next_one_have_its_turn() {
    explore(|wire| async move {
        let (client, mut server) = wire.pair(7, limits().queue(40));
        let [a, b, c] = ["a", "b", "c"].map(|name| {
            let sender = client.sender();
            spawn(async move {
                let mut accepted = Vec::new();
                for text in numbered(&format!("{name}, of which one fits,"), 2) {
                    let sending = sender.send(text.clone());
                    // Wherever it stands: before, in or behind the line.
                    let sent = if name == "b" { unless(spawn(async {}), sending).await } else { Some(sending.await) };
                    if let Some(sent) = sent {
                        sent.unwrap();
                        accepted.push(text);
                    }
                }
                // Not dropped, as that takes a turn, which looks after whoever waits.
                (accepted, sender)
            })
        });
        let receiving = spawn(async move { texts(&mut server).await });
        let mut accepted = Vec::new();
        let mut senders = Vec::new();
        for task in [a, b, c] {
            let (texts, sender) = task.await.unwrap();
            accepted.extend(texts);
            senders.push(sender);
        }
        client.close(CloseCode::NORMAL, "").await.unwrap();
        let mut received = receiving.await.unwrap();
        // Stable: the order of each sender stays.
        received.sort_by_key(|text| text.chars().next());
        assert_eq!(received, accepted);
    });
}

#[test]
fn a_reader_that_is_dropped_and_comes_again_misses_nothing() {
    explore(|wire| async move {
        let (client, server) = wire.pair(5, limits());
        let tasks = [client, server].map(|end| {
            let (sender, mut receiver) = end.split();
            let sending = spawn(async move { send(&sender, "message", 2).await });
            let receiving = spawn(async move {
                for number in 0..2 {
                    assert_eq!(reluctant(&mut receiver).await, format!("message {number}"));
                }
            });
            [sending, receiving]
        });
        join(tasks.into_iter().flatten()).await;
    });
}

/// What was accepted is written by a task of the library's own.
#[test]
fn what_was_accepted_arrives_though_all_handles_are_dropped() {
    explore(|wire| async move {
        let (client, mut server) = wire.pair(3, limits());
        let sender = client.sender();
        let other = spawn(async move { sender.send("from another task").await });
        client.try_send("one").unwrap();
        client.feed("two").await.unwrap();
        drop(client);
        let mut received = Vec::new();
        while let Ok(Some(message)) = server.recv().await {
            received.push(text(message));
        }
        let sent = other.await.unwrap();
        let others: Vec<_> = received.extract_if(.., |text| text.starts_with("from")).collect();
        assert_eq!(received, ["one", "two"]);
        assert_eq!(others.len(), usize::from(sent.is_ok()));
        assert_eq!(server.close_reason().map(|reason| reason.code()), Some(CloseCode::GOING_AWAY));
    });
}

// --- watching ---

#[test]
fn flush_ping_and_closed_end_though_the_receiver_is_dropped() {
    explore(|wire| async move {
        let (client, mut server) = wire.pair(5, limits());
        let (sender, receiver) = client.split();
        let (flushing, pinging, watching) = (sender.clone(), sender.clone(), sender.clone());
        let tasks = [
            spawn(async move {
                flushing.send("one").await.unwrap();
                flushing.flush().await.unwrap();
            }),
            spawn(async move {
                pinging.ping().await.unwrap();
            }),
            spawn(async move { drop(receiver) }),
        ];
        let watching = spawn(async move { watching.closed().await });
        let echoing = spawn(async move {
            let mut received = 0;
            while let Some(message) = server.recv().await.unwrap() {
                received += 1;
                // It may be too late.
                let _ = server.send(message).await;
            }
            received
        });
        join(tasks).await;
        sender.close(CloseCode::NORMAL, "").await.unwrap();
        assert!(watching.await.unwrap().is_clean());
        assert_eq!(echoing.await.unwrap(), 1);
    });
}

#[test]
fn the_receiver_goes_on_though_the_senders_are_dropped() {
    explore(|wire| async move {
        let (client, server) = wire.pair(5, limits());
        let (sender, mut receiver) = client.split();
        let receiving = spawn(async move {
            for number in 0..2 {
                assert_eq!(receiver.recv().await.unwrap(), Some(format!("message {number}").into()));
            }
            assert_eq!(receiver.recv().await.unwrap(), None);
        });
        let other = sender.clone();
        let flushing = spawn(async move {
            // It may be too late, and is dropped while it waits.
            let _ = other.send("one").await;
            polled(1, other.flush()).await;
        });
        drop(sender);
        send(&server.sender(), "message", 2).await;
        server.close(CloseCode::NORMAL, "").await.unwrap();
        join([receiving, flushing]).await;
    });
}

#[test]
fn both_ends_may_close_at_once() {
    explore(|wire| async move {
        let (client, server) = wire.pair(3, limits());
        let tasks = [client, server].map(|end| {
            let watching = end.sender();
            let closing = spawn(async move {
                end.send("bye").await.map_or_else(|error| assert!(matches!(error, Error::Closed)), drop);
                end.close(CloseCode::NORMAL, "").await.unwrap();
            });
            [closing, spawn(async move { assert!(watching.closed().await.is_clean()) })]
        });
        join(tasks.into_iter().flatten()).await;
    });
}

// --- being driven ---

#[test]
fn a_driven_connection_is_used_from_another_task_too() {
    explore(|wire| async move {
        let (client, mut server) = wire.pair(5, limits());
        let driven = spawn(drive(async move {
            let sender = server.sender();
            let other = spawn(async move {
                send(&sender, "other", 2).await;
                sender.flush().await.unwrap();
            });
            for _ in 0..2 {
                let message = server.recv().await.unwrap().unwrap();
                server.send(message).await.unwrap();
            }
            // What it has queued leaves while it waits for something else.
            other.await.unwrap();
            server.closed().await
        }));
        let (sender, mut receiver) = client.split();
        let closing = sender.clone();
        let sending = spawn(async move { send(&sender, "echo", 2).await });
        let mut received = Vec::new();
        for _ in 0..4 {
            received.push(text(receiver.recv().await.unwrap().unwrap()));
        }
        let others: Vec<_> = received.extract_if(.., |text| text.starts_with("other")).collect();
        assert_eq!((received, others), (numbered("echo", 2), numbered("other", 2)));
        closing.close(CloseCode::NORMAL, "").await.unwrap();
        assert!(driven.await.unwrap().is_clean());
        sending.await.unwrap();
    });
}

#[test]
fn a_connection_lives_on_when_what_drove_it_ends_or_is_dropped() {
    for is_dropped in [false, true] {
        explore(move |wire| async move {
            let (client, server) = wire.pair(5, limits());
            let (sender, mut receiver) = client.split();
            let later = sender.clone();
            let driving = spawn(drive(async move {
                sender.send("driven").await.unwrap();
                if is_dropped {
                    pending::<()>().await;
                }
            }));
            let receiving = spawn(async move {
                for number in 0..2 {
                    assert_eq!(receiver.recv().await.unwrap(), Some(format!("message {number}").into()));
                }
            });
            let (answering, mut server) = server.split();
            let answering = spawn(async move { send(&answering, "message", 2).await });
            if is_dropped {
                driving.abort();
            }
            let _ = driving.await;
            later.send("later").await.unwrap();
            join([receiving, answering]).await;
            drop(later);
            let mut received = Vec::new();
            while let Ok(Some(message)) = server.recv().await {
                received.push(text(message));
            }
            // Dropped before its first poll it has sent nothing.
            let expected = if received.len() == 1 && is_dropped { &["later"][..] } else { &["driven", "later"] };
            assert_eq!(received, expected);
        });
    }
}

// --- messages in pieces ---

#[test]
fn others_in_line_wait_until_a_stream_has_ended() {
    explore(|wire| async move {
        let (client, mut server) = wire.pair(9, limits().queue(20));
        let streaming = client.sender();
        let mut tasks = vec![spawn(async move {
            let mut stream = streaming.send_stream(MessageKind::Text);
            for piece in ["stream ", "of ", "three"] {
                stream.write_all(piece.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
            stream.finish().await.unwrap();
        })];
        for name in ["a", "b"] {
            let sender = client.sender();
            tasks.push(spawn(async move { send(&sender, name, 2).await }));
        }
        let receiving = spawn(async move {
            let mut received = Vec::new();
            while let Some(mut stream) = server.recv_stream().await.unwrap() {
                let mut text = String::new();
                stream.read_to_string(&mut text).await.unwrap();
                received.push(text);
            }
            received
        });
        join(tasks).await;
        client.close(CloseCode::NORMAL, "").await.unwrap();
        let mut received = receiving.await.unwrap();
        received.sort();
        assert_eq!(received, ["a 0", "a 1", "b 0", "b 1", "stream of three"]);
    });
}

#[test]
fn others_in_line_are_told_when_a_stream_is_given_up() {
    explore(|wire| async move {
        let (client, mut server) = wire.pair(9, limits().queue(20));
        let streaming = client.sender();
        let mut tasks = vec![spawn(async move {
            let mut stream = streaming.send_stream(MessageKind::Text);
            stream.write_all(b"a beginning").await.unwrap();
            stream.flush().await.unwrap();
        })];
        for name in ["a", "b"] {
            let sender = client.sender();
            tasks.push(spawn(async move {
                match sender.send(name).await {
                    Ok(()) | Err(Error::Closed) => {}
                    Err(error) => panic!("{error}"),
                }
            }));
        }
        tasks.push(spawn(async move { while let Ok(Some(_)) = server.recv().await {} }));
        // Somebody has to read the answer to the Close.
        assert_eq!(client.closed().await.code(), CloseCode::INTERNAL_ERROR);
        join(tasks).await;
    });
}

#[test]
fn the_rest_of_a_message_is_skipped_when_its_reader_is_dropped() {
    explore(|wire| async move {
        let (client, server) = wire.pair(5, limits());
        let (sender, mut receiver) = server.split();
        let tasks = [
            spawn(async move {
                client.send("a message of some length").await.unwrap();
                client.send("after").await.unwrap();
            }),
            // It makes progress for the reader, too, and may be too late.
            spawn(async move { sender.send("other").await.unwrap_or_default() }),
        ];
        let mut stream = receiver.recv_stream().await.unwrap().unwrap();
        let mut start = [0; 3];
        stream.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"a m");
        drop(stream);
        assert_eq!(reluctant(&mut receiver).await, "after");
        join(tasks).await;
    });
}

// --- what the models are made of ---

/// Runs a model under many schedules. Each has to give back what it was given: when nobody holds a handle to a connection,
/// that ends, and with it all tasks of the library's own.
fn explore<F>(model: impl Fn(Wire) -> F + Copy + Send + Sync + 'static)
where
    F: Future<Output = ()>,
{
    let _entered = STOPPED.enter();
    let model = move || {
        block_on(async {
            let wire = Wire::default();
            model(wire.clone()).await;
            wire.given_back().await;
        });
    };
    if let Ok(schedule) = env::var("MODEL_SCHEDULE") {
        return shuttle::replay(model, &schedule);
    }
    let schedules = env::var("MODEL_SCHEDULES").map_or(SCHEDULES, |number| number.parse().expect("a number"));
    let seed = env::var("SHUTTLE_RANDOM_SEED")
        .map_or_else(|_| RandomState::new().hash_one(()), |seed| seed.parse().expect("a number"));
    println!("{schedules} schedules each, random and PCT, SHUTTLE_RANDOM_SEED={seed}");
    run(RandomScheduler::new_from_seed(seed, schedules), model);
    run(PctScheduler::new_from_seed(seed, PREEMPTIONS, schedules), model);
}

/// Timers want a runtime. This one never runs, so that none of them fires, and never ends, as that would fire them all.
static STOPPED: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("it needs no resources"));

/// As many as take a minute in all on two cores.
const SCHEDULES: usize = 5000;
/// Most bugs of concurrency need one or two of them (Burckhardt et al., ASPLOS 2010).
const PREEMPTIONS: usize = 3;

fn run(scheduler: impl Scheduler + 'static, model: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    // A schedule takes some thousand; more of them are tasks that wake each other for nothing.
    config.max_steps = MaxSteps::FailAfter(50_000);
    Runner::new(scheduler, config).run(model);
}

fn limits() -> Limits {
    Limits::default().ping(None)
}

async fn send(sender: &Sender, name: &str, count: usize) {
    for text in numbered(name, count) {
        sender.send(text).await.unwrap();
    }
}

fn numbered(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{name} {number}")).collect()
}

/// All messages until the end.
async fn texts(ws: &mut WebSocket) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(message) = ws.recv().await.unwrap() {
        texts.push(text(message));
    }
    texts
}

fn text(message: Message) -> String {
    message.as_text().unwrap().to_string()
}

/// The next message, after some calls that are given up.
async fn reluctant(receiver: &mut Receiver) -> String {
    let mut message = None;
    for _ in 0..thread_rng().gen_range(0..4) {
        message = polled(1, receiver.recv()).await;
        if message.is_some() {
            break;
        }
    }
    let message = match message {
        Some(message) => message,
        None => receiver.recv().await,
    };
    text(message.unwrap().unwrap())
}

/// Polls a future so many times, whether or not it was woken, and drops it. What it came to, if it did.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

/// A future's output, or `None` if a task has ended before; then the future is dropped.
async fn unless<F: Future>(mut stop: JoinHandle<()>, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Pin::new(&mut stop).poll(cx).map(|_| None),
    })
    .await
}

async fn join(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for task in tasks {
        task.await.unwrap();
    }
}

/// What a client and a server are at the ends of.
#[derive(Clone, Default)]
struct Wire {
    ends: Arc<Mutex<Ends>>,
}

#[derive(Default)]
struct Ends {
    held: usize,
    waiting: Option<Waker>,
}

impl Wire {
    /// A client and a server at its ends. It holds so many bytes each way.
    fn pair(&self, capacity: usize, limits: Limits) -> (WebSocket, WebSocket) {
        self.ends.lock().unwrap().held = 2;
        let [there, back] = [Pipe::new(capacity), Pipe::new(capacity)];
        let client = End { wire: self.clone(), incoming: Arc::clone(&back), outgoing: Arc::clone(&there) };
        let server = End { wire: self.clone(), incoming: there, outgoing: back };
        (WebSocket::from_stream(client, Role::Client, limits), WebSocket::from_stream(server, Role::Server, limits))
    }

    /// Waits until nobody holds an end of it.
    async fn given_back(&self) {
        poll_fn(|cx| {
            let mut ends = self.ends.lock().unwrap();
            ends.waiting = Some(cx.waker().clone());
            if ends.held == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// One direction of a wire.
struct Pipe {
    capacity: usize,
    bytes: VecDeque<u8>,
    /// Nothing more is written.
    ended: bool,
    /// Nobody reads any more.
    unread: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new(capacity: usize) -> Arc<Mutex<Self>> {
        let bytes = VecDeque::with_capacity(capacity);
        Arc::new(Mutex::new(Self { capacity, bytes, ended: false, unread: false, reader: None, writer: None }))
    }
}

/// One end of a wire: like a socket it knows one waker for each direction, and wakes it without a lock of its own.
struct End {
    wire: Wire,
    incoming: Arc<Mutex<Pipe>>,
    outgoing: Arc<Mutex<Pipe>>,
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut pipe = self.incoming.lock().unwrap();
        if pipe.bytes.is_empty() && !pipe.ended {
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        while buf.remaining() > 0
            && let Some(byte) = pipe.bytes.pop_front()
        {
            buf.put_slice(&[byte]);
        }
        let writer = pipe.writer.take();
        drop(pipe);
        writer.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipe = self.outgoing.lock().unwrap();
        if pipe.unread {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(pipe.capacity - pipe.bytes.len());
        if count == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        pipe.bytes.extend(&bytes[..count]);
        let reader = pipe.reader.take();
        drop(pipe);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = self.outgoing.lock().unwrap();
        pipe.ended = true;
        let reader = pipe.reader.take();
        drop(pipe);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut pipe = self.outgoing.lock().unwrap();
        pipe.ended = true;
        let reader = pipe.reader.take();
        drop(pipe);
        let mut pipe = self.incoming.lock().unwrap();
        pipe.unread = true;
        let writer = pipe.writer.take();
        drop(pipe);
        let mut ends = self.wire.ends.lock().unwrap();
        ends.held -= 1;
        let waiting = ends.waiting.take();
        drop(ends);
        reader.into_iter().chain(writer).chain(waiting).for_each(Waker::wake);
    }
}
