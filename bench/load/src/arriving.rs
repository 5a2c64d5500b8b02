//! How far a connection has got with what comes back.

use std::error::Error;

use crate::answers::Answers;
use crate::framed::Framed;

/// What has to come back.
pub enum Expected {
    /// Answers of which every byte is known.
    Known(Answers),
    /// Messages with these payloads, whatever their frames are: masked by a client with keys of its own, or fragmented.
    Framed { payloads: Answers, opcode: u8, masked: bool },
}

pub enum Arriving {
    /// The place in the cycle of answers, and how many bytes are missing there.
    Known {
        at: usize,
        missing: usize,
    },
    Framed(Framed),
}

impl Arriving {
    /// Begins with the message of that number.
    pub fn new(expected: &Expected, message: usize) -> Self {
        match expected {
            Expected::Known(answers) => Self::Known { at: message * answers.len, missing: 0 },
            Expected::Framed { payloads, .. } => Self::Framed(Framed::new(message * payloads.len)),
        }
    }

    /// Awaits some more messages.
    pub fn expect(&mut self, messages: usize, expected: &Expected) {
        match (self, expected) {
            (Self::Known { missing, .. }, Expected::Known(answers)) => *missing += messages * answers.len,
            (Self::Framed(framed), _) => framed.missing += messages,
            (Self::Known { .. }, Expected::Framed { .. }) => unreachable!("it was made for what is expected"),
        }
    }

    /// Verifies what has come, and returns how many messages that completes. Unmasks it where it lies.
    pub fn take(&mut self, bytes: &mut [u8], expected: &Expected) -> Result<usize, Box<dyn Error>> {
        match (self, expected) {
            (Self::Known { at, missing }, Expected::Known(answers)) => {
                let before = missing.div_ceil(answers.len);
                *at = answers.verify(*at, bytes)?;
                *missing = missing.checked_sub(bytes.len()).ok_or("more bytes came back than were asked for")?;
                Ok(before - missing.div_ceil(answers.len))
            }
            (Self::Framed(framed), Expected::Framed { payloads, opcode, masked }) => {
                framed.take(bytes, payloads, *opcode, *masked)
            }
            _ => unreachable!("it was made for what is expected"),
        }
    }
}
