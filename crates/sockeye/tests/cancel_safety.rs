//! What dropping a future does, tried at every poll: over a transport that takes and gives a few bytes at a time and is
//! not ready every other time.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::support::Broken;
use sockeye::{CloseCode, Error, Limits, Message, Role, WebSocket};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// A stream that is ready every other time only.
struct Stutter {
    stream: DuplexStream,
    reads: usize,
    writes: usize,
}

impl Stutter {
    fn is_ready(polls: &mut usize, cx: &Context<'_>) -> bool {
        *polls += 1;
        let ready = polls.is_multiple_of(2);
        if !ready {
            cx.waker().wake_by_ref();
        }
        ready
    }
}

impl AsyncRead for Stutter {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if Self::is_ready(&mut self.reads, cx) { Pin::new(&mut self.stream).poll_read(cx, buf) } else { Poll::Pending }
    }
}

impl AsyncWrite for Stutter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        if Self::is_ready(&mut self.writes, cx) {
            Pin::new(&mut self.stream).poll_write(cx, buf)
        } else {
            Poll::Pending
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Two ends of a wire that holds `capacity` bytes.
fn pair(capacity: usize) -> (WebSocket, WebSocket) {
    let (near, far) = tokio::io::duplex(capacity);
    let end = |stream, role| WebSocket::from_stream(Stutter { stream, reads: 0, writes: 0 }, role, Limits::default());
    (end(near, Role::Client), end(far, Role::Server))
}

/// The same on a wire that is ready whenever it can be, so that time passes only while there is nothing to do.
fn steady_pair(capacity: usize) -> (WebSocket, WebSocket) {
    let (near, far) = tokio::io::duplex(capacity);
    let end = |stream, role| WebSocket::from_stream(stream, role, Limits::default());
    (end(near, Role::Client), end(far, Role::Server))
}

/// Polls a future this many times and drops it. What it came to, if it did.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        let ready = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = ready {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

fn messages() -> Vec<Message> {
    let words = ["", "你", "你好，世界 👋", "x"];
    let mut messages: Vec<_> = words.into_iter().map(Message::from).collect();
    messages.push(vec![7; 300].into());
    messages.push("好".repeat(100).into());
    messages
}

#[tokio::test]
async fn recv_dropped_at_every_poll_loses_no_message() {
    for capacity in [1, 5, 64] {
        for times in 1..40 {
            let (client, mut server) = pair(capacity);
            let sending = tokio::spawn(async move {
                for message in messages() {
                    client.send(message).await.unwrap();
                }
                client.close(CloseCode::NORMAL, "").await.unwrap();
            });
            let mut received = Vec::new();
            loop {
                // Each call is dropped after so many polls, and called again.
                match polled(times, server.recv()).await {
                    Some(Ok(Some(message))) => received.push(message),
                    Some(Ok(None)) => break,
                    Some(Err(error)) => panic!("{error}"),
                    None => {}
                }
            }
            assert_eq!(received, messages(), "{times} polls, {capacity} bytes");
            sending.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_transport_that_buffers_is_flushed_before_send_returns() {
    let (near, far) = tokio::io::duplex(64);
    let near = tokio::io::BufStream::new(Stutter { stream: near, reads: 0, writes: 0 });
    let client = WebSocket::from_stream(near, Role::Client, Limits::default());
    let mut server = WebSocket::from_stream(far, Role::Server, Limits::default());
    for size in [0, 10, 50] {
        client.send(vec![7; size]).await.unwrap();
        // Nothing of the client's is polled any more: what has not left by now never will.
        let received = tokio::time::timeout(Duration::from_secs(5), server.recv()).await;
        assert_eq!(received.expect("it was flushed").unwrap(), Some(vec![7; size].into()));
    }
}

#[tokio::test]
async fn send_dropped_at_any_poll_sends_a_whole_message_or_none() {
    for capacity in [1, 16] {
        for times in 0..60 {
            let (client, mut server) = pair(capacity);
            let receiving = tokio::spawn(async move {
                let mut received = Vec::new();
                while let Some(message) = server.recv().await.unwrap() {
                    received.push(message);
                }
                received
            });
            let first = Message::from("好".repeat(30));
            let done = polled(times, client.send(first.clone())).await;
            client.send("after").await.unwrap();
            client.close(CloseCode::NORMAL, "").await.unwrap();
            let received = receiving.await.unwrap();
            // Never polled, it was never accepted; polled once, there was room and it was.
            let expected = if times == 0 { vec!["after".into()] } else { vec![first, "after".into()] };
            assert_eq!(received, expected, "{times} polls");
            assert!(done.is_none_or(|sent| sent.is_ok()));
        }
    }
}

#[tokio::test]
async fn close_dropped_at_any_poll_still_closes_when_recv_goes_on() {
    for times in 1..40 {
        let (mut client, mut server) = pair(3);
        let peer = tokio::spawn(async move {
            while server.recv().await.unwrap().is_some() {}
            server.close_reason().unwrap()
        });
        let _ = polled(times, client.close(CloseCode::from(4000), "enough")).await;
        while client.recv().await.unwrap().is_some() {}
        assert_eq!(peer.await.unwrap().to_string(), "4000: enough", "{times} polls");
    }
}

#[tokio::test]
async fn ping_dropped_at_any_poll_leaves_the_stream_whole() {
    for times in 0..30 {
        let (mut client, mut server) = pair(2);
        let echo = tokio::spawn(async move {
            while let Some(message) = server.recv().await.unwrap() {
                server.send(message).await.unwrap();
            }
        });
        let _ = polled(times, client.ping()).await;
        client.send("你好").await.unwrap();
        assert_eq!(client.recv().await.unwrap(), Some("你好".into()), "{times} polls");
        client.close(CloseCode::NORMAL, "").await.unwrap();
        echo.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_answers_close_is_given_up_at_the_deadline() {
    let (mut client, server) = steady_pair(64);
    let started = tokio::time::Instant::now();
    let error = client.close(CloseCode::NORMAL, "").await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(started.elapsed().as_secs(), 10);
    assert_eq!(client.recv().await.unwrap(), None);
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_goes_on_sending_does_not_extend_the_deadline() {
    let (near, mut far) = tokio::io::duplex(4096);
    let mut server = WebSocket::from_stream(near, Role::Server, Limits::default());
    let flood = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        // Unmasked: the server fails the connection. Then Pings for ever, which it discards.
        let _ = far.write_all(&[0x81, 0x00]).await;
        while far.write_all(&[0x89; 1024]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let started = tokio::time::Instant::now();
    let error = server.recv().await.unwrap_err();
    assert!(matches!(error, Error::Protocol(_)), "{error}");
    assert!(started.elapsed() <= Duration::from_secs(11), "{:?}", started.elapsed());
    flood.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn send_waits_quietly_for_a_peer_that_sends_and_does_not_read() {
    let (client, mut server) = steady_pair(1_000);
    for _ in 0..3 {
        client.send("fill the wire").await.unwrap();
    }
    assert_eq!(server.recv().await.unwrap(), Some("fill the wire".into()));
    // The next message is already read; a loop that took it for progress would never let the time pass.
    server.send(vec![0; 2 << 20]).await.unwrap();
    let sent = tokio::time::timeout(Duration::from_secs(1), server.send("behind it")).await;
    assert!(sent.is_err(), "nobody reads, and the queue is full");
    assert_eq!(server.recv().await.unwrap(), Some("fill the wire".into()));
}

#[tokio::test(start_paused = true)]
async fn closing_with_a_peer_that_does_not_read_ends_at_the_deadline() {
    let (client, server) = steady_pair(8);
    client.send(vec![0; 10_000]).await.unwrap();
    assert!(polled(5, client.flush()).await.is_none(), "the wire holds 8 bytes");
    let error = client.close(CloseCode::NORMAL, "").await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn an_end_with_an_accepted_message_unwritten_is_not_clean() {
    let (near, mut far) = tokio::io::duplex(64);
    let mut server = WebSocket::from_stream(near, Role::Server, Limits::default());
    server.send(vec![0; 10_000]).await.unwrap();
    assert!(polled(3, server.flush()).await.is_none(), "the wire holds 64 bytes");
    // The peer closes, and reads nothing of what was accepted before.
    use tokio::io::AsyncWriteExt;
    far.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    let error = server.recv().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

/// A transport from which Pings come for ever, and which takes all that is written.
struct Pings;

impl AsyncRead for Pings {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        buf.put_slice(&[0x89, 0x00].repeat(buf.remaining().min(100) / 2));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pings {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_peer_that_never_stops_pinging_leaves_other_tasks_their_turn() {
    let mut client = WebSocket::from_stream(Pings, Role::Client, Limits::default());
    let received = tokio::time::timeout(Duration::from_millis(50), client.recv()).await;
    assert!(received.is_err(), "no message comes");
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_is_told_to_sender_and_receiver_and_ends_the_connection_in_time() {
    let mut client = WebSocket::from_stream(Broken, Role::Client, Limits::default());
    for _ in 0..2 {
        let error = client.send("lost").await.unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe), "{error:?}");
    }
    let started = tokio::time::Instant::now();
    assert!(client.recv().await.unwrap_err().is_timeout());
    assert_eq!(started.elapsed().as_secs(), 10);
}
