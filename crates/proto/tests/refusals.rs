//! Bad input, by section: what the peer sends, by which rule it is refused, and with which code.

mod support;

use bytes::Bytes;
use sockeye_proto::connection::CannotSend;
use sockeye_proto::frame::{Header, LengthForm, Opcode};
use sockeye_proto::{CloseCode, Error, Event, LimitExceeded, Limits, Message, Role, Violation};
use support::{close, facing, frame, frames, is_refused, receive, sent, sent_close, text};

#[test]
fn s5_1_a_server_refuses_an_unmasked_frame() {
    let unmasked = frame(Role::Server, true, Opcode::TEXT, b"Hello");
    is_refused(Role::Client, &unmasked, Violation::UnmaskedClientFrame);
}

#[test]
fn s5_1_a_client_refuses_a_masked_frame() {
    let masked = frame(Role::Client, true, Opcode::TEXT, b"Hello");
    is_refused(Role::Server, &masked, Violation::MaskedServerFrame);
}

#[test]
fn s5_2_reserved_bits_are_refused() {
    for (bit, number) in [(0x40, 1), (0x20, 2), (0x10, 3)] {
        let mut bytes = text("Hello");
        bytes[0] |= bit;
        is_refused(Role::Client, &bytes, Violation::ReservedBit(number));
    }
}

#[test]
fn s5_2_reserved_opcodes_are_refused() {
    for bits in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        let opcode = Opcode::from_bits(bits);
        for payload in [&b""[..], b"x"] {
            let bytes = frame(Role::Client, true, opcode, payload);
            is_refused(Role::Client, &bytes, Violation::ReservedOpcode(opcode));
        }
    }
}

#[test]
fn s5_2_a_length_in_more_bytes_than_it_needs_is_refused() {
    for (len, form) in [(125u16, LengthForm::Bits16), (0, LengthForm::Bits16)] {
        let bytes = [&[0x82, 0xFE][..], &len.to_be_bytes(), &[0; 4]].concat();
        is_refused(Role::Client, &bytes, Violation::NonMinimalLength { payload_len: len.into(), form });
    }
    for len in [0u64, 126, 65_535] {
        let bytes = [&[0x82, 0xFF][..], &len.to_be_bytes(), &[0; 4]].concat();
        let form = LengthForm::Bits64;
        is_refused(Role::Client, &bytes, Violation::NonMinimalLength { payload_len: len, form });
    }
}

#[test]
fn s5_2_a_length_of_64_bits_with_its_top_bit_set_is_refused() {
    for len in [1u64 << 63, u64::MAX] {
        let bytes = [&[0x82, 0xFF][..], &len.to_be_bytes(), &[0; 4]].concat();
        is_refused(Role::Client, &bytes, Violation::LengthTopBit);
    }
}

#[test]
fn s5_4_a_continuation_without_a_start_is_refused() {
    for fin in [false, true] {
        let bytes = frame(Role::Client, fin, Opcode::CONTINUATION, b"more");
        is_refused(Role::Client, &bytes, Violation::ContinuationWithoutStart);
    }
    // A message that has ended leaves nothing to continue.
    let bytes = [text("all"), frame(Role::Client, true, Opcode::CONTINUATION, b"more")].concat();
    is_refused(Role::Client, &bytes, Violation::ContinuationWithoutStart);
}

#[test]
fn s5_4_a_new_message_inside_a_message_is_refused() {
    for opcode in [Opcode::TEXT, Opcode::BINARY] {
        let bytes =
            [frame(Role::Client, false, Opcode::TEXT, b"begun"), frame(Role::Client, true, opcode, b"new")].concat();
        is_refused(Role::Client, &bytes, Violation::MessageInsideMessage(opcode));
    }
}

#[test]
fn s5_5_a_fragmented_control_frame_is_refused() {
    for opcode in [Opcode::PING, Opcode::PONG, Opcode::CLOSE] {
        let bytes = frame(Role::Client, false, opcode, b"");
        is_refused(Role::Client, &bytes, Violation::FragmentedControl(opcode));
    }
}

#[test]
fn s5_5_a_control_frame_of_126_bytes_is_refused() {
    for opcode in [Opcode::PING, Opcode::PONG, Opcode::CLOSE] {
        let bytes = frame(Role::Client, true, opcode, &[b'x'; 126]);
        is_refused(Role::Client, &bytes, Violation::OversizedControl { opcode, payload_len: 126 });
    }
}

#[test]
fn s5_5_1_a_close_of_one_byte_is_refused() {
    let bytes = frame(Role::Client, true, Opcode::CLOSE, &[3]);
    is_refused(Role::Client, &bytes, Violation::TruncatedCloseCode);
}

#[test]
fn s7_4_a_close_code_that_must_not_be_sent_is_refused() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        is_refused(Role::Client, &close(code, ""), Violation::InvalidCloseCode(CloseCode::from(code)));
    }
}

#[test]
fn s5_5_1_a_close_reason_that_is_not_utf8_is_refused_with_1007() {
    let bytes = frame(Role::Client, true, Opcode::CLOSE, b"\x03\xE8\xCE\xBA\xE1\xBD\xB9\xED\xA0\x80");
    is_refused(Role::Client, &bytes, Violation::InvalidUtf8InCloseReason);
}

#[test]
fn s8_1_bad_utf8_split_over_frames_is_refused_with_1007() {
    // An overlong form, a surrogate, a value above U+10FFFF, a character that never ends: each split after each byte.
    for bad in [&b"\xC0\xAF"[..], b"\xED\xA0\x80", b"\xF4\x90\x80\x80", b"\xE4\xBD\x41"] {
        for split in 0..=bad.len() {
            let bytes = [
                frame(Role::Client, false, Opcode::TEXT, &bad[..split]),
                frame(Role::Client, true, Opcode::CONTINUATION, &bad[split..]),
            ]
            .concat();
            is_refused(Role::Client, &bytes, Violation::InvalidUtf8InText);
        }
    }
}

#[test]
fn s8_1_text_that_ends_within_a_character_is_refused() {
    let bytes = frame(Role::Client, true, Opcode::TEXT, &"你".as_bytes()[..2]);
    is_refused(Role::Client, &bytes, Violation::InvalidUtf8InText);
}

#[test]
fn s8_1_bad_utf8_is_refused_at_its_first_byte_long_before_the_frame_ends() {
    let mut connection = facing(Role::Client, Limits::default());
    let bytes = frame(Role::Client, true, Opcode::TEXT, &[b"good \xF4\x90".as_slice(), &[b'x'; 1000]].concat());
    let up_to_the_bad_byte = bytes.len() - 1000;
    assert_eq!(receive(&mut connection, [&bytes[..up_to_the_bad_byte - 1]]), []);
    let events = receive(&mut connection, [&bytes[up_to_the_bad_byte - 1..up_to_the_bad_byte]]);
    assert_eq!(events, [Event::Failed(Violation::InvalidUtf8InText.into())]);
}

#[test]
fn a_frame_over_the_limit_is_refused_on_its_header_alone_with_1009() {
    for len in [1_048_577u64, 1 << 31, 1 << 32, (1 << 53) + 1, u64::MAX >> 1] {
        let header = Header::new(true, Opcode::BINARY, len, Some(support::KEY)).encode();
        let mut connection = facing(Role::Client, Limits::default());
        let events = receive(&mut connection, [&header[..]]);
        let limit = LimitExceeded::Message { len, limit: 1 << 20 };
        assert_eq!(events, [Event::Failed(Error::Limit(limit))]);
        assert_eq!(sent_close(&mut connection).code(), CloseCode::MESSAGE_TOO_BIG);
        assert_eq!(connection.held(), 0);
    }
}

#[test]
fn fragments_that_together_exceed_the_limit_are_refused_on_the_header_that_says_so() {
    let limits = Limits::default().message(10);
    let mut connection = facing(Role::Client, limits);
    let first = frame(Role::Client, false, Opcode::BINARY, b"123456");
    // Even a sum beyond 64 bits is a sum: the same without overflow.
    for (more, len) in [(5u64, 11), (u64::MAX >> 1, (u64::MAX >> 1) + 6)] {
        let header = Header::new(true, Opcode::CONTINUATION, more, Some(support::KEY)).encode();
        let events = receive(&mut connection, [&first[..], &header[..]]);
        assert_eq!(events, [Event::Failed(LimitExceeded::Message { len, limit: 10 }.into())]);
        assert_eq!(sent_close(&mut connection).code(), CloseCode::MESSAGE_TOO_BIG);
        connection = facing(Role::Client, limits);
    }
    let fits = frame(Role::Client, true, Opcode::CONTINUATION, b"7890");
    let events = receive(&mut connection, [&first[..], &fits[..]]);
    assert_eq!(events, [Event::Message(Message::from(b"1234567890"))]);
}

#[test]
fn a_message_in_more_fragments_than_the_limit_is_refused_even_if_they_are_empty() {
    let mut connection = facing(Role::Client, Limits::default().fragments(3));
    let empty = |opcode| frame(Role::Client, false, opcode, b"");
    let bytes =
        [empty(Opcode::TEXT), empty(Opcode::CONTINUATION), empty(Opcode::CONTINUATION), empty(Opcode::CONTINUATION)]
            .concat();
    let events = receive(&mut connection, [&bytes[..]]);
    assert_eq!(events, [Event::Failed(LimitExceeded::Fragments { limit: 3 }.into())]);
    assert_eq!(sent_close(&mut connection).code(), CloseCode::MESSAGE_TOO_BIG);
}

#[test]
fn s5_5_1_data_after_close_is_discarded() {
    let mut connection = facing(Role::Client, Limits::default());
    let bytes = [close(1000, "bye"), text("late"), frame(Role::Server, true, Opcode::from_bits(7), b"bad")].concat();
    let events = receive(&mut connection, [&bytes[..]]);
    assert!(matches!(&events[..], [Event::Close(reason)] if reason.to_string() == "1000 Normal Closure: bye"));
    assert_eq!(frames(&sent(&mut connection)), [(Opcode::CLOSE, b"\x03\xE8bye".to_vec())]);
}

#[test]
fn messages_before_the_bad_frame_are_delivered() {
    let mut connection = facing(Role::Client, Limits::default());
    let bytes = [text("one"), text("two"), frame(Role::Server, true, Opcode::TEXT, b"unmasked")].concat();
    let events = receive(&mut connection, [&bytes[..]]);
    assert_eq!(
        events,
        [
            Event::Message(Message::from("one")),
            Event::Message(Message::from("two")),
            Event::Failed(Violation::UnmaskedClientFrame.into()),
        ]
    );
}

#[test]
fn the_fourteen_bytes_that_overflowed_another_parser_are_refused() {
    // A continuation whose 64-bit length, added to its header's size, wraps around.
    let bytes = b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xeb\x0e\x8f";
    is_refused(Role::Client, bytes, Violation::FragmentedControl(Opcode::PONG));
}

#[test]
fn after_our_close_the_peers_messages_still_count_and_its_bad_frames_still_fail() {
    let reason = || sockeye_proto::CloseReason::new(CloseCode::NORMAL, "").unwrap();
    let mut connection = facing(Role::Client, Limits::default());
    connection.close(reason());
    assert_eq!(receive(&mut connection, [&text("on its way")[..]]), [Event::Message(Message::from("on its way"))]);
    assert_eq!(connection.send(Message::Binary(Bytes::new())), Err(CannotSend::Closing));
    let events = receive(&mut connection, [&frame(Role::Server, true, Opcode::TEXT, b"")[..]]);
    assert_eq!(events, [Event::Failed(Violation::UnmaskedClientFrame.into())]);
    // One Close was sent, and there is only one.
    assert_eq!(frames(&sent(&mut connection)), [(Opcode::CLOSE, 1000u16.to_be_bytes().to_vec())]);
}
