//! What the halves leave behind.

use std::pin::pin;
use std::time::Duration;

use super::{kept, pair, poll_once};
use crate::support::{client_frame, read_close, read_frame, soon, text};
use sockeye::{Error, LimitExceeded};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn what_the_halves_leave_is_received_in_order_by_every_other_way() {
    let (mut ws, mut peer) = pair(4096);
    let numbers: Vec<u8> = (0..12).flat_map(|number| text(&number.to_string())).collect();
    peer.write_all(&[&numbers[..], &text("cut")[..4]].concat()).await.unwrap();
    for number in (0..12).step_by(3) {
        assert_eq!(soon(kept(&mut ws)).await, Some(number.to_string().into()));
        assert_eq!(soon(ws.recv()).await.unwrap(), Some((number + 1).to_string().into()));
        let mut read = String::new();
        soon(ws.recv_stream()).await.unwrap().unwrap().read_to_string(&mut read).await.unwrap();
        assert_eq!(read, (number + 2).to_string());
    }
    assert_eq!(poll_once(kept(&mut ws)).await, None);
    peer.write_all(&[&text("cut")[4..], &text("end")].concat()).await.unwrap();
    assert_eq!(soon(ws.recv()).await.unwrap(), Some("cut".into()));
    assert_eq!(soon(kept(&mut ws)).await, Some("end".into()));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_given_up_is_skipped_and_the_next_message_is_lent() {
    let (mut ws, mut peer) = pair(1024);
    let skipped = client_frame(true, Opcode::BINARY, &[0; 200]);
    peer.write_all(&skipped[..100]).await.unwrap();
    drop(soon(ws.recv_stream()).await.unwrap().unwrap());
    peer.write_all(&[&skipped[100..], &text("next"), &text("last")].concat()).await.unwrap();
    let (mut incoming, _) = ws.halves();
    assert_eq!(soon(incoming.recv()).await.unwrap(), Some("next".into()));
    assert_eq!(soon(incoming.recv()).await.unwrap(), Some("last".into()));
}

#[tokio::test(start_paused = true)]
async fn messages_read_ahead_while_a_recv_stood_still_come_before_those_behind_them() {
    let (mut ws, mut peer) = pair(1 << 20);
    soon(sockeye::drive(async {
        let (mut incoming, _) = ws.halves();
        {
            let mut recv = pin!(incoming.recv());
            assert!(poll_once(recv.as_mut()).await.is_none());
            // More than is read ahead.
            let numbers: Vec<u8> = (0..3000).flat_map(|number| text(&number.to_string())).collect();
            peer.write_all(&numbers).await.unwrap();
            sleep(Duration::from_millis(1)).await;
            assert_eq!(recv.await.unwrap(), Some("0".into()));
        }
        for number in 1..3000 {
            assert_eq!(incoming.recv().await.unwrap(), Some(number.to_string().as_str().into()));
        }
    }))
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_limit_is_refused_also_where_the_one_before_it_was_read_ahead() {
    let (mut ws, mut peer) = pair(1024);
    peer.write_all(&[text("one"), text("two"), text(&"x".repeat(301))].concat()).await.unwrap();
    tokio::spawn(async move {
        read_frame(&mut peer).await.unwrap();
        assert_eq!(read_close(&mut peer).await.0, 1009);
    });
    let (mut incoming, mut outgoing) = ws.halves();
    assert_eq!(soon(incoming.recv()).await.unwrap(), Some("one".into()));
    // What sends and is not driven reads one message ahead, of any length.
    outgoing.send("1").await.unwrap();
    assert_eq!(soon(incoming.recv()).await.unwrap(), Some("two".into()));
    match soon(incoming.recv()).await {
        Err(Error::Protocol(error)) => assert_eq!(error, LimitExceeded::Message { len: 301, limit: 300 }.into()),
        other => panic!("{other:?}"),
    }
}
