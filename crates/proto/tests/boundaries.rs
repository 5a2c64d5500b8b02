//! However a stream is cut, its events are the same.

mod support;

use std::path::PathBuf;

use proptest::prelude::*;
use sockeye_proto::frame::Opcode;
use sockeye_proto::{Event, Limits, Message, Role};
use support::{close, facing, frame, receive, text};

/// A session with something of everything: its bytes and its events.
fn session() -> (Vec<u8>, Vec<Event>) {
    let bytes = [
        text("Hello"),
        text(""),
        frame(Role::Client, false, Opcode::TEXT, &"你好，世界 👋".as_bytes()[..4]),
        frame(Role::Client, true, Opcode::PING, b"ping"),
        frame(Role::Client, false, Opcode::CONTINUATION, b""),
        frame(Role::Client, false, Opcode::CONTINUATION, &"你好，世界 👋".as_bytes()[4..18]),
        frame(Role::Client, true, Opcode::PONG, b""),
        frame(Role::Client, true, Opcode::CONTINUATION, &"你好，世界 👋".as_bytes()[18..]),
        frame(Role::Client, true, Opcode::BINARY, &[0xA5; 126]),
        frame(Role::Client, true, Opcode::BINARY, &[0x5A; 300]),
        close(4000, "再见"),
        text("discarded"),
    ]
    .concat();
    let events = receive(&mut facing(Role::Client, Limits::default()), [&bytes[..]]);
    assert_eq!(events.len(), 8);
    assert!(events.contains(&Event::Message(Message::from("你好，世界 👋"))));
    (bytes, events)
}

#[test]
fn a_session_cut_in_three_at_any_two_bytes_gives_the_same_events() {
    let (bytes, expected) = session();
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let mut connection = facing(Role::Client, Limits::default());
            let events = receive(&mut connection, [&bytes[..first], &bytes[first..second], &bytes[second..]]);
            assert_eq!(events, expected, "cut at {first} and {second}");
        }
    }
}

#[test]
fn a_session_byte_by_byte_gives_the_same_events() {
    let (bytes, expected) = session();
    assert_eq!(receive(&mut facing(Role::Client, Limits::default()), bytes.chunks(1)), expected);
}

#[test]
fn a_chinese_text_fragmented_at_every_byte_with_pings_between_arrives_whole() {
    let words = "你好，世界 👋";
    for cut in 0..=words.len() {
        let bytes = [
            frame(Role::Client, false, Opcode::TEXT, &words.as_bytes()[..cut]),
            frame(Role::Client, true, Opcode::PING, b""),
            frame(Role::Client, true, Opcode::CONTINUATION, &words.as_bytes()[cut..]),
        ]
        .concat();
        for chunk in [1, 2, 3, 5, bytes.len()] {
            let events = receive(&mut facing(Role::Client, Limits::default()), bytes.chunks(chunk));
            assert_eq!(events.last(), Some(&Event::Message(Message::from(words))), "cut at {cut}");
            assert_eq!(events.len(), 2);
        }
    }
}

/// What three clients really sent, recorded: see `conformance/vectors/README.md`.
#[test]
fn what_chromium_node_and_python_sent_gives_the_same_events_however_it_is_cut() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../conformance/vectors");
    for name in ["chromium", "node-ws", "python-websockets"] {
        let bytes = std::fs::read(folder.join(format!("{name}.bin"))).unwrap();
        let expected = receive(&mut facing(Role::Client, Limits::default()), [&bytes[..]]);
        let messages = expected.iter().filter(|event| matches!(event, Event::Message(_))).count();
        assert!(messages >= 8, "{name}: {messages} messages");
        assert!(expected.contains(&Event::Message(Message::from("你好，世界 👋"))), "{name}");
        assert!(
            matches!(expected.last(), Some(Event::Close(reason)) if reason.to_string() == "1000 Normal Closure: bye")
        );

        // Every cut in two where headers are: the first and last kilobyte; elsewhere in steps of a prime.
        let near_an_end = |&cut: &usize| cut < 1024 || cut + 1024 > bytes.len() || cut % 4_099 == 0;
        for cut in (0..=bytes.len()).filter(near_an_end) {
            let events = receive(&mut facing(Role::Client, Limits::default()), [&bytes[..cut], &bytes[cut..]]);
            assert!(events == expected, "{name} cut at {cut}");
        }
        for size in [1, 2, 3, 7, 64, 1_000, 65_536] {
            let events = receive(&mut facing(Role::Client, Limits::default()), bytes.chunks(size));
            assert!(events == expected, "{name} in pieces of {size}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_give_the_same_events_as_in_one(
        bytes in proptest::collection::vec(any::<u8>(), 0..400), size in 1usize..50, sender in any::<bool>(),
    ) {
        let sender = if sender { Role::Client } else { Role::Server };
        let whole = receive(&mut facing(sender, Limits::default()), [&bytes[..]]);
        let pieces = receive(&mut facing(sender, Limits::default()), bytes.chunks(size));
        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn any_messages_in_any_fragments_and_pieces_arrive_as_they_were(
        messages in proptest::collection::vec((".{0,80}", any::<bool>(), 1usize..30), 1..8), size in 1usize..200,
    ) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (content, binary, fragment) in messages {
            let kind = if binary { Opcode::BINARY } else { Opcode::TEXT };
            let parts: Vec<_> = content.as_bytes().chunks(fragment).collect();
            let last = parts.len().max(1) - 1;
            for i in 0..=last {
                let opcode = if i == 0 { kind } else { Opcode::CONTINUATION };
                bytes.extend(frame(Role::Client, i == last, opcode, parts.get(i).copied().unwrap_or_default()));
            }
            expected.push(Event::Message(if binary { content.into_bytes().into() } else { content.into() }));
        }
        let events = receive(&mut facing(Role::Client, Limits::default()), bytes.chunks(size));
        prop_assert_eq!(events, expected);
    }
}
