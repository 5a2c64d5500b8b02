//! Messages that are received where they lie in what was read, and sent by those who only borrow them.

mod deflate_support;
mod support;

use deflate_support::params;
use sockeye_proto::connection::{Received, Wanted};
use sockeye_proto::deflate::Compression;
use sockeye_proto::frame::Opcode;
use sockeye_proto::{Connection, Error, Event, Limits, Message, MessageRef, Role, Violation};
use support::{facing, frame, sent, text};

fn server() -> Connection {
    facing(Role::Client, Limits::default())
}

#[test]
fn messages_that_are_whole_are_lent_one_by_one_from_where_they_were_read_to() {
    let (one, two) = (text("one, and 你好"), frame(Role::Client, true, Opcode::BINARY, &[0xff; 200]));
    let mut bytes = [&one[..], &two].concat();
    let places = bytes.as_ptr_range();
    let mut connection = server();

    let (consumed, message) = connection.receive_borrowed(&mut bytes).unwrap();
    let message = message.unwrap();
    assert_eq!((consumed, message), (one.len(), "one, and 你好".into()));
    assert!(places.contains(&message.as_bytes().as_ptr()));

    let (consumed, message) = connection.receive_borrowed(&mut bytes[one.len()..]).unwrap();
    assert_eq!((consumed, message), (two.len(), Ok((&[0xff; 200]).into())));
}

#[test]
fn nothing_is_taken_of_what_is_no_whole_message() {
    let whole = text("whole");
    let cases = [
        ("nothing", vec![]),
        ("cut off in its header", whole[..3].to_vec()),
        ("cut off", whole[..10].to_vec()),
        ("a fragment", frame(Role::Client, false, Opcode::TEXT, b"frag")),
        ("a Ping", frame(Role::Client, true, Opcode::PING, b"?")),
        ("a Close", frame(Role::Client, true, Opcode::CLOSE, b"")),
        ("not masked", frame(Role::Server, true, Opcode::TEXT, b"bare")),
        ("over the limit", frame(Role::Client, true, Opcode::BINARY, &vec![0; (1 << 20) + 1])),
    ];
    for (what, sent) in cases {
        let mut bytes = sent.clone();
        assert_eq!(server().receive_borrowed(&mut bytes), None, "{what}");
        assert_eq!(bytes, sent, "{what}");
    }
}

#[test]
fn nothing_is_taken_in_the_middle_of_a_message_of_the_next_one_nor_of_one_larger_than_the_window() {
    let mut connection = server();
    connection.receive(&mut frame(Role::Client, false, Opcode::TEXT, b"frag"));
    let mut rest = frame(Role::Client, true, Opcode::CONTINUATION, b"ment");
    assert_eq!(connection.receive_borrowed(&mut rest), None);
    assert_eq!(connection.receive_borrowed(&mut text("next")), None);

    let mut connection = server();
    connection.want(Wanted::Pieces { window: 4 });
    assert_eq!(connection.receive_borrowed(&mut text("four")), None);
    assert_eq!(connection.receive_borrowed(&mut text("one")).unwrap().1, Ok("one".into()));
}

#[test]
fn text_that_is_no_utf_8_fails_the_connection() {
    // Short and long, bad at the end and within, each judged by another way.
    for bad in [
        &[0xff][..],
        b"\xE4\xBD",
        b"sixty-four bytes and more, of which the last one begins a character\xE4",
        &[0xE4; 70],
    ] {
        let mut connection = server();
        let bad = frame(Role::Client, true, Opcode::TEXT, bad);
        let mut bytes = [&bad[..], &text("more")].concat();
        let failed = Event::Failed(Error::from(Violation::InvalidUtf8InText));
        assert_eq!(connection.receive_borrowed(&mut bytes), Some((bad.len(), Err(failed))));

        let rest = &mut bytes[bad.len()..];
        assert_eq!(connection.receive_borrowed(rest), None);
        let Received { consumed, event, .. } = connection.receive(rest);
        assert_eq!((consumed, event), (rest.len(), None), "what is left is discarded");
    }
}

#[test]
fn a_borrowed_message_leaves_as_an_owned_one_does() {
    for role in [Role::Client, Role::Server] {
        for compresses in [false, true] {
            let connection = || match facing(role.peer(), Limits::default()) {
                connection if compresses => connection.with_compression(&Compression::takeover(), params(true)),
                connection => connection,
            };
            // Around what is copied at once, compressed, and shared.
            for len in [0, 1, 125, 126, 511, 512, 4096, 4097, 32 << 10, (32 << 10) + 1, 70_000] {
                let payload = "x".repeat(len);
                let (text, binary) = (Message::from(payload.as_str()), Message::from(payload.as_bytes()));
                for (borrowed, owned) in [
                    (MessageRef::from(&payload), &text),
                    (MessageRef::from(&text), &text),
                    (MessageRef::from(payload.as_bytes()), &binary),
                    (MessageRef::from(&binary), &binary),
                ] {
                    assert_eq!(&borrowed.to_message(), owned);
                    let (mut one, mut other) = (connection(), connection());
                    one.send_borrowed(borrowed).unwrap();
                    other.send(owned.clone()).unwrap();
                    assert_eq!(one.accepted(), other.accepted());
                    let left = sent(&mut one) == sent(&mut other);
                    assert!(left, "{role:?}, compresses: {compresses}, {len} bytes: {borrowed:?}");
                }
            }
        }
    }
}
