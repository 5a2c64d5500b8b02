//! Messages that are received in pieces: the same bytes as whole, in bounded memory, whatever their headers claim.

mod deflate_support;
mod support;

use std::path::PathBuf;

use allocation_counter::measure;
use bytes::{BufMut, BytesMut};
use deflate_support::{TAIL, params};
use proptest::prelude::*;
use sockeye_proto::close::State;
use sockeye_proto::connection::{ControlPayload, Wanted};
use sockeye_proto::deflate::{Compression, Deflater};
use sockeye_proto::frame::{Header, Opcode};
use sockeye_proto::{
    CloseCode, Connection, Error, Event, LimitExceeded, Limits, Message, MessageKind, Role, Violation, mask,
};
use support::{KEY, close, facing, frame, frames, receive, sent, sent_close, text};

/// What the application does with a message that fills the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    /// It takes every message in pieces, from its first byte on.
    Pieces,
    /// It takes nothing before the window is full, and then pieces.
    PiecesOnceFull,
    /// It wants the message whole then.
    WholeOnceFull,
}

const CHOICES: [Choice; 3] = [Choice::Pieces, Choice::PiecesOnceFull, Choice::WholeOnceFull];
const WINDOWS: [usize; 4] = [1, 2, 7, 64 << 10];

/// Receives bytes that come in `cuts`, and returns the events as if all messages had been taken whole.
fn in_pieces<'a>(
    mut connection: Connection,
    cuts: impl IntoIterator<Item = &'a [u8]>,
    window: usize,
    choice: Choice,
) -> Vec<Event> {
    let (mut events, mut kind, mut taken) = (Vec::new(), MessageKind::Binary, Vec::new());
    assert_eq!(connection.want(Wanted::Pieces { window }), None);
    for cut in cuts {
        let mut cut = cut.to_vec();
        let mut bytes = &mut cut[..];
        loop {
            let before = connection.held();
            let received = connection.receive(bytes);
            bytes = &mut bytes[received.consumed..];
            let mut done = bytes.is_empty() && received.event.is_none();
            assert!(done || received.event.is_some() || connection.is_held_back(), "bytes are left for no reason");
            let whole = choice == Choice::WholeOnceFull && !taken.is_empty();
            assert!(whole || connection.held() <= window.max(before), "{} bytes are held", connection.held());
            match received.event {
                Some(Event::MessageEnd) => {
                    taken.extend_from_slice(&connection.take_piece());
                    let bytes = core::mem::take(&mut taken);
                    events.push(Event::Message(match kind {
                        MessageKind::Text => Message::from(String::from_utf8(bytes).unwrap()),
                        MessageKind::Binary => Message::from(bytes),
                    }));
                }
                Some(Event::Message(message)) => {
                    assert!(taken.is_empty() || choice == Choice::WholeOnceFull, "part of it was taken");
                    taken.clear();
                    assert_eq!(connection.want(Wanted::Pieces { window }), None);
                    events.push(Event::Message(message));
                }
                event => events.extend(event),
            }
            if let Some(incoming) = connection.incoming() {
                kind = incoming.kind;
                match choice {
                    Choice::WholeOnceFull if connection.is_held_back() => {
                        assert_eq!(connection.want(Wanted::Whole), None, "no limit is near");
                        taken.push(0); // A mark: it is being put together.
                        done = false;
                    }
                    Choice::PiecesOnceFull if !connection.is_held_back() => {}
                    Choice::Pieces | Choice::PiecesOnceFull => {
                        let piece = connection.take_piece();
                        assert_eq!(piece.len(), incoming.held);
                        done &= piece.is_empty();
                        taken.extend_from_slice(&piece);
                    }
                    Choice::WholeOnceFull => {}
                }
            }
            if done {
                break;
            }
        }
    }
    events
}

/// A session with something of everything.
fn session() -> Vec<u8> {
    let words = "你好，世界 👋";
    [
        text("Hello"),
        text(""),
        frame(Role::Client, false, Opcode::TEXT, &words.as_bytes()[..4]),
        frame(Role::Client, true, Opcode::PING, b"ping"),
        frame(Role::Client, false, Opcode::CONTINUATION, b""),
        frame(Role::Client, false, Opcode::CONTINUATION, &words.as_bytes()[4..18]),
        frame(Role::Client, true, Opcode::PONG, b""),
        frame(Role::Client, true, Opcode::CONTINUATION, &words.as_bytes()[18..]),
        frame(Role::Client, false, Opcode::BINARY, b""),
        frame(Role::Client, true, Opcode::CONTINUATION, b""),
        frame(Role::Client, true, Opcode::BINARY, &[0x5A; 130]),
        close(4000, "再见"),
        text("discarded"),
    ]
    .concat()
}

fn compressing(connection: Connection, takeover: bool) -> Connection {
    let compression = if takeover { Compression::takeover() } else { Compression::no_takeover() };
    connection.with_compression(&compression, params(takeover))
}

/// A compressed message, in frames of so many bytes, with a Ping after each.
fn compressed(deflater: &mut Deflater, kind: Opcode, content: &[u8], fragment: usize) -> Vec<u8> {
    let mut payload = BytesMut::new();
    assert!(deflater.compress(content, &mut payload), "it gets smaller");
    let (mut bytes, count) = (Vec::new(), payload.chunks(fragment).count());
    for (i, part) in payload.chunks(fragment).enumerate() {
        let mut bytes_of = frame(Role::Client, i + 1 == count, if i == 0 { kind } else { Opcode::CONTINUATION }, part);
        bytes_of[0] |= if i == 0 { 0x40 } else { 0 };
        bytes.extend(bytes_of);
        bytes.extend(frame(Role::Client, true, Opcode::PING, &[7]));
    }
    bytes
}

fn compressed_session(takeover: bool) -> Vec<u8> {
    let compression = if takeover { Compression::takeover() } else { Compression::no_takeover() };
    let mut deflater = Deflater::new(&compression.threshold(0), params(takeover), Role::Client);
    let words = "你好，世界 👋 ".repeat(20);
    [
        compressed(&mut deflater, Opcode::TEXT, words.as_bytes(), 1_000),
        text("plain"),
        compressed(&mut deflater, Opcode::BINARY, &[7; 2_000], 3),
        compressed(&mut deflater, Opcode::TEXT, words.as_bytes(), 1),
        // An empty message, and one that ends with an empty frame.
        [&[0xC1, 0x81][..], &KEY.bytes(), &[KEY.bytes()[0]]].concat(),
        compressed(&mut deflater, Opcode::BINARY, &[1; 100], 10),
        close(1000, ""),
    ]
    .concat()
}

#[test]
fn whatever_the_window_the_cut_and_the_choice_the_same_bytes_come_as_whole() {
    let bytes = session();
    let expected = receive(&mut facing(Role::Client, Limits::default()), [&bytes[..]]);
    assert_eq!(expected.len(), 8);
    for window in WINDOWS {
        for choice in CHOICES {
            for cut in 0..=bytes.len() {
                let connection = facing(Role::Client, Limits::default());
                let events = in_pieces(connection, [&bytes[..cut], &bytes[cut..]], window, choice);
                assert_eq!(events, expected, "cut at {cut}, window {window}, {choice:?}");
            }
            let connection = facing(Role::Client, Limits::default());
            assert_eq!(in_pieces(connection, bytes.chunks(1), window, choice), expected, "window {window}, {choice:?}");
        }
    }
}

#[test]
fn whatever_the_window_the_cut_and_the_choice_the_same_bytes_come_of_compressed_messages_as_whole() {
    for takeover in [false, true] {
        let bytes = compressed_session(takeover);
        let connect = || compressing(facing(Role::Client, Limits::default()), takeover);
        let expected = receive(&mut connect(), [&bytes[..]]);
        let messages = expected.iter().filter(|event| matches!(event, Event::Message(_))).count();
        assert!(messages == 6 && matches!(expected.last(), Some(Event::Close(_))), "{expected:?}");
        for window in WINDOWS {
            for choice in CHOICES {
                // With windows of a few bytes each message takes thousands of steps: every third cut has to do.
                let step = if window < 64 << 10 { 3 } else { 1 };
                for cut in (0..=bytes.len()).step_by(step) {
                    let events = in_pieces(connect(), [&bytes[..cut], &bytes[cut..]], window, choice);
                    assert_eq!(events, expected, "cut at {cut}, window {window}, {choice:?}");
                }
                assert_eq!(in_pieces(connect(), bytes.chunks(1), window, choice), expected);
            }
        }
    }
}

#[test]
fn what_chromium_node_and_python_sent_comes_in_pieces_as_whole() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../conformance/vectors");
    for name in ["chromium", "node-ws", "python-websockets"] {
        let bytes = std::fs::read(folder.join(format!("{name}.bin"))).unwrap();
        let expected = receive(&mut facing(Role::Client, Limits::default()), [&bytes[..]]);
        for window in WINDOWS {
            for choice in CHOICES {
                for size in [1, 1_000, 65_536] {
                    let connection = facing(Role::Client, Limits::default());
                    let events = in_pieces(connection, bytes.chunks(size), window, choice);
                    assert!(events == expected, "{name} in reads of {size}, window {window}, {choice:?}");
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_give_the_same_events_as_whole(
        bytes in proptest::collection::vec(any::<u8>(), 0..400), size in 1usize..50, window in 1usize..20,
        choice in 0usize..3,
    ) {
        let connect = || compressing(facing(Role::Server, Limits::default().message(usize::MAX)), false);
        let whole = receive(&mut connect(), [&bytes[..]]);
        let pieces = in_pieces(connect(), bytes.chunks(size), window, CHOICES[choice]);
        prop_assert_eq!(either_1007(whole), either_1007(pieces));
    }
}

/// A damaged compressed text may break two rules, both answered with 1007: it is no deflated data, and what came of it
/// before that is no UTF-8. Text is checked each time some has been inflated, so which of the two is met first depends on
/// how much is inflated at a time: the two compare as equal.
fn either_1007(mut events: Vec<Event>) -> Vec<Event> {
    for event in &mut events {
        if *event == Event::Failed(Violation::CorruptDeflate.into()) {
            *event = Event::Failed(Violation::InvalidUtf8InText.into());
        }
    }
    events
}

#[test]
fn a_piece_may_end_within_a_character_and_the_message_may_not() {
    let wants_pieces = || {
        let mut connection = facing(Role::Client, Limits::default());
        assert_eq!(connection.want(Wanted::Pieces { window: 2 }), None);
        connection
    };
    // 你 has three bytes. The window takes two of them, and those are handed out.
    let mut connection = wants_pieces();
    let mut bytes = text("你");
    let end = bytes.len();
    assert_eq!(connection.receive(&mut bytes).consumed, end - 1);
    assert_eq!(connection.take_piece(), &"你".as_bytes()[..2]);
    assert_eq!(connection.receive(&mut bytes[end - 1..]).event, Some(Event::MessageEnd));
    assert_eq!(connection.take_piece(), &"你".as_bytes()[2..]);

    // A byte that goes on with no character is refused when it comes.
    let mut connection = wants_pieces();
    let mut bytes = frame(Role::Client, true, Opcode::TEXT, &[0xE4, 0xBD, b'!', b'?']);
    let consumed = connection.receive(&mut bytes).consumed;
    assert_eq!(connection.take_piece().len(), 2);
    let event = connection.receive(&mut bytes[consumed..]).event;
    assert_eq!(event, Some(Event::Failed(Violation::InvalidUtf8InText.into())));

    // And so is an end within one.
    let mut connection = wants_pieces();
    let mut bytes = frame(Role::Client, false, Opcode::TEXT, &[0xE4, 0xBD]);
    assert_eq!(connection.receive(&mut bytes).event, None);
    assert_eq!(connection.take_piece().len(), 2);
    let event = connection.receive(&mut frame(Role::Client, true, Opcode::CONTINUATION, b"")).event;
    assert_eq!(event, Some(Event::Failed(Violation::InvalidUtf8InText.into())));
    assert_eq!(sent_close(&mut connection).code(), CloseCode::INVALID_PAYLOAD);
}

#[test]
fn a_message_over_the_limit_is_judged_when_it_is_wanted_whole_and_not_before() {
    let limits = Limits::default().message(1_000);
    for claim in [1_000, 1_001, 1 << 40] {
        let mut connection = facing(Role::Client, limits);
        assert_eq!(connection.want(Wanted::Pieces { window: 100 }), None);
        let mut bytes = Header::new(true, Opcode::BINARY, claim, Some(KEY)).encode().to_vec();
        let header = bytes.len();
        bytes.extend([0; 500]);
        let received = connection.receive(&mut bytes);
        assert_eq!((received.consumed, received.event), (header + 100, None), "held back");
        assert!(connection.is_held_back() && connection.landing().is_none());
        let incoming = connection.incoming().unwrap();
        assert_eq!((incoming.kind, incoming.compressed), (MessageKind::Binary, false));
        assert_eq!((incoming.frame_len, incoming.held), (claim, 100));
        // Nothing is taken, however often it is asked.
        let received = connection.receive(&mut bytes[header + 100..]);
        assert_eq!((received.consumed, received.event), (0, None));

        let judged = connection.want(Wanted::Whole);
        if claim == 1_000 {
            assert_eq!(judged, None);
            assert_eq!(connection.receive(&mut bytes[header + 100..]).event, None);
            let event = connection.receive(&mut vec![0; 500]).event;
            assert!(matches!(event, Some(Event::Message(message)) if message.len() == 1_000));
        } else {
            let error = Error::Limit(LimitExceeded::Message { len: claim, limit: 1_000 });
            assert_eq!(judged, Some(Event::Failed(error)));
            assert_eq!(connection.state(), State::Failed);
            assert_eq!(sent_close(&mut connection).code(), CloseCode::MESSAGE_TOO_BIG);
            assert_eq!((connection.held(), connection.is_held_back()), (0, false));
            assert_eq!(connection.receive(&mut bytes).consumed, bytes.len(), "discarded");
            assert_eq!(connection.want(Wanted::Whole), None, "once");
        }
    }
}

#[test]
fn a_message_over_the_limit_that_has_ended_in_the_window_is_whole() {
    let mut connection = facing(Role::Client, Limits::default().message(1_000));
    assert_eq!(connection.want(Wanted::Pieces { window: 2_000 }), None);
    for len in [1_001, 2_000] {
        let event = connection.receive(&mut frame(Role::Client, true, Opcode::BINARY, &vec![7; len])).event;
        assert_eq!(event, Some(Event::Message(Message::from(vec![7; len]))));
    }
    assert_eq!(connection.want(Wanted::Whole), None, "it is not judged afterwards");
    let event = connection.receive(&mut frame(Role::Client, true, Opcode::BINARY, &[7; 1_001])).event;
    assert!(matches!(event, Some(Event::Failed(Error::Limit(_)))));
}

#[test]
fn a_compressed_message_over_the_limit_is_judged_by_what_came_of_it_and_what_comes() {
    let mut deflater = Deflater::new(&Compression::no_takeover(), params(false), Role::Client);
    let bytes = compressed(&mut deflater, Opcode::BINARY, &[7; 10_000], 100);
    for (window, limit, expected) in [(2_000, 1_000, Some(2_000)), (1_000, 2_000, None)] {
        let limits = Limits::default().message(limit);
        let mut connection = compressing(facing(Role::Client, limits), false);
        assert_eq!(connection.want(Wanted::Pieces { window }), None);
        let mut bytes = bytes.clone();
        let consumed = connection.receive(&mut bytes).consumed;
        assert!(connection.is_held_back() && connection.held() == window);
        let event = connection.want(Wanted::Whole).or_else(|| connection.receive(&mut bytes[consumed..]).event);
        let Some(Event::Failed(Error::Limit(LimitExceeded::Message { len, .. }))) = event else { panic!("{event:?}") };
        assert!(expected.map_or(len > limit as u64, |expected| len == expected), "{len}");
    }
}

#[test]
fn a_frame_that_claims_10_gb_costs_its_window_and_may_go_on_for_ever() {
    const WINDOW: usize = 64 << 10;
    for lands in [false, true] {
        let mut connection = facing(Role::Client, Limits::default());
        assert_eq!(connection.want(Wanted::Pieces { window: WINDOW }), None);
        let mut header = Header::new(true, Opcode::BINARY, 10_000_000_000, Some(KEY)).encode().to_vec();
        let masked: Vec<u8> = (0..32 << 10).map(|i| KEY.bytes()[i % 4] ^ 7).collect();
        let mut read = masked.clone();
        let mut total = 0;
        let cost = measure(|| {
            assert_eq!(connection.receive(&mut header).event, None);
            while total < 64 << 20 {
                if let Some(mut room) = connection.landing().filter(|_| lands) {
                    assert!(room.remaining_mut() <= WINDOW);
                    // As much as keeps the key's phase.
                    let size = room.remaining_mut().min(masked.len()) & !3;
                    room.put_slice(&masked[..size]);
                    assert_eq!(connection.landed(), None);
                } else {
                    read.copy_from_slice(&masked);
                    let received = connection.receive(&mut read);
                    assert_eq!((received.consumed, received.event), (read.len(), None));
                }
                if connection.held() > WINDOW / 2 || lands {
                    let piece = connection.take_piece();
                    assert!(piece.iter().all(|&byte| byte == 7));
                    total += piece.len();
                }
            }
        });
        assert!(cost.bytes_max <= 3 * WINDOW as u64, "{cost:?}");
        assert!(cost.count_total < 100, "room is used again: {cost:?}");
    }
}

#[test]
fn small_pieces_that_are_kept_share_their_room() {
    const WINDOW: usize = 256 << 10;
    const PIECE: usize = 4 << 10;
    const SIZE: usize = 1 << 20;
    let mut connection = facing(Role::Client, Limits::default());
    assert_eq!(connection.want(Wanted::Pieces { window: WINDOW }), None);
    let mut header = Header::new(true, Opcode::BINARY, 10_000_000_000, Some(KEY)).encode().to_vec();
    let masked: Vec<u8> = (0..PIECE).map(|i| KEY.bytes()[i % 4] ^ 7).collect();
    let mut kept = Vec::with_capacity(SIZE / PIECE);
    let cost = measure(|| {
        assert_eq!(connection.receive(&mut header).event, None);
        connection.take_piece();
        while kept.len() < SIZE / PIECE {
            connection.landing().expect("much is to come").put_slice(&masked);
            assert_eq!(connection.landed(), None);
            kept.push(connection.take_piece());
        }
    });
    assert!(kept.iter().all(|piece| piece.len() == PIECE && piece.iter().all(|&byte| byte == 7)));
    // A quarter of the room may be left over, and the latest is hardly used.
    assert!(cost.bytes_max <= (SIZE * 4 / 3 + 2 * WINDOW) as u64, "{cost:?}");
}

#[test]
fn a_window_that_shrinks_below_what_is_held_holds_back_until_that_is_taken() {
    let mut connection = facing(Role::Client, Limits::default());
    let mut bytes = frame(Role::Client, true, Opcode::BINARY, &[7; 2_000]);
    assert_eq!(connection.want(Wanted::Pieces { window: 1_000 }), None);
    assert_eq!(connection.receive(&mut bytes[..808]).event, None);
    assert!(!connection.is_held_back());
    assert_eq!(connection.want(Wanted::Pieces { window: 500 }), None);
    assert!(connection.is_held_back());
    assert_eq!(connection.receive(&mut bytes[808..]).consumed, 0);
    assert_eq!(connection.take_piece(), vec![7; 800]);
    assert_eq!(connection.receive(&mut bytes[808..]).consumed, 500);
    assert_eq!(connection.take_piece(), vec![7; 500]);
}

#[test]
fn a_compressed_gigabyte_costs_its_window_and_the_state_to_inflate_with() {
    const WINDOW: usize = 64 << 10;
    let settings =
        Deflater::new(&Compression::no_takeover().level(9).window_bits(15), params(false), Role::Client).settings();
    let mebibyte = [&settings.compress(&vec![0; 1 << 20]).unwrap()[..], &TAIL].concat();
    let mut payload = mebibyte.repeat(1024);
    payload.truncate(payload.len() - TAIL.len());
    let header = Header::new(true, Opcode::BINARY, payload.len() as u64, Some(KEY)).compressed();
    let mut bytes = header.encode().to_vec();
    mask::apply(KEY, 0, &mut payload);
    bytes.extend(payload);

    let mut connection = compressing(facing(Role::Client, Limits::default()), false);
    let (mut total, mut ended) = (0, false);
    let cost = std::thread::spawn(move || {
        measure(|| {
            assert_eq!(connection.want(Wanted::Pieces { window: WINDOW }), None);
            for read in bytes.chunks_mut(16 << 10) {
                let mut rest = &mut read[..];
                loop {
                    let received = connection.receive(rest);
                    rest = &mut rest[received.consumed..];
                    assert!(connection.held() <= WINDOW);
                    ended |= received.event == Some(Event::MessageEnd);
                    let piece = connection.take_piece();
                    total += piece.len();
                    if rest.is_empty() && piece.is_empty() {
                        break;
                    }
                }
            }
            assert_eq!((total, ended), (1 << 30, true));
        })
    });
    let cost = cost.join().unwrap();
    assert!(cost.bytes_max <= (3 * WINDOW + (80 << 10)) as u64, "{cost:?}");
}

#[test]
fn in_pieces_only_empty_fragments_count_and_their_flood_ends_at_the_limit() {
    let limits = Limits::default().fragments(10);
    let fragment = |payload: &[u8]| frame(Role::Client, false, Opcode::CONTINUATION, payload);
    let begin = |window| {
        let mut connection = facing(Role::Client, limits);
        assert_eq!(connection.want(Wanted::Pieces { window }), None);
        assert_eq!(connection.receive(&mut frame(Role::Client, false, Opcode::BINARY, b"1")).event, None);
        connection
    };
    let failed = Some(Event::Failed(Error::Limit(LimitExceeded::Fragments { limit: 10 })));
    // Nobody has chosen: all count.
    let mut connection = begin(100);
    for _ in 1..10 {
        assert_eq!(connection.receive(&mut fragment(b"2")).event, None);
    }
    assert_eq!(connection.receive(&mut fragment(b"2")).event, failed);

    let mut connection = begin(100);
    for _ in 0..1_000 {
        assert_eq!(connection.take_piece().len(), 1);
        assert_eq!(connection.receive(&mut fragment(b"2")).event, None);
    }
    for _ in 1..10 {
        assert_eq!(connection.receive(&mut fragment(b"")).event, None);
    }
    assert_eq!(connection.receive(&mut fragment(b"")).event, failed);
}

#[test]
fn compressed_input_of_which_nothing_comes_ends_in_pieces_too() {
    let mut connection = compressing(facing(Role::Client, Limits::default()), false);
    assert_eq!(connection.want(Wanted::Pieces { window: 100 }), None);
    let mut first = frame(Role::Client, false, Opcode::BINARY, b"");
    first[0] |= 0x40;
    assert_eq!(connection.receive(&mut first).event, None);
    let blocks = frame(Role::Client, false, Opcode::CONTINUATION, &[0x00, 0x00, 0x00, 0xff, 0xff].repeat(200));
    let (mut sent, mut failed) = (0, None);
    while failed.is_none() {
        assert_eq!(connection.take_piece().len(), 0);
        failed = connection.receive(&mut blocks.clone()).event;
        sent += 1_000;
        assert!(sent <= (64 << 10) + 1_000, "it must end");
    }
    assert_eq!(failed, Some(Event::Failed(Error::Limit(LimitExceeded::EmptyBlocks { limit: 64 << 10 }))));
    assert_eq!(sent_close(&mut connection).code(), CloseCode::MESSAGE_TOO_BIG);
}

#[test]
fn after_the_end_of_a_message_in_pieces_the_next_one_waits_until_the_rest_is_taken() {
    for next in [Wanted::Whole, Wanted::Pieces { window: 3 }] {
        let mut connection = facing(Role::Client, Limits::default());
        assert_eq!(connection.want(Wanted::Pieces { window: 3 }), None);
        let mut first = text("abcde");
        let consumed = connection.receive(&mut first).consumed;
        assert_eq!(connection.take_piece(), "abc");
        let mut rest = [&first[consumed..], &text("xyz"), &frame(Role::Client, true, Opcode::PING, b"?")].concat();
        let received = connection.receive(&mut rest);
        assert_eq!((received.consumed, received.event), (2, Some(Event::MessageEnd)));
        assert_eq!((connection.incoming(), connection.held()), (None, 2));
        assert_eq!(connection.want(next), None);
        let again = connection.receive(&mut rest[2..]);
        assert_eq!((again.consumed, again.event, connection.is_held_back()), (0, None, true));
        assert_eq!(connection.take_piece(), "de");
        assert!(!connection.is_held_back());
        assert!(connection.take_piece().is_empty(), "that is all, and decides nothing about the next");
        let xyz = Event::Message(Message::from("xyz"));
        let ping = Event::Ping(ControlPayload::new(b"?").unwrap());
        assert_eq!(receive(&mut connection, [&rest[2..]]), [xyz, ping]);
    }
}

#[test]
fn a_message_goes_on_in_pieces_though_the_next_one_is_wanted_whole() {
    let mut connection = facing(Role::Client, Limits::default().message(10));
    assert_eq!(connection.want(Wanted::Pieces { window: 4 }), None);
    let mut bytes = [frame(Role::Client, true, Opcode::BINARY, &[7; 20]), text("next")].concat();
    let mut rest = &mut bytes[..];
    let mut taken = 0;
    loop {
        let received = connection.receive(rest);
        rest = &mut rest[received.consumed..];
        taken += connection.take_piece().len();
        assert_eq!(connection.want(Wanted::Whole), None, "over the limit, but not held");
        if received.event == Some(Event::MessageEnd) {
            break;
        }
    }
    assert_eq!(taken, 20);
    assert_eq!(connection.receive(rest).event, Some(Event::Message(Message::from("next"))));
}

#[test]
fn between_fragments_controls_are_handled_as_ever_while_there_is_room() {
    let mut connection = facing(Role::Client, Limits::default());
    assert_eq!(connection.want(Wanted::Pieces { window: 5 }), None);
    let ping = || frame(Role::Client, true, Opcode::PING, b"alive?");
    assert_eq!(connection.receive(&mut frame(Role::Client, false, Opcode::TEXT, b"some")).event, None);
    let pinged = Some(Event::Ping(ControlPayload::new(b"alive?").unwrap()));
    assert_eq!(connection.receive(&mut ping()).event, pinged);
    assert_eq!(frames(&sent(&mut connection)), [(Opcode::PONG, b"alive?".to_vec())]);
    // With a full window even a Ping waits, unless it has begun.
    let mut bytes = [frame(Role::Client, false, Opcode::CONTINUATION, b"!"), ping()].concat();
    let consumed = connection.receive(&mut bytes).consumed;
    assert_eq!(bytes.len() - consumed, ping().len());
    assert_eq!(connection.take_piece(), "some!");
    assert_eq!(connection.receive(&mut bytes[consumed..consumed + 8]).consumed, 8);
    assert_eq!(connection.receive(&mut bytes[consumed + 8..]).event, pinged);
    assert_eq!(connection.receive(&mut close(1000, "")).consumed, close(1000, "").len());
    assert_eq!(connection.state(), State::Exchanged);
    assert!(!connection.is_held_back());
}

#[test]
fn a_connection_that_is_failed_by_its_driver_says_why_and_holds_nothing() {
    let mut connection = facing(Role::Client, Limits::default());
    assert_eq!(connection.receive(&mut frame(Role::Client, false, Opcode::BINARY, &[7; 1_000])).event, None);
    connection.fail(Error::Limit(LimitExceeded::Budget { limit: 1 << 30 }));
    assert_eq!((connection.state(), connection.held(), connection.incoming()), (State::Failed, 0, None));
    assert_eq!(sent_close(&mut connection).code(), CloseCode::TRY_AGAIN_LATER);
    assert!(connection.wants_shutdown());
}
