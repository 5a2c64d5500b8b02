//! Two ends that agree, messages to send, and DEFLATE (RFC 1951) by hand.
#![expect(dead_code, reason = "each test file uses some of it")]

use bytes::BytesMut;
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, HeaderValue};
use sockeye_proto::deflate::{Compression, Inflater, Input, Params, accept, offer, verify};
use sockeye_proto::{Error, Role};

/// What a message ends with before it is sent, and after it was received.
pub(crate) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// A limit that no message of these tests comes near.
pub(crate) const NO_LIMIT: usize = 64 << 20;

/// Headers with these values for `Sec-WebSocket-Extensions`.
pub(crate) fn headers(values: &[&str]) -> HeaderMap {
    let value = |value: &&str| (SEC_WEBSOCKET_EXTENSIONS, HeaderValue::try_from(*value).unwrap());
    values.iter().map(value).collect()
}

/// A client and a server negotiate; they must understand the same by it.
pub(crate) fn agree(client: &Compression, server: &Compression) -> Params {
    let request = HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, offer(client).unwrap())]);
    let (answer, params) = accept(&request, server).unwrap().expect("our own offer is a good one");
    let response = HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, answer)]);
    assert_eq!(verify(&response, client), Ok(Some(params)));
    params
}

/// What a bare `permessage-deflate` agrees on, with takeover or without.
pub(crate) fn params(takeover: bool) -> Params {
    let compression = if takeover { Compression::takeover() } else { Compression::no_takeover() };
    agree(&compression.window_bits(15), &compression.window_bits(15))
}

/// Receives a message that came in these pieces.
pub(crate) fn receive(inflater: &mut Inflater, pieces: &[&[u8]], limit: usize) -> Result<BytesMut, Error> {
    let mut message = BytesMut::new();
    let (last, parts) = pieces.split_last().expect("a message is at least one piece");
    for part in parts {
        inflater.inflate_into(Input::part(part), limit, &mut message)?;
    }
    inflater.inflate_into(Input::last(last), limit, &mut message)?;
    Ok(message)
}

/// Receives a client's only message on a connection.
pub(crate) fn receive_one(payload: &[u8]) -> Result<BytesMut, Error> {
    receive(&mut Inflater::new(params(false), Role::Client), &[payload], NO_LIMIT)
}

/// Numbers that look random and are the same in each run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// A message of this length, of one of several kinds.
pub(crate) fn message(kind: u8, len: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    match kind % 5 {
        // Does not shrink.
        0 => (0..len).map(|_| numbers.byte()).collect(),
        // Shrinks to next to nothing.
        1 => vec![numbers.byte(); len],
        // Text, much of it repeated at distances of every size.
        2 => {
            let mut text = Vec::with_capacity(len + 64);
            while text.len() < len {
                match numbers.below(4) {
                    0 => text.extend_from_slice(format!("{{\"id\":{},", numbers.below(100_000)).as_bytes()),
                    1 => text.extend_from_slice("\"名字\":\"海螺\",".as_bytes()),
                    _ if text.is_empty() => text.push(b' '),
                    _ => {
                        let from = numbers.below(text.len());
                        let count = (3 + numbers.below(300)).min(text.len() - from);
                        text.extend_from_within(from..from + count);
                    }
                }
            }
            text.truncate(len);
            text
        }
        // Few different bytes, without repetitions to speak of.
        3 => (0..len).map(|_| b"abcd"[numbers.below(4)]).collect(),
        // The same text for every seed: one message is much like the next.
        _ => b"{\"type\":\"quote\",\"symbol\":\"SOCK\",\"price\":".iter().copied().cycle().take(len).collect(),
    }
}

/// Writes bits as DEFLATE has them: the first one lowest.
#[derive(Default)]
pub(crate) struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// A number, its lowest bit first: everything but Huffman codes.
    pub(crate) fn number(mut self, value: u32, count: u32) -> Self {
        for i in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if value >> i & 1 == 1 {
                *self.bytes.last_mut().unwrap() |= 1 << (self.used % 8);
            }
            self.used += 1;
        }
        self
    }

    /// A Huffman code, its highest bit first.
    pub(crate) fn code(self, value: u32, count: u32) -> Self {
        (0..count).rev().fold(self, |bits, i| bits.number(value >> i & 1, 1))
    }

    /// The header of a block: whether it is final, and its type.
    pub(crate) fn block(self, last: bool, kind: u32) -> Self {
        self.number(last.into(), 1).number(kind, 2)
    }

    /// A literal below 144 in a block of fixed codes.
    pub(crate) fn literal(self, byte: u8) -> Self {
        self.code(0x30 + u32::from(byte), 8)
    }

    /// Three bytes from this far back, in a block of fixed codes.
    pub(crate) fn copy_3(self, distance: usize) -> Self {
        let code = BASE.iter().rposition(|&base| base <= distance).unwrap();
        let extra = u32::try_from(code / 2).unwrap().saturating_sub(1);
        self.code(1, 7)
            .code(u32::try_from(code).unwrap(), 5)
            .number(u32::try_from(distance - BASE[code]).unwrap(), extra)
    }

    /// The end of a block of fixed codes.
    pub(crate) fn end(self) -> Self {
        self.code(0, 7)
    }

    /// An empty stored block without its last four bytes: the end of a payload.
    pub(crate) fn payload(self) -> Vec<u8> {
        self.block(false, 0).bytes
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The smallest distance of each distance code.
const BASE: [usize; 30] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
    8193, 12289, 16385, 24577,
];
