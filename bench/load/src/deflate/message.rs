//! Messages compressed in advance, and the way back.

use std::error::Error;

use columns::Column;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use crate::frame::{self, FIN, RSV1};
use crate::payload::{Random, payload};

/// What a compressed message ends with, and what is left out on the wire (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];
const MESSAGES: u64 = 64;

pub struct Message {
    pub payload: Vec<u8>,
    pub frame: Vec<u8>,
}

/// The messages of a column, each compressed by itself.
pub fn messages(column: &Column) -> Result<Vec<Message>, Box<dyn Error>> {
    let first = FIN | RSV1 | frame::opcode(column.payload);
    let mut keys = Random::new(!0);
    let mut messages = Vec::new();
    for number in 0..MESSAGES {
        let payload = payload(column.payload, number, column.size);
        messages.push(Message { frame: frame::masked(first, keys.masking_key(), &deflate(&payload)?), payload });
    }
    Ok(messages)
}

fn deflate(message: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut compressed = Vec::with_capacity(message.len() + 64);
    Compress::new(Compression::default(), false).compress_vec(message, &mut compressed, FlushCompress::Sync)?;
    let len = compressed.len().checked_sub(TAIL.len()).ok_or("no flush")?;
    if compressed.split_off(len) != TAIL {
        return Err("the flush does not end as it must".into());
    }
    Ok(compressed)
}

/// What one connection's answers are inflated with, all in their order.
pub struct Inflate {
    state: Decompress,
    takeover: bool,
}

impl Inflate {
    pub fn new(takeover: bool) -> Self {
        Self { state: Decompress::new(false), takeover }
    }

    pub fn message(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
        if !self.takeover {
            self.state.reset(false);
        }
        let mut message = Vec::with_capacity(16 * 1024);
        for part in [bytes, &TAIL] {
            self.state.decompress_vec(part, &mut message, FlushDecompress::Sync)?;
        }
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_deflated_inflates_to_itself() {
        let column = Column::named("deflate").unwrap();
        let mut inflate = Inflate::new(false);
        for message in messages(column).unwrap() {
            let compressed = deflate(&message.payload).unwrap();
            assert!(compressed.len() < message.payload.len() / 2);
            assert_eq!(inflate.message(&compressed).unwrap(), message.payload);
        }
    }
}
