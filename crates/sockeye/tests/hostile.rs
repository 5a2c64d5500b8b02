//! Peers that mean harm, or are gone: each ends by its deadline or its limit, costs next to no memory until then, and
//! nothing is left of it.
//!
//! Every story is told by a clock that stands still while anybody has something to do, over a wire in memory, so that the
//! times are exact; and by an allocator that counts, so that the figures are.

#[path = "support/heap.rs"]
mod heap;
mod support;

use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sockeye::{
    CloseCode, Closed, ClosedBy, Error, ErrorKind, LimitExceeded, Limits, Phase, ProtocolError, Role, Upgrader,
    WebSocket,
};
use sockeye_proto::frame::{Header, Opcode};
use support::{KEY, client_frame, exchange, read_frame, request, server_frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep};

/// Our end of the connection, and who makes progress on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// A server's, in its handler.
    Handler,
    /// A client's, in [`sockeye::drive`].
    Driven,
    /// A client's, where nothing happens but while a method is awaited.
    Bare,
}

/// What our end is doing while the peer does its worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It waits in `recv`.
    Receiving,
    /// It is busy elsewhere for ten minutes, and calls `recv` then.
    Asleep,
    /// It is in the middle of a message that it takes as a stream.
    Streaming,
    /// It sends without end, waits for room in the queue, and calls `recv` once it can send no more.
    Sending,
    /// It has called `close`.
    Closing,
}

/// What our end has been told.
#[derive(Debug)]
struct Told {
    error: Option<Error>,
    closed: Closed,
    /// From the opening to the end of the connection, when its transport is given back.
    after: Duration,
    messages: usize,
    /// Bytes of streams.
    streamed: u64,
}

const ENDS: [End; 3] = [End::Handler, End::Driven, End::Bare];
const DOINGS: [Doing; 5] = [Doing::Receiving, Doing::Asleep, Doing::Streaming, Doing::Sending, Doing::Closing];
/// How long one who is asleep sleeps.
const ASLEEP: Duration = Duration::from_secs(600);
/// What a system's buffers hold for a peer that does not read.
const WIRE: usize = 32 << 10;
static ZEROS: [u8; 100 << 10] = [0; 100 << 10];

impl End {
    const fn role(self) -> Role {
        match self {
            Self::Handler => Role::Server,
            Self::Driven | Self::Bare => Role::Client,
        }
    }

    /// A frame as this end's peer sends it.
    fn frame_for(self, fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        match self.role() {
            Role::Server => client_frame(fin, opcode, payload),
            Role::Client => server_frame(fin, opcode, payload),
        }
    }

    /// The header of a frame that this end's peer claims to send; the payload's bytes may be anything.
    fn header_for(self, fin: bool, opcode: Opcode, len: u64) -> Vec<u8> {
        Header::new(fin, opcode, len, (self.role() == Role::Server).then_some(KEY)).encode().to_vec()
    }

    /// Ends and what they do, all that there are: nothing happens at an end that is not driven and does nothing.
    fn all() -> impl Iterator<Item = (Self, Doing)> {
        let all = ENDS.into_iter().flat_map(|end| DOINGS.map(|doing| (end, doing)));
        all.filter(|&case| case != (Self::Bare, Doing::Asleep))
    }

    /// Opens a connection whose other end the peer has, lives on it, and says what it was told.
    async fn meet<P: Future>(
        self,
        limits: Limits,
        doing: Doing,
        capacity: usize,
        peer: impl FnOnce(DuplexStream) -> P,
    ) -> (Told, P::Output) {
        let (near, mut far) = tokio::io::duplex(capacity);
        let (tell, mut ended) = unbounded_channel();
        let near = Near { stream: near, opened: Instant::now(), ended: tell };
        let (mut told, said) = match self {
            Self::Handler => {
                let (tell, mut told) = unbounded_channel();
                let server = tokio::spawn(serve(near, limits, move |ws| async move {
                    // Nobody listens where a test has failed.
                    let _ = tell.send(live(ws, doing).await);
                }));
                let head = exchange(&mut far, request("").as_bytes()).await;
                assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
                drop(head);
                let (told, said) = tokio::join!(told.recv(), peer(far));
                server.await.unwrap();
                (told.expect("a handler that does not panic"), said)
            }
            Self::Driven => {
                let ws = WebSocket::from_stream(near, Role::Client, limits);
                tokio::join!(sockeye::drive(live(ws, doing)), peer(far))
            }
            Self::Bare => {
                let ws = WebSocket::from_stream(near, Role::Client, limits);
                tokio::join!(live(ws, doing), peer(far))
            }
        };
        told.after = ended.recv().await.expect("the transport is given back");
        (told, said)
    }
}

/// Our end of the wire; it says when it is given back.
struct Near {
    stream: DuplexStream,
    opened: Instant,
    ended: UnboundedSender<Duration>,
}

impl Drop for Near {
    fn drop(&mut self) {
        let _ = self.ended.send(self.opened.elapsed());
    }
}

impl AsyncRead for Near {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Near {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A server of one connection: as [`sockeye::serve`], over a wire in memory.
async fn serve<F>(stream: Near, limits: Limits, handler: impl FnOnce(WebSocket) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let service = service_fn(|mut request: Request<Incoming>| {
        let upgrade = Upgrader::default().limits(limits).upgrade(&mut request).expect("a good request");
        let handler = handler.clone();
        let response: Response<Empty<Bytes>> = upgrade.on_upgrade(|ws| async move {
            handler(ws).await;
            Ok(())
        });
        core::future::ready(Ok::<_, Infallible>(response))
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    connection.with_upgrades().await.unwrap();
}

/// What one who uses the connection does with it, until it ends.
async fn live(mut ws: WebSocket, doing: Doing) -> Told {
    let (mut messages, mut streamed) = (0, 0);
    let error = match doing {
        Doing::Receiving => receive(&mut ws, &mut messages).await,
        Doing::Asleep => {
            // A connection is driven from its first use on.
            assert_eq!(ws.latency(), None);
            sleep(ASLEEP).await;
            receive(&mut ws, &mut messages).await
        }
        Doing::Streaming => stream(&mut ws, &mut messages, &mut streamed).await,
        Doing::Sending => {
            let queue = ws.sender();
            let error = loop {
                match ws.send(Bytes::from_static(&ZEROS)).await {
                    Ok(()) => assert!(queue.queued_bytes() <= ZEROS.len() + 64, "{}", queue.queued_bytes()),
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, Error::Closed), "{error:?}");
            receive(&mut ws, &mut messages).await
        }
        Doing::Closing => ws.close(CloseCode::NORMAL, "").await.err(),
    };
    // What is told is told once, and nothing can be sent any more.
    assert!(doing == Doing::Streaming || ws.recv().await.unwrap().is_none());
    assert!(matches!(ws.send("too late").await, Err(Error::Closed)));
    Told { error, closed: ws.closed().await, after: Duration::ZERO, messages, streamed }
}

async fn receive(ws: &mut WebSocket, messages: &mut usize) -> Option<Error> {
    loop {
        match ws.recv().await {
            Ok(Some(_)) => *messages += 1,
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

async fn stream(ws: &mut WebSocket, messages: &mut usize, streamed: &mut u64) -> Option<Error> {
    let mut buffer = [0; 1024];
    loop {
        let mut stream = match ws.recv_stream().await {
            Ok(Some(stream)) => stream,
            Ok(None) => return None,
            Err(error) => return Some(error),
        };
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => break,
                Ok(count) => *streamed += count as u64,
                Err(error) => return Some(error.downcast().expect("an error of ours is inside")),
            }
        }
        *messages += 1;
    }
}

// --- who is there ---

/// Reads frames until the end, and says which control frames came, and when.
async fn controls(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let opened = Instant::now();
    let mut said = String::new();
    while let Some((_, opcode, payload)) = read_frame(stream).await {
        let second = opened.elapsed().as_secs();
        match opcode {
            Opcode::PING => said += &format!("Ping at {second}, "),
            Opcode::CLOSE => said += &format!("Close {} at {second}, ", u16::from_be_bytes([payload[0], payload[1]])),
            _ => {}
        }
    }
    said + &format!("end at {}", opened.elapsed().as_secs())
}

/// How a peer is gone.
#[derive(Clone, Copy, Debug)]
enum Gone {
    /// It reads, and never says a word.
    Mute,
    /// It does not read, and nothing fits into the wire any more.
    Deaf,
    /// It does not read, and the wire takes what we write.
    Dead,
    /// It sends a byte a minute.
    ByteAMinute,
}

/// What is checked of every error in every story: its variant, and all that is told of it.
fn is_timeout(told: &Told, phase: Phase, seconds: u64, who: &str) {
    let error = told.error.as_ref().unwrap_or_else(|| panic!("{who}: no error, {told:?}"));
    assert!(matches!(error, Error::Timeout(given) if *given == phase), "{who}: {error:?}");
    assert!(error.is_timeout() && error.kind() == ErrorKind::Timeout, "{who}: {error:?}");
    assert_eq!(error.close_code(), Some(CloseCode::ABNORMAL_CLOSURE), "{who}");
    assert_eq!(told.after, Duration::from_secs(seconds), "{who}");
    let (by, code) = match phase {
        Phase::Closing => (ClosedBy::Us, CloseCode::NORMAL),
        _ => (ClosedBy::Nobody, CloseCode::ABNORMAL_CLOSURE),
    };
    assert_eq!((told.closed.by(), told.closed.code(), told.closed.is_clean()), (by, code, false), "{who}");
}

/// The first time a thread does something it allocates what it keeps: buffers, the date, who logs.
fn warm_up() {
    let (near, mut far) = (End::Handler, Limits::default());
    far = far.closing(Duration::from_secs(1));
    let story = near.meet(far, Doing::Closing, WIRE, |mut peer| async move {
        peer.write_all(&client_frame(true, Opcode::PING, b"?")).await.unwrap();
        drop(controls(&mut peer).await);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    drop(runtime.block_on(story));
}

fn limits() -> Limits {
    Limits::default().queue(64 << 10)
}

#[test]
fn a_peer_that_is_gone_is_given_up_after_40_seconds_or_10_where_we_close() {
    warm_up();
    for (end, doing) in End::all() {
        for gone in [Gone::Mute, Gone::Deaf, Gone::Dead, Gone::ByteAMinute] {
            if doing == Doing::Sending && matches!(gone, Gone::Mute) {
                // Who reads all there is keeps one who sends without end busy for ever.
                continue;
            }
            let who = format!("{gone:?}, {end:?}, {doing:?}");
            let capacity = if matches!(gone, Gone::Deaf) { 256 } else { WIRE };
            let (_, peak) = heap::told(&who, async {
                let (told, said) = end.meet(limits(), doing, capacity, |stream| gone.act(stream, end, doing)).await;
                match doing {
                    Doing::Closing => is_timeout(&told, Phase::Closing, 10, &who),
                    _ => is_timeout(&told, Phase::Keepalive, 40, &who),
                }
                match (gone, doing) {
                    (Gone::Mute, Doing::Closing) => assert_eq!(said, "Close 1000 at 0, end at 10", "{who}"),
                    (Gone::Mute, _) => assert_eq!(said, "Ping at 20, end at 40", "{who}"),
                    _ => {}
                }
            });
            println!("{who}: {peak} bytes at most");
            assert!(peak < 256 << 10, "{who}: {peak} bytes");
        }
    }
}

impl Gone {
    async fn act(self, mut stream: DuplexStream, end: End, doing: Doing) -> String {
        if doing == Doing::Streaming || matches!(self, Self::ByteAMinute) {
            // The message that our end will be in the middle of.
            let begun = [&end.header_for(true, Opcode::BINARY, 1000)[..], &[0; 10]].concat();
            stream.write_all(&begun).await.unwrap();
        }
        match self {
            Self::Mute => controls(&mut stream).await,
            Self::Deaf | Self::Dead => {
                sleep(2 * ASLEEP).await;
                String::new()
            }
            Self::ByteAMinute => {
                for _ in 0..20 {
                    sleep(Duration::from_secs(60)).await;
                    if stream.write_all(&[0]).await.is_err() {
                        break;
                    }
                }
                String::new()
            }
        }
    }
}

// --- who keeps us busy ---

/// What is sent a million times over.
#[derive(Clone, Copy, Debug)]
enum Flood {
    Pings,
    Pongs,
    EmptyFragments,
}

impl Flood {
    /// A thousand of them.
    fn thousand(self, end: End) -> Vec<u8> {
        match self {
            Self::Pings => end.frame_for(true, Opcode::PING, &[b'?'; 32]).repeat(1000),
            Self::Pongs => end.frame_for(true, Opcode::PONG, &[b'!'; 32]).repeat(1000),
            Self::EmptyFragments => end.frame_for(false, Opcode::CONTINUATION, b"").repeat(1000),
        }
    }
}

#[test]
fn a_million_pings_or_pongs_cost_next_to_nothing_and_the_connection_lives_on_or_closes_in_time() {
    warm_up();
    for (end, doing) in End::all() {
        for flood in [Flood::Pings, Flood::Pongs] {
            for reads in [true, false] {
                // Pongs have no answer to read; and who reads what is sent without end never comes to its own end.
                if reads && (doing == Doing::Sending || matches!(flood, Flood::Pongs)) {
                    continue;
                }
                let who = format!("{flood:?}, {end:?}, {doing:?}, {}", if reads { "reads" } else { "never reads" });
                let (_, peak) = heap::told(&who, async {
                    let peer = |stream| flood_in_ten_seconds(stream, end, doing, flood, reads);
                    let (told, sent) = end.meet(limits(), doing, WIRE, peer).await;
                    if doing == Doing::Closing {
                        is_timeout(&told, Phase::Closing, 10, &who);
                        assert!(sent >= 990_000, "{who}: {sent} were taken until then");
                        return;
                    }
                    is_timeout(&told, Phase::Keepalive, 40, &who);
                    assert_eq!(sent, 1_000_000, "{who}: all were taken");
                    // What the peer says after all that arrives.
                    if doing != Doing::Sending {
                        assert_eq!(told.messages, 1, "{who}");
                    }
                });
                println!("{who}: {peak} bytes at most");
                assert!(peak < 768 << 10, "{who}: {peak} bytes");
            }
        }
    }
}

/// Sends a thousand every 10 ms, a million in all, and one message at last; then nothing more. Says how many were taken.
async fn flood_in_ten_seconds(stream: DuplexStream, end: End, doing: Doing, flood: Flood, reads: bool) -> usize {
    let (mut read, mut write) = tokio::io::split(stream);
    let reading = async { while reads && read.read(&mut [0; 1024]).await.is_ok_and(|count| count > 0) {} };
    let writing = async {
        let mut sent = 0;
        if doing == Doing::Streaming {
            write.write_all(&end.frame_for(false, Opcode::BINARY, b"begun")).await.unwrap();
        }
        let thousand = flood.thousand(end);
        while sent < 1_000_000 && write.write_all(&thousand).await.is_ok() {
            sent += 1000;
            sleep(Duration::from_millis(10)).await;
        }
        let last = if doing == Doing::Streaming { Opcode::CONTINUATION } else { Opcode::TEXT };
        let _ = write.write_all(&end.frame_for(true, last, b"still here")).await;
        sleep(2 * ASLEEP).await;
        sent
    };
    tokio::join!(reading, writing).1
}

#[test]
fn a_million_empty_fragments_are_one_too_many() {
    warm_up();
    for (end, doing) in End::all() {
        for stubborn in [false, true] {
            let who = format!("{end:?}, {doing:?}, {}", if stubborn { "stubborn" } else { "polite" });
            let (_, peak) = heap::told(&who, async {
                let peer = |stream| empty_fragments(stream, end, stubborn);
                let (told, said) = end.meet(limits(), doing, WIRE, peer).await;
                let limit = LimitExceeded::Fragments { limit: 131_072 };
                let error = told.error.as_ref().unwrap_or_else(|| panic!("{who}: no error, {told:?}"));
                assert!(
                    matches!(error, Error::Protocol(ProtocolError::Limit(given)) if *given == limit),
                    "{who}: {error:?}"
                );
                assert_eq!((error.kind(), error.is_timeout()), (ErrorKind::Peer, false), "{who}");
                assert_eq!(error.close_code(), Some(CloseCode::MESSAGE_TOO_BIG), "{who}");
                // Who goes on is discarded until the time for closing is over.
                let seconds = if stubborn { 10 } else { 0 };
                assert_eq!(told.after, Duration::from_secs(seconds), "{who}");
                let code = if doing == Doing::Closing { 1000 } else { 1009 };
                let closed = &told.closed;
                assert_eq!(
                    (closed.by(), closed.code().as_u16(), closed.is_clean()),
                    (ClosedBy::Us, code, false),
                    "{who}"
                );
                assert_eq!(said, format!("Close {code} at 0, end at 0"), "{who}");
            });
            println!("{who}: {peak} bytes at most");
            assert!(peak < 640 << 10, "{who}: {peak} bytes");
        }
    }
}

/// Begins a message and sends a million empty fragments of it, and stops when it is told to if it is not stubborn.
async fn empty_fragments(stream: DuplexStream, end: End, stubborn: bool) -> String {
    let (mut read, mut write) = tokio::io::split(stream);
    let reading = async {
        let said = controls(&mut read).await;
        if stubborn {
            sleep(2 * ASLEEP).await;
        }
        said
    };
    let writing = async {
        write.write_all(&end.frame_for(false, Opcode::TEXT, b"")).await.unwrap();
        let thousand = Flood::EmptyFragments.thousand(end);
        for _ in 0..1000 {
            if write.write_all(&thousand).await.is_err() {
                break;
            }
        }
        core::future::pending::<()>().await;
    };
    tokio::select! {
        said = reading => said,
        () = writing => unreachable!("it never ends"),
    }
}

#[test]
fn a_frame_that_claims_all_there_is_is_refused_where_it_is_wanted_whole_and_held_back_where_it_is_not() {
    warm_up();
    for (end, doing) in End::all() {
        if doing == Doing::Sending {
            // Both wait for the other to read: that is a story of its own.
            continue;
        }
        let who = format!("{end:?}, {doing:?}");
        let (_, peak) = heap::told(&who, async {
            let (told, taken) = end.meet(limits(), doing, WIRE, |stream| endless_frame(stream, end)).await;
            let len = i64::MAX as u64;
            let refused = |error: &Error| {
                let limit = ProtocolError::Limit(LimitExceeded::Message { len, limit: 1 << 20 });
                matches!(error, Error::Protocol(given) if *given == limit)
                    && error.close_code() == Some(CloseCode::MESSAGE_TOO_BIG)
            };
            let error = told.error.as_ref().unwrap_or_else(|| panic!("{who}: no error, {told:?}"));
            match doing {
                // Refused on its header; what follows is discarded for the 10 s that closing takes.
                Doing::Receiving => assert!(refused(error) && told.after.as_secs() == 10, "{who}: {told:?}"),
                // A reader that may still take it as a stream has 64 KiB read ahead. Silence is no evidence meanwhile.
                Doing::Asleep => {
                    assert!(refused(error) && told.after.as_secs() == 610, "{who}: {told:?}");
                }
                Doing::Sending => unreachable!("left out"),
                // All of it, in constant memory.
                Doing::Streaming => {
                    is_timeout(&told, Phase::Keepalive, told.after.as_secs(), &who);
                    assert_eq!(told.streamed, 100 << 20, "{who}");
                    assert_eq!(taken, 100 << 20, "{who}");
                }
                Doing::Closing => is_timeout(&told, Phase::Closing, 10, &who),
            }
        });
        println!("{who}: {peak} bytes at most");
        assert!(peak < 512 << 10, "{who}: {peak} bytes");
    }
}

/// Claims 2^63-1 bytes and sends 100 MiB of them, as fast as they are taken; says how many were.
async fn endless_frame(mut stream: DuplexStream, end: End) -> usize {
    stream.write_all(&end.header_for(true, Opcode::BINARY, i64::MAX as u64)).await.unwrap();
    let mut taken = 0;
    while taken < 100 << 20 {
        match stream.write_all(&ZEROS[..64 << 10]).await {
            Ok(()) => taken += 64 << 10,
            Err(_) => return taken,
        }
    }
    sleep(2 * ASLEEP).await;
    taken
}

// --- who is alive ---

#[tokio::test(start_paused = true)]
async fn a_peer_is_not_given_up_for_what_we_have_not_read_in_ten_minutes_and_nothing_is_lost() {
    for end in [End::Handler, End::Driven] {
        // A thousand messages of 1 KiB are far more than is read ahead.
        let (near, mut far) = tokio::io::duplex(WIRE);
        let (tell, mut ended) = unbounded_channel();
        let near = Near { stream: near, opened: Instant::now(), ended: tell };
        let receiving = |mut ws: WebSocket| async move {
            assert_eq!(ws.latency(), None);
            sleep(ASLEEP).await;
            for number in 0..1000_u32 {
                let message = ws.recv().await.unwrap().expect("a message").into_bytes();
                assert!(message.len() == 1024 && message[..4] == number.to_be_bytes(), "message {number}");
            }
            assert_eq!(ws.recv().await.unwrap(), None);
            assert!(ws.closed().await.is_clean());
        };
        let ours = match end {
            End::Handler => tokio::spawn(serve(near, Limits::default(), receiving)),
            _ => tokio::spawn(sockeye::drive(receiving(WebSocket::from_stream(near, Role::Client, Limits::default())))),
        };
        if end == End::Handler {
            exchange(&mut far, request("").as_bytes()).await;
        }
        let (mut read, write) = tokio::io::split(far);
        let write = tokio::sync::Mutex::new(write);
        // It answers Pings between its messages: as late as its own writing allows.
        let reading = async {
            let mut pings = 0;
            while let Some((_, opcode, payload)) = read_frame(&mut read).await {
                match opcode {
                    Opcode::PING => {
                        pings += 1;
                        write.lock().await.write_all(&end.frame_for(true, Opcode::PONG, &payload)).await.unwrap();
                    }
                    Opcode::CLOSE => write.lock().await.shutdown().await.unwrap(),
                    other => panic!("{other:?}"),
                }
            }
            pings
        };
        let writing = async {
            for number in 0..1000_u32 {
                let message = [&number.to_be_bytes()[..], &ZEROS[..1020]].concat();
                write.lock().await.write_all(&end.frame_for(true, Opcode::BINARY, &message)).await.unwrap();
                tokio::task::yield_now().await;
            }
            write.lock().await.write_all(&end.frame_for(true, Opcode::CLOSE, b"\x03\xE8")).await.unwrap();
        };
        let (pings, ()) = tokio::join!(reading, writing);
        assert!(pings >= 1, "{end:?} asked");
        ours.await.unwrap();
        let _ = ended.recv().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_in_the_middle_of_one_huge_slow_frame_is_alive_without_a_pong() {
    for end in ENDS {
        for doing in [Doing::Receiving, Doing::Streaming] {
            let (told, said) = end
                .meet(Limits::default(), doing, WIRE, |mut peer| async move {
                    peer.write_all(&end.header_for(true, Opcode::BINARY, 600 * 100)).await.unwrap();
                    for _ in 0..600 {
                        sleep(Duration::from_secs(1)).await;
                        peer.write_all(&ZEROS[..100]).await.unwrap();
                    }
                    peer.write_all(&end.frame_for(true, Opcode::CLOSE, b"")).await.unwrap();
                    let (mut read, mut write) = tokio::io::split(peer);
                    tokio::join!(controls_but_close(&mut read), write.shutdown()).0
                })
                .await;
            assert!(told.error.is_none() && told.closed.is_clean(), "{end:?}, {doing:?}: {told:?}");
            assert_eq!((told.messages, told.after.as_secs()), (1, 600), "{end:?}, {doing:?}");
            // 20 s after the opening, and again whenever it has shown life for another 20 s without an answer.
            assert!((28..=30).contains(&said), "{end:?}, {doing:?}: {said} Pings");
        }
    }
}

/// Reads to the end; how many Pings came.
async fn controls_but_close(stream: &mut (impl AsyncRead + Unpin)) -> usize {
    let mut pings = 0;
    while let Some((_, opcode, _)) = read_frame(stream).await {
        pings += usize::from(opcode == Opcode::PING);
    }
    pings
}

#[tokio::test(start_paused = true)]
async fn without_a_keepalive_a_peer_may_be_silent_for_a_day() {
    for end in ENDS {
        let (told, pings) = end
            .meet(Limits::default().ping(None), Doing::Receiving, WIRE, |mut peer| async move {
                sleep(Duration::from_secs(24 * 60 * 60)).await;
                peer.write_all(&end.frame_for(true, Opcode::TEXT, b"good morning")).await.unwrap();
                peer.write_all(&end.frame_for(true, Opcode::CLOSE, b"")).await.unwrap();
                let (mut read, mut write) = tokio::io::split(peer);
                tokio::join!(controls_but_close(&mut read), write.shutdown()).0
            })
            .await;
        assert!(told.error.is_none() && told.closed.is_clean(), "{end:?}: {told:?}");
        assert_eq!((told.messages, pings), (1, 0), "{end:?}");
        assert_eq!(told.after.as_secs(), 24 * 60 * 60, "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_of_our_own_is_given_up_without_a_keepalive_too() {
    let (near, _far) = tokio::io::duplex(WIRE);
    let ws = WebSocket::from_stream(near, Role::Client, Limits::default().ping(None));
    let started = Instant::now();
    let error = ws.ping().await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Phase::Keepalive)), "{error:?}");
    assert_eq!(started.elapsed().as_secs(), 20);
}

// --- what these stories have found ---

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_for_room_sleeps_until_there_is_some() {
    for end in [End::Handler, End::Driven] {
        let polls = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&polls);
        let (near, mut far) = tokio::io::duplex(256);
        let (tell, mut ended) = unbounded_channel();
        let near = Near { stream: near, opened: Instant::now(), ended: tell };
        // Three of these are in the queue then, and there is room for less than a fourth.
        let sending = move |ws: WebSocket| async move {
            let mut sending =
                core::pin::pin!(async { while ws.send(Bytes::from_static(&ZEROS[..20 << 10])).await.is_ok() {} });
            core::future::poll_fn(|cx| {
                let polls = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if polls > 1000 { Poll::Ready(()) } else { sending.as_mut().poll(cx) }
            })
            .await;
        };
        let ours = match end {
            End::Handler => tokio::spawn(serve(near, limits(), sending)),
            _ => tokio::spawn(sockeye::drive(sending(WebSocket::from_stream(near, Role::Client, limits())))),
        };
        if end == End::Handler {
            exchange(&mut far, request("").as_bytes()).await;
        }
        ours.await.unwrap();
        ended.recv().await;
        let polls = polls.load(std::sync::atomic::Ordering::Relaxed);
        assert!(polls < 20, "{end:?}: it was polled {polls} times while there was no room");
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_watches_from_another_task_does_not_keep_the_handler_s_connection_from_its_pings() {
    let (near, mut far) = tokio::io::duplex(WIRE);
    let ws = WebSocket::from_stream(near, Role::Client, Limits::default());
    let watched = ws.sender();
    let driving = tokio::spawn(sockeye::drive(async move {
        assert_eq!(ws.latency(), None);
        tokio::spawn(async move { watched.closed().await });
        sleep(ASLEEP).await;
    }));
    let opened = Instant::now();
    let (_, opcode, _) = read_frame(&mut far).await.unwrap();
    assert_eq!((opcode, opened.elapsed().as_secs()), (Opcode::PING, 20));
    driving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_and_never_reads_is_given_up_where_we_wait_to_send() {
    for end in [End::Handler, End::Driven, End::Bare] {
        // Our end does not read on while it waits, and the peer does not read at all.
        let story = end.meet(limits(), Doing::Sending, 256, |mut peer| async move {
            let message = end.frame_for(true, Opcode::BINARY, &ZEROS[..1024]);
            while peer.write_all(&message).await.is_ok() {}
        });
        let told = tokio::time::timeout(Duration::from_secs(3600), story).await;
        let (told, ()) = told.unwrap_or_else(|_| panic!("{end:?}: neither has moved for an hour, and nobody gives up"));
        assert!(told.error.as_ref().is_some_and(Error::is_timeout), "{end:?}: {told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_of_ours_do_not_give_each_other_up_while_the_handler_of_one_sleeps_behind_a_full_read_ahead() {
    let (near, far) = tokio::io::duplex(1024);
    let mut server = WebSocket::from_stream(near, Role::Server, Limits::default());
    let mut client = WebSocket::from_stream(far, Role::Client, Limits::default());
    let opened = Instant::now();
    let sending = tokio::spawn(sockeye::drive(async move {
        for number in 0..1000_u32 {
            client.send(format!("{number:>1000}")).await.unwrap();
        }
        // The server closes once it has them all.
        let end = client.recv().await;
        assert_eq!(end.unwrap_or_else(|error| panic!("after {:?}: {error}", opened.elapsed())), None);
        opened.elapsed()
    }));
    let receiving = tokio::spawn(sockeye::drive(async move {
        assert_eq!(server.latency(), None);
        sleep(ASLEEP).await;
        for number in 0..1000_u32 {
            let text = server.recv().await.unwrap().expect("a message").into_bytes();
            assert!(text[..] == *format!("{number:>1000}").as_bytes(), "message {number}");
        }
        server.close(CloseCode::NORMAL, "").await.unwrap();
    }));
    assert_eq!(sending.await.unwrap(), ASLEEP);
    receiving.await.unwrap();
}
