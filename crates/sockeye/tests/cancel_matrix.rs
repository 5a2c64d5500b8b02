//! Every future of a connection dropped after every number of polls, over a transport that takes and gives a few bytes at
//! a time and is not ready every other time, and over one that fails after so many bytes. The peer is a strict one: it
//! parses each frame, and knows which messages may come.

use std::future::poll_fn;
use std::io::{Error as IoError, ErrorKind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::support::{client_frame, in_time, read_frame, read_head, soon, switching, text};
use sockeye::{CloseCode, Error, Limits, Message, MessageKind, Prepared, Role, WebSocket, connect};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const POLLS: usize = 30;

/// A stream that takes and gives at most so many bytes, is not ready once after each time it was, and fails for good once
/// `reads` or `writes` bytes have gone through it.
struct Rough {
    stream: DuplexStream,
    bytes: usize,
    reads: usize,
    writes: usize,
    tired: [bool; 2],
}

impl Rough {
    fn turn(&mut self, side: usize, cx: &Context<'_>) -> bool {
        if std::mem::take(&mut self.tired[side]) {
            cx.waker().wake_by_ref();
            return false;
        }
        true
    }
}

impl AsyncRead for Rough {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if !self.turn(0, cx) {
            return Poll::Pending;
        }
        if self.reads == 0 {
            return Poll::Ready(Err(IoError::new(ErrorKind::ConnectionReset, "no more reads")));
        }
        let mut some = buf.take(self.bytes.min(self.reads));
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut some);
        let count = some.filled().len();
        let filled = some.filled().to_vec();
        buf.put_slice(&filled);
        self.reads -= count;
        self.tired[0] = count > 0;
        polled
    }
}

impl AsyncWrite for Rough {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        if !self.turn(1, cx) {
            return Poll::Pending;
        }
        if self.writes == 0 {
            return Poll::Ready(Err(IoError::new(ErrorKind::BrokenPipe, "no more writes")));
        }
        let some = buf.len().min(self.bytes).min(self.writes);
        let polled = Pin::new(&mut self.stream).poll_write(cx, &buf[..some]);
        if let Poll::Ready(Ok(count)) = polled {
            self.writes -= count;
            self.tired[1] = true;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A server's end over such a wire, of `bytes` at a time.
fn rough(bytes: usize, queue: usize, reads: usize, writes: usize) -> (WebSocket, DuplexStream) {
    let (near, far) = tokio::io::duplex(16);
    let near = Rough { stream: near, bytes, reads, writes, tired: [true; 2] };
    (WebSocket::from_stream(near, Role::Server, Limits::default().queue(queue)), far)
}

fn whole(bytes: usize) -> (WebSocket, DuplexStream) {
    rough(bytes, 40, usize::MAX, usize::MAX)
}

/// Polls a future this many times and drops it. What it came to, if it did.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        if let Poll::Ready(output) = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// What a strict peer has received by the end of the stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    messages: Vec<String>,
    /// The code of the Close, the last frame of all.
    close: Option<u16>,
}

/// Reads frame by frame, answers Pings and Close; says first what it is told to.
fn strict_peer(peer: DuplexStream, script: Vec<u8>) -> JoinHandle<Heard> {
    tokio::spawn(async move {
        let (mut reading, writing) = tokio::io::split(peer);
        let (answers, mut to_write) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
        answers.send(script).unwrap();
        let writer = tokio::spawn(async move {
            let mut writing = writing;
            while let Some(bytes) = to_write.recv().await {
                if writing.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            let _ = writing.shutdown().await;
        });
        let mut heard = Heard::default();
        let mut message: Option<Vec<u8>> = None;
        while let Some((fin, opcode, payload)) = read_frame(&mut reading).await {
            assert_eq!(heard.close, None, "nothing follows a Close");
            if opcode == Opcode::PING {
                let _ = answers.send(client_frame(true, Opcode::PONG, &payload));
            } else if opcode == Opcode::CLOSE {
                heard.close = Some(u16::from_be_bytes(payload[..2].try_into().unwrap()));
                let _ = answers.send(client_frame(true, Opcode::CLOSE, &payload[..2]));
            } else if opcode != Opcode::PONG {
                assert_eq!(opcode == Opcode::CONTINUATION, message.is_some(), "{opcode:?}: fragments belong together");
                let so_far = message.get_or_insert_default();
                so_far.extend(payload);
                if fin {
                    heard.messages.push(String::from_utf8(message.take().unwrap()).unwrap());
                }
            }
        }
        drop(answers);
        let _ = writer.await;
        heard
    })
}

/// Drives a connection to its end after a future on it was dropped: it can still send, and close.
async fn go_on_and_close(ws: &WebSocket) {
    soon(ws.send("after")).await.unwrap();
    soon(ws.close(CloseCode::NORMAL, "")).await.unwrap();
}

fn messages(heard: &Heard) -> Vec<&str> {
    assert_eq!(heard.close, Some(1000), "{heard:?}");
    heard.messages.iter().map(String::as_str).collect()
}

const LONG: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

// --- receiving ---

#[tokio::test(start_paused = true)]
async fn recv_and_recv_stream_dropped_at_any_poll_lose_nothing_and_double_nothing() {
    let long = "好".repeat(50);
    let expected = ["", "one", LONG, &long, "fragments", "end"];
    let mut script: Vec<u8> = expected[..4].iter().flat_map(|message| text(message)).collect();
    script.extend(client_frame(false, Opcode::TEXT, b"frag"));
    script.extend(client_frame(true, Opcode::PING, b"?"));
    script.extend(client_frame(true, Opcode::CONTINUATION, b"ments"));
    script.extend(text("end"));
    for bytes in 1..=7 {
        for times in 1..=POLLS {
            // By recv; by recv_stream; by both in turn; lent, by halves that are dropped each time.
            for way in 0..4 {
                let (mut ws, peer) = whole(bytes);
                let peer = strict_peer(peer, script.clone());
                let mut received: Vec<String> = Vec::new();
                for attempt in 0..100_000 {
                    if received.len() == expected.len() {
                        break;
                    }
                    if way == 3 {
                        match polled(times, ws.halves().0.recv()).await {
                            Some(Ok(Some(message))) => received.push(message.as_text().unwrap().to_string()),
                            Some(other) => panic!("{other:?}"),
                            None => {}
                        }
                    } else if way == 0 || way == 2 && attempt % 2 == 0 {
                        match polled(times, ws.recv()).await {
                            Some(Ok(Some(message))) => received.push(message.as_text().unwrap().to_string()),
                            Some(other) => panic!("{other:?}"),
                            None => {}
                        }
                    } else if let Some(begun) = polled(times, ws.recv_stream()).await {
                        let mut stream = begun.unwrap().unwrap();
                        let mut read = Vec::new();
                        loop {
                            // A read that is dropped loses nothing either.
                            match polled(times, stream.read_buf(&mut read)).await {
                                Some(Ok(0)) => break,
                                Some(result) => drop(result.unwrap()),
                                None => {}
                            }
                        }
                        received.push(String::from_utf8(read).unwrap());
                    }
                }
                assert_eq!(received, expected, "{times} polls, {bytes} bytes, way {way}");
                soon(ws.close(CloseCode::NORMAL, "")).await.unwrap();
                assert_eq!(messages(&soon(peer).await.unwrap()), [""; 0]);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_lent_recv_dropped_at_any_poll_loses_nothing_and_doubles_nothing() {
    let expected = ["", "one", LONG, "fragments", "end"];
    let mut script: Vec<u8> = expected[..3].iter().flat_map(|message| text(message)).collect();
    script.extend(client_frame(false, Opcode::TEXT, b"frag"));
    script.extend(client_frame(true, Opcode::PING, b"?"));
    script.extend(client_frame(true, Opcode::CONTINUATION, b"ments"));
    script.extend(text("end"));
    for bytes in (1..=7).chain([64, 1000]) {
        for times in 1..=POLLS {
            let (mut ws, peer) = whole(bytes);
            let peer = strict_peer(peer, script.clone());
            let (mut incoming, outgoing) = ws.halves();
            let mut received: Vec<String> = Vec::new();
            for _ in 0..100_000 {
                if received.len() == expected.len() {
                    break;
                }
                if let Some(message) = polled(times, incoming.recv()).await {
                    received.push(message.unwrap().unwrap().as_text().unwrap().to_string());
                }
            }
            assert_eq!(received, expected, "{times} polls, {bytes} bytes");
            drop((incoming, outgoing));
            soon(ws.close(CloseCode::NORMAL, "")).await.unwrap();
            assert_eq!(messages(&soon(peer).await.unwrap()), [""; 0]);
        }
    }
}

// --- sending ---

/// What is dropped in the middle of, behind a message that fills the queue.
#[derive(Clone, Copy, Debug)]
enum Call {
    Send,
    SendPrepared,
    SendUncompressed,
    SendTimeout,
    SendBorrowed,
    Feed,
    FeedBorrowed,
    Flush,
    Ping,
    Closed,
}

async fn call(ws: &mut WebSocket, call: Call) -> Result<(), Error> {
    match call {
        Call::Send => ws.send(LONG).await,
        Call::SendPrepared => ws.send_prepared(&Prepared::new(LONG.into())).await,
        Call::SendUncompressed => ws.send_uncompressed(LONG).await,
        Call::SendTimeout => ws.send_timeout(LONG, Duration::from_secs(60)).await,
        Call::SendBorrowed => ws.halves().1.send(LONG).await,
        Call::Feed => ws.feed(LONG).await,
        Call::FeedBorrowed => ws.halves().1.feed(LONG).await,
        Call::Flush => ws.flush().await,
        Call::Ping => ws.ping().await.map(drop),
        Call::Closed => {
            ws.closed().await;
            Ok(())
        }
    }
}

const CALLS: [Call; 10] = [
    Call::Send,
    Call::SendPrepared,
    Call::SendUncompressed,
    Call::SendTimeout,
    Call::SendBorrowed,
    Call::Feed,
    Call::FeedBorrowed,
    Call::Flush,
    Call::Ping,
    Call::Closed,
];

impl Call {
    const fn sends(self) -> bool {
        !matches!(self, Self::Flush | Self::Ping | Self::Closed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_at_any_poll_sends_a_whole_message_or_none_and_the_stream_stays_well_formed() {
    for bytes in 1..=7 {
        for times in 0..=POLLS {
            for dropped in CALLS {
                let (mut ws, peer) = whole(bytes);
                let peer = strict_peer(peer, text("from the peer"));
                ws.send(LONG).await.unwrap();
                let done = polled(times, call(&mut ws, dropped)).await;
                let context = format!("{dropped:?} dropped after {times} polls of {bytes} bytes");
                assert!(done.as_ref().is_none_or(Result::is_ok), "{context}: {done:?}");
                go_on_and_close(&ws).await;
                let heard = soon(peer).await.unwrap();
                // Ready says that it was accepted, and nothing else does: dropped before, it queued nothing.
                let mut expected = vec![LONG];
                if done.is_some() && dropped.sends() {
                    expected.push(LONG);
                }
                expected.push("after");
                assert_eq!(messages(&heard), expected, "{context}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn close_dropped_after_its_first_poll_is_brought_to_its_end_by_whatever_is_called_next() {
    for bytes in 1..=7 {
        for times in 0..=POLLS {
            for next in 0..3 {
                let (mut ws, peer) = whole(bytes);
                let peer = strict_peer(peer, text("from the peer"));
                ws.send(LONG).await.unwrap();
                let _ = polled(times, ws.close(CloseCode::from(4000), "enough")).await;
                if times == 0 {
                    ws.close(CloseCode::from(4000), "").await.unwrap();
                }
                let ending = async {
                    match next {
                        0 => {
                            for _ in 0..2 {
                                if ws.recv().await.unwrap().is_none() {
                                    break;
                                }
                            }
                        }
                        1 => ws.close(CloseCode::NORMAL, "another").await.unwrap(),
                        _ => assert!(ws.closed().await.is_clean()),
                    }
                };
                let ended = tokio::time::timeout(Duration::from_secs(1), ending).await;
                assert!(ended.is_ok(), "{times} polls, {bytes} bytes, then {next}");
                let heard = soon(peer).await.unwrap();
                assert_eq!(heard, Heard { messages: vec![LONG.into()], close: Some(4000) }, "{times} {bytes} {next}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_dropped_while_it_waits_leaves_those_behind_it_their_turn() {
    for bytes in [1, 3, 7] {
        for times in 0..=POLLS {
            let (ws, peer) = whole(bytes);
            let peer = strict_peer(peer, Vec::new());
            ws.send(LONG).await.unwrap();
            let (one, two) = (ws.sender(), ws.sender());
            let dropped = async {
                let done = polled(times, one.send("in between, and longer than the queue has room")).await;
                assert!(done.is_none_or(|sent| sent.is_ok()));
            };
            let behind = async { two.send("behind").await.unwrap() };
            soon(async { tokio::join!(dropped, behind) }).await;
            go_on_and_close(&ws).await;
            let heard = soon(peer).await.unwrap();
            let mut kept = messages(&heard);
            kept.retain(|message| !message.starts_with("in between"));
            assert_eq!(kept, [LONG, "behind", "after"], "{times} polls");
        }
    }
}

// --- streams ---

#[tokio::test(start_paused = true)]
async fn writes_flushes_and_shutdowns_of_a_stream_dropped_at_any_poll_lose_nothing() {
    for bytes in 1..=7 {
        for times in 1..=POLLS {
            let (ws, peer) = whole(bytes);
            let peer = strict_peer(peer, text("from the peer"));
            ws.send(LONG).await.unwrap();
            let mut stream = ws.send_stream(MessageKind::Text);
            for piece in ["你", "好，", "世界"] {
                let mut rest = piece.as_bytes();
                for _ in 0..1000 {
                    if rest.is_empty() {
                        break;
                    }
                    if let Some(written) = polled(times, stream.write(rest)).await {
                        rest = &rest[written.unwrap()..];
                    }
                }
                // Dropped or not: what was written stays written, in this frame or the next.
                let flushed = polled(times, stream.flush()).await;
                assert!(flushed.is_none_or(|flushed| flushed.is_ok()));
            }
            for _ in 0..1000 {
                if let Some(ended) = polled(times, stream.shutdown()).await {
                    ended.unwrap();
                    break;
                }
            }
            drop(stream);
            go_on_and_close(&ws).await;
            let heard = soon(peer).await.unwrap();
            assert_eq!(messages(&heard), [LONG, "你好，世界", "after"], "{times} polls, {bytes} bytes");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_dropped_in_the_middle_of_a_call_leaves_no_trace_or_closes_with_1011() {
    for bytes in 1..=7 {
        for times in 0..=POLLS {
            for shutdown in [false, true] {
                let (ws, peer) = whole(bytes);
                let peer = strict_peer(peer, Vec::new());
                ws.send(LONG).await.unwrap();
                let mut stream = ws.send_stream(MessageKind::Text);
                stream.write_all(b"given up").await.unwrap();
                if shutdown {
                    let _ = polled(times, stream.finish()).await;
                } else {
                    let _ = polled(times, stream.flush()).await;
                    drop(stream);
                }
                let sent = soon(ws.send("after")).await;
                soon(ws.close(CloseCode::NORMAL, "")).await.unwrap();
                let heard = soon(peer).await.unwrap();
                let context = format!("{times} polls, {bytes} bytes: {heard:?}");
                match heard.close {
                    Some(1000) => {
                        sent.unwrap();
                        let given_up = [LONG, "given up", "after"];
                        let expected = if heard.messages.len() == 3 { &given_up[..] } else { &[LONG, "after"] };
                        assert!(shutdown || heard.messages.len() == 2, "{context}");
                        assert_eq!(heard.messages, expected, "{context}");
                    }
                    Some(1011) => {
                        assert!(!shutdown, "the message was whole or not begun: {context}");
                        assert!(matches!(sent, Err(Error::Closed)), "{sent:?}");
                        assert_eq!(heard.messages, [LONG], "{context}");
                    }
                    _ => panic!("{context}"),
                }
            }
        }
    }
}

// --- connecting ---

/// Answers the request that comes, if one does, and reads to the end of the stream. What came after the request.
async fn switch_and_read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let head = read_head(&mut stream).await;
    let mut rest = Vec::new();
    if !head.is_empty() {
        // One who has gone may have left a reset behind; that is an end, too.
        let _ = stream.write_all(switching(&head).as_bytes()).await;
        let _ = stream.read_to_end(&mut rest).await;
    }
    rest
}

#[tokio::test]
async fn connect_dropped_at_any_poll_leaves_no_task_and_the_server_sees_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    for times in 0..=POLLS {
        // Before its first poll it does nothing.
        let serving = async {
            if times > 0 { switch_and_read_to_end(listener.accept().await.unwrap().0).await } else { Vec::new() }
        };
        let connecting = async {
            let connected = polled(times, connect(url.as_str()).into_future()).await;
            // A connection that came of it is dropped here, too.
            connected.map(|connected| drop(connected.unwrap()))
        };
        let (connected, rest) = in_time(async { tokio::join!(connecting, serving) }).await;
        // Close 1001, masked; or nothing.
        assert_eq!(rest.len(), if connected.is_some() { 8 } else { 0 }, "{times} polls: {rest:?}");
        in_time(async {
            while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

// --- a transport that fails ---

/// One of the errors that a connection whose transport failed may end a call with.
fn is_stated(error: &Error) -> bool {
    match error {
        Error::Io(error) => matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
        Error::Aborted | Error::Closed => true,
        error => error.is_timeout(),
    }
}

#[tokio::test(start_paused = true)]
async fn over_a_transport_that_fails_every_call_ends_with_a_stated_error_dropped_or_not() {
    for fails_at in 0..40 {
        for (reads, writes) in [(usize::MAX, fails_at), (fails_at, usize::MAX), (fails_at, fails_at)] {
            for times in [0, 1, 3, POLLS] {
                for first in CALLS {
                    let (mut ws, peer) = rough(3, 40, reads, writes);
                    let script =
                        [text("one"), client_frame(true, Opcode::PING, b"?"), text("two"), text(LONG)].concat();
                    let peer = strict_peer(peer, script);
                    let context = format!("{first:?}, {times} polls, reads {reads}, writes {writes}");
                    let ends = |done: Result<(), Error>| match done {
                        Ok(()) => {}
                        Err(error) => assert!(is_stated(&error), "{context}: {error:?}"),
                    };
                    if let Some(done) = polled(times, call(&mut ws, first)).await {
                        ends(done);
                    }
                    for _ in 0..3 {
                        ends(tokio::time::timeout(Duration::from_secs(60), ws.send(LONG)).await.expect(&context));
                    }
                    // All that came before it failed is given, in its order; then the error, once; then the end.
                    let mut received = Vec::new();
                    let mut errors = 0;
                    let mut ended = false;
                    let closing = ws.sender();
                    tokio::spawn(async move { closing.close(CloseCode::NORMAL, "").await });
                    for _ in 0..10 {
                        match tokio::time::timeout(Duration::from_secs(100), ws.recv()).await.expect(&context) {
                            Ok(Some(message)) => received.push(message),
                            Ok(None) if ended => break,
                            Ok(None) => ended = true,
                            Err(error) => {
                                assert!(!ended && is_stated(&error), "{context}: {error:?}");
                                errors += 1;
                            }
                        }
                    }
                    assert!(ended && errors <= 1, "{context}: {errors} errors");
                    let sent = ["one", "two", LONG].map(Message::from);
                    assert!(sent.starts_with(&received), "{context}");
                    let closed = soon(ws.closed()).await;
                    assert_eq!(closed.is_clean(), errors == 0, "{context}: {closed:?}");
                    assert!(matches!(ws.send("late").await, Err(Error::Closed | Error::Io(_))));
                    drop(ws);
                    // What the peer got are whole frames, each once.
                    let heard = tokio::time::timeout(Duration::from_secs(60), peer).await.expect(&context).unwrap();
                    assert!(
                        heard.messages.len() <= 4 && heard.messages.iter().all(|message| message == LONG),
                        "{heard:?}"
                    );
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn streams_over_a_transport_that_fails_end_with_a_stated_error() {
    for fails_at in 0..40 {
        for times in [1, 2, 5, POLLS] {
            // What is read fails: what was given before is a beginning of what was sent.
            let (mut ws, peer) = rough(3, 40, fails_at, usize::MAX);
            let peer = strict_peer(peer, text(LONG));
            match soon(ws.recv_stream()).await {
                Err(error) => assert!(is_stated(&error), "{error:?}"),
                Ok(stream) => {
                    let (mut stream, mut read, mut failed) = (stream.unwrap(), Vec::new(), None);
                    for _ in 0..1000 {
                        match polled(times, stream.read_buf(&mut read)).await {
                            Some(Ok(0)) => panic!("a message that broke off looks like one that ended"),
                            Some(Err(error)) => {
                                failed = Some(error);
                                break;
                            }
                            _ => {
                                // Its end may be that of a deadline.
                                tokio::time::sleep(Duration::from_millis(100)).await;
                            }
                        }
                    }
                    let failed = failed.expect("it fails in time");
                    assert!(LONG.as_bytes().starts_with(&read));
                    assert!(is_stated(failed.get_ref().unwrap().downcast_ref::<Error>().unwrap()), "{failed:?}");
                }
            }
            drop(ws);
            soon(peer).await.unwrap();

            // What is written fails.
            let (ws, peer) = rough(3, 40, usize::MAX, fails_at);
            let peer = strict_peer(peer, Vec::new());
            let mut stream = ws.send_stream(MessageKind::Text);
            let mut failed = None;
            for _ in 0..100 {
                let result = match stream.write_all(LONG.as_bytes()).await {
                    Ok(()) => polled(times, stream.flush()).await,
                    Err(error) => Some(Err(error)),
                };
                if let Some(Err(error)) = result {
                    failed = Some(error);
                    break;
                }
            }
            assert_eq!(failed.expect("it fails").kind(), ErrorKind::BrokenPipe, "{fails_at}");
            assert!(stream.finish().await.is_err());
            drop(ws);
            assert!(soon(peer).await.unwrap().messages.is_empty(), "the message never ended");
        }
    }
}
