//! Messages that are sent in fragments, and how far what was accepted has been written.

mod deflate_support;
mod support;

use std::io::IoSlice;
use std::time::Instant;

use bytes::Bytes;
use deflate_support::params;
use sockeye_proto::connection::{CannotSend, ControlPayload, Prepared};
use sockeye_proto::deflate::Compression;
use sockeye_proto::frame::{Header, Opcode, Parse};
use sockeye_proto::{CloseCode, CloseReason, Connection, Event, Limits, Message, MessageKind, Role};
use support::{close, facing, frame, frames, receive, sent};

fn ping(payload: &[u8]) -> ControlPayload {
    ControlPayload::new(payload).unwrap()
}

/// Takes `most` bytes of what waits.
fn write(connection: &mut Connection, most: usize) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 8];
    let count = connection.outgoing(&mut slices);
    let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
    connection.written(bytes.len(), Instant::now);
    bytes
}

#[test]
fn fragments_arrive_as_one_message_with_pings_between_them_whoever_sends() {
    for sender in [Role::Client, Role::Server] {
        for size in [1, 3, 100, 5_000, 100_000] {
            let text = "你好，世界 👋".repeat(1 + size / 10);
            let mut connection = facing(sender.peer(), Limits::default());
            let count = text.len().div_ceil(size);
            for (i, part) in text.as_bytes().chunks(size).enumerate() {
                // What the later ones are said to be is of no meaning.
                let kind = if i == 0 { MessageKind::Text } else { MessageKind::Binary };
                connection.send_fragment(kind, Bytes::copy_from_slice(part), i + 1 == count).unwrap();
                assert_eq!(connection.in_fragments(), i + 1 < count);
                connection.ping(ping(b"between")).unwrap();
            }
            let bytes = sent(&mut connection);
            let events = receive(&mut facing(sender, Limits::default()), [&bytes[..]]);
            assert!(events.contains(&Event::Message(Message::from(&text[..]))), "{sender:?}, fragments of {size}");
        }
    }
}

#[test]
fn the_frames_of_a_message_in_fragments_are_the_ones_of_s5_4() {
    let mut connection = facing(Role::Client, Limits::default());
    for (payload, fin) in [("Hel", false), ("", false), ("lo", true), ("all", true)] {
        connection.send_fragment(MessageKind::Text, payload.into(), fin).unwrap();
    }
    let expected = [&b"\x01\x03Hel"[..], b"\x00\x00", b"\x80\x02lo", b"\x81\x03all"].concat();
    assert_eq!(sent(&mut connection), expected);
}

#[test]
fn fragments_are_never_compressed_and_leave_compression_as_it_was() {
    let compressing =
        |connection: Connection| connection.with_compression(&Compression::takeover().threshold(0), params(true));
    let mut connection = compressing(facing(Role::Client, Limits::default()));
    let mut peer = compressing(facing(Role::Server, Limits::default()));
    let words = "again and again and again and again";
    for _ in 0..2 {
        connection.send(Message::from(words)).unwrap();
        connection.send_fragment(MessageKind::Text, words.into(), false).unwrap();
        connection.send_fragment(MessageKind::Text, Bytes::new(), true).unwrap();
    }
    let bytes = sent(&mut connection);
    let mut rest = &bytes[..];
    let mut compressed = Vec::new();
    while let Parse::Complete(header) = Header::parse(rest) {
        compressed.push(header.rsv(1));
        rest = &rest[header.size() + usize::try_from(header.payload_len()).unwrap()..];
    }
    assert_eq!(compressed, [true, false, false, true, false, false]);
    assert_eq!(receive(&mut peer, [&bytes[..]]), vec![Event::Message(Message::from(words)); 4]);
}

#[test]
fn no_other_message_can_be_sent_between_fragments_but_controls_and_the_close() {
    let mut connection = facing(Role::Client, Limits::default());
    connection.send_fragment(MessageKind::Binary, Bytes::from_static(b"begun"), false).unwrap();
    assert_eq!(connection.send(Message::from("no")), Err(CannotSend::InFragments));
    assert_eq!(connection.send_uncompressed(Message::from("no")), Err(CannotSend::InFragments));
    assert_eq!(connection.send_prepared(&Prepared::from("no")), Err(CannotSend::InFragments));
    connection.ping(ping(b"?")).unwrap();
    let mut bytes = sent(&mut connection);
    receive(&mut connection, [&frame(Role::Client, true, Opcode::PING, b"!")[..]]);
    bytes.extend(sent(&mut connection));
    connection.close(CloseReason::new(CloseCode::GOING_AWAY, "").unwrap());
    for kind in [MessageKind::Text, MessageKind::Binary] {
        assert_eq!(connection.send_fragment(kind, Bytes::new(), true), Err(CannotSend::Closing));
    }
    assert_eq!(connection.send(Message::from("no")), Err(CannotSend::Closing));
    bytes.extend(sent(&mut connection));
    let opcodes: Vec<_> = frames(&bytes).into_iter().map(|(opcode, _)| opcode).collect();
    // The Ping does not wait behind what has not left yet.
    assert_eq!(opcodes, [Opcode::BINARY, Opcode::PING, Opcode::PONG, Opcode::CLOSE]);
}

#[test]
fn after_the_peers_close_no_fragment_follows() {
    let mut connection = facing(Role::Client, Limits::default());
    connection.send_fragment(MessageKind::Text, "begun".into(), false).unwrap();
    receive(&mut connection, [&close(1000, "")[..]]);
    assert_eq!(connection.send_fragment(MessageKind::Text, "end".into(), true), Err(CannotSend::Closing));
    assert_eq!(connection.probe(), Err(CannotSend::Closing));
}

#[test]
fn pongs_between_answers_that_have_not_left_make_no_position_written() {
    let mut connection = facing(Role::Client, Limits::default());
    let ping = frame(Role::Client, true, Opcode::PING, &[b'?'; 125]);
    for _ in 0..3 {
        receive(&mut connection, [&ping[..]]);
        connection.send(Message::from("a")).unwrap();
    }
    assert_eq!(connection.written_to(), 0);
}

#[test]
fn a_position_is_written_once_its_last_byte_is_and_pings_and_pongs_do_not_count() {
    for sender in [Role::Client, Role::Server] {
        for taken in [1, 2, 3, 7, 100, 4_096, 5_000, 70_000] {
            let mut connection = facing(sender.peer(), Limits::default());
            assert!(connection.written_to() >= connection.accepted(), "of nothing all is written");
            // What is in front of each position, and has not been seen leaving yet.
            let (mut positions, mut bytes) = (Vec::new(), Vec::new());
            for size in [0, 1, 125, 126, 4_096, 4_097, 65_536, 3] {
                connection.send(Message::from(vec![7; size])).unwrap();
                positions.push(connection.accepted());
            }
            for turn in 0u32.. {
                if turn % 3 == 0 && turn < 200 {
                    connection.ping(ping(&turn.to_be_bytes())).unwrap();
                    connection.probe().unwrap();
                    receive(&mut connection, [&frame(sender.peer(), true, Opcode::PING, b"?")[..]]);
                }
                if turn == 20 {
                    connection.send_fragment(MessageKind::Binary, vec![7; 10_000].into(), false).unwrap();
                    positions.push(connection.accepted());
                }
                let piece = write(&mut connection, taken);
                if piece.is_empty() && turn > 200 {
                    break;
                }
                bytes.extend(piece);
                let written = data_bytes(&bytes);
                for &position in &positions {
                    assert_eq!(connection.written_to() >= position, written >= position, "{written} and {position}");
                }
            }
            assert_eq!(connection.written_to(), connection.accepted());
            connection.close(CloseReason::new(CloseCode::NORMAL, "bye").unwrap());
            let end = connection.accepted();
            while connection.has_outgoing() {
                assert!(connection.written_to() < end);
                write(&mut connection, taken);
            }
            assert!(connection.written_to() >= end);
        }
    }
}

/// How many of these bytes are those of data frames, or of the beginning of one.
fn data_bytes(mut bytes: &[u8]) -> u64 {
    let mut count = 0;
    while let Some(&first) = bytes.first() {
        let is_data = !Opcode::from_bits(first).is_control();
        let size = match Header::parse(bytes) {
            Parse::Complete(header) => header.size() + usize::try_from(header.payload_len()).unwrap(),
            Parse::Partial { .. } => bytes.len(),
        };
        let (of_frame, rest) = bytes.split_at(size.min(bytes.len()));
        count += if is_data { of_frame.len() as u64 } else { 0 };
        bytes = rest;
    }
    count
}
