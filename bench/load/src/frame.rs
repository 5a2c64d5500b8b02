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
    let start = frame.len();
    frame.extend_from_slice(payload);
    mask(key, 0, &mut frame[start..]);
    frame
}

/// A frame as a server sends it.
pub fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0, payload.len());
    frame.extend_from_slice(payload);
    frame
}

fn header(first: u8, mask: u8, len: usize) -> Vec<u8> {
    let mut header = Vec::with_capacity(14);
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

/// A header as it came (§5.2), judged by those who ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// FIN, RSV1 to RSV3, the opcode.
    pub first: u8,
    pub key: Option<[u8; 4]>,
    /// Bytes of the payload.
    pub len: usize,
    /// Bytes of the header itself.
    pub size: usize,
}

impl Header {
    /// `None` if it is not whole yet.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let &[first, second, ..] = bytes else { return None };
        let (at, len) = match second & 0x7F {
            126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize),
            127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
            len => (2, len as usize),
        };
        if second & 0x80 == 0 {
            return Some(Self { first, key: None, len, size: at });
        }
        let key = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(Self { first, key: Some(key), len, size: at + 4 })
    }

    /// Whether the length takes as few bytes as it can.
    pub fn is_shortest(&self) -> bool {
        let mask = if self.key.is_some() { 4 } else { 0 };
        self.size == mask + header(self.first, 0, self.len).len()
    }
}

/// The first frame of what a server has sent: its first byte, and where its payload lies. `None` if it is not whole yet.
pub fn parse(bytes: &[u8]) -> Option<(u8, core::ops::Range<usize>)> {
    let Header { first, len, size, .. } = Header::parse(bytes)?;
    (bytes.len() >= size + len).then_some((first, size..size + len))
}

/// Masks or unmasks what lies `at` bytes into a payload (§5.3).
pub fn mask(mut key: [u8; 4], at: usize, bytes: &mut [u8]) {
    key.rotate_left(at % 4);
    let (words, rest) = bytes.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}
