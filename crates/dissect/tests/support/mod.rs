//! What the tests share: frames as bytes, streams as records, and any stream proptest can think of.
#![allow(dead_code, reason = "each test uses a part of it")]

use proptest::prelude::*;
use sockeye_dissect::{Dissector, Record};
use sockeye_proto::Role;
use sockeye_proto::frame::{Header, Opcode};
use sockeye_proto::mask::{self, MaskingKey};

pub(crate) const KEY: MaskingKey = MaskingKey::new([0x37, 0xFA, 0x21, 0x3D]);

/// A frame as a client sends it.
pub(crate) fn client(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Header::new(fin, opcode, payload.len() as u64, Some(KEY)).encode().to_vec();
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    mask::apply(KEY, 0, &mut bytes[start..]);
    bytes
}

/// All records of a stream a client has sent, the one that is cut off included.
pub(crate) fn records(stream: &[u8]) -> Vec<Record> {
    pieces(Dissector::new(Role::Client), [stream])
}

/// All records of a stream that comes in these pieces.
pub(crate) fn pieces<'a>(mut dissector: Dissector, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Record> {
    let mut records: Vec<Record> = pieces.into_iter().flat_map(|piece| dissector.push(piece)).collect();
    records.extend(dissector.finish());
    records
}

/// The words of all that is wrong with a record.
pub(crate) fn findings(record: &Record) -> Vec<String> {
    record.findings.iter().map(ToString::to_string).collect()
}

/// Bytes of any kind: noise, and frames that are good or nearly so, with text that is good or nearly so.
pub(crate) fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        3 => "[a-z你好👋é]{0,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..140),
        1 => (prop_oneof![Just(1000u16), Just(1005), any::<u16>()], "[a你]{0,4}")
            .prop_map(|(code, reason)| [&code.to_be_bytes(), reason.as_bytes()].concat()),
    ];
    let frame = (0u8..16, any::<bool>(), payload, any::<[u8; 4]>(), prop::bool::weighted(0.9)).prop_map(
        |(opcode, fin, payload, key, masked)| {
            // Opcodes that mean something, mostly.
            let opcode = Opcode::from_bits([0, 0, 0, 1, 1, 1, 2, 8, 9, 10, 0, 1, 0, 9, 3, 11][usize::from(opcode)]);
            let key = masked.then(|| MaskingKey::new(key));
            let mut bytes =
                Header::new(fin || opcode.is_control(), opcode, payload.len() as u64, key).encode().to_vec();
            let start = bytes.len();
            bytes.extend_from_slice(&payload);
            mask::apply(key.unwrap_or_default(), 0, &mut bytes[start..]);
            bytes
        },
    );
    // A text whose frames end anywhere, also within a character.
    let text = ("[a你👋]{1,8}", prop::collection::vec(0usize..6, 0..8)).prop_map(|(text, cuts)| {
        let mut rest = text.as_bytes();
        let mut stream = Vec::new();
        let mut opcode = Opcode::TEXT;
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            stream.extend(client(false, opcode, piece));
            (rest, opcode) = (after, Opcode::CONTINUATION);
        }
        stream.extend(client(true, opcode, rest));
        stream
    });
    let noise = prop::collection::vec(any::<u8>(), 0..40);
    let part = prop_oneof![6 => frame, 3 => text, 1 => noise];
    prop::collection::vec(part, 0..10).prop_map(|parts| parts.concat())
}
