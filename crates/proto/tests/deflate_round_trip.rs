//! What one end compresses the other receives, whatever was agreed on, however it is cut, and whatever was sent between.

mod deflate_support;

use bytes::BytesMut;
use deflate_support::{Bits, NO_LIMIT, TAIL, agree, message, params, receive, receive_one};
use proptest::prelude::*;
use sockeye_proto::deflate::{Compression, Deflater, Inflater, Input};
use sockeye_proto::{Error, Role, Violation};

/// What an application does with one message.
#[derive(Clone, Copy, Debug)]
enum Sending {
    /// Sends it compressed, if that makes it smaller.
    Compressed,
    /// Sends it plain: a secret.
    Plain,
    /// Sends what was compressed elsewhere, for many connections.
    Prepared,
}

fn any_compression() -> impl Strategy<Value = Compression> {
    (any::<bool>(), any::<bool>(), 8u8..=15, 8u8..=15, 0u8..=9, 1u8..=9).prop_map(
        |(takeover, peer_takeover, bits, peer_bits, level, memory_level)| {
            let on = Compression::no_takeover().context_takeover(takeover).peer_context_takeover(peer_takeover);
            on.window_bits(bits).peer_window_bits(peer_bits).level(level).memory_level(memory_level)
        },
    )
}

fn any_len() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0usize..2_000, 3 => 0usize..40_000, 1 => 0usize..300_000]
}

fn any_message() -> impl Strategy<Value = (Sending, Vec<u8>)> {
    let sending = prop_oneof![6 => Just(Sending::Compressed), 1 => Just(Sending::Plain), 1 => Just(Sending::Prepared)];
    (sending, any::<u8>(), any_len(), 0u64..5)
        .prop_map(|(sending, kind, len, seed)| (sending, message(kind, len, seed)))
}

/// A payload in pieces of random lengths, some of them empty.
fn cut<'a>(payload: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = payload;
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, after) = rest.split_at(cut % (rest.len() + 1));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn messages_come_back_equal_whatever_was_agreed_on_and_however_they_are_sent_and_cut(
        client in any_compression(), server in any_compression(), sender in prop_oneof![Just(Role::Client), Just(Role::Server)],
        messages in proptest::collection::vec(any_message(), 1..12),
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
    ) {
        let params = agree(&client, &server);
        let ours = if sender == Role::Client { client } else { server };
        let mut deflater = Deflater::new(&ours, params, sender);
        let mut inflater = Inflater::new(params, sender);
        for (sending, message) in &messages {
            let mut payload = BytesMut::from("what is queued before it");
            let queued = payload.len();
            let compressed = match sending {
                Sending::Compressed => deflater.compress(message, &mut payload),
                Sending::Plain => false,
                Sending::Prepared => {
                    let prepared = deflater.settings().compress(message);
                    payload.extend_from_slice(prepared.as_deref().unwrap_or_default());
                    if prepared.is_some() {
                        deflater.forget();
                    }
                    prepared.is_some()
                }
            };
            prop_assert_eq!(&payload[..queued], b"what is queued before it");
            let payload = &payload[queued..];
            if compressed {
                prop_assert!(payload.len() < message.len().max(2), "{} of {}", payload.len(), message.len());
                let received = receive(&mut inflater, &cut(payload, &cuts), message.len());
                prop_assert!(received.as_deref() == Ok(&message[..]), "{} bytes came back different", message.len());
            } else {
                prop_assert!(payload.is_empty());
            }
        }
    }
}

#[test]
fn with_takeover_a_message_that_resembles_the_last_one_is_much_smaller() {
    let takeover = Compression::takeover();
    let text = message(2, 2_000, 1);
    let mut sizes = Vec::new();
    for compression in [takeover, takeover.context_takeover(false)] {
        let params = agree(&compression, &compression);
        let mut deflater = Deflater::new(&compression, params, Role::Client);
        for _ in 0..2 {
            let mut payload = BytesMut::new();
            assert!(deflater.compress(&text, &mut payload));
            sizes.push(payload.len());
        }
    }
    let [first, second, alone, again] = sizes[..] else { unreachable!() };
    assert!(second * 2 < first, "{first}, then {second}");
    assert_eq!((alone, again), (first, first));
}

#[test]
fn after_a_message_that_did_not_shrink_and_went_out_plain_the_context_is_in_step() {
    let compression = Compression::takeover().window_bits(15).memory_level(8);
    let params = agree(&compression, &compression);
    for len in [10, 1_000, 20_000, 200_000, 1_000_000] {
        let mut deflater = Deflater::new(&compression, params, Role::Client);
        let mut inflater = Inflater::new(params, Role::Client);
        let text = message(2, 5_000, 1);
        let noise = message(0, len, 2);
        // The text after the noise has some of the noise in it, which a deflater that remembered it would refer to.
        let after = [&text[..2_000], &noise[..10], &text[2_000..], &noise[..len.min(100)]].concat();
        let mut plain = 0;
        for message in [&text, &noise, &after, &noise, &after] {
            let mut payload = BytesMut::new();
            if deflater.compress(message, &mut payload) {
                assert_eq!(receive(&mut inflater, &[&payload], NO_LIMIT).unwrap(), message[..]);
            } else {
                plain += 1;
            }
        }
        assert!(plain >= 1, "{len} bytes of noise shrink");
    }
}

/// A state that is reset with output waiting has less room for the next message in zlib-rs 0.6.8, and panics there.
#[test]
fn after_a_message_that_was_given_up_on_the_way_the_next_one_is_compressed_as_ever() {
    for takeover in [false, true] {
        for memory_level in 1..=9 {
            for level in 1..=9 {
                let on = Compression::no_takeover().context_takeover(takeover).peer_context_takeover(takeover);
                let on = on.level(level).memory_level(memory_level).window_bits(9);
                let params = agree(&on, &on);
                let mut deflater = Deflater::new(&on, params, Role::Client);
                let mut inflater = Inflater::new(params, Role::Client);
                for seed in 0..4 {
                    let noise = message(0, 150_000 + 1_000 * usize::from(level), seed);
                    assert!(!deflater.compress(&noise, &mut BytesMut::new()));
                    let text = message(3, 20_000, seed);
                    let mut payload = BytesMut::new();
                    assert!(deflater.compress(&text, &mut payload));
                    assert_eq!(receive(&mut inflater, &[&payload], NO_LIMIT).unwrap(), text[..]);
                }
            }
        }
    }
}

#[test]
fn the_deflater_gives_a_picture_up_after_its_beginning() {
    // What begins like a picture is taken for one; noise behind text is not.
    let settings = Deflater::new(&Compression::no_takeover(), params(false), Role::Client).settings();
    let (noise, text) = (message(0, 4 << 20, 1), message(2, 4 << 20, 2));
    assert_eq!(settings.compress(&[&noise[..], &text].concat()), None);
    let compressed = settings.compress(&[&text[..], &noise].concat()).expect("the text shrinks");
    assert!(compressed.len() < 7 << 20);
}

#[test]
fn an_empty_message_is_one_byte_and_disturbs_nothing() {
    for takeover in [false, true] {
        let compression = Compression::no_takeover().context_takeover(takeover);
        let params = agree(&compression.peer_context_takeover(true), &compression.peer_context_takeover(true));
        let mut deflater = Deflater::new(&compression, params, Role::Client);
        let mut inflater = Inflater::new(params, Role::Client);
        for text in ["", "again and again and again", "", "again and again and again", ""] {
            let mut payload = BytesMut::new();
            assert!(deflater.compress(text.as_bytes(), &mut payload));
            assert!(!text.is_empty() || payload[..] == [0x00]);
            assert_eq!(receive(&mut inflater, &[&payload], NO_LIMIT).unwrap(), text);
        }
    }
}

#[test]
fn the_examples_of_the_rfc_say_hello() {
    // §7.2.3.1, §7.2.3.2, §7.2.3.3, §7.2.3.4, §7.2.3.5
    let one_block = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    let two_blocks = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    for payload in [&one_block[..], &stored, &last, &two_blocks] {
        assert_eq!(receive_one(payload).unwrap(), "Hello");
    }
    let mut inflater = Inflater::new(params(true), Role::Client);
    for payload in [&one_block[..], &[0xf2, 0x00, 0x11, 0x00, 0x00]] {
        assert_eq!(receive(&mut inflater, &[payload], NO_LIMIT).unwrap(), "Hello");
    }
    // And ours is the first of them.
    let mut payload = BytesMut::new();
    let hello = b"HelloHelloHelloHello";
    assert!(Deflater::new(&Compression::no_takeover(), params(false), Role::Server).compress(hello, &mut payload));
    assert_eq!(payload[..5], one_block[..5]);
}

#[test]
fn a_message_may_be_cut_at_every_byte_and_taken_in_steps_of_every_size() {
    let text = message(2, 3_000, 7);
    let mut payload = BytesMut::new();
    assert!(Deflater::new(&Compression::takeover(), params(true), Role::Client).compress(&text, &mut payload));
    for at in 0..=payload.len() {
        let (first, second) = payload.split_at(at);
        let received = receive(&mut Inflater::new(params(false), Role::Client), &[first, second], text.len());
        assert_eq!(received.unwrap(), text[..], "cut at {at}");
    }
    let bytes: Vec<&[u8]> = payload.chunks(1).chain([&[][..]]).collect();
    let received = receive(&mut Inflater::new(params(false), Role::Client), &bytes, text.len());
    assert_eq!(received.unwrap(), text[..]);

    for size in [1, 2, 7, 100, 258, 2_999, 3_000, 3_001, 100_000] {
        let mut inflater = Inflater::new(params(false), Role::Client);
        let (mut input, mut output, mut received) = (Input::last(&payload), vec![0; size], Vec::new());
        loop {
            let step = inflater.step(&mut input, text.len(), &mut output).unwrap();
            received.extend_from_slice(&output[..step.written]);
            if step.done {
                break;
            }
        }
        assert_eq!(received, text, "{size} bytes at a time");
    }
}

#[test]
fn what_stands_behind_a_payload_in_its_buffer_is_not_touched() {
    let mut payload = BytesMut::new();
    assert!(Deflater::new(&Compression::takeover(), params(true), Role::Client).compress(&[b'a'; 100], &mut payload));
    let mut buffer = payload.to_vec();
    buffer.extend_from_slice(b"the next frame");
    // The types say so, too: an input is borrowed for reading.
    assert_eq!(receive_one(&buffer[..payload.len()]).unwrap(), [b'a'; 100][..]);
    assert_eq!(&buffer[payload.len()..], b"the next frame");
}

/// C5: states are lent to one connection after another.
#[test]
fn no_byte_of_one_connection_reaches_another_through_the_states_they_share() {
    let secret = |i: usize| format!("canary-{i:04}-").repeat(200).into_bytes();
    let compression = Compression::no_takeover();
    let settings = Deflater::new(&compression, params(false), Role::Server).settings();
    // What a thread makes of it that has never seen anything else.
    let alone: Vec<_> =
        (0..50).map(|i| std::thread::spawn(move || settings.compress(&secret(i)).unwrap()).join().unwrap()).collect();

    let mut open: Vec<(usize, Inflater, BytesMut)> = Vec::new();
    for round in 0..400 {
        let i = round * 7 % 50;
        let payload = settings.compress(&secret(i)).unwrap();
        assert_eq!(payload, alone[i], "a payload depends on its message alone");
        // Half a message each, so that many states are lent at the same time; some connections end there.
        let mut inflater = Inflater::new(params(false), Role::Client);
        let mut begun = BytesMut::new();
        inflater.inflate_into(Input::part(&payload[..payload.len() / 2]), NO_LIMIT, &mut begun).unwrap();
        open.push((i, inflater, begun));
        if open.len() > 9 {
            let (i, mut inflater, mut begun) = open.remove(round % 10);
            if round % 3 != 0 {
                let rest = &alone[i][alone[i].len() / 2..];
                inflater.inflate_into(Input::last(rest), NO_LIMIT, &mut begun).unwrap();
                assert_eq!(begun, secret(i)[..]);
            }
        }
        // Whoever asks for what was there before is refused, at every distance.
        let distance = [1, 3, 11, 100, 2_000, 32_768][round % 6];
        let thief = Bits::default().block(false, 1).copy_3(distance).end().payload();
        assert_eq!(receive_one(&thief), Err(Error::Violation(Violation::CorruptDeflate)), "{distance} bytes back");
        let thief = Bits::default().block(false, 1).literal(b'x').copy_3(distance).end().payload();
        assert_eq!(receive_one(&thief).is_ok(), distance == 1, "{distance} bytes back");
    }
}

#[test]
fn a_connection_goes_on_after_a_bad_message_on_another_and_a_new_one_after_its_own() {
    let good = Bits::default().block(false, 1).literal(b'g').end().payload();
    for bad in [&[0x06][..], &[0x62, 0x00, 0x11], &[0xff; 20]] {
        let mut mine = Inflater::new(params(true), Role::Client);
        assert_eq!(receive(&mut mine, &[&good], NO_LIMIT).unwrap(), "g");
        let mut other = Inflater::new(params(true), Role::Client);
        assert_eq!(receive(&mut other, &[bad], NO_LIMIT), Err(Error::Violation(Violation::CorruptDeflate)));
        assert_eq!(receive(&mut mine, &[&good], NO_LIMIT).unwrap(), "g");
        assert_eq!(receive_one(&good).unwrap(), "g");
    }
}

#[test]
fn a_payload_that_ends_with_its_flush_written_out_is_the_same_message() {
    // Some senders forget to take the tail away: there is an empty block too many, cut off by the end.
    let good = Bits::default().block(false, 1).literal(b'g').end().payload();
    assert_eq!(receive_one(&[&good[..], &TAIL].concat()).unwrap(), "g");
}
