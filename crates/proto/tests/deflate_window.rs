//! What we send refers no further back than was agreed on, as an inflater says that was written from RFC 1951 alone.

mod deflate_support;

use bytes::BytesMut;
use deflate_support::{TAIL, agree, message};
use sockeye_proto::Role;
use sockeye_proto::deflate::{Compression, Deflater};

/// Inflates by the book, slowly, and notes the longest distance.
#[derive(Default)]
struct ByTheBook {
    past: Vec<u8>,
    longest: usize,
}

/// The bits that are still to be read.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn bits(&mut self, count: usize) -> usize {
        let bit = |at: usize| usize::from(self.bytes[at / 8] >> (at % 8) & 1);
        let value = (0..count).map(|i| bit(self.at + i) << i).sum();
        self.at += count;
        value
    }

    /// The next symbol of a code that is given as the length of each symbol's code word (§3.2.2).
    fn symbol(&mut self, lengths: &[usize]) -> usize {
        let (mut code, mut first, mut length) = (0, 0, 0);
        loop {
            length += 1;
            code = code << 1 | self.bits(1);
            let of_length = lengths.iter().enumerate().filter(|(_, l)| **l == length);
            let count = of_length.clone().count();
            if code < first + count {
                return of_length.map(|(symbol, _)| symbol).nth(code - first).unwrap();
            }
            first = (first + count) << 1;
            assert!(length < 16, "no such code");
        }
    }
}

impl ByTheBook {
    /// Takes a message's payload; returns the message.
    fn receive(&mut self, payload: &[u8]) -> Vec<u8> {
        let bytes = [payload, &TAIL].concat();
        let mut reader = Reader { bytes: &bytes, at: 0 };
        let start = self.past.len();
        while reader.at < bytes.len() * 8 {
            assert_eq!(reader.bits(1), 0, "we do not send final blocks");
            match reader.bits(2) {
                0 => {
                    reader.at = reader.at.next_multiple_of(8);
                    let (len, complement) = (reader.bits(16), reader.bits(16));
                    assert_eq!(len ^ 0xffff, complement);
                    for _ in 0..len {
                        let byte = reader.bits(8);
                        self.past.push(u8::try_from(byte).unwrap());
                    }
                }
                1 => {
                    let fixed = |symbol| match symbol {
                        0..144 => 8,
                        144..256 => 9,
                        256..280 => 7,
                        _ => 8,
                    };
                    let literals: Vec<usize> = (0..288).map(fixed).collect();
                    self.block(&mut reader, &literals, &[5; 30]);
                }
                2 => {
                    let (literals, distances) = dynamic(&mut reader);
                    self.block(&mut reader, &literals, &distances);
                }
                kind => panic!("block type {kind}"),
            }
        }
        self.past[start..].to_vec()
    }

    fn block(&mut self, reader: &mut Reader<'_>, literals: &[usize], distances: &[usize]) {
        loop {
            match reader.symbol(literals) {
                256 => return,
                literal @ 0..256 => self.past.push(u8::try_from(literal).unwrap()),
                symbol => {
                    let len = match symbol - 257 {
                        code @ 0..8 => 3 + code,
                        28 => 258,
                        code => 3 + ((4 + code % 4) << (code / 4 - 1)) + reader.bits(code / 4 - 1),
                    };
                    let distance = match reader.symbol(distances) {
                        code @ 0..2 => 1 + code,
                        code => 1 + ((2 + code % 2) << (code / 2 - 1)) + reader.bits(code / 2 - 1),
                    };
                    self.longest = self.longest.max(distance);
                    for _ in 0..len {
                        self.past.push(self.past[self.past.len() - distance]);
                    }
                }
            }
        }
    }
}

/// The two codes of a dynamic block (§3.2.7).
fn dynamic(reader: &mut Reader<'_>) -> (Vec<usize>, Vec<usize>) {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, codes) = (257 + reader.bits(5), 1 + reader.bits(5), 4 + reader.bits(4));
    let mut code_lengths = [0; 19];
    for symbol in &ORDER[..codes] {
        code_lengths[*symbol] = reader.bits(3);
    }
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (value, count) = match reader.symbol(&code_lengths) {
            16 => (*lengths.last().unwrap(), 3 + reader.bits(2)),
            17 => (0, 3 + reader.bits(3)),
            18 => (0, 11 + reader.bits(7)),
            length => (length, 1),
        };
        lengths.extend(std::iter::repeat_n(value, count));
    }
    let distances = lengths.split_off(literals);
    (lengths, distances)
}

#[test]
fn no_message_refers_further_back_than_the_window_that_was_agreed_on() {
    for bits in 8..=15 {
        let mut longest = 0;
        for level in 1..=9 {
            for takeover in [false, true] {
                let on = Compression::no_takeover().context_takeover(takeover).peer_context_takeover(takeover);
                let on = on.window_bits(bits).level(level).memory_level(1 + level % 9);
                let params = agree(&Compression::takeover(), &on);
                let mut deflater = Deflater::new(&on, params, Role::Server);
                let mut peer = ByTheBook::default();
                for (i, len) in [3_000, 600, 40_000, 300, 2_000].into_iter().enumerate() {
                    let message = message(2, len, u64::from(bits) * 100 + i as u64);
                    let mut payload = BytesMut::new();
                    if deflater.compress(&message, &mut payload) {
                        if !takeover {
                            // A message that refers to the ones before finds nothing.
                            peer.past.clear();
                        }
                        assert_eq!(peer.receive(&payload), message);
                    }
                }
                longest = longest.max(peer.longest);
            }
        }
        assert!(longest <= 1 << bits, "{longest} bytes back with {bits} bits");
        // What the comment in `Settings::new` says; and the test has enough in it to reach that far.
        let reach = (1 << bits.max(9)) - 262;
        assert!(longest <= reach && longest > reach * 9 / 10, "{longest} of {reach} with {bits} bits");
    }
}
