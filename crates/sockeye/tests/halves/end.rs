//! The end of a connection, as each handle learns of it.

use std::time::Duration;

use super::{close_frame, next_text, waiting, with_limits};
use crate::support::{client_frame, others_wait, read_close, read_frame, server, soon, text};
use sockeye::{CloseCode, Closed, ClosedBy, Error, Limits, Phase, Sender};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::task::JoinSet;

/// How a connection ends in a test: what the peer does, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    OurClose,
    PeersClose,
    PeersEmptyClose,
    Violation,
    Abort,
    Silence,
}

const ENDS: [End; 6] = [End::OurClose, End::PeersClose, End::PeersEmptyClose, End::Violation, End::Abort, End::Silence];

/// Brings it about, from outside of all who wait. The code and reason of our Close frame, if one came.
async fn bring_about(end: End, sender: &Sender, mut peer: DuplexStream) -> Option<(u16, String)> {
    match end {
        End::OurClose => {
            let sender = sender.clone();
            let closing = tokio::spawn(async move { sender.close(CloseCode::from(4002), "ours").await });
            let frame = next_close(&mut peer).await;
            peer.write_all(&close_frame(4002, "")).await.unwrap();
            assert!(read_frame(&mut peer).await.is_none());
            closing.await.unwrap().unwrap();
            Some(frame)
        }
        End::PeersClose => {
            peer.write_all(&close_frame(4003, "theirs")).await.unwrap();
            Some(next_close(&mut peer).await)
        }
        End::PeersEmptyClose => {
            peer.write_all(&client_frame(true, Opcode::CLOSE, b"")).await.unwrap();
            assert_eq!(data_skipped(&mut peer).await, Some((true, Opcode::CLOSE, vec![])));
            None
        }
        End::Violation => {
            // A frame with RSV3 that nobody has agreed on.
            peer.write_all(&[0x91, 0x80, 0, 0, 0, 0]).await.unwrap();
            Some(next_close(&mut peer).await)
        }
        End::Abort => {
            drop(peer);
            None
        }
        End::Silence => {
            // It reads, and says nothing.
            while let Some((_, opcode, _)) = read_frame(&mut peer).await {
                assert_ne!(opcode, Opcode::CLOSE);
            }
            None
        }
    }
}

async fn data_skipped(peer: &mut DuplexStream) -> Option<(bool, Opcode, Vec<u8>)> {
    for _ in 0..10_000 {
        match read_frame(peer).await {
            Some((_, opcode, _)) if opcode != Opcode::CLOSE => {}
            other => return other,
        }
    }
    panic!("no Close came");
}

async fn next_close(peer: &mut DuplexStream) -> (u16, String) {
    let (_, _, payload) = data_skipped(peer).await.expect("a Close comes");
    (u16::from_be_bytes([payload[0], payload[1]]), String::from_utf8(payload[2..].to_vec()).unwrap())
}

fn said(closed: &Closed) -> (ClosedBy, u16, bool) {
    (closed.by(), closed.code().as_u16(), closed.is_clean())
}

#[tokio::test(start_paused = true)]
async fn every_handle_learns_how_the_connection_ended() {
    for end in ENDS {
        let (ws, peer) = server(4096);
        let (sender, mut receiver) = ws.split();
        let mut watching = JoinSet::new();
        for _ in 0..3 {
            let sender = sender.clone();
            watching.spawn(async move {
                assert!(!sender.is_closed());
                let closed = sender.closed().await;
                assert!(sender.is_closed());
                // As often as one likes to know.
                assert_eq!(soon(sender.closed()).await, closed);
                closed
            });
        }
        let reading = tokio::spawn(async move {
            let first = receiver.recv().await;
            // An error is told once; then comes the end, again and again.
            for _ in 0..3 {
                assert!(receiver.recv().await.unwrap().is_none());
            }
            (first, receiver.close_reason())
        });
        others_wait().await;
        let frame = bring_about(end, &sender, peer).await;
        let expected = match end {
            End::OurClose => (ClosedBy::Us, 4002, true),
            End::PeersClose => (ClosedBy::Peer, 4003, true),
            End::PeersEmptyClose => (ClosedBy::Peer, 1005, true),
            End::Violation => (ClosedBy::Us, 1002, false),
            End::Abort | End::Silence => (ClosedBy::Nobody, 1006, false),
        };
        for closed in soon(watching.join_all()).await {
            assert_eq!(said(&closed), expected, "{end:?}");
        }
        let (first, reason) = soon(reading).await.unwrap();
        match end {
            End::OurClose | End::PeersClose | End::PeersEmptyClose => assert_eq!(first.unwrap(), None, "{end:?}"),
            End::Violation => assert!(matches!(first, Err(Error::Protocol(_))), "{first:?}"),
            End::Abort => assert!(matches!(first, Err(Error::Aborted)), "{first:?}"),
            End::Silence => assert!(matches!(first, Err(Error::Timeout(Phase::Keepalive))), "{first:?}"),
        }
        let peer_said = reason.map(|reason| reason.code().as_u16());
        assert_eq!(
            peer_said,
            match end {
                End::OurClose => Some(4002),
                End::PeersClose => Some(4003),
                End::PeersEmptyClose => Some(1005),
                _ => None,
            }
        );
        if let Some((code, _)) = frame {
            assert_eq!(code, expected.1, "{end:?}: what was told on the wire");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_reason_in_closed_is_that_of_the_close_frame_that_began_it() {
    for end in [End::OurClose, End::PeersClose, End::Violation] {
        let (ws, peer) = server(4096);
        let sender = ws.sender();
        let watching = tokio::spawn(async move { ws.closed().await });
        others_wait().await;
        let (code, reason) = bring_about(end, &sender, peer).await.unwrap();
        let closed = soon(watching).await.unwrap();
        assert_eq!((closed.code().as_u16(), closed.reason()), (code, &reason[..]), "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_is_given_up_after_an_interval_and_a_window() {
    let (ws, peer) = server(4096);
    let started = tokio::time::Instant::now();
    let sender = ws.sender();
    let (closed, _) = tokio::join!(ws.closed(), bring_about(End::Silence, &sender, peer));
    assert_eq!(said(&closed), (ClosedBy::Nobody, 1006, false));
    assert_eq!(started.elapsed().as_secs(), 40);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_waited_for_ends_when_the_connection_does() {
    for end in ENDS {
        // The peer does not read, and the queue is full.
        let (ws, peer) = with_limits(64, Limits::default().queue(100));
        let (sender, mut receiver) = ws.split();
        sender.send("x".repeat(300)).await.unwrap();
        let mut sends = JoinSet::new();
        for _ in 0..3 {
            let sender = sender.clone();
            sends.spawn(async move { sender.send("never".repeat(50)).await });
        }
        let spawned = sender.clone();
        let pinging = tokio::spawn(async move { spawned.ping().await });
        let spawned = sender.clone();
        let flushing = tokio::spawn(async move { spawned.flush().await });
        let spawned = sender.clone();
        let watching = tokio::spawn(async move { spawned.closed().await });
        let reading = tokio::spawn(async move {
            let ended = receiver.recv().await;
            assert!(matches!(ended, Ok(None) | Err(_)), "no message comes");
        });
        others_wait().await;
        assert!(!flushing.is_finished() && sends.try_join_next().is_none(), "they wait");
        bring_about(end, &sender, peer).await;
        soon(watching).await.unwrap();
        soon(reading).await.unwrap();
        let pinged = soon(pinging).await.unwrap();
        assert!(pinged.is_err(), "{end:?}: nobody answered");
        let flushed = soon(flushing).await.unwrap();
        // Where the peer read everything, all that was accepted was written.
        assert_eq!(flushed.is_ok(), end != End::Abort, "{end:?} {flushed:?}");
        for sent in soon(sends.join_all()).await {
            // A peer that reads and then falls silent has read them.
            match end {
                End::Silence => sent.unwrap(),
                End::Abort => assert!(matches!(sent, Err(Error::Closed | Error::Io(_))), "{sent:?}"),
                // Room came before the Close did, or it did not.
                _ => assert!(matches!(sent, Ok(()) | Err(Error::Closed)), "{end:?} {sent:?}"),
            }
        }
        assert!(matches!(sender.send("after").await, Err(Error::Closed | Error::Io(_))), "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_in_line_are_told_when_somebody_closes() {
    let (ws, peer) = with_limits(16, Limits::default().queue(100));
    ws.send("x".repeat(300)).await.unwrap();
    let sender = ws.sender();
    let tasks = waiting(&sender, (0..4).map(|number| number.to_string()));
    others_wait().await;
    // The first poll of close is enough.
    assert!(tokio::time::timeout(Duration::ZERO, sender.close(CloseCode::NORMAL, "")).await.is_err());
    for task in tasks {
        assert!(matches!(soon(task).await.unwrap(), Err(Error::Closed)));
    }
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_for_senders_from_the_first_close_on_either_way() {
    let (ws, mut peer) = server(4096);
    assert!(!ws.sender().is_closed());
    assert!(tokio::time::timeout(Duration::ZERO, ws.close(CloseCode::NORMAL, "")).await.is_err(), "the peer waits");
    assert!(ws.sender().is_closed());
    assert!(matches!(ws.send("late").await, Err(Error::Closed)));
    assert!(matches!(ws.feed("late").await, Err(Error::Closed)));
    assert!(matches!(ws.ping().await, Err(Error::Closed)));
    assert_eq!(next_close(&mut peer).await, (1000, String::new()));

    let (mut ws, mut peer) = server(4096);
    peer.write_all(&[text("before"), close_frame(1001, "")].concat()).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("before".into()));
    assert!(ws.recv().await.unwrap().is_none());
    assert!(ws.sender().is_closed());
    assert!(matches!(ws.send("late").await, Err(Error::Closed)));
    // One that is closed is left alone.
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    assert_eq!(soon(read_close(&mut peer)).await.0, 1001);
}

#[tokio::test(start_paused = true)]
async fn a_close_that_must_not_be_sent_is_refused_and_nothing_is_sent() {
    let (ws, mut peer) = server(4096);
    for (code, reason) in [(1005, String::new()), (1006, String::new()), (999, String::new()), (1000, "x".repeat(124))]
    {
        let error = ws.close(CloseCode::from(code), reason).await.unwrap_err();
        assert!(matches!(error, Error::InvalidClose(_)), "{code}: {error}");
    }
    assert!(!ws.sender().is_closed());
    ws.send("open").await.unwrap();
    assert_eq!(next_text(&mut peer).await, "open");
}

#[tokio::test(start_paused = true)]
async fn messages_that_arrive_while_a_sender_closes_are_for_the_receiver() {
    let (ws, mut peer) = server(4096);
    let (sender, mut receiver) = ws.split();
    let closing = tokio::spawn(async move { sender.close(CloseCode::NORMAL, "").await });
    assert_eq!(next_close(&mut peer).await.0, 1000);
    peer.write_all(&[text("on its way"), text("too"), close_frame(1000, "")].concat()).await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!(soon(receiver.recv()).await.unwrap(), Some("on its way".into()));
    assert_eq!(soon(receiver.recv()).await.unwrap(), Some("too".into()));
    assert_eq!(soon(receiver.recv()).await.unwrap(), None);
    soon(closing).await.unwrap().unwrap();
}
