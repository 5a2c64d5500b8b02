//! Any bytes, as a compressed stream: whatever a peer sends, and however it is cut, the same messages come of it, within
//! the limit and within bounds of memory.
//!
//! ```text
//! byte 0   bit 0: who sends (0: a client, 1: a server)   bit 1: context takeover   bits 2–3: limit on messages
//!          bit 4: the rest is frames; else it is the payload of one compressed message, in fragments
//! byte 1   how many bytes come at a time, and how many a fragment has
//! rest     what the peer sends
//! ```
#![no_main]

use allocation_counter::measure;
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use sockeye_proto::deflate::{Compression, verify};
use sockeye_proto::frame::{Header, Opcode};
use sockeye_proto::mask::MaskingKey;
use sockeye_proto::{Connection, Error, Event, Limits, Role};

fuzz_target!(|input: &[u8]| {
    let Some((&[options, size], sent)) = input.split_first_chunk() else { return };
    let sender = if options & 1 == 0 { Role::Client } else { Role::Server };
    let limit = [1 << 20, 0, 125, 40_000][usize::from(options >> 2 & 3)];
    let size = usize::from(size).max(1);
    let sent = if options & 0x10 != 0 { sent.to_vec() } else { fragments(sender, sent, size) };

    let connect = || connection(sender, options & 2 != 0, limit);
    let whole = receive(connect(), &sent, sent.len().max(1));
    let mut pieces = Vec::new();
    let counted = measure(|| pieces = receive(connect(), &sent, size));
    assert_eq!(verdicts(&whole), verdicts(&pieces), "in one piece (left) and in pieces (right)");
    for event in &whole {
        if let Event::Message(message) = event {
            assert!(message.len() <= limit);
            assert!(message.as_text().is_none_or(|text| core::str::from_utf8(text.as_bytes()).is_ok()));
        }
    }
    // All messages are kept here; besides them there is the message that is being put together, the state to inflate
    // with and a step of output.
    let kept: usize =
        whole.iter().map(|event| if let Event::Message(message) = event { message.len() } else { 0 }).sum();
    let most = 3 * kept + limit + 8 * sent.len() + (256 << 10);
    assert!(counted.bytes_max <= most as u64, "{} bytes for {} that came", counted.bytes_max, sent.len());
});

/// One compressed text message with this payload, in frames of this size.
fn fragments(sender: Role, payload: &[u8], size: usize) -> Vec<u8> {
    let key = sender.masks().then_some(MaskingKey::ZERO);
    let parts: Vec<_> = payload.chunks(size).collect();
    let last = parts.len().max(1) - 1;
    let mut bytes = Vec::new();
    for i in 0..=last {
        let part = parts.get(i).copied().unwrap_or_default();
        let header = |opcode| Header::new(i == last, opcode, part.len() as u64, key);
        let header = if i == 0 { header(Opcode::TEXT).compressed() } else { header(Opcode::CONTINUATION) };
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(part);
    }
    bytes
}

fn connection(sender: Role, takeover: bool, limit: usize) -> Connection {
    let answer = match takeover {
        true => "permessage-deflate",
        false => "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    };
    let headers = HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(answer))]);
    let compression = Compression::takeover().window_bits(15);
    let params = verify(&headers, &compression).expect("a good answer").expect("it agrees");
    let limits = Limits::default().message(limit);
    let connection = match sender {
        Role::Client => Connection::server(limits),
        Role::Server => Connection::client(limits, || MaskingKey::ZERO),
    };
    connection.with_compression(&compression, params)
}

fn receive(mut connection: Connection, sent: &[u8], size: usize) -> Vec<Event> {
    let mut events = Vec::new();
    for piece in sent.to_vec().chunks_mut(size) {
        let mut bytes = piece;
        while !bytes.is_empty() {
            let received = connection.receive(bytes);
            assert!(received.consumed > 0, "every call takes at least a byte");
            events.extend(received.event);
            bytes = &mut bytes[received.consumed..];
        }
    }
    events
}

/// The events, with the end told by its code alone: where text is bad and the data behind it corrupt, the cut decides
/// which is seen first. Both are 1007. So it is with a limit, which is judged once for each step.
fn verdicts(events: &[Event]) -> Vec<Result<Event, u16>> {
    let code = |error: &Error| match error.close_code().as_u16() {
        1009 => 1007,
        code => code,
    };
    events
        .iter()
        .map(|event| if let Event::Failed(error) = event { Err(code(error)) } else { Ok(event.clone()) })
        .collect()
}
