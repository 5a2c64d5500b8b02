//! What a peer can make us hold and do with a few compressed bytes. Memory is counted, not estimated.

mod deflate_support;

use allocation_counter::{AllocationInfo, measure};
use bytes::BytesMut;
use deflate_support::{Bits, TAIL, agree, params, receive};
use sockeye_proto::deflate::{Compression, Deflater, Inflater, Input};
use sockeye_proto::frame::{Header, Opcode};
use sockeye_proto::mask::MaskingKey;
use sockeye_proto::{CloseCode, Connection, Error, Event, LimitExceeded, Limits, Role};

/// What may be held besides the message: the state to inflate with (47.7 KB), a step of output, and some.
const BESIDES: u64 = 128 << 10;
const MIB: usize = 1 << 20;

/// A mebibyte of zeros in about a kilobyte, with its tail, so that it can be repeated without end.
fn unit() -> Vec<u8> {
    let compression = Compression::no_takeover().level(9).window_bits(15);
    let settings = Deflater::new(&compression, agree(&compression, &compression), Role::Client).settings();
    let payload = settings.compress(&vec![0; MIB]).unwrap();
    assert!(payload.len() < 1_100, "{} bytes", payload.len());
    [&payload[..], &TAIL].concat()
}

/// In a thread of its own, so that nothing has been lent before, counts what `work` allocates.
fn in_a_new_thread(work: impl FnOnce() + Send + 'static) -> AllocationInfo {
    std::thread::spawn(move || measure(work)).join().unwrap()
}

fn assert_too_long(result: Result<(), Error>, limit: usize) {
    let error = result.expect_err("a bomb");
    assert_eq!(error.close_code(), CloseCode::MESSAGE_TOO_BIG);
    let Error::Limit(LimitExceeded::Message { len, limit: of }) = error else { panic!("{error}") };
    assert_eq!(of, limit);
    assert!(len > limit as u64 && len <= limit as u64 + (16 << 10), "stopped at {len}");
}

#[test]
fn a_gibibyte_in_a_mebibyte_stops_at_the_limit_and_never_holds_much_more() {
    let bomb = unit().repeat(1024);
    for sender in [Role::Client, Role::Server] {
        for takeover in [false, true] {
            for limit in [0, 1, 1_000, 16 << 10, 40_000, 64 << 10, 70_000, MIB, MIB + 77_777, 10_000_000] {
                let bomb = bomb.clone();
                let held = in_a_new_thread(move || {
                    let mut message = BytesMut::new();
                    let mut inflater = Inflater::new(params(takeover), sender);
                    assert_too_long(inflater.inflate_into(Input::last(&bomb), limit, &mut message), limit);
                    assert!(message.len() <= limit && message.capacity() <= limit.max(16 << 10));
                });
                assert!(held.bytes_max <= limit as u64 + BESIDES, "held {} with a limit of {limit}", held.bytes_max);
            }
        }
    }
}

#[test]
fn a_bomb_in_fragments_of_any_size_stops_at_the_limit_of_the_whole_message() {
    let unit = unit();
    for size in [1, 7, 100, 1_000] {
        let unit = unit.clone();
        let held = in_a_new_thread(move || {
            let mut message = BytesMut::new();
            let mut inflater = Inflater::new(params(true), Role::Client);
            // Without end, were it not for the limit.
            let outcome = unit
                .chunks(size)
                .cycle()
                .find_map(|fragment| inflater.inflate_into(Input::part(fragment), 3 * MIB, &mut message).err());
            assert_too_long(outcome.map_or(Ok(()), Err), 3 * MIB);
        });
        assert!(held.bytes_max <= 3 * MIB as u64 + BESIDES, "held {} with fragments of {size}", held.bytes_max);
    }
}

#[test]
fn a_message_of_many_empty_blocks_ends_too_although_nothing_comes_of_it() {
    let last = Bits::default().block(true, 1).end().bytes();
    for block in [&[0x00, 0x00, 0x00, 0xff, 0xff][..], &last] {
        let mut inflater = Inflater::new(params(true), Role::Client);
        let (mut taken, limit) = (0, 100_000);
        let error = loop {
            let part = block.repeat(1_000);
            match inflater.inflate(Input::part(&part), limit, |_| -> Result<(), Error> { panic!("no output") }) {
                Ok(()) => taken += part.len(),
                Err(error) => break error,
            }
        };
        assert_eq!(error.close_code(), CloseCode::MESSAGE_TOO_BIG);
        assert!(taken <= 2 * limit + (64 << 10) + 5_000, "{taken} bytes");
    }
}

/// The whole way in, not the inflater alone: what the connection holds, while bytes come in pieces of a read's size.
#[test]
fn a_connection_that_is_sent_a_bomb_holds_its_limit_and_little_more_in_either_role() {
    for sender in [Role::Client, Role::Server] {
        for limit in [100_000, MIB, 10 * MIB] {
            let mut bomb = unit().repeat(64);
            bomb.truncate(bomb.len() - TAIL.len());
            let key = sender.masks().then_some(MaskingKey::ZERO);
            let header = Header::new(true, Opcode::BINARY, bomb.len() as u64, key).compressed();
            let mut bytes = [&header.encode()[..], &bomb].concat();
            let counted = in_a_new_thread(move || {
                let limits = Limits::default().message(limit);
                let connection = match sender {
                    Role::Client => Connection::server(limits),
                    Role::Server => Connection::client(limits, || MaskingKey::ZERO),
                };
                let mut connection = connection.with_compression(&Compression::no_takeover(), params(false));
                let mut failed = false;
                for piece in bytes.chunks_mut(64 << 10) {
                    failed |= matches!(connection.receive(piece).event, Some(Event::Failed(Error::Limit(_))));
                }
                assert!(failed);
            });
            let most = limit as u64 + BESIDES;
            assert!(counted.bytes_max <= most, "{} bytes for a limit of {limit}", counted.bytes_max);
        }
    }
}

#[test]
fn the_limit_begins_anew_with_each_message_and_a_message_may_have_just_as_many_bytes() {
    let payload = &unit()[..];
    let payload = &payload[..payload.len() - TAIL.len()];
    for takeover in [false, true] {
        let mut inflater = Inflater::new(params(takeover), Role::Client);
        for _ in 0..3 {
            assert_eq!(receive(&mut inflater, &[payload], MIB).unwrap(), vec![0; MIB]);
        }
        assert_too_long(receive(&mut inflater, &[payload], MIB - 1).map(drop), MIB - 1);
    }
}

#[test]
fn a_long_message_is_held_once_and_a_short_one_exactly() {
    let payload = unit();
    let held = in_a_new_thread(move || {
        let mut inflater = Inflater::new(params(false), Role::Client);
        let message = receive(&mut inflater, &[&payload[..payload.len() - TAIL.len()]], MIB).unwrap();
        assert_eq!(message.len(), MIB);
    });
    assert!(held.bytes_max <= MIB as u64 + BESIDES, "{}", held.bytes_max);

    let text = b"0123456789".repeat(100);
    let compression = Compression::no_takeover();
    let small = Deflater::new(&compression, params(false), Role::Client).settings().compress(&text).unwrap();
    let message = receive(&mut Inflater::new(params(false), Role::Client), &[&small], 64 << 20).unwrap();
    assert_eq!(message.capacity(), 1_000);
    // In between: what was reserved in good faith is given back.
    let medium = Deflater::new(&compression, params(false), Role::Client).settings();
    let medium = medium.compress(&text.repeat(100)).unwrap();
    let message = receive(&mut Inflater::new(params(false), Role::Client), &[&medium], 64 << 20).unwrap();
    assert_eq!(message.len(), 100_000);
    assert!(message.capacity() < 200_000, "{}", message.capacity());
}

#[test]
fn an_idle_connection_without_takeover_holds_nothing_and_one_with_it_what_the_table_says() {
    let text = b"0123456789".repeat(100);
    for (bits, memory_level, deflate_kb) in [(9, 1, 137), (12, 4, 158), (13, 4, 174), (15, 8, 380)] {
        for takeover in [false, true] {
            let text = text.clone();
            std::thread::spawn(move || {
                let on = if takeover { Compression::takeover() } else { Compression::no_takeover() };
                let on = on.window_bits(bits).memory_level(memory_level);
                let params = agree(&on, &on);
                let use_once = |deflater: &mut Deflater, inflater: &mut Inflater| {
                    let mut payload = BytesMut::new();
                    assert!(deflater.compress(&text, &mut payload));
                    assert_eq!(receive(inflater, &[&payload], 1_000).unwrap(), text[..]);
                };
                let new = || (Deflater::new(&on, params, Role::Client), Inflater::new(params, Role::Client));
                // What the thread lends to all of its connections.
                let (mut deflater, mut inflater) = new();
                use_once(&mut deflater, &mut inflater);

                let mut connection = None;
                let before = measure(|| connection = Some(new()));
                assert_eq!(before.bytes_total, 0, "nothing is allocated before the first message");
                let (deflater, inflater) = connection.as_mut().unwrap();
                let held = measure(|| use_once(deflater, inflater)).bytes_current;
                let expected = if takeover { 47_700 + deflate_kb * 1_000 } else { 0 };
                assert!((held - expected).abs() <= expected / 100, "{held} bytes with {bits} bits");
                let begun = measure(|| inflater.inflate_into(Input::part(&[]), 0, &mut BytesMut::new()).unwrap());
                assert_eq!(begun.bytes_current, 0);
            })
            .join()
            .unwrap();
        }
    }
}
