//! What messages hold: reproducible, and different from one message to the next.

use columns::Payload;

/// After so many bytes a large payload repeats: what it is compared with stays in the cache. A prime number, so that no
/// two blocks or pages of it are the same.
pub const PERIOD: usize = 65_521;

/// Whether a payload of that size repeats.
pub fn repeats(size: usize) -> bool {
    size >= 8 * PERIOD
}

/// The payload of the message with that number, of exactly `size` bytes.
pub fn payload(kind: Payload, number: u64, size: usize) -> Vec<u8> {
    if repeats(size) {
        let mut bytes = block(kind, number, PERIOD).repeat(size / PERIOD);
        bytes.extend(block(kind, !number, size % PERIOD));
        return bytes;
    }
    block(kind, number, size)
}

fn block(kind: Payload, number: u64, size: usize) -> Vec<u8> {
    let mut random = Random::new(number);
    match kind {
        Payload::Binary => binary(&mut random, size),
        Payload::Text => text(&mut random, size),
        Payload::Json => json(&mut random, size),
    }
}

fn binary(random: &mut Random, size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// ASCII words and Chinese words of as many bytes in turn.
fn text(random: &mut Random, size: usize) -> Vec<u8> {
    const ASCII: [&str; 4] = ["socket", "frame, ", "message", "close."];
    const CHINESE: [&str; 8] = ["你好", "世界", "消息", "连接", "鲑鱼", "服务", "字节", "关闭"];
    let mut text = String::with_capacity(size + 16);
    let (mut ascii, mut chinese) = (0, 0);
    while text.len() < size {
        let word = if ascii <= chinese { *random.pick(&ASCII) } else { *random.pick(&CHINESE) };
        if text.len() + word.len() > size {
            text.push('.');
        } else if word.is_ascii() {
            ascii += word.len();
            text.push_str(word);
        } else {
            chinese += word.len();
            text.push_str(word);
        }
    }
    text.into_bytes()
}

/// Records as an API sends them: the same keys, changing values.
fn json(random: &mut Random, size: usize) -> Vec<u8> {
    const NAMES: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];
    const STATES: [&str; 4] = ["open", "closing", "closed", "connecting"];
    let mut text = String::from("[");
    while text.len() < size {
        let (id, level) = (random.next() % 1_000_000, random.next() % 10_000);
        let (name, state) = (random.pick(&NAMES), random.pick(&STATES));
        text.push_str(&format!(r#"{{"id":{id},"name":"{name}","state":"{state}","level":{level}}},"#));
    }
    text.truncate(size - 1);
    text.push(']');
    text.into_bytes()
}

/// xorshift64*: what arrives has to be told apart, not to be unguessable.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // Not 0, which would stay 0.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A masking key without a byte of 0: each byte of a payload has to be unmasked.
    pub fn masking_key(&mut self) -> [u8; 4] {
        ((self.next() >> 32) as u32 | 0x0101_0101).to_ne_bytes()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        // The upper half: the better bits.
        &from[(self.next() >> 32) as usize % from.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_the_size_it_should_is_utf8_and_half_chinese() {
        for size in [1, 2, 31, 32, 1024, 65_536, 1 << 20] {
            let bytes = payload(Payload::Text, 7, size);
            assert_eq!(bytes.len(), size);
            let text = core::str::from_utf8(&bytes).unwrap();
            let ascii = text.chars().filter(char::is_ascii).count();
            assert!(size < 1024 || ascii.abs_diff(size / 2) < size / 50, "{ascii} of {size} bytes are ASCII");
        }
    }

    #[test]
    fn large_payloads_repeat_up_to_their_tail() {
        let bytes = payload(Payload::Binary, 7, 1 << 20);
        assert_eq!(bytes.len(), 1 << 20);
        let tail = bytes.len() / PERIOD * PERIOD;
        assert!(bytes[..PERIOD].iter().cycle().zip(&bytes[..tail]).all(|(a, b)| a == b));
    }
}
