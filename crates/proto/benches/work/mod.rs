//! What the benchmarks let the core do, each as a closure that can be run again and again: `frames` takes its time,
//! `instructions` counts it.
#![expect(dead_code, reason = "each benchmark uses some of it")]

#[path = "../../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::io::IoSlice;
use std::time::Instant;

use bytes::Bytes;
use sockeye_proto::connection::Received;
use sockeye_proto::frame::{Header, Opcode, Parse};
use sockeye_proto::mask::{self, MaskingKey};
use sockeye_proto::utf8::Validator;
use sockeye_proto::{Connection, Event, Limits, Message, Role};

use support::{KEY, facing, frame};

/// The most a read gives, in bytes.
pub(crate) const READ: usize = 64 << 10;
/// So many frames are gathered before they are written.
const BATCH: usize = 16;

/// Something to do, and how many bytes or frames one run of it is made of.
pub(crate) struct Work {
    pub(crate) items: usize,
    pub(crate) run: Box<dyn FnMut()>,
}

impl Work {
    fn new(items: usize, run: impl FnMut() + 'static) -> Self {
        Self { items, run: Box::new(run) }
    }
}

/// So many masked messages of one frame each come in, in reads of 64 KiB.
pub(crate) fn decode(count: usize, opcode: Opcode, payload: &[u8]) -> Work {
    receive(count, count, &frame(Role::Client, true, opcode, payload).repeat(count))
}

/// So many masked messages come in, each of which is a text in this many fragments.
pub(crate) fn decode_fragmented(count: usize, fragments: usize, text: &str) -> Work {
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(text.len().div_ceil(fragments)).collect();
    let mut message = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        let opcode = if i == 0 { Opcode::TEXT } else { Opcode::CONTINUATION };
        message.extend(frame(Role::Client, i + 1 == pieces.len(), opcode, piece));
    }
    receive(count * pieces.len(), count, &message.repeat(count))
}

/// The same as [`decode`], of messages that are looked at where they lie; but for those that a read cuts.
pub(crate) fn decode_borrowed(count: usize, opcode: Opcode, payload: &[u8]) -> Work {
    let stream = frame(Role::Client, true, opcode, payload).repeat(count);
    receive_by(count, count, &stream, |connection, bytes| match connection.receive_borrowed(bytes) {
        Some((consumed, message)) => {
            black_box(message.expect("good"));
            (consumed, true)
        }
        None => receive_one(connection, bytes),
    })
}

fn receive(items: usize, messages: usize, stream: &[u8]) -> Work {
    receive_by(items, messages, stream, receive_one)
}

/// Says how many bytes it took, and whether that was a message.
#[inline]
fn receive_one(connection: &mut Connection, bytes: &mut [u8]) -> (usize, bool) {
    let Received { consumed, event, .. } = connection.receive(bytes);
    let Some(event) = event else { return (consumed, false) };
    assert!(matches!(black_box(event), Event::Message(_)));
    (consumed, true)
}

fn receive_by(
    items: usize,
    messages: usize,
    stream: &[u8],
    one: impl Fn(&mut Connection, &mut [u8]) -> (usize, bool) + 'static,
) -> Work {
    let stream = stream.to_vec();
    let mut connection = facing(Role::Client, Limits::default());
    let mut read = vec![0; READ];
    Work::new(items, move || {
        let mut seen = 0;
        for piece in black_box(&stream).chunks(READ) {
            let mut bytes = &mut read[..piece.len()];
            bytes.copy_from_slice(piece);
            while !bytes.is_empty() {
                let (consumed, is_message) = one(&mut connection, bytes);
                bytes = &mut bytes[consumed..];
                seen += usize::from(is_message);
            }
        }
        assert_eq!(seen, messages);
    })
}

/// The least there is to do for the same frames: parse the header, unmask in place. No rule is judged, no text checked,
/// no message made.
pub(crate) fn floor(count: usize, opcode: Opcode, payload: &[u8]) -> Work {
    let stream = frame(Role::Client, true, opcode, payload).repeat(count);
    let mut buffer = vec![0; 2 * READ];
    Work::new(count, move || {
        let (mut seen, mut kept) = (0, 0);
        for piece in black_box(&stream).chunks(READ) {
            let end = kept + piece.len();
            buffer[kept..end].copy_from_slice(piece);
            let mut at = 0;
            while let Parse::Complete(header) = Header::parse(&buffer[at..end]) {
                let start = at + header.size();
                let next = start + usize::try_from(header.payload_len()).expect("small");
                if next > end {
                    break;
                }
                let key = header.masking_key().expect("masked");
                mask::apply(key, 0, &mut buffer[start..next]);
                black_box(&buffer[start..next]);
                (at, seen) = (next, seen + 1);
            }
            buffer.copy_within(at..end, 0);
            kept = end - at;
        }
        assert_eq!(seen, count);
    })
}

/// So many messages go out, sixteen to a write.
pub(crate) fn encode(count: usize, role: Role, payload: &[u8]) -> Work {
    let message = Message::Binary(Bytes::copy_from_slice(payload));
    let mut connection = facing(role.peer(), Limits::default());
    let now = Instant::now();
    Work::new(count.next_multiple_of(BATCH), move || {
        for _ in 0..count.div_ceil(BATCH) {
            for _ in 0..BATCH {
                connection.send(black_box(&message).clone()).expect("open");
            }
            write_all(&mut connection, now);
        }
    })
}

/// So many Pings come in, and as many Pongs go out, each before the next.
pub(crate) fn ping_pong(count: usize) -> Work {
    let ping = frame(Role::Client, true, Opcode::PING, b"12345678");
    let mut connection = facing(Role::Client, Limits::default());
    let mut bytes = ping.clone();
    let now = Instant::now();
    Work::new(count, move || {
        for _ in 0..count {
            bytes.copy_from_slice(black_box(&ping));
            let received = connection.receive(&mut bytes);
            assert!(matches!(black_box(received.event), Some(Event::Ping(_))));
            write_all(&mut connection, now);
        }
    })
}

fn write_all(connection: &mut Connection, now: Instant) {
    let mut slices = [IoSlice::new(&[]); 8];
    let count = connection.outgoing(&mut slices);
    let bytes = black_box(&slices[..count]).iter().map(|slice| slice.len()).sum();
    connection.written(bytes, || now);
    assert!(!connection.has_outgoing());
}

/// Masks pieces of so many bytes in place, one after the other, about a tenth of a millisecond of them.
pub(crate) fn mask_in_place(len: usize) -> Work {
    let Area { pieces, rounds } = Area::of(len);
    let mut bytes = vec![7; pieces * len];
    Work::new(rounds * bytes.len(), move || {
        for _ in 0..rounds {
            for piece in bytes.chunks_exact_mut(len) {
                mask::apply(black_box(KEY), 0, black_box(piece));
            }
        }
    })
}

/// Copies pieces of so many bytes, as a measure for the masking of as many.
pub(crate) fn memcpy(len: usize) -> Work {
    let Area { pieces, rounds } = Area::of(len);
    let from = vec![7u8; pieces * len];
    let mut to = vec![0u8; pieces * len];
    Work::new(rounds * from.len(), move || {
        for _ in 0..rounds {
            for (to, from) in to.chunks_exact_mut(len).zip(from.chunks_exact(len)) {
                black_box(to).copy_from_slice(black_box(from));
            }
        }
    })
}

/// How often to work on how many pieces beside each other: on a single small one it would wait for the store before.
struct Area {
    pieces: usize,
    rounds: usize,
}

impl Area {
    fn of(len: usize) -> Self {
        let pieces = (8usize << 10).div_ceil(len);
        Self { pieces, rounds: (1usize << 20).div_ceil(pieces * len) }
    }
}

/// Unmasks and checks texts in pieces of so many bytes at most, as a connection does with what it receives.
pub(crate) fn unmask_and_check(text: &str, read: usize) -> Work {
    // Under this key unmasking leaves the text as it is, and can be done again; it takes as long as under any other.
    let key = MaskingKey::ZERO;
    let Area { pieces, rounds } = Area::of(text.len());
    let (len, mut texts) = (text.len(), text.repeat(pieces).into_bytes());
    Work::new(rounds * texts.len(), move || {
        for _ in 0..rounds {
            for text in texts.chunks_exact_mut(len) {
                let mut validator = Validator::default();
                let mut offset = 0;
                for piece in text.chunks_mut(read) {
                    validator.feed_masked(black_box(key), offset, black_box(piece)).expect("text");
                    offset += piece.len() as u64;
                }
                black_box(validator.finish().expect("text"));
            }
        }
    })
}

/// Checks texts one by one, as a measure for [`unmask_and_check`].
pub(crate) fn simdutf8_alone(text: &str) -> Work {
    let Area { pieces, rounds } = Area::of(text.len());
    let (len, texts) = (text.len(), text.repeat(pieces).into_bytes());
    Work::new(rounds * texts.len(), move || {
        for _ in 0..rounds {
            for text in texts.chunks_exact(len) {
                black_box(simdutf8::basic::from_utf8(black_box(text)).expect("text"));
            }
        }
    })
}

/// A text of so many bytes, half of them ASCII, half Chinese.
pub(crate) fn mixed(len: usize) -> String {
    text_of(&["follow the bytes ", "每个字节", "from socket to ", "字节的路径"], len)
}

/// A text of so many bytes, of these pieces again and again.
pub(crate) fn text_of(pieces: &[&str], len: usize) -> String {
    let mut text = String::new();
    for piece in pieces.iter().cycle() {
        for character in piece.chars() {
            if text.len() + character.len_utf8() > len {
                text.extend(core::iter::repeat_n('.', len - text.len()));
                return text;
            }
            text.push(character);
        }
    }
    unreachable!("the cycle does not end")
}
