//! Peers that keep us busy.

use std::time::Duration;

use super::{ASLEEP, Doing, End, WIRE, ZEROS, controls, is_timeout, limits, warm_up};
use crate::heap;
use sockeye::{CloseCode, ClosedBy, Error, ErrorKind, LimitExceeded, Phase, ProtocolError};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::sleep;

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
