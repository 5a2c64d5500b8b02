//! Randomness, from the system's cryptographically secure generator, drawn in blocks: a system call for each masking key
//! would cost more than the frame it masks.
//!
//! RFC 6455 §10.3: "The masking key needs to be unpredictable".

use core::cell::RefCell;

use sockeye_proto::mask::MaskingKey;

const BLOCK: usize = 1024;

struct Block {
    bytes: [u8; BLOCK],
    /// How many of the bytes have been given out.
    used: usize,
}

thread_local! {
    static RANDOM: RefCell<Block> = const { RefCell::new(Block { bytes: [0; BLOCK], used: BLOCK }) };
}

/// Bytes that were never given out before.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    RANDOM.with_borrow_mut(|block| {
        if block.used + N > BLOCK {
            // Without randomness a client cannot mask, and must not send.
            getrandom::fill(&mut block.bytes).expect("the system gives random bytes");
            block.used = 0;
        }
        let drawn = &mut block.bytes[block.used..block.used + N];
        block.used += N;
        let bytes = (&*drawn).try_into().expect("it has N bytes");
        drawn.fill(0);
        bytes
    })
}

/// A fresh key for one frame.
pub(crate) fn masking_key() -> MaskingKey {
    MaskingKey::new(bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_million_keys_are_fresh_and_evenly_spread() {
        const KEYS: usize = 1_000_000;
        let mut seen = HashSet::with_capacity(KEYS);
        let mut counts = [[0u32; 256]; 4];
        for _ in 0..KEYS {
            let key = masking_key().bytes();
            seen.insert(key);
            for (count, byte) in counts.iter_mut().zip(key) {
                count[usize::from(byte)] += 1;
            }
        }
        // By chance about n²/2³³ = 116 of a million keys meet again; 250 would be 12 standard deviations away.
        assert!(KEYS - seen.len() < 250, "{} keys came twice", KEYS - seen.len());
        // Chi-square over 255 degrees of freedom: above 400 by chance once in 10⁸ runs.
        for count in counts {
            let expected = KEYS as f64 / 256.0;
            let chi: f64 = count.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
            assert!(chi < 400.0, "chi-square {chi}");
        }
    }
}
