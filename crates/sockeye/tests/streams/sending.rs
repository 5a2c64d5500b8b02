//! A message as it is written.

use std::io::ErrorKind;
use std::time::Duration;

use super::{KIB, calmly, content};
use crate::support::{client_frame, close_frame, others_wait, read_frame, server, soon, text};
use sockeye::{Error, MessageKind};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::yield_now;

async fn frames(peer: &mut DuplexStream, count: usize) -> Vec<(bool, Opcode, usize)> {
    let mut frames = Vec::new();
    for _ in 0..count {
        let (fin, opcode, payload) = soon(read_frame(peer)).await.expect("a frame comes");
        frames.push((fin, opcode, payload.len()));
    }
    frames
}

async fn nothing_comes(peer: &mut DuplexStream) {
    others_wait().await;
    assert!(tokio::time::timeout(Duration::ZERO, peer.read_u8()).await.is_err(), "a byte came");
}

#[tokio::test(start_paused = true)]
async fn what_is_written_leaves_in_frames_of_64_kib_and_where_it_is_flushed() {
    const FULL: usize = 64 * KIB;
    // What is written, piece by piece, flushed where it says so; the frames that are to come of it.
    type Case = (&'static [(usize, bool)], &'static [usize]);
    let cases: [Case; 12] = [
        (&[], &[0]),
        (&[(0, true), (0, false)], &[0]),
        (&[(10, false)], &[10]),
        (&[(10, false), (20, false)], &[30]),
        (&[(10, true), (20, false)], &[10, 20]),
        (&[(10, true), (0, true), (0, true)], &[10, 0]),
        (&[(FULL, false)], &[FULL]),
        (&[(FULL, true)], &[FULL, 0]),
        (&[(FULL - 1, false), (1, false), (1, false)], &[FULL, 1]),
        (&[(FULL + 1, false)], &[FULL, 1]),
        (&[(200_000, false)], &[FULL, FULL, FULL, 200_000 - 3 * FULL]),
        (&[(1, true), (2 * FULL, true), (5, false)], &[1, FULL, FULL, 5]),
    ];
    for (writes, expected) in cases {
        for (kind, opcode) in [(MessageKind::Text, Opcode::TEXT), (MessageKind::Binary, Opcode::BINARY)] {
            let (ws, mut peer) = server(1 << 20);
            let mut stream = ws.send_stream(kind);
            for (size, flush) in writes {
                stream.write_all(&content(*size)).await.unwrap();
                if *flush {
                    soon(stream.flush()).await.unwrap();
                }
            }
            soon(stream.finish()).await.unwrap();
            let expected: Vec<_> = expected
                .iter()
                .enumerate()
                .map(|(number, size)| {
                    let opcode = if number == 0 { opcode } else { Opcode::CONTINUATION };
                    (number + 1 == expected.len(), opcode, *size)
                })
                .collect();
            assert_eq!(frames(&mut peer, expected.len()).await, expected, "{writes:?}");
            // And the connection is free again.
            ws.send("after").await.unwrap();
            assert_eq!(frames(&mut peer, 1).await, [(true, Opcode::TEXT, 5)]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_flushed_has_left() {
    let (ws, mut peer) = server(4096);
    let mut stream = ws.send_stream(MessageKind::Binary);
    stream.write_all(b"held").await.unwrap();
    nothing_comes(&mut peer).await;
    stream.flush().await.unwrap();
    assert_eq!(frames(&mut peer, 1).await, [(false, Opcode::BINARY, 4)]);
    stream.write_all(b"held, too").await.unwrap();
    nothing_comes(&mut peer).await;
    stream.shutdown().await.unwrap();
    assert_eq!(frames(&mut peer, 1).await, [(true, Opcode::CONTINUATION, 9)]);
    // It has ended: again is no harm, more is an error.
    stream.shutdown().await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(stream.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    drop(stream);
    nothing_comes(&mut peer).await;
}

#[tokio::test(start_paused = true)]
async fn a_text_may_be_cut_anywhere_and_has_to_be_utf_8_to_its_end() {
    let payload = "aä你👋".as_bytes();
    for cut in 0..=payload.len() {
        for flush in [false, true] {
            let (ws, mut peer) = server(4096);
            let mut stream = ws.send_stream(MessageKind::Text);
            stream.write_all(&payload[..cut]).await.unwrap();
            if flush {
                stream.flush().await.unwrap();
            }
            // Wrong bytes are refused as a whole, and nothing is lost by that.
            let error = stream.write_all(b"\xff\xff").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            stream.write_all(&payload[cut..]).await.unwrap();
            stream.finish().await.unwrap();
            let mut read = Vec::new();
            for _ in 0..2 {
                let (fin, _, payload) = soon(read_frame(&mut peer)).await.unwrap();
                read.extend(payload);
                if fin {
                    break;
                }
            }
            assert_eq!(read, payload, "cut at {cut}");
        }
    }
    for flush in [false, true] {
        let (ws, mut peer) = server(4096);
        let mut stream = ws.send_stream(MessageKind::Text);
        stream.write_all("你".as_bytes().split_last().unwrap().1).await.unwrap();
        if flush {
            stream.flush().await.unwrap();
            assert_eq!(frames(&mut peer, 1).await, [(false, Opcode::TEXT, 2)]);
        }
        let error = stream.finish().await.unwrap_err();
        assert!(matches!(&error, Error::Io(error) if error.kind() == ErrorKind::InvalidData), "{error:?}");
        if flush {
            let (_, opcode, payload) = soon(read_frame(&mut peer)).await.unwrap();
            assert_eq!((opcode, &payload[..2]), (Opcode::CLOSE, &1011_u16.to_be_bytes()[..]));
        } else {
            nothing_comes(&mut peer).await;
            ws.send("nothing has happened").await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn within_a_message_others_wait_and_control_frames_pass() {
    let (ws, mut peer) = server(4096);
    let (sender, mut receiver) = ws.split();
    let mut stream = sender.send_stream(MessageKind::Binary);
    stream.write_all(b"begun").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(frames(&mut peer, 1).await, [(false, Opcode::BINARY, 5)]);
    let waiting: Vec<_> = (0..3)
        .map(|number| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.send(number.to_string()).await })
        })
        .collect();
    let pinging = sender.clone();
    let pinging = tokio::spawn(async move { pinging.ping().await });
    tokio::spawn(async move { receiver.recv().await });
    others_wait().await;
    assert!(waiting.iter().all(|task| !task.is_finished()));
    assert!(sender.try_send("not now").is_err());
    // Our Ping goes out, theirs is answered.
    let (_, opcode, payload) = soon(read_frame(&mut peer)).await.unwrap();
    assert_eq!(opcode, Opcode::PING);
    peer.write_all(&client_frame(true, Opcode::PONG, &payload)).await.unwrap();
    soon(pinging).await.unwrap().unwrap();
    peer.write_all(&client_frame(true, Opcode::PING, b"?")).await.unwrap();
    assert_eq!(soon(read_frame(&mut peer)).await, Some((true, Opcode::PONG, b"?".to_vec())));
    stream.write_all(b"more").await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(frames(&mut peer, 1).await, [(false, Opcode::CONTINUATION, 4)]);
    stream.finish().await.unwrap();
    assert_eq!(frames(&mut peer, 4).await[0], (true, Opcode::CONTINUATION, 0));
    for task in waiting {
        soon(task).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_given_up_closes_with_1011_if_a_frame_was_sent_and_leaves_no_trace_if_none_was() {
    for (written, flush) in [(0, false), (10, false), (64 * KIB, false), (10, true), (64 * KIB + 1, false)] {
        let begun = flush || written > 64 * KIB;
        let (ws, mut peer) = server(1 << 20);
        let mut stream = ws.send_stream(MessageKind::Binary);
        stream.write_all(&content(written)).await.unwrap();
        if flush {
            stream.flush().await.unwrap();
        }
        let sender = ws.sender();
        let waiting = tokio::spawn(async move { sender.send("waiting").await });
        others_wait().await;
        assert_eq!(waiting.is_finished(), !begun, "{written} {flush}");
        drop(stream);
        if begun {
            assert!(matches!(soon(waiting).await.unwrap(), Err(Error::Closed)));
            assert!(!frames(&mut peer, 1).await[0].0);
            let (_, opcode, payload) = soon(read_frame(&mut peer)).await.unwrap();
            assert_eq!((opcode, &payload[..2]), (Opcode::CLOSE, &1011_u16.to_be_bytes()[..]));
        } else {
            soon(waiting).await.unwrap().unwrap();
            assert_eq!(frames(&mut peer, 1).await, [(true, Opcode::TEXT, 7)]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_given_up_with_a_full_wire_says_1011_without_any_further_call() {
    let (ws, mut peer) = server(16);
    let mut stream = ws.send_stream(MessageKind::Binary);
    stream.write_all(&content(100_000)).await.unwrap();
    drop(stream);
    assert_eq!(frames(&mut peer, 1).await, [(false, Opcode::BINARY, 64 * KIB)]);
    let (_, opcode, payload) = soon(read_frame(&mut peer)).await.unwrap();
    assert_eq!((opcode, &payload[..2]), (Opcode::CLOSE, &1011_u16.to_be_bytes()[..]));
}

#[tokio::test(start_paused = true)]
async fn two_streams_at_once_leave_as_two_messages() {
    for capacity in [16, 1 << 20] {
        let (ws, mut peer) = server(capacity);
        let (first, second) = (ws.sender(), ws.sender());
        let tasks = [first, second].map(|sender| {
            tokio::spawn(async move {
                let mut stream = sender.send_stream(MessageKind::Binary);
                for _ in 0..50 {
                    stream.write_all(&content(10_000)).await.unwrap();
                    yield_now().await;
                }
                stream.finish().await.unwrap();
            })
        });
        for _ in 0..2 {
            let mut size = 0;
            for number in 0..100 {
                let (fin, opcode, payload) = soon(read_frame(&mut peer)).await.unwrap();
                assert_eq!(opcode, if number == 0 { Opcode::BINARY } else { Opcode::CONTINUATION });
                size += payload.len();
                if fin {
                    break;
                }
            }
            assert_eq!(size, 500_000);
        }
        for task in tasks {
            soon(task).await.unwrap();
        }
    }
    // By one who writes to both in turn: the second is held back while it is small.
    let (ws, mut peer) = server(1 << 20);
    let mut first = ws.send_stream(MessageKind::Text);
    let mut second = ws.send_stream(MessageKind::Binary);
    for _ in 0..5 {
        first.write_all(b"first").await.unwrap();
        first.flush().await.unwrap();
        second.write_all(b"second").await.unwrap();
    }
    assert!(tokio::time::timeout(Duration::ZERO, second.flush()).await.is_err(), "the first has not ended");
    first.finish().await.unwrap();
    second.finish().await.unwrap();
    assert_eq!(frames(&mut peer, 6).await[5], (true, Opcode::CONTINUATION, 0));
    assert_eq!(frames(&mut peer, 1).await, [(true, Opcode::BINARY, 30)]);
}

#[tokio::test(start_paused = true)]
async fn a_second_stream_that_gave_up_waiting_does_not_hold_up_the_first() {
    let (ws, mut peer) = server(1 << 20);
    let mut first = ws.send_stream(MessageKind::Text);
    first.write_all(b"first").await.unwrap();
    first.flush().await.unwrap();
    let mut second = ws.send_stream(MessageKind::Binary);
    second.write_all(b"second").await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, second.flush()).await.is_err());
    // It still stands in line; the first goes on, ends, and a third has to wait for the second's turn.
    first.finish().await.unwrap();
    let third = ws.sender();
    let third = tokio::spawn(async move { third.send("third").await });
    drop(second);
    soon(third).await.unwrap().unwrap();
    assert_eq!(
        frames(&mut peer, 3).await,
        [(false, Opcode::TEXT, 5), (true, Opcode::CONTINUATION, 0), (true, Opcode::TEXT, 5)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_flush_was_given_up_in_line_lets_others_have_their_turn() {
    // The message of the first ends; the second, which had waited for that, is kept but not polled any more.
    let (ws, mut peer) = server(1 << 20);
    let mut first = ws.send_stream(MessageKind::Text);
    first.write_all(b"first").await.unwrap();
    first.flush().await.unwrap();
    let mut second = ws.send_stream(MessageKind::Binary);
    second.write_all(b"second").await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, second.flush()).await.is_err());
    first.finish().await.unwrap();
    // Its owner does something else on the same connection.
    calmly(ws.send("of the same task")).await.unwrap();
    second.finish().await.unwrap();
    assert_eq!(frames(&mut peer, 4).await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_flush_was_given_up_in_the_middle_of_its_message_does_not_keep_its_task_awake() {
    let (mut ws, mut peer) = server(16);
    let sender = ws.sender();
    let mut stream = sender.send_stream(MessageKind::Binary);
    // Frames of almost 1 MiB in all fill the queue: the next one has to wait.
    let filled = tokio::time::timeout(Duration::from_millis(10), stream.write_all(&content(3 << 20))).await;
    assert!(filled.is_err(), "the queue is full");
    let reading = tokio::spawn(async move {
        let mut buffer = vec![0; 64 * KIB];
        let mut left = 1 << 19;
        while left > 0 {
            left -= peer.read(&mut buffer[..left.min(64 * KIB)]).await.unwrap();
        }
        peer.write_all(&text("go on")).await.unwrap();
        peer
    });
    // There is room now, and the stream's owner does something else.
    assert_eq!(calmly_many(ws.recv()).await.unwrap(), Some("go on".into()));
    let again = tokio::time::timeout(Duration::from_secs(1), calmly_many(ws.recv())).await;
    assert!(again.is_err(), "nothing comes");
    drop(reading.await.unwrap());
}

/// The same where a megabyte goes by, 16 bytes at a time.
async fn calmly_many<T>(future: impl Future<Output = T>) -> T {
    let (mut future, mut polls) = (std::pin::pin!(future), 0);
    std::future::poll_fn(|cx| {
        polls += 1;
        assert!(polls < 200_000, "it wakes itself again and again");
        future.as_mut().poll(cx)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_stream_learns_that_the_connection_was_closed() {
    for begun in [false, true] {
        for by_peer in [false, true] {
            let (ws, mut peer) = server(1 << 20);
            let mut stream = ws.send_stream(MessageKind::Binary);
            stream.write_all(b"begun").await.unwrap();
            if begun {
                stream.flush().await.unwrap();
                assert_eq!(frames(&mut peer, 1).await.len(), 1);
            }
            if by_peer {
                peer.write_all(&close_frame(1000)).await.unwrap();
                peer.shutdown().await.unwrap();
                soon(ws.closed()).await;
            } else {
                assert!(tokio::time::timeout(Duration::ZERO, ws.close(1000.into(), "")).await.is_err());
            }
            stream.write_all(b"more").await.unwrap();
            let error = stream.flush().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            assert!(stream.finish().await.is_err());
            let (_, opcode, payload) = soon(read_frame(&mut peer)).await.unwrap();
            assert_eq!((opcode, &payload[..]), (Opcode::CLOSE, &1000_u16.to_be_bytes()[..]));
        }
    }
}
