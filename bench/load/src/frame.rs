//! Frames (RFC 6455 §5.2): whole messages, made before anything is measured.

use columns::Payload;

pub const FIN: u8 = 0x80;
/// The message is compressed (RFC 7692 §6).
pub const RSV1: u8 = 0x40;

/// The opcode of such a message.
pub fn opcode(kind: Payload) -> u8 {
    match kind {
        Payload::Text | Payload::Json => 1,
        Payload::Binary => 2,
    }
}

/// A frame as a client sends it.
pub fn masked(first: u8, key: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0x80, payload.len());
    frame.extend_from_slice(&key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// A frame as a server sends it.
pub fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0, payload.len());
    frame.extend_from_slice(payload);
    frame
}

fn header(first: u8, mask: u8, len: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(14 + len);
    header.push(first);
    match len {
        0..=125 => header.push(mask | len as u8),
        126..=0xFFFF => {
            header.push(mask | 126);
            header.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            header.push(mask | 127);
            header.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    header
}

/// The first frame of what a server has sent: its first byte, and where its payload lies. `None` if it is not whole yet.
pub fn parse(bytes: &[u8]) -> Option<(u8, core::ops::Range<usize>)> {
    let (start, len) = match *bytes.get(1)? {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        len => (2, len as usize),
    };
    (bytes.len() >= start + len).then(|| (bytes[0], start..start + len))
}
