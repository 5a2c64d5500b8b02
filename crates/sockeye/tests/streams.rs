//! Messages of any size, as they arrive and as they are written, against a peer that reads and writes single frames.

#![expect(clippy::cast_possible_truncation, reason = "numbers that are written as bytes")]

use std::io::ErrorKind;
use std::time::Duration;

use crate::support;
use crate::support::{client_frame, read_close, read_frame, soon, start};
use sockeye::{Compression, Error, Limits, Message, MessageKind, Role, Upgrader, WebSocket};
use sockeye_proto::frame::{Header, Opcode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::yield_now;

const KIB: usize = 1 << 10;

fn server(capacity: usize) -> (WebSocket, DuplexStream) {
    let (near, far) = tokio::io::duplex(capacity);
    (WebSocket::from_stream(near, Role::Server, Limits::default()), far)
}

/// Polled no more often than there can be reason to.
async fn calmly<T>(future: impl Future<Output = T>) -> T {
    let (mut future, mut polls) = (std::pin::pin!(future), 0);
    soon(std::future::poll_fn(|cx| {
        polls += 1;
        assert!(polls < 1000, "it wakes itself again and again");
        future.as_mut().poll(cx)
    }))
    .await
}

async fn others_wait() {
    for _ in 0..50 {
        yield_now().await;
    }
}

fn text(payload: &str) -> Vec<u8> {
    client_frame(true, Opcode::TEXT, payload.as_bytes())
}

fn close_frame(code: u16) -> Vec<u8> {
    client_frame(true, Opcode::CLOSE, &code.to_be_bytes())
}

/// Bytes that are no two alike next to each other, and ASCII.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| b'a' + ((at * 7 + at / 253) % 26) as u8).collect()
}

/// A message in frames of this size, with a Ping behind each but the last; how many Pings.
fn in_frames(opcode: Opcode, payload: &[u8], size: usize) -> (Vec<u8>, usize) {
    let chunks: Vec<&[u8]> = if payload.is_empty() { vec![payload] } else { payload.chunks(size).collect() };
    let mut bytes = Vec::new();
    for (number, chunk) in chunks.iter().enumerate() {
        let fin = number + 1 == chunks.len();
        bytes.extend(client_frame(fin, if number == 0 { opcode } else { Opcode::CONTINUATION }, chunk));
        if !fin {
            bytes.extend(client_frame(true, Opcode::PING, &(number as u32).to_be_bytes()));
        }
    }
    (bytes, chunks.len() - 1)
}

// --- receiving ---

#[tokio::test(start_paused = true)]
async fn a_message_of_any_size_in_any_frames_is_read_to_its_end_and_pings_in_it_are_answered() {
    for size in [0, 1, 125, 126, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 1 << 20, (1 << 20) + 1, 3 << 20] {
        for frame in [1000, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, usize::MAX] {
            for (opcode, kind) in [(Opcode::TEXT, MessageKind::Text), (Opcode::BINARY, MessageKind::Binary)] {
                let (mut ws, mut peer) = server(10_000);
                let payload = content(size);
                let (mut bytes, pings) = in_frames(opcode, &payload, frame);
                bytes.extend(text("after"));
                let peer = tokio::spawn(async move {
                    let (mut reading, mut writing) = tokio::io::split(&mut peer);
                    let answers = async {
                        for number in 0..pings {
                            let answer = read_frame(&mut reading).await.unwrap();
                            assert_eq!(answer, (true, Opcode::PONG, (number as u32).to_be_bytes().to_vec()));
                        }
                    };
                    let (written, ()) = tokio::join!(writing.write_all(&bytes), answers);
                    written.unwrap();
                    peer
                });
                let mut stream = soon(ws.recv_stream()).await.unwrap().expect("a message begins");
                assert_eq!(stream.kind(), kind);
                let mut read = Vec::new();
                soon(stream.read_to_end(&mut read)).await.unwrap();
                assert!(read == payload, "{} of {size} bytes in frames of {frame}", read.len());
                // The end is the end, however often one asks.
                assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
                drop(stream);
                assert_eq!(soon(ws.recv()).await.unwrap(), Some("after".into()));
                // Answers are written with the next call.
                tokio::select! {
                    peer = soon(peer) => drop(peer.unwrap()),
                    _ = ws.recv() => panic!("nothing more comes"),
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn characters_may_be_cut_anywhere() {
    let payload = "aä你👋".repeat(3).into_bytes();
    for first in 0..=payload.len() {
        for second in first..=payload.len() {
            let (mut ws, mut peer) = server(4096);
            peer.write_all(&client_frame(false, Opcode::TEXT, &payload[..first])).await.unwrap();
            let mut stream = ws.recv_stream().await.unwrap().unwrap();
            let mut read = Vec::new();
            let _ = tokio::time::timeout(Duration::ZERO, stream.read_buf(&mut read)).await;
            assert!(payload.starts_with(&read));
            peer.write_all(&client_frame(false, Opcode::CONTINUATION, &payload[first..second])).await.unwrap();
            peer.write_all(&client_frame(true, Opcode::CONTINUATION, &payload[second..])).await.unwrap();
            soon(stream.read_to_end(&mut read)).await.unwrap();
            assert_eq!(read, payload, "cut at {first} and {second}");
        }
    }
}

/// What reading a message comes to that never ends well: what was read, and the error.
async fn read_to_error(ws: &mut WebSocket) -> (Vec<u8>, std::io::Error) {
    let mut read = Vec::new();
    let mut stream = match soon(ws.recv_stream()).await {
        Ok(stream) => stream.expect("a message begins"),
        // All of it was there, and it was wrong.
        Err(error) => return (read, error.into()),
    };
    let error = soon(stream.read_to_end(&mut read)).await.expect_err("it does not look like the end");
    (read, error)
}

fn source(error: &std::io::Error) -> &Error {
    error.get_ref().and_then(|inner| inner.downcast_ref()).expect("an Error of ours is inside")
}

#[tokio::test(start_paused = true)]
async fn invalid_utf_8_anywhere_fails_the_connection_with_1007_and_none_of_it_is_given() {
    for size in [1, 10, 64 * KIB - 1, 64 * KIB, 200_000] {
        for bad in [0, size / 2, size - 1] {
            let (mut ws, peer) = server(10_000);
            let mut payload = content(size);
            payload[bad] = 0xff;
            let peer = tokio::spawn(async move {
                let (mut reading, mut writing) = tokio::io::split(peer);
                let script =
                    [client_frame(false, Opcode::TEXT, b"a"), client_frame(true, Opcode::CONTINUATION, &payload)];
                let writing = async {
                    let _ = writing.write_all(&script.concat()).await;
                    let _ = writing.shutdown().await;
                };
                tokio::join!(read_close(&mut reading), writing).0
            });
            let (read, error) = read_to_error(&mut ws).await;
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(matches!(source(&error), Error::Protocol(_)) && source(&error).close_code() == Some(1007.into()));
            assert!(read.len() <= bad + 1 && read.iter().all(u8::is_ascii), "{} of {size}", read.len());
            assert_eq!(soon(peer).await.unwrap().0, 1007);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_that_ends_within_a_character_fails_with_1007() {
    let (mut ws, mut peer) = server(10_000);
    peer.write_all(&client_frame(true, Opcode::TEXT, &[b'a', 0xe4, 0xbd])).await.unwrap();
    peer.shutdown().await.unwrap();
    let error = match ws.recv_stream().await {
        Err(error) => error,
        Ok(stream) => {
            let mut read = Vec::new();
            stream.unwrap().read_to_end(&mut read).await.unwrap_err().downcast().unwrap()
        }
    };
    assert_eq!(error.close_code(), Some(1007.into()));
    assert_eq!(soon(read_close(&mut peer)).await.0, 1007);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_breaks_off_is_an_error_and_not_an_end() {
    let message = [client_frame(false, Opcode::TEXT, &content(100)), text("")].concat();
    let message = &message[..message.len() - 6];
    for cut in 2..=message.len() {
        for close in [false, true] {
            // A Close may stand between two frames, not within one.
            if close && cut != message.len() {
                continue;
            }
            let (mut ws, mut peer) = server(10_000);
            peer.write_all(&message[..cut]).await.unwrap();
            if close {
                peer.write_all(&close_frame(1000)).await.unwrap();
            }
            peer.shutdown().await.unwrap();
            if cut < 6 {
                // No message has begun before its header has arrived.
                let begun = soon(ws.recv_stream()).await;
                assert!(matches!(begun, Err(Error::Aborted)), "cut at {cut}");
                continue;
            }
            let (read, error) = read_to_error(&mut ws).await;
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut at {cut}");
            assert!(matches!(source(&error), Error::Aborted));
            assert!(content(100).starts_with(&read));
            for _ in 0..2 {
                let _ = soon(ws.recv()).await;
            }
            assert!(soon(ws.recv()).await.unwrap().is_none());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_reader_anywhere_skips_exactly_the_rest() {
    const SIZE: usize = 200_000;
    let payload = content(SIZE);
    for frame in [SIZE, 70_000, 1000] {
        for count in [0, 1, 999, 1000, 1001, 64 * KIB - 1, 64 * KIB, 150_000, SIZE - 1, SIZE] {
            for opcode in [Opcode::TEXT, Opcode::BINARY] {
                let (mut ws, mut peer) = server(10_000);
                let (message, _) = in_frames(opcode, &payload, frame);
                let script = [&message[..], &text("one"), &message, &text("two"), &close_frame(1000)].concat();
                let peer = tokio::spawn(async move {
                    let (mut reading, mut writing) = tokio::io::split(&mut peer);
                    let answers = async {
                        for _ in 0..1000 {
                            match read_frame(&mut reading).await {
                                Some((_, opcode, _)) if opcode == Opcode::PONG => {}
                                last => return last,
                            }
                        }
                        None
                    };
                    let writing = async {
                        writing.write_all(&script).await.unwrap();
                        writing.shutdown().await.unwrap();
                    };
                    tokio::join!(answers, writing).0
                });
                for expected in ["one", "two"] {
                    let mut stream = soon(ws.recv_stream()).await.unwrap().unwrap();
                    let mut read = vec![0; count];
                    soon(stream.read_exact(&mut read)).await.unwrap();
                    assert!(read == payload[..count]);
                    drop(stream);
                    if expected == "one" {
                        assert_eq!(soon(ws.recv()).await.unwrap(), Some(expected.into()), "{count} in {frame}");
                    } else {
                        let mut read = String::new();
                        let mut stream = soon(ws.recv_stream()).await.unwrap().unwrap();
                        stream.read_to_string(&mut read).await.unwrap();
                        assert_eq!(read, expected, "{count} bytes read, in frames of {frame}");
                    }
                }
                assert!(soon(ws.recv()).await.unwrap().is_none());
                assert_eq!(soon(peer).await.unwrap().unwrap().1, Opcode::CLOSE);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_chosen_next_counts_whatever_was_given_up_before() {
    // A message of 2 MiB, over the limit for whole ones; up to `cut` it has arrived when the first choice is given up.
    let message = client_frame(true, Opcode::BINARY, &content(2 << 20));
    for cut in [0, 1, 2, 9, 13, 14, 15, 1000] {
        for stream_first in [false, true] {
            let (mut ws, mut peer) = server(10_000);
            peer.write_all(&message[..cut]).await.unwrap();
            let given_up = if stream_first {
                tokio::time::timeout(Duration::ZERO, ws.recv_stream()).await.map(|begun| begun.map(|_| ())).ok()
            } else {
                tokio::time::timeout(Duration::ZERO, ws.recv()).await.map(|received| received.map(|_| ())).ok()
            };
            // The limit was broken for a recv that has seen the header.
            if !stream_first && cut >= 14 {
                assert!(given_up.is_none_or(|received| received.is_err()));
                continue;
            }
            if stream_first && given_up.is_some() {
                // It had begun, and its stream was dropped: it is skipped.
                let rest = [&message[cut..], &text("after")].concat();
                let peer = tokio::spawn(async move { peer.write_all(&rest).await.map(|()| peer) });
                assert_eq!(soon(ws.recv()).await.unwrap(), Some("after".into()), "{cut}");
                drop(peer);
                continue;
            }
            let rest = [&message[cut..], &text("after")].concat();
            let peer = tokio::spawn(async move { peer.write_all(&rest).await.map(|()| peer) });
            let mut read = Vec::new();
            let mut stream = soon(ws.recv_stream()).await.unwrap().unwrap();
            soon(stream.read_to_end(&mut read)).await.unwrap();
            assert_eq!(read.len(), 2 << 20, "cut at {cut}");
            drop(stream);
            assert_eq!(soon(ws.recv()).await.unwrap(), Some("after".into()));
            drop(peer);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_was_read_ahead_is_judged_only_by_how_it_is_taken() {
    for whole in [false, true] {
        let (ws, mut peer) = server(10_000);
        let (wake, woken) = tokio::sync::oneshot::channel::<()>();
        let handler = tokio::spawn(sockeye::drive(async move {
            let mut ws = ws;
            ws.send("asleep").await.unwrap();
            drop(woken.await);
            if whole {
                return ws.recv().await.map(|message| message.map_or(0, |message| message.len()));
            }
            let mut read = Vec::new();
            ws.recv_stream().await?.unwrap().read_to_end(&mut read).await?;
            Ok(read.len())
        }));
        let mut written = 0;
        let message = client_frame(true, Opcode::BINARY, &content(3 << 20));
        while let Ok(count) = tokio::time::timeout(Duration::from_millis(1), peer.write(&message[written..])).await {
            written += count.unwrap();
        }
        assert!(written < 200_000, "{written} bytes were taken of a message that nobody reads");
        assert_eq!(read_frame(&mut peer).await, Some((true, Opcode::TEXT, b"asleep".to_vec())));
        wake.send(()).unwrap();
        let (mut reading, mut writing) = tokio::io::split(peer);
        tokio::spawn(async move {
            let _ = writing.write_all(&message[written..]).await;
            let _ = writing.shutdown().await;
        });
        let ended = soon(handler).await.unwrap();
        if whole {
            let error = ended.unwrap_err();
            assert_eq!(error.close_code(), Some(1009.into()), "{error}");
            assert_eq!(soon(read_close(&mut reading)).await.0, 1009);
        } else {
            assert_eq!(ended.unwrap(), 3 << 20);
            assert_eq!(soon(read_close(&mut reading)).await.0, 1001);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn frame_len_is_what_the_header_of_the_frame_now_arriving_declares() {
    let (mut ws, mut peer) = server(4096);
    let header = Header::new(true, Opcode::BINARY, 10_000_000_000, Some(support::KEY));
    peer.write_all(&header.encode()).await.unwrap();
    let stream = ws.recv_stream().await.unwrap().unwrap();
    assert_eq!((stream.kind(), stream.frame_len()), (MessageKind::Binary, Some(10_000_000_000)));

    let (mut ws, mut peer) = server(4096);
    peer.write_all(&client_frame(false, Opcode::TEXT, b"three")).await.unwrap();
    let mut stream = ws.recv_stream().await.unwrap().unwrap();
    assert_eq!((stream.kind(), stream.frame_len()), (MessageKind::Text, Some(5)));
    stream.read_exact(&mut [0; 5]).await.unwrap();
    peer.write_all(&client_frame(false, Opcode::CONTINUATION, b"and")).await.unwrap();
    stream.read_exact(&mut [0; 3]).await.unwrap();
    assert_eq!(stream.frame_len(), Some(3));
    peer.write_all(&client_frame(true, Opcode::CONTINUATION, b"more")).await.unwrap();
    stream.read_exact(&mut [0; 4]).await.unwrap();
    assert_eq!(stream.read(&mut [0; 4]).await.unwrap(), 0);
    assert_eq!(stream.frame_len(), None, "the message has ended");
}

#[tokio::test(start_paused = true)]
async fn frame_len_of_a_message_that_was_there_at_once_is_none_once_it_has_ended() {
    let (mut ws, mut peer) = server(4096);
    peer.write_all(&text("whole")).await.unwrap();
    let mut stream = ws.recv_stream().await.unwrap().unwrap();
    assert_eq!(stream.frame_len(), Some(5));
    let mut read = String::new();
    stream.read_to_string(&mut read).await.unwrap();
    assert_eq!(stream.frame_len(), None, "`None` once the message has ended");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_holds_its_peer_back_within_one_frame_of_200_mb() {
    const SIZE: usize = 200_000_000;
    let (mut ws, mut peer) = server(64 * KIB);
    let piece = vec![0x37; 64 * KIB];
    // Masked with a key of zeros: the payload is as it stands.
    peer.write_all(&[0x82, 0xff]).await.unwrap();
    peer.write_all(&(SIZE as u64).to_be_bytes()).await.unwrap();
    peer.write_all(&[0; 4]).await.unwrap();
    let written = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&written);
    let writing = tokio::spawn(async move {
        let mut left = SIZE;
        while left > 0 {
            let some = peer.write(&piece[..left.min(piece.len())]).await.unwrap();
            left -= some;
            count.fetch_add(some, std::sync::atomic::Ordering::SeqCst);
        }
        peer
    });
    let mut stream = ws.recv_stream().await.unwrap().unwrap();
    let mut buffer = vec![0; 32 * KIB];
    let mut read = 0;
    for round in 0..1_000_000 {
        if round % 1000 == 0 {
            others_wait().await;
            let ahead = written.load(std::sync::atomic::Ordering::SeqCst) - read;
            assert!(ahead <= 4 * 64 * KIB, "{ahead} bytes are held or on the wire");
        }
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            some => read += some,
        }
    }
    assert_eq!(read, SIZE);
    drop(soon(writing).await.unwrap());
}

#[tokio::test]
async fn compressed_messages_stream_in_both_takeover_modes_and_beyond_the_limit() {
    for compression in [Compression::takeover(), Compression::no_takeover()] {
        let handler = |mut ws: WebSocket| async move {
            for round in 0.. {
                let Some(mut stream) = ws.recv_stream().await? else { return Ok(()) };
                if round % 3 == 2 {
                    // Left in the middle: what comes next may refer to all of it.
                    let mut some = vec![0; 10];
                    stream.read_exact(&mut some).await?;
                    drop(stream);
                    ws.send("skipped").await?;
                    continue;
                }
                let mut sum = 0_u64;
                let mut len = 0;
                let mut buffer = vec![0; 10_000];
                loop {
                    match stream.read(&mut buffer).await? {
                        0 => break,
                        count => {
                            sum = buffer[..count]
                                .iter()
                                .fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
                            len += count;
                        }
                    }
                }
                drop(stream);
                ws.send(format!("{len} {sum}")).await?;
            }
            Ok(())
        };
        let upgrader = Upgrader::default().compression(compression);
        let address = start(|listener| sockeye::serve(listener, handler).upgrader(upgrader)).await;
        let mut ws = sockeye::connect(format!("ws://{address}/")).compression(compression).await.unwrap();
        let random: Vec<u8> =
            (0..3_000_000_u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
        let messages = [
            content(100),
            vec![0; 50 << 20],
            content(3 << 20),
            random,
            content(64 * KIB),
            content(3 << 20),
            vec![],
            content(1000),
        ];
        for (round, message) in messages.into_iter().enumerate() {
            let sum = message.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
            let expected = if round % 3 == 2 { "skipped".to_owned() } else { format!("{} {sum}", message.len()) };
            if round % 3 == 2 && message.len() < 10 {
                continue;
            }
            ws.send(message).await.unwrap();
            assert_eq!(ws.recv().await.unwrap(), Some(expected.into()), "round {round}");
        }
        ws.close(1000.into(), "").await.unwrap();
    }
}

// --- sending ---

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

#[tokio::test(start_paused = true)]
async fn a_message_is_relayed_by_copying_one_stream_into_the_other() {
    for size in [0, 1, 64 * KIB, 5_000_000] {
        let pair = |capacity| {
            let (near, far) = tokio::io::duplex(capacity);
            let end = |stream, role| WebSocket::from_stream(stream, role, Limits::default().message(8 << 20));
            (end(near, Role::Client), end(far, Role::Server))
        };
        let ((source, mut relay_in), (relay_out, mut sink)) = (pair(1000), pair(5000));
        let payload = content(size);
        let message = Message::from(payload.clone());
        let sending = tokio::spawn(async move {
            source.send(message).await.unwrap();
            source.close(1000.into(), "").await.unwrap();
        });
        let relaying = tokio::spawn(async move {
            while let Some(mut from) = relay_in.recv_stream().await.unwrap() {
                let mut to = relay_out.send_stream(from.kind());
                tokio::io::copy(&mut from, &mut to).await.unwrap();
                to.finish().await.unwrap();
            }
            relay_out.close(1000.into(), "").await.unwrap();
        });
        let received = soon(sink.recv()).await.unwrap().unwrap();
        assert!(received.len() == size && received.into_bytes() == payload);
        assert!(soon(sink.recv()).await.unwrap().is_none());
        soon(sending).await.unwrap();
        drop(sink);
        soon(relaying).await.unwrap();
    }
}
