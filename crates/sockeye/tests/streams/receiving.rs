//! A message as it arrives.

use std::io::ErrorKind;
use std::time::Duration;

use super::{KIB, content, in_frames};
use crate::support;
use crate::support::{client_frame, close_frame, others_wait, read_close, read_frame, server, soon, text};
use sockeye::{Error, MessageKind, WebSocket};
use sockeye_proto::frame::{Header, Opcode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
