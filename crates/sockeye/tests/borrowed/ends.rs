//! How a connection ends whose messages are lent.

use std::time::Duration;

use super::pair;
use crate::support::{client_frame, read_close, read_frame, server_frame, soon, text};
use sockeye::{CloseCode, Error, LimitExceeded, ProtocolError, Violation};
use sockeye_proto::frame::Opcode;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn messages_before_a_close_in_the_same_read_are_given_and_then_the_end() {
    let (mut ws, mut peer) = pair(1024);
    let close = client_frame(true, Opcode::CLOSE, &1000_u16.to_be_bytes());
    peer.write_all(&[text("one"), text("two"), close].concat()).await.unwrap();
    let (mut incoming, _) = ws.halves();
    assert_eq!(soon(incoming.recv()).await.unwrap(), Some("one".into()));
    assert_eq!(soon(incoming.recv()).await.unwrap(), Some("two".into()));
    let end = async {
        assert_eq!(incoming.recv().await.unwrap(), None);
        assert_eq!(incoming.recv().await.unwrap(), None);
    };
    let peer = async {
        assert_eq!(read_close(&mut peer).await.0, 1000);
        drop(peer);
    };
    soon(async { tokio::join!(end, peer) }).await;
    assert_eq!(incoming.close_reason().unwrap().code(), CloseCode::NORMAL);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_frame_is_said_after_the_messages_before_it_were_answered() {
    let bad_text = client_frame(true, Opcode::TEXT, &[0xff]);
    let too_long = client_frame(true, Opcode::BINARY, &[0; 301]);
    let unmasked = server_frame(true, Opcode::TEXT, b"three");
    for (wrong, error, code) in [
        (bad_text, ProtocolError::from(Violation::InvalidUtf8InText), 1007),
        (too_long, LimitExceeded::Message { len: 301, limit: 300 }.into(), 1009),
        (unmasked, Violation::UnmaskedClientFrame.into(), 1002),
    ] {
        let (mut ws, mut peer) = pair(4096);
        peer.write_all(&[text("one"), text("two"), wrong, text("three")].concat()).await.unwrap();
        let server = sockeye::drive(async {
            let (mut incoming, mut outgoing) = ws.halves();
            for expected in ["one", "two"] {
                let message = incoming.recv().await.unwrap().unwrap();
                assert_eq!(message, expected.into());
                outgoing.send(message).await.unwrap();
            }
            match incoming.recv().await {
                Err(Error::Protocol(met)) => assert_eq!(met, error),
                other => panic!("{other:?}"),
            }
            assert_eq!(incoming.recv().await.unwrap(), None);
        });
        let peer = async {
            for expected in ["one", "two"] {
                assert_eq!(read_frame(&mut peer).await.unwrap().2, expected.as_bytes());
            }
            assert_eq!(read_close(&mut peer).await.0, code);
            drop(peer);
        };
        soon(async { tokio::join!(server, peer) }).await;
    }
}

#[tokio::test(start_paused = true)]
async fn messages_before_an_end_without_a_close_are_given_and_then_the_error() {
    let (mut ws, mut peer) = pair(1024);
    peer.write_all(&[text("one"), text("two"), text("three")[..4].to_vec()].concat()).await.unwrap();
    drop(peer);
    let (mut incoming, _) = ws.halves();
    assert_eq!(soon(incoming.recv()).await.unwrap(), Some("one".into()));
    // Time for whoever would notice the end of the stream.
    sleep(Duration::from_secs(1)).await;
    assert_eq!(soon(incoming.recv()).await.unwrap(), Some("two".into()));
    assert!(matches!(soon(incoming.recv()).await, Err(Error::Aborted)));
    assert_eq!(soon(incoming.recv()).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn close_finds_the_peers_close_behind_messages_that_nobody_has_taken() {
    let (mut ws, mut peer) = pair(1024);
    let close = client_frame(true, Opcode::CLOSE, &1000_u16.to_be_bytes());
    peer.write_all(&[text("one"), text("two"), close].concat()).await.unwrap();
    let peer = tokio::spawn(async move { read_close(&mut peer).await.0 });
    let (mut incoming, mut outgoing) = ws.halves();
    let message = soon(incoming.recv()).await.unwrap();
    soon(outgoing.close(CloseCode::NORMAL, "")).await.unwrap();
    assert_eq!(message, Some("one".into()));
    assert_eq!(soon(incoming.recv()).await.unwrap(), Some("two".into()));
    assert_eq!(soon(incoming.recv()).await.unwrap(), None);
    assert_eq!(soon(peer).await.unwrap(), 1000);
}
