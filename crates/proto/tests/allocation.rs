//! What a peer can make us hold, counted byte by byte: memory follows what has arrived, never what a header claims.
//!
//! The counters belong to a thread, and a test runs in one, so the tests do not disturb each other.

mod support;

use std::io::IoSlice;
use std::time::Instant;

use allocation_counter::measure;
use sockeye_proto::frame::{Header, Opcode, Parse};
use sockeye_proto::{Connection, Error, Event, LimitExceeded, Limits, Message, Role};
use support::{KEY, close, facing, frame, frames, sent, sent_close, text};

/// Gives a connection these bytes and hands each event to `take`, without an allocation of its own.
fn feed(connection: &mut Connection, mut bytes: &mut [u8], mut take: impl FnMut(Event)) {
    while !bytes.is_empty() {
        let received = connection.receive(bytes);
        if let Some(event) = received.event {
            take(event);
        }
        bytes = &mut bytes[received.consumed..];
    }
}

/// A binary frame's header that claims so many bytes, as `sender` writes it.
fn claim(sender: Role, payload_len: u64) -> Vec<u8> {
    Header::new(true, Opcode::BINARY, payload_len, sender.masks().then_some(KEY)).encode().to_vec()
}

#[test]
fn a_header_that_claims_too_much_costs_the_close_frame_that_says_so() {
    for sender in [Role::Client, Role::Server] {
        let mut len = (1u64 << 20) + 1;
        loop {
            let mut bytes = claim(sender, len);
            let mut connection = facing(sender, Limits::default());
            let mut event = None;
            let cost = measure(|| feed(&mut connection, &mut bytes, |failed| event = Some(failed)));
            let error = Error::Limit(LimitExceeded::Message { len, limit: 1 << 20 });
            assert_eq!(event, Some(Event::Failed(error)), "on the header alone");
            assert!(cost.bytes_max < 1024, "{len} bytes claimed: {cost:?}");
            assert_eq!(sent_close(&mut connection).code(), error.close_code());
            if len == u64::MAX >> 1 {
                break;
            }
            // All powers of two on the way, and the largest length there is.
            len = (2 * (len - 1)).saturating_add(1).min(u64::MAX >> 1);
        }
    }
}

#[test]
fn a_second_fragment_that_goes_over_the_limit_is_refused_on_its_header_and_gives_back_the_first() {
    let mut connection = facing(Role::Client, Limits::default());
    let mut first = frame(Role::Client, false, Opcode::BINARY, &[7; 100_000]);
    let (size, rest) = ((1u64 << 20) - 100_000 + 1, Some(KEY));
    let mut second = Header::new(true, Opcode::CONTINUATION, size, rest).encode().to_vec();
    let mut failed = false;
    let cost = measure(|| {
        feed(&mut connection, &mut first, |_| unreachable!("a fragment is no message"));
        feed(&mut connection, &mut second, |event| failed = matches!(event, Event::Failed(Error::Limit(_))));
    });
    assert!(failed);
    assert!(cost.bytes_current < 1024, "what has come of the message is let go: {cost:?}");
    assert!(cost.bytes_max < 101_024, "{cost:?}");
}

#[test]
fn a_claim_of_a_mebibyte_with_ten_bytes_behind_it_costs_less_than_20_kib() {
    for sender in [Role::Client, Role::Server] {
        let mut bytes = [claim(sender, 1 << 20), vec![0; 10]].concat();
        let mut connection = facing(sender, Limits::default());
        let received = measure(|| feed(&mut connection, &mut bytes, |_| unreachable!("the message is not whole")));
        assert!(received.bytes_max < 20 << 10, "{received:?}");
        // The room that is offered to read more into is no larger, either.
        let offered = measure(|| assert!(connection.landing().is_some()));
        let held = received.bytes_current + offered.bytes_current;
        assert!(held < 20 << 10, "{received:?} and {offered:?}");
    }
}

#[test]
fn a_message_of_a_mebibyte_never_takes_more_room_than_eighteen_times_what_has_arrived() {
    let mut bytes = frame(Role::Client, true, Opcode::BINARY, &vec![7; 1 << 20]);
    for read in [1 << 10, 16 << 10, 64 << 10] {
        let mut connection = facing(Role::Client, Limits::default());
        let mut arrived = 0;
        for piece in bytes.clone().chunks_mut(read) {
            arrived += piece.len();
            let piece = measure(|| feed(&mut connection, piece, drop));
            // Sixteen times is for what is to come. When room is made, the old and the new exist side by side for a moment.
            let most = 18 * arrived + (16 << 10);
            assert!(piece.bytes_max <= most as u64, "{arrived} bytes have arrived: {piece:?}");
        }
    }
    // However it comes, it ends up in as much room as it needs.
    for read in [1 << 10, 16 << 10, 64 << 10] {
        let mut connection = facing(Role::Client, Limits::default());
        let mut message = None;
        let kept = measure(|| {
            for piece in bytes.clone().chunks_mut(read) {
                feed(&mut connection, piece, |event| message = Some(event));
            }
        });
        assert_eq!(kept.bytes_current, 1 << 20, "{read} bytes a read");
    }
    // In one read it is copied out once, to its own size.
    let mut connection = facing(Role::Client, Limits::default());
    let whole = measure(|| feed(&mut connection, &mut bytes, drop));
    assert_eq!((whole.count_total, whole.bytes_max), (1, 1 << 20));
}

#[test]
fn a_million_empty_fragments_end_at_the_limit_and_cost_nothing_on_the_way() {
    let mut connection = facing(Role::Client, Limits::default());
    let mut first = frame(Role::Client, false, Opcode::TEXT, b"");
    feed(&mut connection, &mut first, |_| unreachable!("a fragment is no message"));

    let empty = frame(Role::Client, false, Opcode::CONTINUATION, b"");
    let mut failed = None;
    let mut fragments = 1u32;
    let mut total = 0;
    for _ in 0..1_000_000 {
        let mut bytes = [0; 6];
        bytes.copy_from_slice(&empty);
        let fragment = measure(|| feed(&mut connection, &mut bytes, |event| failed = Some((fragments + 1, event))));
        fragments += 1;
        total += fragment.bytes_total;
        if failed.is_none() {
            assert_eq!(fragment.count_total, 0, "fragment {fragments}: {fragment:?}");
        }
    }
    let error = Error::Limit(LimitExceeded::Fragments { limit: 131_072 });
    assert_eq!(failed, Some((131_073, Event::Failed(error))));
    assert!(total < 1024, "nothing but the Close frame: {total} bytes");
}

#[test]
fn a_mebibyte_in_fragments_of_eight_bytes_is_copied_a_few_times_and_not_once_for_each() {
    let mut connection = facing(Role::Client, Limits::default());
    let last = (1 << 17) - 1;
    let mut message = None;
    let mut total = 0;
    for number in 0..=last {
        let opcode = if number == 0 { Opcode::BINARY } else { Opcode::CONTINUATION };
        let mut bytes = frame(Role::Client, number == last, opcode, &[7; 8]);
        total += measure(|| feed(&mut connection, &mut bytes, |event| message = Some(event))).bytes_total;
    }
    assert!(matches!(message, Some(Event::Message(message)) if message.len() == 1 << 20));
    assert!(total < 4 << 20, "{total} bytes");
}

#[test]
fn a_small_message_in_one_frame_costs_one_allocation_of_its_size() {
    for sender in [Role::Client, Role::Server] {
        for opcode in [Opcode::TEXT, Opcode::BINARY] {
            let mut connection = facing(sender, Limits::default());
            let mut bytes = frame(sender, true, opcode, &[b'x'; 32]);
            let mut message = None;
            let received = measure(|| feed(&mut connection, &mut bytes, |event| message = Some(event)));
            assert!(matches!(message, Some(Event::Message(message)) if message.len() == 32));
            assert_eq!((received.count_total, received.bytes_total), (1, 32), "{opcode}: {received:?}");
        }
    }
}

#[test]
fn a_header_that_comes_byte_by_byte_costs_nothing_but_a_note_that_it_came() {
    let mut connection = facing(Role::Client, Limits::default());
    let mut header = claim(Role::Client, 100_000);
    let received = measure(|| {
        for byte in header.chunks_mut(1) {
            feed(&mut connection, byte, |_| unreachable!("the payload is to come"));
        }
    });
    // With the header's last byte the payload begins, of which nothing has come.
    assert!(received.count_total == 1 && received.bytes_total < 200, "{received:?}");
}

#[test]
fn a_flood_of_pings_from_a_peer_that_never_reads_costs_a_few_kilobytes() {
    for sender in [Role::Client, Role::Server] {
        let mut connection = facing(sender, Limits::default());
        let ping = frame(sender, true, Opcode::PING, &[b'?'; 125]);
        let mut bytes = ping.clone();
        let flood = measure(|| {
            for _ in 0..100_000 {
                bytes.copy_from_slice(&ping);
                feed(&mut connection, &mut bytes, drop);
            }
        });
        assert!(flood.bytes_current < 8 << 10, "{flood:?}");
        // When the room for Pongs is doubled, the old and the new exist side by side for a moment.
        assert!(flood.bytes_max < 8 << 10, "{flood:?}");
        assert_eq!(frames(&sent(&mut connection)).last(), Some(&(Opcode::PONG, vec![b'?'; 125])));
    }
}

#[test]
fn a_flood_of_pings_costs_a_few_kilobytes_also_when_we_try_to_write_after_each() {
    for begun in [false, true] {
        let mut connection = facing(Role::Client, Limits::default());
        if begun {
            // The transport has taken half a frame, and then no more.
            connection.send(Message::from(vec![7; 10_000])).unwrap();
            assert!(connection.outgoing(&mut [IoSlice::new(&[]); 4]) > 0);
            connection.written(5_000, Instant::now);
        }
        let ping = frame(Role::Client, true, Opcode::PING, &[b'?'; 125]);
        let mut bytes = ping.clone();
        let flood = measure(|| {
            for _ in 0..10_000 {
                bytes.copy_from_slice(&ping);
                feed(&mut connection, &mut bytes, drop);
                assert!(connection.outgoing(&mut [IoSlice::new(&[]); 4]) > 0);
            }
        });
        assert!(flood.bytes_current < 16 << 10, "{flood:?}");
    }
}

#[test]
fn a_flood_of_bytes_after_the_close_frame_costs_nothing() {
    let mut connection = facing(Role::Client, Limits::default());
    let mut bytes = close(1000, "bye");
    feed(&mut connection, &mut bytes, drop);
    let mut rest = text("discarded").repeat(1_000);
    let flood = measure(|| feed(&mut connection, &mut rest, |_| unreachable!("it is discarded")));
    assert_eq!(flood.count_total, 0, "{flood:?}");
}

#[test]
fn a_connection_that_has_worked_and_is_idle_again_holds_nothing() {
    for sender in [Role::Client, Role::Server] {
        let mut connection = facing(sender, Limits::default());
        let parts = [
            frame(sender, false, Opcode::TEXT, "你好".repeat(10_000).as_bytes()),
            frame(sender, true, Opcode::PING, b"alive?"),
            frame(sender, true, Opcode::CONTINUATION, "世界".repeat(10_000).as_bytes()),
            frame(sender, true, Opcode::BINARY, &[0; 300]),
            frame(sender, true, Opcode::PONG, b""),
        ]
        .concat();
        let mut work = || {
            for piece in parts.clone().chunks_mut(1_000) {
                feed(&mut connection, piece, drop);
            }
            // Larger ones are their thread's to keep: see `stock.rs`.
            for size in [0, 100, 5_000, 60_000] {
                connection.send(Message::from(vec![1; size])).unwrap();
            }
            let bytes = sent(&mut connection);
            assert!(matches!(Header::parse(&bytes), Parse::Complete(_)));
        };
        // What a queue is made of stays with the thread.
        work();
        let work = measure(work);
        assert!(!connection.has_outgoing());
        assert_eq!((work.count_current, work.bytes_current), (0, 0), "{work:?}");
    }
}
