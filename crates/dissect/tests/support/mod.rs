//! What the tests share: frames as bytes, streams as frames, and any stream proptest can think of.
#![expect(dead_code, reason = "each test uses a part of it")]

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};
use proptest::prelude::*;
use sockeye_dissect::{Deflate, Dissector, Frame};
use sockeye_proto::Role;
use sockeye_proto::deflate::{Compression, Deflater, Params, verify};
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

/// A frame as a client sends it, with RSV1.
pub(crate) fn compressed(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = client(fin, opcode, payload);
    bytes[0] |= 0x40;
    bytes
}

/// A compressed message as a client sends it, its payload cut into frames at these places.
pub(crate) fn in_fragments(opcode: Opcode, payload: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut rest = payload;
    let mut stream = Vec::new();
    for (i, &cut) in cuts.iter().enumerate() {
        let (piece, after) = rest.split_at(cut.min(rest.len()));
        stream.extend(match i {
            0 => compressed(false, opcode, piece),
            _ => client(false, Opcode::CONTINUATION, piece),
        });
        rest = after;
    }
    stream.extend(match cuts.len() {
        0 => compressed(true, opcode, rest),
        _ => client(true, Opcode::CONTINUATION, rest),
    });
    stream
}

/// What a bare `permessage-deflate` agrees on: windows are kept.
pub(crate) fn params() -> Params {
    let answer = HeaderValue::from_static("permessage-deflate");
    verify(&HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, answer)]), &compression()).unwrap().unwrap()
}

/// How the tests' clients compress: whatever they send.
pub(crate) fn compression() -> Compression {
    Compression::takeover().window_bits(15).threshold(0)
}

/// The payload of each message, as one client compresses one after the other; `None` where that gains nothing.
pub(crate) fn deflated<'a>(messages: impl IntoIterator<Item = &'a [u8]>) -> Vec<Option<Vec<u8>>> {
    let mut deflater = Deflater::new(&compression(), params(), Role::Client);
    let deflated = messages.into_iter().map(|message| {
        let mut payload = BytesMut::new();
        deflater.compress(message, &mut payload).then(|| payload.to_vec())
    });
    deflated.collect()
}

/// A dissector of what a client sends with permessage-deflate.
pub(crate) fn inflating(deflate: Deflate) -> Dissector {
    Dissector::new(Role::Client).inflating(deflate)
}

/// All frames of a stream a client has sent with permessage-deflate, from its beginning.
pub(crate) fn inflated_frames(stream: &[u8]) -> Vec<Frame> {
    pieces(inflating(Deflate::FromStart), [stream])
}

/// All frames of a stream a client has sent, the one that is cut off included.
pub(crate) fn frames(stream: &[u8]) -> Vec<Frame> {
    pieces(Dissector::new(Role::Client), [stream])
}

/// All frames of a stream that comes in these pieces.
pub(crate) fn pieces<'a>(mut dissector: Dissector, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Frame> {
    let mut frames: Vec<Frame> = pieces.into_iter().flat_map(|piece| dissector.push(piece)).collect();
    frames.extend(dissector.finish());
    frames
}

/// The words of all that is wrong with a frame.
pub(crate) fn findings(frame: &Frame) -> Vec<String> {
    frame.findings.iter().map(ToString::to_string).collect()
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

/// Streams with compressed messages, good ones and such as were damaged on the way, among everything else.
pub(crate) fn any_compressed_stream() -> impl Strategy<Value = Vec<u8>> {
    let message = prop_oneof![
        4 => "[a-c你好👋]{0,60}".prop_map(String::into_bytes),
        1 => prop::collection::vec(0u8..4, 0..300),
        // A connection gives a compressed message beyond 32 KiB all the room its limit allows, and these tests set none.
        1 => (any::<u8>(), 0usize..10_000).prop_map(|(byte, len)| vec![byte; len]),
    ];
    let sent = (message, any::<bool>(), prop::collection::vec(0usize..12, 0..5));
    // What becomes of a stream of good messages: nothing, or a byte that changes.
    let damage = prop_oneof![2 => Just(None), 1 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(Some)];
    let good = (prop::collection::vec(sent, 1..6), damage).prop_map(|(sent, damage)| {
        let mut payloads = deflated(sent.iter().map(|(message, ..)| message.as_slice()));
        if let Some((place, byte)) = damage {
            let mut all: Vec<_> = payloads.iter_mut().flatten().flatten().collect();
            if !all.is_empty() {
                let place = place.index(all.len());
                *all[place] = byte;
            }
        }
        let frames = sent.iter().zip(payloads).map(|((message, text, cuts), payload)| {
            let opcode = if *text { Opcode::TEXT } else { Opcode::BINARY };
            payload.map_or_else(|| client(true, opcode, message), |payload| in_fragments(opcode, &payload, cuts))
        });
        frames.collect::<Vec<_>>().concat()
    });
    // Bytes that are deflated data by chance, and hand-made blocks: fixed, stored, final, of no type.
    let block = prop_oneof![
        Just(b"\xF2\x48\xCD\xC9\xC9\x07\x00".to_vec()),
        Just(b"\xF2\x00\x11\x00\x00".to_vec()),
        Just(b"\x00\x05\x00\xFA\xFF\x48\x65\x6C\x6C\x6F\x00".to_vec()),
        Just(b"\x00\x02\x00\xFD\xFF\xC3\x28\x00".to_vec()),
        Just(b"\xF3\x48\xCD\xC9\xC9\x07\x00\x00".to_vec()),
        Just(b"\x00".to_vec()),
        Just(b"\x06".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    let blocks = prop::collection::vec(block, 0..4).prop_map(|blocks| blocks.concat());
    let made = (blocks, any::<bool>(), prop::collection::vec(0usize..8, 0..4)).prop_map(|(payload, text, cuts)| {
        in_fragments(if text { Opcode::TEXT } else { Opcode::BINARY }, &payload, &cuts)
    });
    // RSV1 where it may not stand, a message that is given up, a control frame.
    let odd = (0usize..5, prop::collection::vec(any::<u8>(), 0..6)).prop_map(|(kind, payload)| match kind {
        0 => compressed(true, Opcode::CONTINUATION, &payload),
        1 => compressed(true, Opcode::PING, &payload),
        2 => compressed(false, Opcode::TEXT, &payload),
        3 => client(true, Opcode::PING, &payload),
        _ => compressed(true, Opcode::from_bits(3), &payload),
    });
    let part = prop_oneof![4 => good, 4 => made, 1 => odd, 1 => any_stream()];
    prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}
