//! What a connection does with good input: messages, Pings, closing, and what it queues.

mod support;

use std::io::IoSlice;
use std::time::{Duration, Instant};

use sockeye_proto::close::State;
use sockeye_proto::connection::{ControlPayload, Expired};
use sockeye_proto::frame::{Header, Opcode, Parse};
use sockeye_proto::{CloseCode, CloseReason, Connection, Event, Limits, Message, Role};
use support::{close, facing, frame, frames, receive, sent, text};

fn normal() -> CloseReason {
    CloseReason::new(CloseCode::NORMAL, "bye").unwrap()
}

#[test]
fn a_ping_is_answered_with_its_own_payload_between_the_fragments_of_a_message() {
    let mut connection = facing(Role::Client, Limits::default());
    let bytes = [
        frame(Role::Client, false, Opcode::TEXT, "你".as_bytes()),
        frame(Role::Client, true, Opcode::PING, b"alive?"),
        frame(Role::Client, true, Opcode::CONTINUATION, "好".as_bytes()),
    ]
    .concat();
    let events = receive(&mut connection, [&bytes[..]]);
    let ping = Event::Ping(ControlPayload::new(b"alive?").unwrap());
    assert_eq!(events, [ping, Event::Message(Message::from("你好"))]);
    assert_eq!(frames(&sent(&mut connection)), [(Opcode::PONG, b"alive?".to_vec())]);
}

#[test]
fn pings_in_a_row_are_answered_one_by_one() {
    let mut connection = facing(Role::Client, Limits::default());
    let pings: Vec<u8> = (0..10).flat_map(|i| frame(Role::Client, true, Opcode::PING, &[i])).collect();
    receive(&mut connection, [&pings[..]]);
    let expected: Vec<_> = (0..10).map(|i| (Opcode::PONG, vec![i])).collect();
    assert_eq!(frames(&sent(&mut connection)), expected);
}

#[test]
fn a_flood_of_pings_from_a_peer_that_does_not_read_costs_a_few_pongs_and_the_latest() {
    let mut connection = facing(Role::Client, Limits::default());
    for i in 0u32..10_000 {
        receive(&mut connection, [&frame(Role::Client, true, Opcode::PING, &i.to_be_bytes())[..]]);
    }
    assert_eq!(connection.queued(), 0, "Pongs wait apart from the messages");
    let bytes = sent(&mut connection);
    assert!(bytes.len() < 5_000, "{} bytes", bytes.len());
    assert_eq!(frames(&bytes).last(), Some(&(Opcode::PONG, 9_999u32.to_be_bytes().to_vec())));
}

#[test]
fn a_pong_goes_out_before_the_messages_that_wait_but_never_inside_a_frame() {
    let big = vec![7; 100_000];
    let mut connection = facing(Role::Client, Limits::default());
    connection.send(Message::from(big.clone())).unwrap();
    connection.send(Message::from(big)).unwrap();
    // The transport takes 1,000 bytes: the first frame is begun.
    let mut slices = [IoSlice::new(&[]); 4];
    let count = connection.outgoing(&mut slices);
    let mut bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
    bytes.truncate(1_000);
    connection.written(1_000, Instant::now);
    receive(&mut connection, [&frame(Role::Client, true, Opcode::PING, b"now")[..]]);
    bytes.extend(sent(&mut connection));
    let opcodes: Vec<_> = frames(&bytes).into_iter().map(|(opcode, payload)| (opcode, payload.len())).collect();
    assert_eq!(opcodes, [(Opcode::BINARY, 100_000), (Opcode::PONG, 3), (Opcode::BINARY, 100_000)]);
}

#[test]
fn whatever_the_transport_takes_at_a_time_the_frames_arrive_whole_and_messages_in_order() {
    for taken in [1, 2, 3, 7, 100, 4_096, 5_000, 70_000] {
        let mut connection = facing(Role::Client, Limits::default());
        let sizes = [0, 1, 125, 126, 4_096, 4_097, 65_535, 65_536, 3, 70_000, 9];
        for (i, size) in sizes.into_iter().enumerate() {
            connection.send(Message::from(vec![u8::try_from(i).unwrap(); size])).unwrap();
        }
        let mut bytes = Vec::new();
        for turn in 0u32.. {
            if turn % 50 == 0 && turn < 500 {
                receive(&mut connection, [&frame(Role::Client, true, Opcode::PING, &turn.to_be_bytes())[..]]);
            }
            let mut slices = [IoSlice::new(&[]); 3];
            let count = connection.outgoing(&mut slices);
            let before = bytes.len();
            bytes.extend(slices[..count].iter().flat_map(|slice| slice.iter()).take(taken));
            if bytes.len() == before {
                break;
            }
            let written = bytes.len() - before;
            connection.written(written, Instant::now);
        }
        assert_eq!(connection.queued(), 0);
        let messages = frames(&bytes).into_iter().filter(|(opcode, _)| *opcode == Opcode::BINARY);
        let arrived: Vec<_> = messages.map(|(_, payload)| payload.len()).collect();
        assert_eq!(arrived, sizes, "{taken} bytes at a time");
    }
}

#[test]
fn a_client_masks_every_frame_with_a_key_of_its_own() {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static DRAWN: AtomicU32 = AtomicU32::new(1);
    let mut client = Connection::client(Limits::default(), || {
        sockeye_proto::mask::MaskingKey::new(DRAWN.fetch_add(1, Relaxed).to_be_bytes())
    });
    client.send(Message::from("small")).unwrap();
    client.send(Message::from(vec![1; 10_000])).unwrap();
    client.ping(ControlPayload::EMPTY).unwrap();
    client.close(normal());
    let bytes = sent(&mut client);
    let mut keys = Vec::new();
    let mut rest = &bytes[..];
    while let Parse::Complete(header) = Header::parse(rest) {
        keys.push(header.masking_key().expect("a client masks"));
        rest = &rest[header.size() + usize::try_from(header.payload_len()).unwrap()..];
    }
    keys.sort_by_key(|key| key.bytes());
    keys.dedup();
    assert_eq!(keys.len(), 4);
    assert!(frames(&bytes).iter().any(|(_, payload)| *payload == [1; 10_000]));
}

#[test]
fn a_payload_that_others_hold_is_masked_in_a_copy() {
    let shared = bytes::Bytes::from(vec![1; 10_000]);
    let mut client = facing(Role::Server, Limits::default());
    client.send(Message::Binary(shared.clone())).unwrap();
    assert!(frames(&sent(&mut client)) == [(Opcode::BINARY, shared.to_vec())]);
    assert_eq!(shared, vec![1; 10_000]);
}

#[test]
fn close_goes_behind_what_was_accepted_and_nothing_follows_it() {
    let mut connection = facing(Role::Client, Limits::default());
    connection.send(Message::from("last")).unwrap();
    connection.close(normal());
    assert!(connection.send(Message::from("too late")).is_err());
    assert!(connection.ping(ControlPayload::EMPTY).is_err());
    connection.close(CloseReason::new(CloseCode::GOING_AWAY, "again").unwrap());
    let expected = [(Opcode::TEXT, b"last".to_vec()), (Opcode::CLOSE, b"\x03\xE8bye".to_vec())];
    assert_eq!(frames(&sent(&mut connection)), expected);
}

#[test]
fn the_server_ends_the_transport_first_and_the_client_waits_for_it() {
    // s7.1.1: the client closes, the server answers and shuts down, the client sees the end.
    let mut server = facing(Role::Client, Limits::default());
    let mut client = facing(Role::Server, Limits::default());
    client.close(normal());
    let bytes = sent(&mut client);
    assert!(!client.wants_shutdown());
    assert!(matches!(&receive(&mut server, [&bytes[..]])[..], [Event::Close(reason)] if *reason == normal()));
    assert!(!server.wants_shutdown(), "the Close is not written yet");
    let bytes = sent(&mut server);
    assert!(server.wants_shutdown());
    assert!(!server.wants_shutdown(), "once is enough");
    assert!(matches!(&receive(&mut client, [&bytes[..]])[..], [Event::Close(reason)] if *reason == normal()));
    assert!(!client.wants_shutdown());
    assert_eq!(client.transport_ended(), State::Exchanged);
    assert_eq!(server.transport_ended(), State::Exchanged);
    assert_eq!((client.state(), server.state()), (State::Closed, State::Closed));
}

#[test]
fn a_close_without_a_code_is_answered_without_one() {
    let mut connection = facing(Role::Client, Limits::default());
    let events = receive(&mut connection, [&frame(Role::Client, true, Opcode::CLOSE, b"")[..]]);
    assert!(matches!(&events[..], [Event::Close(reason)] if reason.code() == CloseCode::NO_STATUS_RECEIVED));
    assert_eq!(frames(&sent(&mut connection)), [(Opcode::CLOSE, vec![])]);
}

#[test]
fn every_code_that_may_be_sent_is_echoed() {
    for code in (0..=u16::MAX).filter(|&code| CloseCode::from(code).may_be_sent()) {
        let mut connection = facing(Role::Client, Limits::default());
        receive(&mut connection, [&close(code, "再见")[..]]);
        let expected = [&code.to_be_bytes(), "再见".as_bytes()].concat();
        assert_eq!(frames(&sent(&mut connection)), [(Opcode::CLOSE, expected)]);
    }
}

#[test]
fn closing_has_one_deadline_that_nothing_extends() {
    let start = Instant::now();
    let later = |seconds| start + Duration::from_secs(seconds);
    let mut connection = facing(Role::Client, Limits::default().ping(None));
    assert_eq!(connection.deadline(|| unreachable!("an open connection does not ask for the time")), None);
    connection.close(normal());
    assert_eq!(connection.deadline(|| start), Some(later(10)));
    receive(&mut connection, [&text("still talking")[..]]);
    receive(&mut connection, [&close(1000, "")[..]]);
    assert_eq!(connection.deadline(|| later(5)), Some(later(10)));
    assert_eq!(connection.expired(later(9)), None);
    assert_eq!(connection.expired(later(10)), Some(Expired::Closing));
    connection.transport_ended();
    assert_eq!(connection.deadline(|| later(5)), None);
    assert_eq!(connection.expired(later(10)), None);
}

#[test]
fn a_large_payload_is_read_to_where_it_stays_and_room_grows_with_what_has_come() {
    use bytes::BufMut;
    for (opcode, unit) in [(Opcode::BINARY, &b"\x00\x01\xFE"[..]), (Opcode::TEXT, "好".as_bytes())] {
        let payload = unit.repeat(100_000);
        let bytes = frame(Role::Client, true, opcode, &payload);
        let mut connection = facing(Role::Client, Limits::default());
        assert!(connection.landing().is_none(), "between frames there is nothing to land");
        let mut at = 20;
        assert_eq!(receive(&mut connection, [&bytes[..at]]), []);
        let event = loop {
            let arrived = connection.held();
            let Some(mut landing) = connection.landing() else {
                // The last few bytes are not worth a read of their own.
                break receive(&mut connection, [&bytes[at..]]).pop();
            };
            let room = landing.remaining_mut();
            assert!(room <= (16 * arrived).max(16 << 10), "{room} bytes of room after {arrived} bytes");
            let taken = room.min(9_999).min(bytes.len() - at);
            landing.put_slice(&bytes[at..at + taken]);
            at += taken;
            if let Some(event) = connection.landed() {
                break Some(event);
            }
        };
        let Some(Event::Message(message)) = event else { panic!("{event:?}") };
        assert!(message.as_bytes() == payload);
        assert_eq!(message.as_text().is_some(), opcode == Opcode::TEXT);
    }
}

#[test]
fn a_pong_leaves_before_the_answer_to_what_came_after_its_ping() {
    let mut server = facing(Role::Client, Limits::default());
    let mut left = Vec::new();
    for (ping, text) in [("1", "one"), ("2", "two")] {
        let pinged = frame(Role::Client, true, Opcode::PING, ping.as_bytes());
        let asked = frame(Role::Client, true, Opcode::TEXT, text.as_bytes());
        let events = receive(&mut server, [&pinged[..], &asked[..]]);
        assert_eq!(events.len(), 2);
        server.send(Message::from(text)).unwrap();
        left.extend([
            frame(Role::Server, true, Opcode::PONG, ping.as_bytes()),
            frame(Role::Server, true, Opcode::TEXT, text.as_bytes()),
        ]);
    }
    assert_eq!(sent(&mut server), left.concat());
}
