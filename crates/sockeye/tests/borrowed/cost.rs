//! What lent messages cost: what is allocated for them, and what is held when they are gone.

use super::{pair, poll_once};
use crate::heap;
use crate::support::{client_frame, soon, text};
use sockeye::{Limits, MessageRef, Role, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
