//! Pings, and who answers them.

use std::pin::pin;
use std::time::Duration;

use super::close_frame;
use crate::support::{client_frame, others_wait, read_frame, server, soon, text};
use sockeye::Error;
use sockeye_proto::frame::Opcode;
use tokio::io::AsyncWriteExt;

#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_by_its_own_pong_only_and_measured_from_when_it_was_written() {
    let (ws, mut peer) = server(4096);
    assert_eq!(ws.latency(), None);
    let sender = ws.sender();
    let pinging = tokio::spawn(async move { sender.ping().await });
    let (_, opcode, payload) = soon(read_frame(&mut peer)).await.unwrap();
    assert_eq!(opcode, Opcode::PING);
    for wrong in [&b""[..], b"unsolicited", &payload[1..]] {
        peer.write_all(&client_frame(true, Opcode::PONG, wrong)).await.unwrap();
    }
    others_wait().await;
    assert!(!pinging.is_finished() && ws.latency().is_none());
    tokio::time::sleep(Duration::from_millis(70)).await;
    peer.write_all(&client_frame(true, Opcode::PONG, &payload)).await.unwrap();
    let round_trip = soon(pinging).await.unwrap().unwrap();
    assert_eq!((round_trip.as_millis(), ws.latency()), (70, Some(round_trip)));
    // Said twice, it counts once.
    peer.write_all(&client_frame(true, Opcode::PONG, &payload)).await.unwrap();
    let (again, ()) = tokio::join!(ws.ping(), async {
        let (_, _, payload) = soon(read_frame(&mut peer)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        peer.write_all(&client_frame(true, Opcode::PONG, &payload)).await.unwrap();
    });
    assert_eq!(again.unwrap().as_millis(), 5);
}

#[tokio::test(start_paused = true)]
async fn pings_at_once_join_one_and_one_dropped_does_not_take_the_others_along() {
    for dropped in 0..4 {
        let (ws, mut peer) = server(4096);
        let pinging: Vec<_> = (0..4)
            .map(|_| {
                let sender = ws.sender();
                tokio::spawn(async move { sender.ping().await })
            })
            .collect();
        others_wait().await;
        pinging[dropped].abort();
        let (_, opcode, payload) = soon(read_frame(&mut peer)).await.unwrap();
        assert_eq!(opcode, Opcode::PING);
        assert!(tokio::time::timeout(Duration::ZERO, read_frame(&mut peer)).await.is_err(), "one Ping for all");
        peer.write_all(&client_frame(true, Opcode::PONG, &payload)).await.unwrap();
        for (number, ping) in pinging.into_iter().enumerate() {
            assert_eq!(soon(ping).await.is_ok_and(|answer| answer.is_ok()), number != dropped);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_only_receives_answers_pings() {
    let (mut ws, mut peer) = server(4096);
    let reading = tokio::spawn(async move { ws.recv().await });
    for payload in [&b"one"[..], b"", &[0xff; 125]] {
        peer.write_all(&client_frame(true, Opcode::PING, payload)).await.unwrap();
        assert_eq!(soon(read_frame(&mut peer)).await, Some((true, Opcode::PONG, payload.to_vec())));
    }
    assert!(!reading.is_finished());
}

#[tokio::test(start_paused = true)]
async fn one_who_only_sends_notices_a_close_and_an_abort() {
    for abort in [false, true] {
        let (ws, mut peer) = server(4096);
        ws.send("before").await.unwrap();
        if abort {
            drop(peer);
        } else {
            // Two messages lie before it, which nobody will ever take.
            peer.write_all(&[text("unread"), text("unread"), close_frame(1000, "")].concat()).await.unwrap();
        }
        let mut failed = None;
        for _ in 0..10 {
            failed = ws.send("more").await.err();
            if failed.is_some() {
                break;
            }
            others_wait().await;
        }
        assert!(matches!(failed, Some(Error::Closed | Error::Io(_))), "abort {abort}: {failed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_only_sends_answers_pings_with_his_sends() {
    let (ws, mut peer) = server(4096);
    peer.write_all(&client_frame(true, Opcode::PING, b"?")).await.unwrap();
    ws.send("first").await.unwrap();
    ws.send("second").await.unwrap();
    let mut frames = Vec::new();
    for _ in 0..3 {
        frames.push(soon(read_frame(&mut peer)).await.unwrap().1);
    }
    assert!(frames.contains(&Opcode::PONG), "{frames:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_of_the_end_answers_pings_and_loses_no_message() {
    let (mut ws, mut peer) = server(4096);
    let sender = ws.sender();
    let mut watching = pin!(sender.closed());
    peer.write_all(&[text("one"), client_frame(true, Opcode::PING, b"?"), text("two")].concat()).await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, &mut watching).await.is_err());
    assert_eq!(soon(read_frame(&mut peer)).await, Some((true, Opcode::PONG, b"?".to_vec())));
    assert_eq!(ws.recv().await.unwrap(), Some("one".into()));
    assert_eq!(ws.recv().await.unwrap(), Some("two".into()));
}
