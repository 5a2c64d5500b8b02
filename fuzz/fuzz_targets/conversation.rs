//! A connection in any pieces, with gaps: the same records in other pieces, and, behind a good handshake, what two
//! connections make of the same bytes.
//!
//! ```text
//! byte 0   bits 0–1: 0 a connection from its start, 1 behind a handshake of ours, 2 the same with permessage-deflate,
//!          3 joined midway   bit 2: no context takeover   bit 3: joined with permessage-deflate   bits 4–7: how to cut anew
//! rest     pieces: a byte with the length (bits 0–5), gap (bit 6: nothing of it is here) and sender (bit 7: the server),
//!          and as many bytes, unless it is a gap
//! ```
#![no_main]

use std::time::Duration;

use allocation_counter::measure;
use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};
use libfuzzer_sys::fuzz_target;
use sockeye_dissect::{Conversation, Deflate, Finding, Item, Receiver, Record, render};
use sockeye_proto::deflate::{Compression, Params, verify};
use sockeye_proto::mask::MaskingKey;
use sockeye_proto::{Connection, Error, Event, Limits, Role};

fuzz_target!(|input: &[u8]| {
    if let Some((&options, rest)) = input.split_first() {
        run(&Plan { options }, &pieces(rest));
    }
});

struct Plan {
    options: u8,
}

/// What comes next on a connection: bytes, or how many are missing.
#[derive(Clone, Debug, PartialEq)]
enum Next<'a> {
    Bytes(Role, &'a [u8]),
    Gap(Role, u64),
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const RESPONSE: &str = "HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

fn pieces(mut rest: &[u8]) -> Vec<Next<'_>> {
    let mut pieces = Vec::new();
    while let Some((&head, after)) = rest.split_first() {
        let role = if head & 0x80 == 0 { Role::Client } else { Role::Server };
        let len = usize::from(head & 0x3F);
        let (piece, after) = if head & 0x40 == 0 { after.split_at(len.min(after.len())) } else { (&[][..], after) };
        pieces.push(match head & 0x40 {
            0 => Next::Bytes(role, piece),
            // Also such as no length covers.
            _ => Next::Gap(role, 1 << (len % 64)),
        });
        rest = after;
    }
    pieces.retain(|piece| !matches!(piece, Next::Bytes(_, [])));
    pieces
}

impl Plan {
    fn has_handshake(&self) -> bool {
        matches!(self.options & 3, 1 | 2)
    }

    /// What the handshake says of permessage-deflate.
    fn extension(&self) -> Option<&'static str> {
        match (self.options & 3, self.options & 4) {
            (2, 0) => Some("permessage-deflate"),
            (2, _) => Some("permessage-deflate; client_no_context_takeover; server_no_context_takeover"),
            _ => None,
        }
    }

    fn params(&self) -> Option<Params> {
        let answer = HeaderValue::from_static(self.extension()?);
        let response = HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, answer)]);
        verify(&response, &compression()).expect("a good answer")
    }

    /// A conversation that has come as far as the pieces begin, and how much each end has sent until then.
    fn conversation(&self) -> (Conversation, [u64; 2]) {
        if self.options & 3 == 3 {
            let deflate = (self.options & 8 != 0).then_some(Deflate::Joined);
            return (Conversation::joined(deflate), [0, 0]);
        }
        let mut conversation = Conversation::new();
        if !self.has_handshake() {
            return (conversation, [0, 0]);
        }
        let extension =
            self.extension().map(|value| format!("Sec-WebSocket-Extensions: {value}\r\n")).unwrap_or_default();
        let heads = [format!("{REQUEST}{extension}\r\n"), format!("{RESPONSE}{extension}\r\n")];
        for (role, head) in [Role::Client, Role::Server].into_iter().zip(&heads) {
            let records = conversation.push(role, Duration::ZERO, head.as_bytes());
            assert!(records.iter().all(|record| record.findings().is_empty()), "a good handshake");
        }
        (conversation, heads.map(|head| head.len() as u64))
    }

    fn records(&self, pieces: &[Next<'_>], cut: usize) -> Vec<Record> {
        let (mut conversation, _) = self.conversation();
        let mut records = Vec::new();
        for piece in pieces {
            match piece {
                Next::Bytes(role, bytes) => {
                    for bytes in bytes.chunks(cut) {
                        records.extend(conversation.push(*role, Duration::ZERO, bytes));
                    }
                }
                Next::Gap(role, bytes) => records.extend(conversation.skip(*role, Duration::ZERO, *bytes)),
            }
        }
        records.extend(conversation.finish());
        records
    }
}

fn run(plan: &Plan, pieces: &[Next<'_>]) {
    let whole = plan.records(pieces, usize::MAX);
    let cut = 1 + usize::from(plan.options >> 4);
    assert_eq!(plan.records(pieces, cut), whole, "in pieces of {cut} (left) and whole (right)");
    covered(plan, pieces, &whole);
    harmless(&whole);
    let has_gap = pieces.iter().any(|piece| matches!(piece, Next::Gap(..)));
    if plan.has_handshake() && !has_gap {
        for role in [Role::Client, Role::Server] {
            agrees_with_a_connection(plan, role, pieces, &whole);
        }
    }
    memory(plan, pieces);
}

/// The records of an end lie side by side. A gap has a record of its own, and stands in what goes on around it, too.
fn covered(plan: &Plan, pieces: &[Next<'_>], records: &[Record]) {
    let (_, mut sent) = plan.conversation();
    let begun = sent;
    for piece in pieces {
        match piece {
            Next::Bytes(role, bytes) => {
                let sent = &mut sent[usize::from(*role == Role::Server)];
                *sent = sent.saturating_add(bytes.len() as u64);
            }
            // Beyond 2^64 bytes nobody has sent anything.
            Next::Gap(role, bytes) => {
                let sent = &mut sent[usize::from(*role == Role::Server)];
                *sent = sent.saturating_add(*bytes);
            }
        }
    }
    for (role, (begun, sent)) in [Role::Client, Role::Server].into_iter().zip(begun.into_iter().zip(sent)) {
        let mut spans: Vec<_> = records
            .iter()
            .filter(|record| record.sender().role() == Some(role))
            .map(|record| record.offset()..record.offset().saturating_add(record.size()))
            .collect();
        spans.sort_by_key(|span| (span.start, span.end));
        let mut end = begun;
        for span in spans {
            assert!(span.start <= end, "bytes {end} to {} are in no record", span.start);
            end = end.max(span.end);
        }
        assert_eq!(end, sent, "the {role}");
    }
}

/// Whatever was sent, nothing of it acts on a terminal.
fn harmless(records: &[Record]) {
    // To show one takes longer than to find it.
    for record in records.iter().take(3) {
        let mut out = Vec::new();
        let options = render::text::Options { color: false, all: false };
        render::text::write(record, options, &mut out).expect("a Vec takes everything");
        render::json::write(record, &mut out).expect("a Vec takes everything");
        render::lines::write(record, false, &mut out).expect("a Vec takes everything");
        let shown = String::from_utf8(out).expect("text");
        assert!(!shown.chars().any(|character| character.is_control() && character != '\n'), "{shown}");
    }
}

fn compression() -> Compression {
    Compression::takeover().window_bits(15)
}

/// The other end accepts exactly what breaks no rule, and the same messages.
fn agrees_with_a_connection(plan: &Plan, sender: Role, pieces: &[Next<'_>], records: &[Record]) {
    // The dissector judges by no limits.
    let limits = Limits::default().message(usize::MAX).fragments(u32::MAX);
    let mut connection = match sender {
        Role::Client => Connection::server(limits),
        Role::Server => Connection::client(limits, MaskingKey::default),
    };
    if let Some(params) = plan.params() {
        connection = connection.with_compression(&compression(), params);
    }
    let (mut messages, mut error) = (Vec::new(), None);
    let sent = pieces.iter().filter_map(|piece| match piece {
        Next::Bytes(role, bytes) if *role == sender => Some(*bytes),
        _ => None,
    });
    // Byte by byte, as the dissector looks at compressed data.
    for byte in sent.flatten() {
        match connection.receive(&mut [*byte]).event {
            Some(Event::Message(message)) => messages.push(message.as_bytes().to_vec()),
            Some(Event::Failed(failed)) => error = error.or(Some(failed)),
            _ => {}
        }
    }
    let frames: Vec<_> =
        records.iter().filter_map(Record::frame).filter(|frame| frame.sender.role() == Some(sender)).collect();
    // In a header that is cut off a rule may be broken before a connection looks.
    let failed = frames.iter().find(|frame| matches!(frame.receiver, Receiver::Fails(_)) && frame.header.is_some());
    match (failed, error) {
        (None, None) => {}
        (Some(frame), Some(error)) => {
            assert_eq!(frame.receiver, Receiver::Fails(error.close_code()));
            let (Finding::Rule(rule) | Finding::InvalidUtf8 { rule, .. }) = &frame.findings[0] else {
                panic!("{} fails no connection", frame.findings[0]);
            };
            assert_eq!(error, Error::Violation(*rule));
        }
        (dissected, failed) => panic!("the dissector says {dissected:?}, the connection {failed:?}"),
    }
    let taken = frames.iter().filter(|frame| frame.receiver == Receiver::Takes);
    let taken: Vec<_> = taken.filter_map(|frame| frame.message_payload().map(<[u8]>::to_vec)).collect();
    assert_eq!(taken, messages, "the dissector's messages (left) and the connection's (right)");
}

/// Memory follows what has come, and what it inflates to.
fn memory(plan: &Plan, pieces: &[Next<'_>]) {
    const KEEP: usize = 1 << 12;
    let sent: usize = pieces.iter().map(|piece| if let Next::Bytes(_, bytes) = piece { bytes.len() } else { 0 }).sum();
    let (conversation, _) = plan.conversation();
    let mut conversation = conversation.keeping(KEEP);
    let cost = measure(|| {
        for piece in pieces {
            match piece {
                Next::Bytes(role, bytes) => drop(conversation.push(*role, Duration::ZERO, bytes)),
                Next::Gap(role, bytes) => drop(conversation.skip(*role, Duration::ZERO, *bytes)),
            }
        }
    });
    // A record is half a kilobyte, and a frame may have two bytes; zlib's states are 48 KB each.
    let most = 1024 * sent + 16 * KEEP + (512 << 10);
    assert!(cost.bytes_max <= most as u64, "{sent} bytes have come: {cost:?}");
    let _ = conversation.finish().iter().filter(|record| matches!(record.item, Item::Gap(_))).count();
}
