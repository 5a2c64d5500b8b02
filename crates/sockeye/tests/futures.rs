//! `Stream` and `Sink`, polled by hand as combinators do.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use crate::support::{client_frame, read_close, read_frame, soon};
use futures_core::{FusedStream, Stream};
use futures_sink::Sink;
use sockeye::{Error, Limits, Message, Role, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncWriteExt, DuplexStream};

fn server(capacity: usize, queue: usize) -> (WebSocket, DuplexStream) {
    let (near, far) = tokio::io::duplex(capacity);
    (WebSocket::from_stream(near, Role::Server, Limits::default().queue(queue)), far)
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

/// What `SinkExt::feed` does.
async fn feed<S: Sink<Message> + Unpin>(sink: &mut S, message: Message) -> Result<(), S::Error> {
    poll_fn(|cx| Pin::new(&mut *sink).poll_ready(cx)).await?;
    Pin::new(sink).start_send(message)
}

async fn flush<S: Sink<Message> + Unpin>(sink: &mut S) -> Result<(), S::Error> {
    poll_fn(|cx| Pin::new(&mut *sink).poll_flush(cx)).await
}

async fn close<S: Sink<Message> + Unpin>(sink: &mut S) -> Result<(), S::Error> {
    poll_fn(|cx| Pin::new(&mut *sink).poll_close(cx)).await
}

async fn next_text(peer: &mut DuplexStream) -> String {
    let (_, opcode, payload) = soon(read_frame(peer)).await.expect("a frame comes");
    assert_eq!(opcode, Opcode::TEXT);
    String::from_utf8(payload).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_where_recv_gives_none_and_stays_ended() {
    for split in [false, true] {
        for abort in [false, true] {
            let (ws, mut peer) = server(4096, 100);
            peer.write_all(&client_frame(true, Opcode::TEXT, b"one")).await.unwrap();
            if !abort {
                peer.write_all(&client_frame(true, Opcode::CLOSE, &[3, 232])).await.unwrap();
            }
            peer.shutdown().await.unwrap();
            async fn run(mut stream: impl FusedStream<Item = Result<Message, Error>> + Unpin, abort: bool) {
                assert_eq!(soon(next(&mut stream)).await.unwrap().unwrap(), "one".into());
                assert!(!stream.is_terminated());
                if abort {
                    assert!(matches!(soon(next(&mut stream)).await, Some(Err(Error::Aborted))));
                }
                for _ in 0..3 {
                    assert!(soon(next(&mut stream)).await.is_none());
                    assert!(stream.is_terminated());
                }
            }
            if split {
                let (_sender, receiver) = ws.split();
                run(receiver, abort).await;
            } else {
                run(ws, abort).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_sends_in_order_flushes_and_closes_with_1000() {
    for split in [false, true] {
        let (ws, mut peer) = server(16, 100);
        async fn run(mut sink: impl Sink<Message, Error = Error> + Unpin) {
            for number in 0..50 {
                feed(&mut sink, number.to_string().into()).await.unwrap();
            }
            flush(&mut sink).await.unwrap();
            feed(&mut sink, "last".into()).await.unwrap();
            close(&mut sink).await.unwrap();
            let after = async {
                feed(&mut sink, "late".into()).await?;
                flush(&mut sink).await
            };
            assert!(matches!(after.await, Err(Error::Closed)));
        }
        let running = if split { tokio::spawn(run(ws.split().0)) } else { tokio::spawn(run(ws)) };
        for number in 0..50 {
            assert_eq!(next_text(&mut peer).await, number.to_string());
        }
        assert_eq!(next_text(&mut peer).await, "last");
        let (_, opcode, payload) = soon(read_frame(&mut peer)).await.unwrap();
        assert_eq!((opcode, &payload[..]), (Opcode::CLOSE, &[3, 232][..]));
        peer.write_all(&client_frame(true, Opcode::CLOSE, &[3, 232])).await.unwrap();
        peer.shutdown().await.unwrap();
        soon(running).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_waits_for_room_and_is_not_polled_any_more_holds_nobody_up() {
    let (ws, mut peer) = server(16, 50);
    let (mut sink, other) = (ws.sender(), ws.sender());
    ws.send("x".repeat(40)).await.unwrap();
    feed(&mut sink, "kept back".repeat(5).into()).await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, flush(&mut sink)).await.is_err(), "the queue is full");
    // Its owner has given up flushing, and keeps it.
    assert_eq!(next_text(&mut peer).await, "x".repeat(40));
    let sent = tokio::spawn(async move { other.send("another").await });
    assert_eq!(next_text(&mut peer).await, "another");
    sent.await.unwrap().unwrap();
    // It comes back, and loses nothing.
    flush_with(&mut sink, &mut peer).await;
}

async fn flush_with(sink: &mut sockeye::Sender, peer: &mut DuplexStream) {
    let (flushed, text) = tokio::join!(soon(flush(sink)), next_text(peer));
    flushed.unwrap();
    assert_eq!(text, "kept back".repeat(5));
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_a_sink_does_not_send_what_the_other_has_taken() {
    let (ws, mut peer) = server(4096, 100);
    let mut sink = ws.sender();
    feed(&mut sink, "once".into()).await.unwrap();
    let mut clone = sink.clone();
    flush(&mut clone).await.unwrap();
    flush(&mut sink).await.unwrap();
    flush(&mut clone).await.unwrap();
    assert_eq!(next_text(&mut peer).await, "once");
    drop((ws, sink, clone));
    assert_eq!(soon(read_close(&mut peer)).await.0, 1001);
}
