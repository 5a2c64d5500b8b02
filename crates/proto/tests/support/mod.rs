//! Words to tell stories with: what a peer sends, what comes of it.
#![allow(dead_code, reason = "most test programs use some of it, and some all: nothing to expect")]

use std::io::IoSlice;
use std::time::Instant;

use sockeye_proto::connection::Received;
use sockeye_proto::frame::{Header, Opcode, Parse};
use sockeye_proto::mask::{self, MaskingKey};
use sockeye_proto::{CloseReason, Connection, Event, Limits, Role, Violation};

/// The key every masked frame of these tests has: that of RFC 6455 §5.7.
pub(crate) const KEY: MaskingKey = MaskingKey::new([0x37, 0xfa, 0x21, 0x3d]);

/// A frame as `sender` sends it by the rules: with FIN or without, of the shortest length form.
pub(crate) fn frame(sender: Role, fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let key = sender.masks().then_some(KEY);
    let mut bytes = Header::new(fin, opcode, payload.len() as u64, key).encode().to_vec();
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    if let Some(key) = key {
        mask::apply(key, 0, &mut bytes[start..]);
    }
    bytes
}

/// A client's text message in one frame.
pub(crate) fn text(text: &str) -> Vec<u8> {
    frame(Role::Client, true, Opcode::TEXT, text.as_bytes())
}

/// A client's Close.
pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(Role::Client, true, Opcode::CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// A connection whose peer is `sender`.
pub(crate) fn facing(sender: Role, limits: Limits) -> Connection {
    match sender {
        Role::Client => Connection::server(limits),
        Role::Server => Connection::client(limits, || KEY),
    }
}

/// Gives a connection bytes in these pieces and returns all events.
pub(crate) fn receive<'a>(connection: &mut Connection, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let mut events = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut bytes = &mut piece[..];
        while !bytes.is_empty() {
            let Received { consumed, event, .. } = connection.receive(bytes);
            assert!(consumed > 0, "every call takes at least a byte");
            assert!(event.is_some() || consumed == bytes.len(), "without an event all is taken");
            events.extend(event);
            bytes = &mut bytes[consumed..];
        }
    }
    events
}

/// Takes all that a connection wants to send.
pub(crate) fn sent(connection: &mut Connection) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let mut slices = [IoSlice::new(&[]); 4];
        let count = connection.outgoing(&mut slices);
        if count == 0 {
            return bytes;
        }
        let piece: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
        connection.written(piece.len(), Instant::now);
        bytes.extend(piece);
    }
}

/// Takes apart what was sent: opcode and unmasked payload of each frame.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<(Opcode, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Parse::Complete(header) = Header::parse(bytes) {
        let end = header.size() + usize::try_from(header.payload_len()).unwrap();
        let mut payload = bytes[header.size()..end].to_vec();
        if let Some(key) = header.masking_key() {
            mask::apply(key, 0, &mut payload);
        }
        frames.push((header.opcode(), payload));
        bytes = &bytes[end..];
    }
    assert!(bytes.is_empty(), "a frame is cut off");
    frames
}

/// The Close frame that is the last of what was sent.
pub(crate) fn sent_close(connection: &mut Connection) -> CloseReason {
    let bytes = sent(connection);
    let (opcode, payload) = frames(&bytes).pop().expect("something was sent");
    assert_eq!(opcode, Opcode::CLOSE);
    CloseReason::parse(&payload).expect("what we send keeps the rules")
}

/// `sender` sends these bytes: the connection fails by this rule, and answers with its code, however they are cut.
pub(crate) fn is_refused(sender: Role, bytes: &[u8], violation: Violation) {
    for cut in 0..=bytes.len() {
        let mut connection = facing(sender, Limits::default());
        let (first, second) = bytes.split_at(cut);
        let events = receive(&mut connection, [first, second]);
        assert_eq!(events.last(), Some(&Event::Failed(violation.into())), "cut at {cut}");
        let answer = sent_close(&mut connection);
        assert_eq!(answer.code(), violation.close_code());
        assert!(answer.reason().contains(violation.section()), "{answer} names the section");
        // Whatever follows is discarded.
        assert_eq!(receive(&mut connection, [&frame(sender, true, Opcode::TEXT, b"more")[..]]), []);
        assert_eq!(sent(&mut connection), []);
    }
}
