//! Buffers of large messages that are used again: by whom, how many, and never under somebody who looks at them.
//!
//! A stock belongs to a thread, and so do the counters; a test runs in one.

mod support;

use std::time::Instant;

use allocation_counter::measure;
use bytes::{BufMut, Bytes, BytesMut};
use sockeye_proto::frame::{Header, Opcode};
use sockeye_proto::{Connection, Error, Event, LimitExceeded, Limits, Message, Role, stock};
use support::{KEY, facing, frame, receive, sent_close};

const MEBIBYTE: usize = 1 << 20;

/// A server without the limit on messages.
fn server() -> Connection {
    facing(Role::Client, Limits::default().message(1 << 30))
}

/// Gives a connection a frame as a driver does: the beginning, and the rest where the connection wants it.
fn feed(connection: &mut Connection, bytes: &[u8]) -> Event {
    let (beginning, mut rest) = bytes.split_at(bytes.len().min(64 << 10));
    let mut beginning = beginning.to_vec();
    let mut event = connection.receive(&mut beginning).event;
    while !rest.is_empty() {
        let mut landing = connection.landing().expect("a large frame");
        let (piece, others) = rest.split_at(rest.len().min(landing.remaining_mut()));
        landing.put_slice(piece);
        rest = others;
        event = connection.landed();
    }
    event.expect("a message")
}

/// The payload of a message in one frame.
fn received(connection: &mut Connection, bytes: &[u8]) -> Bytes {
    match feed(connection, bytes) {
        Event::Message(message) => message.into_bytes(),
        other => panic!("{other:?}"),
    }
}

/// Has all that waits written.
fn write(connection: &mut Connection) {
    connection.written(connection.queued(), Instant::now);
}

fn echo(connection: &mut Connection, bytes: &[u8]) {
    let payload = received(connection, bytes);
    connection.send(Message::from(payload)).unwrap();
    write(connection);
}

#[test]
fn the_second_message_of_a_mebibyte_comes_into_the_buffer_that_the_first_one_left_in() {
    let mut connection = server();
    let bytes = frame(Role::Client, true, Opcode::BINARY, &vec![1; MEBIBYTE]);
    let first = received(&mut connection, &bytes);
    let at = first.as_ptr();
    connection.send(Message::from(first)).unwrap();
    // The last byte takes the buffer along, no other one.
    connection.written(connection.queued() - 1, Instant::now);
    let meanwhile = received(&mut connection, &bytes);
    assert_ne!(meanwhile.as_ptr(), at);
    write(&mut connection);

    let mut other = server();
    let mut second = Bytes::new();
    let cost = measure(|| second = received(&mut other, &bytes));
    assert_eq!(second.as_ptr(), at, "of another connection, too");
    assert!(second == vec![1; MEBIBYTE]);
    assert!(cost.bytes_total < 200 << 10, "what it has begun in, and nothing else: {cost:?}");
}

#[test]
fn a_message_that_somebody_keeps_is_never_written_over() {
    let mut connection = server();
    let first = frame(Role::Client, true, Opcode::BINARY, &vec![1; MEBIBYTE]);
    let second = frame(Role::Client, true, Opcode::BINARY, &vec![2; MEBIBYTE]);
    echo(&mut connection, &first);
    let kept = received(&mut connection, &first);
    let part = kept.slice(1000..1001);
    connection.send(Message::from(kept.clone())).unwrap();
    write(&mut connection);
    echo(&mut connection, &second);
    assert!(kept == vec![1; MEBIBYTE]);

    // A single byte of it is enough.
    connection.send(Message::from(kept)).unwrap();
    write(&mut connection);
    for _ in 0..3 {
        echo(&mut connection, &second);
    }
    assert_eq!(&part[..], &[1]);
}

#[test]
fn a_thread_keeps_36_mib_and_16_buffers_at_most() {
    for (len, count, most) in [(16 * MEBIBYTE, 5, 36 * MEBIBYTE), (100_000, 50, 20 * 200_000)] {
        std::thread::spawn(move || {
            let bytes = frame(Role::Client, true, Opcode::BINARY, &vec![1; len]);
            let cost = measure(|| {
                let mut connections: Vec<_> = (0..count).map(|_| server()).collect();
                for connection in &mut connections {
                    let payload = received(connection, &bytes);
                    connection.send(Message::from(payload)).unwrap();
                }
                connections.iter_mut().for_each(write);
            });
            let kept = usize::try_from(cost.bytes_current).unwrap();
            assert!((len..=most).contains(&kept), "{count} of {len} bytes: {cost:?}");
        })
        .join()
        .unwrap();
    }
}

#[test]
fn a_buffer_for_which_there_is_no_use_any_more_is_let_go() {
    let (large, small) = (16 * MEBIBYTE, 100_000);
    let large = frame(Role::Client, true, Opcode::BINARY, &vec![1; large]);
    let small = frame(Role::Client, true, Opcode::BINARY, &vec![1; small]);
    let mut connection = server();
    let cost = measure(|| {
        echo(&mut connection, &large);
        for _ in 0..100 {
            echo(&mut connection, &small);
        }
    });
    assert!(cost.bytes_current < MEBIBYTE as i64, "{cost:?}");
}

#[test]
fn a_thread_that_only_sends_keeps_no_large_buffer() {
    let mut connection = server();
    let cost = measure(|| {
        for _ in 0..10 {
            connection.send(Message::from(vec![1; MEBIBYTE])).unwrap();
            write(&mut connection);
        }
    });
    // A queue, for the next connection that sends.
    assert!(cost.bytes_current < 8 << 10, "{cost:?}");
}

#[test]
fn a_claim_gets_nothing_of_what_is_kept() {
    let mut connection = server();
    let bytes = frame(Role::Client, true, Opcode::BINARY, &vec![1; MEBIBYTE]);
    echo(&mut connection, &bytes);
    for mut hostile in [server(), server()] {
        let mut claim = Header::new(true, Opcode::BINARY, MEBIBYTE as u64, Some(KEY)).encode().to_vec();
        claim.extend([0; 10]);
        let mut room = 0;
        let cost = measure(|| {
            assert_eq!(hostile.receive(&mut claim).event, None);
            room = hostile.landing().expect("a large frame").get_ref().capacity();
        });
        assert!(cost.bytes_max < 20 << 10 && room < 20 << 10, "{room} bytes, {cost:?}");
    }
    let cost = measure(|| echo(&mut connection, &bytes));
    assert!(cost.bytes_total < 200 << 10, "it is still there: {cost:?}");
}

#[test]
fn bytes_that_are_somebodys_own_may_send_when_they_are_dropped() {
    struct Owner(Vec<u8>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            stock::give_back(stock::take(MEBIBYTE));
        }
    }
    let mut connection = server();
    // As many are kept as are lent: this one would be.
    let lent = stock::take(MEBIBYTE);
    connection.send(Message::from(Bytes::from_owner(Owner(vec![1; MEBIBYTE])))).unwrap();
    write(&mut connection);
    assert!(!connection.has_outgoing());
    drop(lent);
}

// --- adopting ---

/// A buffer with these bytes and so much room.
fn buffer(bytes: &[u8], room: usize) -> BytesMut {
    let mut buffer = BytesMut::with_capacity(room);
    buffer.extend_from_slice(bytes);
    buffer
}

#[test]
fn a_message_that_is_all_there_stays_where_it_is_and_leaves_what_is_behind_it() {
    let payload = "你好".repeat(20_000);
    let bytes = [frame(Role::Client, true, Opcode::TEXT, payload.as_bytes()), vec![1, 2, 3]].concat();
    let mut buffer = buffer(&bytes, bytes.len() + 1000);
    let at = buffer.as_ptr();
    let mut connection = server();
    let mut event = None;
    let cost = measure(|| event = connection.adopt(&mut buffer));
    let Some(Event::Message(message)) = event else { panic!("{event:?}") };
    assert_eq!(message.as_text(), Some(&payload[..]));
    assert_eq!(message.as_bytes().as_ptr(), at.wrapping_add(14), "behind the header");
    assert_eq!(&buffer[..], &[1, 2, 3]);
    assert!(cost.bytes_total < 256, "{cost:?}");
}

#[test]
fn a_message_that_was_adopted_goes_on_as_any_other_wherever_it_was_cut() {
    let text = "ä你".repeat(30_000);
    let mut fragments = frame(Role::Client, false, Opcode::TEXT, text.as_bytes());
    fragments.extend(frame(Role::Client, true, Opcode::CONTINUATION, b"!"));
    let whole = Message::from(format!("{text}!"));
    for cut in (16_000..fragments.len()).step_by(9_973).chain(fragments.len() - 10..=fragments.len()) {
        let mut connection = server();
        let mut buffer = buffer(&fragments[..cut], cut + 1000);
        let adopted = connection.adopt(&mut buffer);
        assert_eq!(adopted, None, "not whole: {cut}");
        // All but the beginning of the next frame was taken, if anything was.
        let taken = cut - buffer.len();
        assert!(taken == 0 || taken == cut || taken == fragments.len() - 7, "{taken} of {cut}");
        assert_eq!(taken > 0, cut >= 16_398, "16 KiB earn it its room: {cut}");
        let events = receive(&mut connection, [&buffer[..], &fragments[cut..]]);
        assert_eq!(events, [Event::Message(whole.clone())], "{cut}");
    }
}

#[test]
fn nothing_is_adopted_that_is_small_or_in_too_much_room_or_no_new_plain_message() {
    let large = frame(Role::Client, true, Opcode::BINARY, &[1; 100_000]);
    let room = large.len() + 1000;
    let compressed = {
        let mut bytes = large.clone();
        bytes[0] |= 0x40;
        bytes
    };
    let refused = [
        ("a small one", buffer(&frame(Role::Client, true, Opcode::BINARY, &[1; 1000]), 1100)),
        ("room for more than two", buffer(&large, 2 * large.len())),
        ("room for more than what has come earns", buffer(&large[..20_000], MEBIBYTE)),
        ("a Ping", buffer(&frame(Role::Client, true, Opcode::PING, &[1; 100]), room)),
        ("a continuation", buffer(&frame(Role::Client, true, Opcode::CONTINUATION, &[1; 100_000]), room)),
        ("a compressed one", buffer(&compressed, room)),
        ("half a header", buffer(&large[..9], room)),
        ("nothing", buffer(&[], room)),
    ];
    for (what, mut bytes) in refused {
        let before = bytes.clone();
        assert_eq!(server().adopt(&mut bytes), None, "{what}");
        assert_eq!(bytes, before, "{what}");
    }
    let mut connection = server();
    let mut first = frame(Role::Client, false, Opcode::BINARY, b"a fragment");
    connection.receive(&mut first);
    assert_eq!(connection.adopt(&mut buffer(&large, room)), None, "within a message");
    assert_eq!(connection.held(), b"a fragment".len());
}

#[test]
fn what_breaks_a_rule_or_a_limit_is_no_better_in_a_buffer_of_its_own() {
    let mut connection = facing(Role::Client, Limits::default().message(99_999));
    let large = frame(Role::Client, true, Opcode::BINARY, &[1; 100_000]);
    let error = Error::Limit(LimitExceeded::Message { len: 100_000, limit: 99_999 });
    assert_eq!(connection.adopt(&mut buffer(&large, large.len())), Some(Event::Failed(error)));
    assert_eq!(sent_close(&mut connection).code(), error.close_code());

    let mut connection = server();
    let invalid = frame(Role::Client, true, Opcode::TEXT, &[0xff; 100_000]);
    assert!(matches!(connection.adopt(&mut buffer(&invalid, invalid.len())), Some(Event::Failed(Error::Violation(_)))));

    let mut connection = server();
    let unmasked = frame(Role::Server, true, Opcode::BINARY, &[1; 100_000]);
    assert!(matches!(
        connection.adopt(&mut buffer(&unmasked, unmasked.len())),
        Some(Event::Failed(Error::Violation(_)))
    ));
}
