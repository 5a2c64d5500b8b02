//! Messages of which the payloads are known and the frames are not.

use std::error::Error;

use crate::answers::Answers;
use crate::frame::{FIN, Header, mask};

pub struct Framed {
    /// Messages that are due, the one that has begun included.
    pub missing: usize,
    /// The place in the cycle of payloads.
    at: usize,
    /// Of a message that has begun: the bytes of its payload that have come.
    begun: Option<usize>,
    /// The header of a frame, as far as it has come.
    head: Vec<u8>,
    frame: Option<Frame>,
    last_key: Option<[u8; 4]>,
    same_keys: usize,
}

/// A frame whose header is there.
struct Frame {
    header: Header,
    /// Bytes of its payload that have come.
    come: usize,
}

impl Framed {
    /// Begins at a place in the cycle of payloads.
    pub fn new(at: usize) -> Self {
        Self { missing: 0, at, begun: None, head: Vec::new(), frame: None, last_key: None, same_keys: 0 }
    }

    /// Verifies what has come, and returns how many messages that completes.
    pub fn take(
        &mut self,
        mut bytes: &mut [u8],
        payloads: &Answers,
        opcode: u8,
        masked: bool,
    ) -> Result<usize, Box<dyn Error>> {
        let mut completed = 0;
        while !bytes.is_empty() {
            match &mut self.frame {
                None => {
                    let (byte, rest) = bytes.split_first_mut().expect("it is not empty");
                    (bytes, self.frame) = (rest, self.header(*byte, payloads.len, opcode, masked)?);
                }
                Some(frame) => {
                    let (piece, rest) = bytes.split_at_mut(bytes.len().min(frame.header.len - frame.come));
                    if let Some(key) = frame.header.key {
                        mask(key, frame.come, piece);
                    }
                    self.at = payloads.verify(self.at, piece)?;
                    frame.come += piece.len();
                    bytes = rest;
                }
            }
            completed += usize::from(self.ends(payloads.len)?);
        }
        Ok(completed)
    }

    /// Takes one more byte of a header; judges it when it is whole.
    fn header(&mut self, byte: u8, size: usize, opcode: u8, masked: bool) -> Result<Option<Frame>, Box<dyn Error>> {
        self.head.push(byte);
        let Some(header) = Header::parse(&self.head) else { return Ok(None) };
        self.head.clear();
        let opcode = if self.begun.is_some() { 0 } else { opcode };
        if header.first & !FIN != opcode {
            return Err(format!("a frame begins with {:#04x}, opcode {opcode} is due", header.first).into());
        }
        if header.key.is_some() != masked || !header.is_shortest() {
            return Err(format!("{header:?} is no header that may come here").into());
        }
        if self.missing == 0 || self.begun.unwrap_or(0) + header.len > size {
            return Err("more came back than was asked for".into());
        }
        // Twice by chance: once in 2^32 messages. Three times: never.
        self.same_keys = if masked && self.last_key == header.key { self.same_keys + 1 } else { 0 };
        if self.same_keys == 2 {
            return Err("the masking key is always the same (RFC 6455 §5.3)".into());
        }
        self.last_key = header.key;
        Ok(Some(Frame { header, come: 0 }))
    }

    /// Whether a message is at its end, once its last frame is.
    fn ends(&mut self, size: usize) -> Result<bool, Box<dyn Error>> {
        let Some(frame) = self.frame.take_if(|frame| frame.come == frame.header.len) else { return Ok(false) };
        let begun = self.begun.take().unwrap_or(0) + frame.header.len;
        if frame.header.first & FIN == 0 {
            self.begun = Some(begun);
            return Ok(false);
        }
        if begun != size {
            return Err(format!("a message ends after {begun} bytes of {size}").into());
        }
        self.missing -= 1;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;

    const KEYS: [[u8; 4]; 3] = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 8, 7, 6]];

    fn payloads() -> Vec<Vec<u8>> {
        (0..3).map(|number| (0..100).map(|byte| byte + 7 * number).collect()).collect()
    }

    /// Verifies three binary messages of 100 bytes, given in pieces.
    fn take(bytes: &[u8], cut: usize, masked: bool) -> Result<usize, String> {
        let answers = Answers::new(payloads(), 100, false);
        let mut framed = Framed { missing: 3, ..Framed::new(0) };
        let mut bytes = bytes.to_vec();
        let completed = bytes.chunks_mut(cut).map(|piece| framed.take(piece, &answers, 2, masked));
        completed.sum::<Result<usize, _>>().map_err(|error| error.to_string())
    }

    fn masked(keys: [[u8; 4]; 3]) -> Vec<u8> {
        payloads().iter().zip(keys).flat_map(|(payload, key)| frame::masked(0x82, key, payload)).collect()
    }

    #[test]
    fn masked_messages_are_unmasked_and_compared_however_they_are_cut() {
        for cut in 1..320 {
            assert_eq!(take(&masked(KEYS), cut, true), Ok(3), "in pieces of {cut}");
        }
    }

    #[test]
    fn fragments_are_one_message_an_empty_last_one_included() {
        let fragmented = |payload: &Vec<u8>| {
            [(0x02, 0..33), (0x00, 33..100), (0x80, 0..0)]
                .map(|(first, range)| frame::unmasked(first, &payload[range]))
                .concat()
        };
        let bytes: Vec<u8> = payloads().iter().flat_map(fragmented).collect();
        for cut in 1..320 {
            assert_eq!(take(&bytes, cut, false), Ok(3), "in pieces of {cut}");
        }
    }

    #[test]
    fn each_wrong_byte_is_found() {
        let bytes = masked(KEYS);
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 0x10;
            assert_ne!(take(&wrong, 7, true), Ok(3), "byte {at}");
        }
    }

    #[test]
    fn what_breaks_the_rules_is_no_answer() {
        let whole: Vec<u8> = payloads().iter().flat_map(|payload| frame::unmasked(0x82, payload)).collect();
        assert_eq!(take(&whole, 50, false), Ok(3));
        assert!(take(&whole, 50, true).is_err(), "a client has to mask");
        assert!(take(&masked(KEYS), 50, false).is_err(), "a server must not");
        assert!(take(&masked([KEYS[0]; 3]), 50, true).unwrap_err().contains("masking key"));
        assert!(take(&whole.repeat(2), 50, false).unwrap_err().contains("more came back"));
        assert!(take(&frame::unmasked(0x82, &payloads()[0][..99]), 50, false).unwrap_err().contains("ends after 99"));
        let text = frame::unmasked(0x81, &payloads()[0]);
        assert!(take(&text, 50, false).unwrap_err().contains("opcode 2 is due"));
    }
}
