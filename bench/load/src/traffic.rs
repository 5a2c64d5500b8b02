//! All that goes over a connection, both ways, as bytes that repeat: sending is a slice of one buffer, verifying is a
//! comparison with another.

use columns::{Column, Task};

use crate::answers::Answers;
use crate::arriving::Expected;
use crate::frame::{self, FIN};
use crate::payload::{Random, payload};

/// A cycle of different messages of one size.
pub struct Traffic {
    pub messages: usize,
    /// Bytes of a message on its way out.
    pub frame: usize,
    /// One cycle and a window more, so that a window that begins anywhere in the cycle is one slice.
    frames: Vec<u8>,
    pub expected: Expected,
}

impl Traffic {
    /// `raw` servers know no frames: they return the very bytes they were sent.
    pub fn new(column: &Column, raw: bool) -> Self {
        // Enough to tell a stale message from the next, few enough to stay in the cache of the load generator.
        let messages = (256 * 1024 / column.size).clamp(2, 64);
        let first = FIN | frame::opcode(column.payload);
        let mut keys = Random::new(!0);
        let to_client = column.task == Task::Client;
        let (mut frames, mut answers, mut payloads) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..messages {
            let payload = payload(column.payload, number as u64, column.size);
            let (masked, unmasked) =
                (frame::masked(first, keys.masking_key(), &payload), frame::unmasked(first, &payload));
            frames.extend_from_slice(if to_client { &unmasked } else { &masked });
            answers.push(if raw { masked } else { unmasked });
            payloads.push(payload);
        }
        let frame = frames.len() / messages;
        for at in 0..column.window {
            frames.extend_from_within(at * frame..(at + 1) * frame);
        }
        let expected = if to_client || (column.task == Task::Stream && !raw) {
            let payloads = Answers::new(payloads, column.size, false);
            Expected::Framed { payloads, opcode: frame::opcode(column.payload), masked: to_client }
        } else {
            Expected::Known(Answers::new(answers, column.size, raw))
        };
        Self { messages, frame, frames, expected }
    }

    /// The bytes to send from a place in the cycle.
    pub fn frames(&self, at: usize, len: usize) -> &[u8] {
        &self.frames[at..at + len]
    }

    /// Where the cycle of frames stands `len` bytes later.
    pub fn frames_after(&self, at: usize, len: usize) -> usize {
        (at + len) % (self.messages * self.frame)
    }
}
