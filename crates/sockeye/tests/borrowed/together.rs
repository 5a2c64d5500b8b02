//! Both halves at once.

use std::time::Duration;

use super::pair;
use crate::support::{client_frame, in_time, open, read_frame, soon, start, text};
use sockeye::{HandlerResult, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn both_halves_are_used_at_the_same_time() {
    let (mut ws, mut peer) = pair(64);
    let (mut incoming, mut outgoing) = ws.halves();
    // More than the wire takes: it is written while the other half waits.
    let sending = async {
        for number in 0..100_u8 {
            outgoing.send(&[number; 100]).await.unwrap();
        }
    };
    let receiving = async { assert_eq!(incoming.recv().await.unwrap(), Some("at last".into())) };
    let peer = async {
        for number in 0..100 {
            assert_eq!(read_frame(&mut peer).await.unwrap().2, [number; 100]);
        }
        peer.write_all(&text("at last")).await.unwrap();
    };
    soon(async { tokio::join!(sending, receiving, peer) }).await;
}

#[tokio::test]
async fn a_handler_holds_a_message_while_it_sends_and_sleeps_and_pings_are_answered_meanwhile() {
    async fn slow(mut ws: WebSocket) -> HandlerResult {
        let (mut incoming, mut outgoing) = ws.halves();
        while let Some(message) = incoming.recv().await? {
            outgoing.send("wait").await?;
            sleep(Duration::from_millis(300)).await;
            outgoing.send(message).await?;
        }
        Ok(())
    }
    let address = start(|listener| sockeye::serve(listener, slow)).await;
    let mut peer = open(address).await;
    let script = [text("held"), client_frame(true, Opcode::PING, b"?"), text("next")].concat();
    peer.write_all(&script).await.unwrap();
    let expected: [(Opcode, &[u8]); 5] = [
        (Opcode::TEXT, b"wait"),
        (Opcode::PONG, b"?"),
        (Opcode::TEXT, b"held"),
        (Opcode::TEXT, b"wait"),
        (Opcode::TEXT, b"next"),
    ];
    for (opcode, payload) in expected {
        let frame = in_time(read_frame(&mut peer)).await.unwrap();
        assert_eq!(frame, (true, opcode, payload.to_vec()));
    }
}

#[tokio::test(start_paused = true)]
async fn the_answers_to_a_read_leave_in_one_write() {
    let (mut ws, mut peer) = pair(4096);
    peer.write_all(&[text("one"), text("two"), text("three")].concat()).await.unwrap();
    let server = sockeye::drive(async {
        let (mut incoming, mut outgoing) = ws.halves();
        while let Some(message) = incoming.recv().await.unwrap() {
            outgoing.send(message).await.unwrap();
        }
    });
    let peer = async {
        let mut answers = vec![0; 100];
        let count = peer.read(&mut answers).await.unwrap();
        assert_eq!(answers[..count], [&b"\x81\x03one\x81\x03two\x81\x05three"[..]].concat());
    };
    soon(async { tokio::select!(() = server => (), () = peer => ()) }).await;
}
