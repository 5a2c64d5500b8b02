//! Masking (RFC 6455 §5.3): byte `i` of the payload is combined by XOR with byte `i mod 4` of the key.

#[cfg(target_arch = "x86_64")]
mod x86;

use core::fmt;

/// The four bytes a client draws at random for each frame and masks its payload with.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct MaskingKey {
    /// The four bytes as they lie in memory.
    word: u32,
}

impl MaskingKey {
    /// Four zero bytes, under which masking changes nothing.
    pub const ZERO: Self = Self::new([0; 4]);

    /// A key from its bytes, in the order they have on the wire.
    #[must_use]
    pub const fn new(bytes: [u8; 4]) -> Self {
        Self { word: u32::from_ne_bytes(bytes) }
    }

    /// The key's bytes, in the order they have on the wire.
    #[must_use]
    pub const fn bytes(self) -> [u8; 4] {
        self.word.to_ne_bytes()
    }

    /// The key as it stands for a payload's byte number `offset` and those after it.
    #[must_use]
    pub const fn rotated(self, offset: u64) -> Self {
        let bits = 8 * (offset % 4) as u32;
        // The byte at the lowest address is the first.
        let word =
            if cfg!(target_endian = "little") { self.word.rotate_right(bits) } else { self.word.rotate_left(bits) };
        Self { word }
    }
}

impl fmt::Debug for MaskingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.bytes();
        write!(f, "MaskingKey({a:02x} {b:02x} {c:02x} {d:02x})")
    }
}

/// Masks or unmasks a part of a payload in place; XOR is its own inverse.
///
/// `offset` is the part's distance in bytes from the payload's beginning, so that a payload may be worked on in the
/// pieces it arrives in.
///
/// ```
/// use sockeye_proto::mask::{self, MaskingKey};
///
/// let key = MaskingKey::new([0x37, 0xfa, 0x21, 0x3d]); // the example of §5.7
/// let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
/// let (first, second) = payload.split_at_mut(3);
/// mask::apply(key, 0, first);
/// mask::apply(key, 3, second);
/// assert_eq!(&payload, b"Hello");
/// ```
#[inline]
pub fn apply(key: MaskingKey, offset: u64, bytes: &mut [u8]) {
    let key = key.rotated(offset);
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= WIDE {
        return x86::xor(key, bytes);
    }
    xor(key, bytes);
}

/// Whether a masked payload is ASCII, without unmasking it.
#[inline]
pub(crate) fn hides_ascii(key: MaskingKey, bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<4>();
    let seen = words.iter().fold(0, |seen, bytes| seen | (u32::from_ne_bytes(*bytes) ^ key.word));
    let rest = rest.iter().zip(key.bytes()).fold(0, |seen, (byte, key)| seen | (byte ^ key));
    seen & 0x8080_8080 == 0 && rest.is_ascii()
}

/// From this length on the wider instructions are worth the look at what the processor has.
#[cfg(target_arch = "x86_64")]
const WIDE: usize = 64;

/// The one loop. It is compiled as it stands, and again in [`x86`] for wider registers.
#[inline(always)]
fn xor(key: MaskingKey, bytes: &mut [u8]) {
    let key = key.word;
    let word = u64::from(key) << 32 | u64::from(key);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    let (half, rest) = rest.as_chunks_mut::<4>();
    for bytes in half {
        *bytes = (u32::from_ne_bytes(*bytes) ^ key).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.to_ne_bytes()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Byte `i` with key byte `i mod 4`, as the RFC has it.
    fn one_by_one(key: MaskingKey, offset: usize, bytes: &mut [u8]) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte ^= key.bytes()[(offset + i) % 4];
        }
    }

    #[test]
    fn every_length_phase_and_alignment_equals_the_byte_loop() {
        const LONGEST: usize = (4 << 10) + 100;
        let key = MaskingKey::new([0x37, 0xfa, 0x21, 0x3d]);
        let plain: Vec<u8> = (0..LONGEST + 64).map(|i| u8::try_from(i * 31 % 251).unwrap()).collect();

        for phase in 0..4 {
            let mut masked = plain.clone();
            for alignment in 0..64 {
                // What the byte loop makes of the longest payload, the shorter ones share from its start.
                let mut expected = plain[alignment..].to_vec();
                one_by_one(key, phase, &mut expected);
                for len in 0..=LONGEST {
                    let end = alignment + len;
                    apply(key, phase as u64, &mut masked[alignment..end]);
                    assert!(masked[alignment..end] == expected[..len], "{len} bytes, phase {phase}, at {alignment}");
                    assert!(
                        masked[..alignment] == plain[..alignment] && masked[end..] == plain[end..],
                        "wrote outside"
                    );
                    masked[alignment..end].copy_from_slice(&plain[alignment..end]);
                }
            }
        }
    }

    #[test]
    fn ascii_is_seen_through_the_mask_and_any_other_byte_wherever_it_stands() {
        let key = MaskingKey::new([0x37, 0xfa, 0x21, 0xbd]);
        for len in 0..=64 {
            let mut bytes = vec![0x7f; len];
            apply(key, 0, &mut bytes);
            assert!(hides_ascii(key, &bytes), "{len} bytes");
            for at in 0..len {
                bytes[at] ^= 0x80;
                assert!(!hides_ascii(key, &bytes), "byte {at} of {len}");
                bytes[at] ^= 0x80;
            }
        }
    }
}
