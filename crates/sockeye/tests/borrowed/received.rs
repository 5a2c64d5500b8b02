//! What is lent of what a peer sends.

use super::{echo, pair, poll_once};
use crate::support::{client_frame, in_time, read_frame, soon, start, text};
use sockeye::{CloseCode, Compression, Message, MessageKind, MessageRef, Upgrader};
use sockeye_proto::frame::Opcode;
use tokio::io::AsyncWriteExt;

#[tokio::test(start_paused = true)]
async fn texts_binaries_and_empty_messages_of_one_read_are_lent_one_by_one_in_order() {
    let (mut ws, mut peer) = pair(1024);
    let script = [text("你好"), client_frame(true, Opcode::BINARY, &[1, 2, 3]), text(""), text("end")].concat();
    peer.write_all(&script).await.unwrap();
    let (mut incoming, _) = ws.halves();
    let first = soon(incoming.recv()).await.unwrap().unwrap();
    assert_eq!((first.kind(), first.as_text(), first.len()), (MessageKind::Text, Some("你好"), 6));
    let second = soon(incoming.recv()).await.unwrap().unwrap();
    assert_eq!((second.kind(), second.as_text(), second.as_bytes()), (MessageKind::Binary, None, &[1, 2, 3][..]));
    assert!(soon(incoming.recv()).await.unwrap().unwrap().is_empty());
    assert_eq!(soon(incoming.recv()).await.unwrap(), Some("end".into()));
}

#[tokio::test(start_paused = true)]
async fn a_message_in_fragments_with_pings_between_them_is_lent_too_and_the_pings_are_answered() {
    let (mut ws, mut peer) = pair(1024);
    let script = [
        client_frame(false, Opcode::TEXT, b"frag"),
        client_frame(true, Opcode::PING, b"1"),
        client_frame(true, Opcode::CONTINUATION, b"ments"),
        client_frame(true, Opcode::PING, b"2"),
        text("whole"),
        client_frame(true, Opcode::PING, b"3"),
    ];
    peer.write_all(&script.concat()).await.unwrap();
    let (mut incoming, mut outgoing) = ws.halves();
    for expected in ["fragments", "whole"] {
        let message = soon(incoming.recv()).await.unwrap().unwrap();
        assert_eq!(message.as_text(), Some(expected));
        outgoing.send(message).await.unwrap();
    }
    let waits = poll_once(incoming.recv()).await;
    assert!(waits.is_none(), "nothing else comes: {waits:?}");
    let mut heard = Vec::new();
    for _ in 0..5 {
        heard.push(String::from_utf8(soon(read_frame(&mut peer)).await.unwrap().2).unwrap());
    }
    heard.sort();
    assert_eq!(heard, ["1", "2", "3", "fragments", "whole"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_cut_at_every_byte_gives_the_same_messages() {
    let frames = [text("one"), text(&"x".repeat(200)), client_frame(true, Opcode::PING, b"?"), text("好")].concat();
    for cut in 1..frames.len() {
        let (mut ws, mut peer) = pair(1024);
        let (mut incoming, _) = ws.halves();
        peer.write_all(&frames[..cut]).await.unwrap();
        let mut received = Vec::new();
        // What the first piece has, until it has no more.
        while let Some(message) = poll_once(incoming.recv()).await {
            received.push(message.unwrap().unwrap().to_message());
        }
        peer.write_all(&frames[cut..]).await.unwrap();
        while received.len() < 3 {
            received.push(soon(incoming.recv()).await.unwrap().unwrap().to_message());
        }
        assert_eq!(received, ["one".into(), "x".repeat(200).into(), Message::from("好")], "cut at {cut}");
    }
}

#[tokio::test]
async fn messages_of_every_size_from_nothing_to_1_mib_come_back_over_tcp() {
    let address = start(|listener| sockeye::serve(listener, echo)).await;
    let mut client = sockeye::connect(format!("ws://{address}/")).await.unwrap();
    // Around the sizes that are copied, shared, and read apart, in order and all under way at once.
    let sizes =
        [0, 1, 125, 126, 4096, 4097, 32 << 10, (32 << 10) + 1, 65_521, 1 << 20, 5, 1 << 20, 40 << 10, 40 << 10, 7];
    let payload = |at: usize, size: usize| -> Message { vec![u8::try_from(at).unwrap(); size].into() };
    let sender = client.sender();
    let sending = tokio::spawn(async move {
        for (at, &size) in sizes.iter().enumerate() {
            sender.send(payload(at, size)).await.unwrap();
        }
    });
    for (at, &size) in sizes.iter().enumerate() {
        let (mut incoming, _) = client.halves();
        let message = in_time(incoming.recv()).await.unwrap().unwrap();
        assert_eq!(message, MessageRef::from(&payload(at, size)), "message {at} of {size} bytes");
    }
    sending.await.unwrap();
    client.close(CloseCode::NORMAL, "").await.unwrap();
}

#[tokio::test]
async fn compressed_messages_are_lent_and_sent_compressed() {
    let upgrader = Upgrader::default().compression(Compression::takeover());
    let address = start(|listener| sockeye::serve(listener, echo).upgrader(upgrader)).await;
    let url = format!("ws://{address}/");
    let mut client = sockeye::connect(&url).compression(Compression::takeover()).await.unwrap();
    let (mut incoming, mut outgoing) = client.halves();
    for size in [10, 600, 5_000, 100_000] {
        let message = "compress me ".repeat(size / 12 + 1);
        outgoing.send(message.as_str()).await.unwrap();
        assert_eq!(in_time(incoming.recv()).await.unwrap(), Some(message.as_str().into()));
    }
}
