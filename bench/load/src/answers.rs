//! What has to come back, in a form that costs little to compare with.

use crate::payload::{PERIOD, repeats};

/// A cycle of answers of one length.
pub struct Answers {
    /// Bytes of each.
    pub len: usize,
    count: usize,
    form: Form,
}

enum Form {
    /// All of the cycle.
    Whole(Vec<u8>),
    /// Of large answers only what does not repeat: the second level of the cache has room for it.
    Repeating(Vec<Repeating>),
}

/// `head`, then `block` again and again until `tail` is left.
struct Repeating {
    head: Vec<u8>,
    block: Vec<u8>,
    tail: Vec<u8>,
}

impl Answers {
    /// `size` is that of a payload. A raw answer is masked: it repeats when both the payload and the key do.
    pub fn new(answers: Vec<Vec<u8>>, size: usize, raw: bool) -> Self {
        let (len, count) = (answers[0].len(), answers.len());
        let period = if raw { 4 * PERIOD } else { PERIOD };
        let form = if repeats(size) {
            Form::Repeating(answers.iter().map(|answer| Repeating::new(answer, size, period)).collect())
        } else {
            Form::Whole(answers.concat())
        };
        Self { len, count, form }
    }

    /// Compares what has arrived with what has to, from a place in the cycle on; returns the place after it.
    pub fn verify(&self, mut at: usize, mut arrived: &[u8]) -> Result<usize, Mismatch> {
        while !arrived.is_empty() {
            let expected = self.from(at);
            let len = expected.len().min(arrived.len());
            if arrived[..len] != expected[..len] {
                let offset = at + arrived.iter().zip(expected).take_while(|(a, b)| a == b).count();
                return Err(Mismatch { message: offset / self.len, byte: offset % self.len });
            }
            arrived = &arrived[len..];
            at = (at + len) % (self.len * self.count);
        }
        Ok(at)
    }

    /// The bytes from a place in the cycle on, as many as lie together.
    fn from(&self, at: usize) -> &[u8] {
        match &self.form {
            Form::Whole(bytes) => &bytes[at..],
            Form::Repeating(answers) => answers[at / self.len].from(at % self.len, self.len),
        }
    }
}

impl Repeating {
    fn new(answer: &[u8], size: usize, period: usize) -> Self {
        let (head, payload) = answer.split_at(answer.len() - size);
        let (blocks, tail) = payload.split_at(size / period * period);
        Self { head: head.to_vec(), block: blocks[..period].to_vec(), tail: tail.to_vec() }
    }

    fn from(&self, at: usize, len: usize) -> &[u8] {
        let Some(past_head) = at.checked_sub(self.head.len()) else { return &self.head[at..] };
        match at.checked_sub(len - self.tail.len()) {
            Some(past_blocks) => &self.tail[past_blocks..],
            None => &self.block[past_head % self.block.len()..],
        }
    }
}

/// An answer that is not what was sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Mismatch {
    message: usize,
    byte: usize,
}

impl core::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the answer to message {} of the cycle differs at byte {} of its frame", self.message, self.byte)
    }
}

impl core::error::Error for Mismatch {}

#[cfg(test)]
mod tests {
    use columns::Payload;

    use super::*;
    use crate::frame;
    use crate::payload::payload;

    /// The answers as they come, and what they are compared with.
    fn answers(size: usize, raw: bool) -> (Vec<u8>, Answers) {
        let answer = |number| {
            let payload = payload(Payload::Text, number, size);
            if raw { frame::masked(0x81, [1, 2, 3, 4], &payload) } else { frame::unmasked(0x81, &payload) }
        };
        let each: Vec<Vec<u8>> = (0..3).map(answer).collect();
        (each.concat(), Answers::new(each, size, raw))
    }

    #[test]
    fn what_should_come_is_right_however_it_is_cut() {
        for (size, raw) in [(1, false), (32, true), (70_000, false), (1 << 20, false), (1 << 20, true)] {
            let (bytes, answers) = answers(size, raw);
            for cut in [1 + size / 3, 7919, 262_144] {
                let end = bytes.chunks(cut).try_fold(0, |at, chunk| answers.verify(at, chunk));
                assert_eq!(end, Ok(0), "{size} bytes, in pieces of {cut}");
            }
        }
    }

    #[test]
    fn a_byte_that_is_wrong_is_found_wherever_it_is() {
        for (size, raw) in [(32, false), (1 << 20, false), (1 << 20, true)] {
            let (mut bytes, answers) = answers(size, raw);
            for at in (0..bytes.len()).step_by(1 + bytes.len() / 101) {
                bytes[at] ^= 0x10;
                let mismatch = Mismatch { message: at / answers.len, byte: at % answers.len };
                assert_eq!(answers.verify(0, &bytes), Err(mismatch));
                bytes[at] ^= 0x10;
            }
        }
    }
}
