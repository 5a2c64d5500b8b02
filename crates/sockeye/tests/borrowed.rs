//! Messages that are lent: what `WebSocket::halves` receives and sends, and what it leaves behind.

#[path = "support/heap.rs"]
mod heap;
mod support;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use sockeye::{
    CloseCode, Compression, Error, HandlerResult, LimitExceeded, Limits, Message, MessageKind, MessageRef,
    ProtocolError, Role, Upgrader, Violation, WebSocket,
};
use sockeye_proto::frame::Opcode;
use support::{client_frame, in_time, open, read_close, read_frame, server_frame, soon, start, text};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::sleep;

/// A server's end, and the peer's end of the wire.
fn pair(capacity: usize) -> (WebSocket, DuplexStream) {
    let (near, far) = tokio::io::duplex(capacity);
    (WebSocket::from_stream(near, Role::Server, Limits::default().message(300)), far)
}

async fn echo(mut ws: WebSocket) -> HandlerResult {
    let (mut incoming, mut outgoing) = ws.halves();
    while let Some(message) = incoming.recv().await? {
        outgoing.send(message).await?;
    }
    Ok(())
}

/// Receives one message and keeps it.
async fn kept(ws: &mut WebSocket) -> Option<Message> {
    let (mut incoming, _) = ws.halves();
    incoming.recv().await.unwrap().map(Message::from)
}

/// What a future has come to already.
async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

// --- what is received ---

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

// --- how it ends ---

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

// --- what is left behind ---

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

// --- both at once ---

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

// --- what it costs ---

#[tokio::test(start_paused = true)]
async fn small_messages_are_received_and_sent_without_a_byte_of_the_heap() {
    let (mut ws, mut peer) = pair(64 << 10);
    let batch: Vec<u8> = (0..100).flat_map(|_| text("thirty-two bytes, half a kilobit")).collect();
    soon(sockeye::drive(async {
        let (mut incoming, mut outgoing) = ws.halves();
        // The first time the buffers are made, which serve all others after it.
        for round in 0..6 {
            peer.write_all(&batch).await.unwrap();
            if round % 2 == 0 {
                // What a read ends with may be no message.
                peer.write_all(&client_frame(true, Opcode::PONG, b"!")).await.unwrap();
            }
            let receiving = heap::held();
            heap::forget_peak();
            for _ in 0..100 {
                let message = incoming.recv().await.unwrap().unwrap();
                outgoing.feed(message).await.unwrap();
            }
            let received = heap::peak() - receiving;
            outgoing.flush().await.unwrap();
            peer.read_exact(&mut vec![0; 100 * 34]).await.unwrap();
            let waiting = heap::held();
            heap::forget_peak();
            let waits = poll_once(incoming.recv()).await;
            assert!(waits.is_none(), "{waits:?}");
            let taken = received.max(heap::peak() - waiting);
            assert!(taken == 0 || round == 0, "{taken} bytes in round {round}");
        }
    }))
    .await;
}

#[tokio::test(start_paused = true)]
async fn for_a_message_of_4_kib_nothing_is_allocated_and_for_a_longer_one_what_it_takes() {
    let (near, mut peer) = tokio::io::duplex(64 << 10);
    let mut ws = WebSocket::from_stream(near, Role::Server, Limits::default());
    soon(sockeye::drive(async {
        let (mut incoming, _) = ws.halves();
        // The first time the room is made.
        for (size, allocated) in [(4096, None), (4096, Some(0)), (4097, Some(4097)), (4096, Some(0))] {
            peer.write_all(&client_frame(true, Opcode::BINARY, &vec![7; size])).await.unwrap();
            let held = heap::held();
            heap::forget_peak();
            assert_eq!(incoming.recv().await.unwrap().map(MessageRef::len), Some(size));
            let taken = heap::peak() - held;
            assert!(allocated.is_none_or(|allocated| allocated == taken), "{taken} bytes for {size}");
        }
    }))
    .await;
}

#[tokio::test(start_paused = true)]
async fn two_connections_of_a_thread_lend_at_the_same_time() {
    let ((mut one, mut first), (mut other, mut second)) = (pair(1024), pair(1024));
    let ((mut one, _), (mut other, _)) = (one.halves(), other.halves());
    for round in 0..3 {
        first.write_all(&text(&format!("一 {round}"))).await.unwrap();
        second.write_all(&client_frame(true, Opcode::BINARY, &[0xff, round])).await.unwrap();
        let text = one.recv().await.unwrap().unwrap();
        let binary = other.recv().await.unwrap().unwrap();
        assert_eq!((text, binary), (format!("一 {round}").as_str().into(), (&[0xff, round]).into()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_of_a_lent_message_stays_as_it_was_when_the_next_ones_come() {
    for size in [10, 5_000, 100_000] {
        let (near, mut peer) = tokio::io::duplex(1 << 20);
        let mut ws = WebSocket::from_stream(near, Role::Server, Limits::default());
        let (mut incoming, _) = ws.halves();
        let mut kept = Vec::new();
        for number in 0..10 {
            peer.write_all(&client_frame(true, Opcode::BINARY, &vec![number; size])).await.unwrap();
            kept.push(soon(incoming.recv()).await.unwrap().unwrap().to_message());
        }
        for (number, message) in (0..10).zip(kept) {
            assert!(message == vec![number; size].into(), "message {number} of {size} bytes");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_kept_do_not_keep_the_buffer_they_were_read_into() {
    // Of the short ones a copy is kept, of the long ones the message they were lent from.
    for (size, most) in [(10, 100 << 10), (5_000, 1 << 20)] {
        let (near, mut peer) = tokio::io::duplex(64 << 10);
        let mut ws = WebSocket::from_stream(near, Role::Server, Limits::default());
        let (mut incoming, _) = ws.halves();
        let mut kept = Vec::with_capacity(100);
        let held = heap::held();
        for _ in 0..100 {
            peer.write_all(&text(&"x".repeat(size))).await.unwrap();
            kept.push(incoming.recv().await.unwrap().unwrap().to_message());
        }
        let held = heap::held() - held;
        assert!(held < most, "{held} bytes for 100 messages of {size}, where a buffer is 64 KiB");
        assert!(kept.iter().all(|message| message.len() == size));
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_wait_for_a_message_or_were_left_in_the_middle_of_a_read_hold_no_buffer() {
    for waits in [true, false] {
        let mut connections = Vec::new();
        for _ in 0..20 {
            let (mut ws, mut peer) = pair(1024);
            peer.write_all(&[text("one"), text("two")].concat()).await.unwrap();
            let held = heap::held();
            let (mut incoming, _) = ws.halves();
            assert_eq!(soon(incoming.recv()).await.unwrap(), Some("one".into()));
            if waits {
                assert_eq!(soon(incoming.recv()).await.unwrap(), Some("two".into()));
                let waits = poll_once(incoming.recv()).await;
                assert!(waits.is_none(), "{waits:?}");
            }
            drop(incoming);
            connections.push((ws, peer, heap::held() - held));
        }
        // The first one makes the buffer, which all others are lent.
        let most = connections[1..].iter().map(|(.., held)| *held).max().unwrap();
        assert!(most < 4 << 10, "{most} bytes");
    }
}

// --- the same as ever ---

/// What a peer sends, and how the connection takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Recv,
    Halves,
}

/// All that can be seen of a connection whose peer sends these bytes and then nothing: what was received, how that ended,
/// and what came back.
async fn story(bytes: &[u8], capacity: usize, door: Door, drives: bool) -> (Vec<Message>, String, Vec<u8>) {
    let (mut ws, peer) = pair(capacity);
    let (mut from_us, mut to_us) = tokio::io::split(peer);
    let server = async move {
        let mut received = Vec::new();
        let end = match door {
            Door::Recv => loop {
                match ws.recv().await {
                    Ok(Some(message)) => {
                        let _ = ws.send(message.clone()).await;
                        received.push(message);
                    }
                    end => break format!("{:?}", end.map(drop)),
                }
            },
            Door::Halves => {
                let (mut incoming, mut outgoing) = ws.halves();
                loop {
                    match incoming.recv().await {
                        Ok(Some(message)) => {
                            let _ = outgoing.send(message).await;
                            received.push(message.to_message());
                        }
                        end => break format!("{:?}", end.map(drop)),
                    }
                }
            }
        };
        (received, end)
    };
    let server = async { if drives { sockeye::drive(server).await } else { server.await } };
    let writing = async {
        let _ = to_us.write_all(bytes).await;
        let _ = to_us.shutdown().await;
    };
    let mut back = Vec::new();
    let ((received, end), (), _) = soon(async { tokio::join!(server, writing, from_us.read_to_end(&mut back)) }).await;
    (received, end, back)
}

#[tokio::test(start_paused = true)]
async fn any_three_frames_in_any_cut_come_to_the_same_through_either_door() {
    let frames = [
        text("好"),
        text(""),
        client_frame(true, Opcode::BINARY, &[7; 150]),
        client_frame(false, Opcode::TEXT, b"be"),
        client_frame(true, Opcode::CONTINUATION, b"gun"),
        client_frame(true, Opcode::PING, b"?"),
        client_frame(true, Opcode::PONG, b"!"),
        client_frame(true, Opcode::CLOSE, &1000_u16.to_be_bytes()),
        // Bad UTF-8, a frame that is not masked, a bit that was not agreed on, a message over the limit.
        client_frame(true, Opcode::TEXT, &[0xff]),
        server_frame(true, Opcode::TEXT, b"bare"),
        [0xc1, 0x80, 0, 0, 0, 0].to_vec(),
        client_frame(true, Opcode::BINARY, &[0; 301]),
    ];
    let mut stories = 0;
    for first in &frames {
        for second in &frames {
            for third in &frames {
                let bytes = [&first[..], second, third].concat();
                for (capacity, drives) in [(4096, true), (4096, false), (5, true), (5, false)] {
                    let expected = story(&bytes, capacity, Door::Recv, drives).await;
                    let lent = story(&bytes, capacity, Door::Halves, drives).await;
                    assert_eq!(lent, expected, "{bytes:x?} over {capacity} bytes, driven: {drives}");
                    stories += 1;
                }
            }
        }
    }
    assert_eq!(stories, 12 * 12 * 12 * 4);
}
