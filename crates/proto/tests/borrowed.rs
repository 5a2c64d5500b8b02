//! Messages that are received as a part of what was read, and sent by those who only borrow them.

mod deflate_support;
mod support;

use bytes::BytesMut;
use deflate_support::params;
use sockeye_proto::connection::Wanted;
use sockeye_proto::deflate::Compression;
use sockeye_proto::frame::Opcode;
use sockeye_proto::{Error, Event, Limits, Message, MessageRef, Role, Violation};
use support::{facing, frame, sent, text};

/// Receives one message from a client that sent these bytes.
fn shared(bytes: &mut BytesMut) -> Option<Result<Message, Event>> {
    facing(Role::Client, Limits::default()).receive_shared(bytes)
}

#[test]
fn a_message_that_is_whole_becomes_a_part_of_the_buffer_which_is_whole_again_when_it_is_gone() {
    let mut bytes = BytesMut::with_capacity(1000);
    let place = bytes.as_ptr();
    for _ in 0..3 {
        bytes.extend_from_slice(&[text("one"), text("two")].concat());
        let one = shared(&mut bytes).unwrap().unwrap();
        assert_eq!(one, Message::from("one"));
        assert_eq!(bytes.len(), text("two").len(), "what is behind it stays");
        let two = shared(&mut bytes).unwrap().unwrap();
        assert_eq!((two, bytes.len()), (Message::from("two"), 0));
        drop(one);
        assert!(bytes.try_reclaim(1000));
        assert_eq!(bytes.as_ptr(), place);
    }
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
        let mut bytes = BytesMut::from(&sent[..]);
        assert_eq!((shared(&mut bytes), &bytes[..]), (None, &sent[..]), "{what}");
    }
}

#[test]
fn nothing_is_taken_in_the_middle_of_a_message_nor_where_whole_ones_are_not_wanted() {
    let mut connection = facing(Role::Client, Limits::default());
    connection.receive(&mut frame(Role::Client, false, Opcode::TEXT, b"frag"));
    let rest = frame(Role::Client, true, Opcode::CONTINUATION, b"ment");
    assert_eq!(connection.receive_shared(&mut BytesMut::from(&rest[..])), None);

    let mut connection = facing(Role::Client, Limits::default());
    connection.want(Wanted::Pieces { window: 1000 });
    assert_eq!(connection.receive_shared(&mut BytesMut::from(&text("one")[..])), None);
}

#[test]
fn text_that_is_no_utf_8_fails_the_connection() {
    let mut connection = facing(Role::Client, Limits::default());
    let mut bytes = BytesMut::from(&[frame(Role::Client, true, Opcode::TEXT, &[0xff]), text("more")].concat()[..]);
    let len = bytes.len();
    let failed = connection.receive_shared(&mut bytes);
    assert_eq!(failed, Some(Err(Event::Failed(Error::from(Violation::InvalidUtf8InText)))));

    assert_eq!((bytes.len(), connection.receive_shared(&mut bytes)), (len, None));
    let rest = connection.receive(&mut bytes);
    assert_eq!((rest.consumed, rest.event), (len, None), "what is left is discarded");
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
