//! The rules for headers, written once more from the RFC's sentences alone, as a list of sentences over a string of bits.
//! `rules::check` and `rules::violations` are held against it for every first two bytes, role and state.

use sockeye_proto::Role;
use sockeye_proto::frame::rules::{check, violations};
use sockeye_proto::frame::{Context, Header, Parse};

/// The header in the figure of §5.2, as text: "1" and "0".
struct Bits(String);

impl Bits {
    fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:08b}")).collect())
    }

    fn number(&self, from: usize, to: usize) -> u64 {
        u64::from_str_radix(&self.0[from..to], 2).unwrap()
    }

    fn is_set(&self, at: usize) -> bool {
        &self.0[at..=at] == "1"
    }
}

/// Sections whose sentences the header breaks, sorted.
fn broken_sections(bits: &Bits, context: Context) -> Vec<&'static str> {
    let fin = bits.is_set(0);
    let opcode = &bits.0[4..8];
    let masked = bits.is_set(8);
    let short = bits.number(9, 16);
    let control = opcode.starts_with('1');
    let starts = opcode == "0001" || opcode == "0010";
    let mut broken = Vec::new();
    let mut must = |section, holds: bool| {
        if !holds {
            broken.push(section);
        }
    };

    // "A client MUST mask all frames that it sends to the server … A server MUST NOT mask any frames"
    must("5.1", masked == (context.sender == Role::Client));
    // "RSV1, RSV2, RSV3: MUST be 0 unless an extension is negotiated that defines meanings for non-zero values"
    // (RFC 7692 §6: RSV1 on the first frame of a message, and "An endpoint MUST NOT set the [bit] of control frames")
    must("5.2", !bits.is_set(1) || (context.compression && starts));
    must("5.2", !bits.is_set(2));
    must("5.2", !bits.is_set(3));
    // "%x3-7 are reserved for further non-control frames … %xB-F are reserved for further control frames"
    must("5.2", ["0000", "0001", "0010", "1000", "1001", "1010"].contains(&opcode));
    // "the minimal number of bytes MUST be used to encode the length"
    must("5.2", short != 126 || bits.number(16, 32) > 125);
    must("5.2", short != 127 || bits.number(16, 80) > 65_535);
    // "a 64-bit unsigned integer (the most significant bit MUST be 0)"
    must("5.2", short != 127 || !bits.is_set(16));
    // "A fragmented message consists of a single frame with the FIN bit clear and an opcode other than 0, followed by
    // zero or more frames with the FIN bit clear and the opcode set to 0, and terminated by a single frame with the FIN
    // bit set and an opcode of 0."
    must("5.4", opcode != "0000" || context.in_message);
    must("5.4", !(starts && context.in_message));
    // "All control frames MUST have a payload length of 125 bytes or less and MUST NOT be fragmented."
    must("5.5", !control || short <= 125);
    must("5.5", !control || fin);

    broken.sort_unstable();
    broken
}

/// The length fields that follow a second byte, at every edge of their forms.
fn extended_lengths(second: u8) -> Vec<Vec<u8>> {
    match second & 0x7F {
        126 => [0u16, 125, 126, u16::MAX].iter().map(|len| len.to_be_bytes().to_vec()).collect(),
        127 => [0u64, 125, 126, 65_535, 65_536, 1 << 62, u64::MAX >> 1, 1 << 63, u64::MAX]
            .iter()
            .map(|len| len.to_be_bytes().to_vec())
            .collect(),
        _ => vec![vec![]],
    }
}

#[test]
fn check_and_violations_agree_with_the_sentences_of_the_rfc_for_every_first_two_bytes_role_and_state() {
    let mut cases = 0;
    for first_two in 0..=u16::MAX {
        let [first, second] = first_two.to_be_bytes();
        for length in extended_lengths(second) {
            let key: &[u8] = if second >= 0x80 { &[1, 2, 3, 4] } else { &[] };
            let bytes = [&[first, second], &length[..], key].concat();
            let Parse::Complete(header) = Header::parse(&bytes) else { panic!("{bytes:02x?} is a whole header") };
            let bits = Bits::of(&bytes);
            for sender in [Role::Client, Role::Server] {
                for in_message in [false, true] {
                    for compression in [false, true] {
                        let context = Context { sender, in_message, compression };
                        let expected = broken_sections(&bits, context);
                        let mut found: Vec<_> = violations(header, context).iter().map(|v| v.section()).collect();
                        found.sort_unstable();
                        assert_eq!(found, expected, "{bytes:02x?} {context:?}");
                        assert_eq!(check(header, context), expected.is_empty(), "{bytes:02x?} {context:?}");
                        cases += 1;
                    }
                }
            }
        }
    }
    assert!(cases > 65_536 * 8);
}
