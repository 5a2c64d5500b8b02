//! Who sends what, and what the frames say of it.

mod support;

use sockeye_dissect::{Dissector, Missing, Receiver, Sender};
use sockeye_proto::frame::Opcode;
use sockeye_proto::{CloseCode, Role};
use support::{client, findings, frames, pieces};

#[test]
fn a_message_in_three_frames_with_a_ping_between_is_put_together() {
    let stream = [
        client(false, Opcode::TEXT, "你".as_bytes()),
        client(true, Opcode::PING, b"?"),
        client(false, Opcode::CONTINUATION, b""),
        client(true, Opcode::CONTINUATION, "好".as_bytes()),
        client(true, Opcode::BINARY, &[0xFF]),
    ];
    let frames = frames(&stream.concat());
    let part = |i: usize| frames[i].message.as_ref().map(|part| (part.number, part.fragment, part.ends, part.len));
    assert_eq!(part(0), Some((1, 1, false, 3)));
    assert_eq!((part(1), frames[1].within_message), (None, Some(1)));
    assert_eq!(part(2), Some((1, 2, false, 3)));
    assert_eq!(part(3), Some((1, 3, true, 6)));
    assert_eq!(frames[3].message_text(), Some("你好"));
    assert_eq!(part(4), Some((2, 1, true, 1)));
    assert_eq!(frames[4].message_payload(), Some([0xFF].as_slice()));
    assert!(frames.iter().all(|frame| frame.findings.is_empty() && frame.receiver == Receiver::Takes));
}

#[test]
fn a_character_over_four_frames_says_which_byte_stands_where() {
    let stream = [
        client(false, Opcode::TEXT, b"a\xF0"),
        client(false, Opcode::CONTINUATION, b"\x9F"),
        client(false, Opcode::CONTINUATION, b"\x91"),
        client(true, Opcode::CONTINUATION, b"\x8Bb"),
    ];
    let frames = frames(&stream.concat());
    let part = |i: usize| frames[i].text_part.clone().unwrap();
    assert_eq!(part(0).ends_within.unwrap().to_string(), "F0 | …");
    assert_eq!(part(1).ends_within.unwrap().to_string(), "F0 | 9F | …");
    assert_eq!(part(2).ends_within.unwrap().to_string(), "F0 | 9F | 91 | …");
    assert_eq!(part(3).begins_within.unwrap().to_string(), "👋 F0 | 9F | 91 | 8B");
    let texts: Vec<_> = frames.iter().map(|frame| frame.text().unwrap()).collect();
    assert_eq!(texts, ["a", "", "", "b"]);
    assert_eq!(frames[3].message_text(), Some("a👋b"));
}

#[test]
fn bad_text_names_the_byte_in_its_frame_and_in_its_message() {
    let stream = [client(false, Opcode::TEXT, b"ab\xE4"), client(true, Opcode::CONTINUATION, b"\xBDx\xA0")];
    let frames = frames(&stream.concat());
    assert_eq!(frames[0].findings, []);
    let text = "a text message is not UTF-8 (RFC 6455 §8.1): byte 1 of the payload, 78, cannot stand here";
    assert_eq!(findings(&frames[1]), [text]);
    let at = match frames[1].findings[0] {
        sockeye_dissect::Finding::InvalidUtf8 { at, .. } => at,
        ref other => panic!("{other}"),
    };
    assert_eq!((at.byte, at.in_payload, at.in_text), (Some(b'x'), 1, 4));
    assert_eq!(frames[1].receiver, Receiver::Fails(CloseCode::INVALID_PAYLOAD));
    assert_eq!(frames[1].message_text(), None);
}

#[test]
fn a_text_that_ends_within_a_character_is_not_utf8() {
    let frames = frames(&client(true, Opcode::TEXT, b"\xE4\xBD"));
    assert_eq!(findings(&frames[0]), ["a text message is not UTF-8 (RFC 6455 §8.1): it ends within a character"]);
}

#[test]
fn a_close_of_one_byte_a_bad_code_and_a_bad_reason_are_each_named() {
    for (payload, expected) in [
        (b"\x03".as_slice(), vec!["a Close payload of 1 byte cannot hold a code of 2 (RFC 6455 §5.5.1)"]),
        (b"\x03\xED", vec!["close code 1005 must not be sent (RFC 6455 §7.4)"]),
        (
            b"\x03\xEDok\xFF",
            vec![
                "close code 1005 must not be sent (RFC 6455 §7.4)",
                "the reason of the Close frame is not UTF-8 (RFC 6455 §5.5.1): byte 4 of the payload, FF, cannot stand here",
            ],
        ),
        (b"", vec![]),
        (b"\x03\xE8bye", vec![]),
    ] {
        assert_eq!(findings(&frames(&client(true, Opcode::CLOSE, payload))[0]), expected);
    }
}

#[test]
fn data_after_close_is_shown_and_marked_as_discarded() {
    let stream = [
        client(true, Opcode::CLOSE, b"\x03\xE8"),
        client(true, Opcode::TEXT, b"late"),
        client(true, Opcode::PING, b""),
    ];
    let frames = frames(&stream.concat());
    assert_eq!(frames[0].receiver, Receiver::Takes);
    assert_eq!(frames[1].text(), Some("late"));
    assert_eq!(findings(&frames[1]), ["a data frame after the Close in frame 1 (RFC 6455 §5.5.1)"]);
    assert_eq!(frames[1].receiver, Receiver::Discards(1));
    // A control frame is of no use there, but no rule is against it.
    assert_eq!((findings(&frames[2]).len(), frames[2].receiver), (0, Receiver::Discards(1)));
}

#[test]
fn after_a_broken_rule_frames_are_read_on_and_marked_as_unread_by_a_receiver() {
    let stream = [client(true, Opcode::from_bits(3), b""), client(true, Opcode::TEXT, b"still here")];
    let frames = frames(&stream.concat());
    assert_eq!(frames[0].receiver, Receiver::Fails(CloseCode::PROTOCOL_ERROR));
    assert_eq!((frames[1].text(), frames[1].receiver), (Some("still here"), Receiver::HasFailed(1)));
}

#[test]
fn a_new_message_inside_a_message_takes_its_place_and_a_continuation_without_start_has_none() {
    let stream = [
        client(true, Opcode::CONTINUATION, b"x"),
        client(false, Opcode::TEXT, b"one"),
        client(false, Opcode::BINARY, b"two"),
        client(true, Opcode::CONTINUATION, b"!"),
    ];
    let frames = frames(&stream.concat());
    assert_eq!((findings(&frames[0]).len(), &frames[0].message), (1, &None));
    assert_eq!(findings(&frames[2]), ["a new message (binary) begins before the last one has ended (RFC 6455 §5.4)"]);
    assert_eq!(frames[3].message.as_ref().map(|part| (part.number, part.kind)), Some((2, Opcode::BINARY)));
    assert_eq!(frames[3].message_payload(), Some(b"two!".as_slice()));
}

#[test]
fn a_header_that_claims_2_to_the_62_bytes_allocates_what_has_come() {
    let mut stream = vec![0x82, 0xFF];
    stream.extend((1u64 << 62).to_be_bytes());
    stream.extend([1, 2, 3, 4, b'a', b'b', b'c']);
    let frames = frames(&stream);
    assert_eq!(frames[0].missing, Missing::Exactly((1 << 62) - 3));
    assert!(frames[0].payload.capacity() < 64);
}

#[test]
fn a_frame_cut_off_needs_as_many_bytes_as_are_not_there() {
    let frame = client(true, Opcode::BINARY, &[7; 300]);
    for cut in 1..frame.len() {
        let frames = frames(&frame[..cut]);
        let lacks = (frame.len() - cut) as u64;
        match frames[0].missing {
            Missing::Exactly(missing) => assert_eq!(missing, lacks),
            // The length has come with the fourth byte; until then the key is all that is known to be missing besides.
            Missing::AtLeast(missing) => assert!(cut < 4 && missing <= lacks),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn without_a_sender_the_first_mask_bit_tells() {
    let assumed = |stream: &[u8]| pieces(Dissector::assuming_sender(), [stream]).pop().unwrap();
    assert_eq!(assumed(&[0x81, 0x80, 1, 2, 3, 4]).sender, Sender::Assumed(Role::Client));
    assert_eq!(assumed(&[0x81, 0x00]).sender, Sender::Assumed(Role::Server));
    assert_eq!(assumed(&[0x81, 0x80]).sender, Sender::Assumed(Role::Client));
    assert_eq!(assumed(&[0x81]).sender, Sender::Unknown);
    // The first frame binds the others.
    let mixed = assumed(&[0x81, 0x00, 0x81, 0x80, 1, 2, 3, 4]);
    assert_eq!(findings(&mixed), ["a server must not mask its frames (RFC 6455 §5.1)"]);
}
