//! Compressed messages (RFC 7692): who sends what, and what the frames say of it.

mod support;

use std::time::{Duration, Instant};

use sockeye_dissect::{Deflate, Finding, Frame, InflateOutcome, Receiver};
use sockeye_proto::frame::{Opcode, Violation};
use sockeye_proto::{CloseCode, Role};
use support::{client, compressed, deflated, findings, frames, in_fragments, inflated_frames, inflating, pieces};

/// "Hello", compressed by itself (§7.2.3.1).
const HELLO: [u8; 7] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
/// "Hello" again, as a reference to the one before (§7.2.3.2).
const HELLO_AGAIN: [u8; 5] = [0xF2, 0x00, 0x11, 0x00, 0x00];

fn text(payload: &[u8]) -> Vec<u8> {
    compressed(true, Opcode::TEXT, payload)
}

fn outcome(frame: &Frame) -> InflateOutcome {
    frame.inflated.as_ref().expect("it is compressed").outcome
}

/// A stored block (RFC 1951 §3.2.4) that other blocks follow.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap();
    [&[0][..], &len.to_le_bytes(), &(!len).to_le_bytes(), bytes].concat()
}

#[test]
fn the_rfcs_examples_are_hello() {
    for (section, payload) in [
        ("7.2.3.1", HELLO.as_slice()),
        ("7.2.3.3", &[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00]),
        ("7.2.3.4", &[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]),
        ("7.2.3.5", &[0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00]),
    ] {
        let frames = inflated_frames(&text(payload));
        assert_eq!(frames[0].message_text(), Some("Hello"), "§{section}");
        assert_eq!(frames[0].message_payload(), Some(b"Hello".as_slice()));
        assert_eq!(frames[0].payload, payload);
        assert_eq!((findings(&frames[0]).len(), frames[0].receiver), (0, Receiver::Takes));
        assert_eq!(frames[0].percent(), Some(payload.len() as u64 * 20));
    }
}

#[test]
fn the_rfcs_hello_in_two_fragments_says_what_each_of_them_adds() {
    let stream = [
        compressed(false, Opcode::TEXT, &HELLO[..3]),
        client(true, Opcode::PING, b"?"),
        client(true, Opcode::CONTINUATION, &HELLO[3..]),
    ];
    let frames = inflated_frames(&stream.concat());
    assert_eq!([frames[0].text(), frames[2].text()], [Some("He"), Some("llo")]);
    assert_eq!(frames[2].message_text(), Some("Hello"));
    assert_eq!((frames[0].percent(), frames[2].percent()), (None, Some(140)));
    let assembled = |frame: &Frame| frame.message.as_ref().and_then(|message| message.assembled.clone());
    assert_eq!(assembled(&frames[2]).as_deref(), Some(HELLO.as_slice()));
    assert_eq!((&frames[1].inflated, findings(&frames[1]).len()), (&None, 0));
}

#[test]
fn the_rfcs_second_hello_refers_to_the_first_and_a_sender_who_begins_anew_is_understood_too() {
    let stream = [text(&HELLO), text(&HELLO_AGAIN), client(true, Opcode::TEXT, b"plain"), text(&HELLO)];
    let frames = inflated_frames(&stream.concat());
    let texts: Vec<_> = frames.iter().map(|frame| frame.message_text().unwrap()).collect();
    assert_eq!(texts, ["Hello", "Hello", "plain", "Hello"]);
    assert_eq!(frames[1].percent(), Some(100));
    assert_eq!(frames[2].inflated, None);
}

#[test]
fn the_rfcs_empty_message_inflates_to_nothing_and_so_does_an_empty_payload() {
    for payload in [[0x00].as_slice(), &[]] {
        let frames = inflated_frames(&text(payload));
        assert_eq!((frames[0].message_text(), frames[0].percent()), (Some(""), None));
        assert_eq!(findings(&frames[0]).len(), 0);
        let frames = inflated_frames(&in_fragments(Opcode::TEXT, payload, &[0, 1, 0]));
        assert_eq!(frames[3].message_text(), Some(""));
    }
}

#[test]
fn chinese_text_cut_into_frames_anywhere_is_the_same_text() {
    let words = "你好，世界。你好，世界！👋 ".repeat(5);
    let payload = deflated([words.as_bytes()]).remove(0).unwrap();
    assert!(payload.len() < words.len() / 3);
    for first in 0..=payload.len() {
        for second in [0, 1, 2, payload.len()] {
            let frames = inflated_frames(&in_fragments(Opcode::TEXT, &payload, &[first, second]));
            assert_eq!(frames[2].message_text(), Some(words.as_str()), "{first} {second}");
            assert!(frames.iter().all(|frame| frame.findings.is_empty()));
            let parts: Vec<u8> = frames.iter().flat_map(|frame| frame.inflated.clone().unwrap().payload).collect();
            assert_eq!(parts, words.as_bytes());
        }
    }
}

#[test]
fn bad_text_names_the_inflated_byte() {
    let stream = in_fragments(Opcode::TEXT, &[stored(b"ab\xE4\xBDx"), vec![0]].concat(), &[8]);
    let frames = inflated_frames(&stream);
    let words = "a text message is not UTF-8 (RFC 6455 §8.1): byte 1 of the inflated payload, 78, cannot stand here";
    assert_eq!((findings(&frames[0]), findings(&frames[1])), (vec![], vec![words.to_owned()]));
    match frames[1].findings[0] {
        Finding::InvalidUtf8 { at, .. } => assert_eq!((at.byte, at.in_text, at.inflated), (Some(b'x'), 4, true)),
        ref other => panic!("{other}"),
    }
    assert_eq!(frames[1].receiver, Receiver::Fails(CloseCode::INVALID_PAYLOAD));

    let frames = inflated_frames(&text(&[stored("你".as_bytes().split_last().unwrap().1), vec![0]].concat()));
    assert_eq!(findings(&frames[0]), ["a text message is not UTF-8 (RFC 6455 §8.1): it ends within a character"]);
}

#[test]
fn corrupt_data_is_a_violation_and_later_messages_have_an_unknown_window() {
    // A block of type 3; a reference to before the beginning; a stored block whose length and complement differ.
    for (payload, at) in [([0x06].as_slice(), 0), (&HELLO_AGAIN, 2), (&[0x00, 0x05, 0x00, 0xFA, 0xFE, 0x48], 4)] {
        let stream = [text(payload), text(&HELLO_AGAIN), text(&HELLO), text(&HELLO_AGAIN)];
        let frames = inflated_frames(&stream.concat());
        assert_eq!(frames[0].findings, [Finding::Rule(Violation::CorruptDeflate)]);
        assert_eq!(findings(&frames[0]), ["a compressed message is no deflated data (RFC 7692 §7.2.2)"]);
        assert_eq!((frames[0].findings[0].rfc(), frames[0].findings[0].section()), (7692, "7.2.2"));
        assert_eq!(outcome(&frames[0]), InflateOutcome::Corrupt(at));
        assert_eq!(frames[0].receiver, Receiver::Fails(CloseCode::INVALID_PAYLOAD));
        assert_eq!(outcome(&frames[1]), InflateOutcome::WindowUnknown);
        // What is understood again is a window again.
        assert_eq!([frames[2].message_text(), frames[3].message_text()], [Some("Hello"); 2]);
        assert!(frames[1..].iter().all(|frame| frame.findings.is_empty()));
    }
}

#[test]
fn a_message_that_is_corrupt_in_one_frame_is_not_inflated_in_the_next() {
    let stream = in_fragments(Opcode::TEXT, &[&[0x06], &HELLO[..]].concat(), &[1, 3]);
    let frames = inflated_frames(&stream);
    assert_eq!(frames.iter().map(|frame| frame.findings.len()).collect::<Vec<_>>(), [1, 0, 0]);
    assert!(frames.iter().all(|frame| outcome(frame) == InflateOutcome::Corrupt(0)));
    assert_eq!((frames[2].message_payload(), frames[2].percent()), (None, None));
}

#[test]
fn a_stream_joined_midway_says_that_the_window_is_unknown() {
    let stream = [text(&HELLO_AGAIN), text(&HELLO), text(&HELLO_AGAIN)];
    let frames = pieces(inflating(Deflate::Joined), [stream.concat().as_slice()]);
    assert_eq!(outcome(&frames[0]).to_string(), "compressed, window unknown");
    assert_eq!([frames[1].message_text(), frames[2].message_text()], [Some("Hello"); 2]);
    assert!(frames.iter().all(|frame| frame.findings.is_empty() && frame.receiver == Receiver::Takes));
}

#[test]
fn once_a_whole_window_has_come_what_is_corrupt_is_corrupt_in_a_joined_stream_too() {
    let window = [stored(&[b'a'; 32 << 10]), vec![0]].concat();
    let frames =
        pieces(inflating(Deflate::Joined), [[text(&[0x06]), text(&window), text(&[0x06])].concat().as_slice()]);
    assert_eq!(outcome(&frames[0]), InflateOutcome::WindowUnknown);
    assert_eq!(frames[2].findings, [Finding::Rule(Violation::CorruptDeflate)]);
}

#[test]
fn a_message_that_is_given_up_takes_the_window_with_it() {
    let stream = [compressed(false, Opcode::TEXT, &HELLO[..3]), text(&HELLO_AGAIN), text(&HELLO), text(&HELLO_AGAIN)];
    let frames = inflated_frames(&stream.concat());
    assert_eq!(frames[1].findings, [Finding::Rule(Violation::MessageInsideMessage(Opcode::TEXT))]);
    assert_eq!(outcome(&frames[1]), InflateOutcome::WindowUnknown);
    assert_eq!(frames[3].message_text(), Some("Hello"));
}

#[test]
fn rsv1_has_its_meaning_on_the_first_frame_of_a_message_only_and_only_where_it_was_agreed_on() {
    let rsv1 = [Finding::Rule(Violation::ReservedBit(1))];
    assert_eq!(frames(&text(&HELLO))[0].findings[..1], rsv1);
    assert_eq!(frames(&text(&HELLO))[0].inflated, None);
    assert_eq!(inflated_frames(&compressed(true, Opcode::PING, b""))[0].findings, rsv1);
    let stream =
        [compressed(false, Opcode::TEXT, &HELLO[..3]), compressed(true, Opcode::CONTINUATION, &HELLO[3..])].concat();
    let frames = inflated_frames(&stream);
    assert_eq!((frames[0].findings.len(), &frames[1].findings[..]), (0, rsv1.as_slice()));
    assert_eq!(frames[1].message_text(), Some("Hello"));
}

#[test]
fn a_bomb_is_told_from_a_message_by_what_is_kept() {
    // 16 MiB of zeros in 16 KiB, twice from the beginning, then a message that refers to them.
    let zeros = vec![0; 16 << 20];
    let payloads = deflated([zeros.as_slice(), b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"]);
    let [Some(bomb), Some(after)] = &payloads[..] else { panic!("both get smaller") };
    let stream = [bomb, bomb, after].map(|payload| compressed(true, Opcode::BINARY, payload)).concat();
    assert!(stream.len() < 64 << 10);
    let keep = 1 << 20;
    let frames = pieces(inflating(Deflate::FromStart).keeping(keep), [stream.as_slice()]);
    for frame in &frames[..2] {
        assert_eq!(outcome(frame), InflateOutcome::TooLong(keep));
        assert_eq!(outcome(frame).to_string(), "inflates to more than 1048576 bytes, not shown");
        let inflated = frame.inflated.as_ref().unwrap();
        assert!(inflated.payload.capacity() == 0 && inflated.len <= keep as u64);
        assert_eq!((frame.findings.len(), frame.message_payload()), (0, None));
    }
    assert_eq!(outcome(&frames[2]), InflateOutcome::WindowUnknown);
    // What just fits is shown.
    let frames = pieces(inflating(Deflate::FromStart).keeping(16 << 20), [stream.as_slice()]);
    assert_eq!(frames[0].message_payload(), Some(zeros.as_slice()));
}

#[test]
fn a_message_of_blocks_without_end_and_with_nothing_in_them_is_left_off() {
    // An empty stored block is 5 bytes.
    let blocks = [0x00, 0x00, 0x00, 0xFF, 0xFF].repeat(1 << 20);
    let begun = Instant::now();
    let frames = pieces(inflating(Deflate::FromStart).keeping(0), [text(&blocks).as_slice()]);
    assert_eq!(outcome(&frames[0]), InflateOutcome::TooManyBytes(2 * 125 + (64 << 10)));
    assert_eq!(frames[0].arrived, blocks.len() as u64);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_frame_that_is_cut_off_shows_what_it_inflates_to_so_far() {
    let stream = text(&HELLO);
    let inflated: Vec<_> = (6..stream.len())
        .map(|cut| {
            let frame = inflated_frames(&stream[..cut]).remove(0);
            assert!(frame.is_cut_off() && frame.findings.is_empty() && frame.percent().is_none());
            frame.text().unwrap().to_owned()
        })
        .collect();
    assert_eq!(inflated, ["", "", "H", "He", "Hel", "Hell", "Hello"]);
}

#[test]
fn a_server_is_read_as_a_client_is() {
    let mut dissector = sockeye_dissect::Dissector::new(Role::Server).inflating(Deflate::FromStart);
    let frames = dissector.push(&[&[0xC1, 7], &HELLO[..], &[0xC1, 5], &HELLO_AGAIN].concat());
    assert_eq!(frames[1].message_text(), Some("Hello"));
}
