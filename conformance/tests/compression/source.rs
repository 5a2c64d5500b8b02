//! Messages to compress.

use sockeye::Message;

/// References reach this far, so beyond the largest window, which is 32 KiB.
const REACH: usize = 40_000;

/// Random messages which repeat themselves across every distance; the same from the same seed.
pub(super) struct Source {
    state: u64,
    past: Vec<u8>,
}

impl Source {
    pub(super) fn new(seed: u64) -> Self {
        // Any state but 0.
        Self { state: seed ^ 0x9e37_79b9_7f4a_7c15, past: b"in the beginning".to_vec() }
    }

    /// Text or binary data of 0 to 16 KiB, mostly short.
    pub(super) fn message(&mut self) -> Message {
        let bits = self.below(15);
        let size = self.below(1 << bits);
        if self.below(2) == 0 { self.text(size).into() } else { self.bytes(size).into() }
    }

    pub(super) fn bytes(&mut self, size: usize) -> Vec<u8> {
        let start = self.past.len();
        while self.past.len() < start + size {
            if self.below(10) < 7 {
                // As many short distances as long ones, counted in bits.
                let bits = self.below(17);
                let distance = (1 + self.below(1 << bits)).min(REACH).min(self.past.len());
                let at = self.past.len() - distance;
                let end = (at + 3 + self.below(298)).min(self.past.len());
                self.past.extend_from_within(at..end);
            } else {
                for _ in 0..=self.below(40) {
                    let byte = self.next().to_le_bytes()[7];
                    self.past.push(byte);
                }
            }
        }
        let made = self.past[start..start + size].to_vec();
        self.past.drain(..self.past.len().saturating_sub(REACH));
        made
    }

    /// A text of exactly so many bytes. Equal bytes become equal characters, of each length that UTF-8 has.
    pub(super) fn text(&mut self, size: usize) -> String {
        let mut text = String::with_capacity(size);
        for byte in self.bytes(size) {
            let code = u32::from(byte);
            let code = match byte {
                0..192 => 0x20 + code % 95,
                192..216 => 0xC0 + code,
                216..248 => 0x4E00 + code,
                248.. => 0x1_F500 + code,
            };
            let character = char::from_u32(code).expect("none of these is a surrogate");
            if text.len() + character.len_utf8() > size {
                break;
            }
            text.push(character);
        }
        text.extend(core::iter::repeat_n('x', size - text.len()));
        text
    }

    /// A number below this one.
    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("usize has at most 64 bits");
        usize::try_from(self.next() % limit).expect("below a usize")
    }

    /// xorshift64*: Marsaglia 2003, Vigna 2016.
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
