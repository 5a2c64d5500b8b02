//! The masking loop, compiled for wider registers than every x86-64 processor has.
//!
//! One of the crate's three doors to `unsafe`: calling a function that is compiled for AVX2 or AVX-512 is sound only where
//! the processor has it, and the dispatch below has just asked. The loop itself is the safe one next door; the compiler
//! makes 32- or 64-byte steps of it.
#![expect(unsafe_code, reason = "target_feature functions, called after detection")]

use super::MaskingKey;

/// From this length on it pays to begin where a line of the cache does: a step across two lines is two.
const LONG: usize = 4 << 10;
const LINE: usize = 64;

pub(super) fn xor(key: MaskingKey, bytes: &mut [u8]) {
    if bytes.len() < LONG { xor_widest(key, bytes) } else { xor_lines(key, bytes) }
}

#[inline(never)]
fn xor_lines(key: MaskingKey, bytes: &mut [u8]) {
    let (head, lines) = bytes.split_at_mut(bytes.as_ptr().align_offset(LINE).min(bytes.len()));
    super::xor(key, head);
    xor_widest(key.rotated(head.len() as u64), lines);
}

#[inline]
fn xor_widest(key: MaskingKey, bytes: &mut [u8]) {
    if std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512bw") {
        // SAFETY: the line above has found AVX-512F and AVX-512BW in this processor.
        unsafe { xor_avx512(key, bytes) }
    } else if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the line above has found AVX2 in this processor.
        unsafe { xor_avx2(key, bytes) }
    } else {
        super::xor(key, bytes);
    }
}

#[target_feature(enable = "avx2")]
fn xor_avx2(key: MaskingKey, bytes: &mut [u8]) {
    super::xor(key, bytes);
}

#[target_feature(enable = "avx512f,avx512bw")]
fn xor_avx512(key: MaskingKey, bytes: &mut [u8]) {
    super::xor(key, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `apply` only ever takes the widest path; here each that this processor has meets the same bytes.
    #[test]
    fn each_instruction_set_masks_alike() {
        let key = MaskingKey::new([0x37, 0xfa, 0x21, 0x3d]);
        for len in 0..=1024 {
            let plain: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let mut expected = plain.clone();
            super::super::xor(key, &mut expected);
            if std::is_x86_feature_detected!("avx2") {
                let mut masked = plain.clone();
                // SAFETY: AVX2 was found one line above.
                unsafe { xor_avx2(key, &mut masked) };
                assert_eq!(masked, expected);
            }
            if std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512bw") {
                let mut masked = plain.clone();
                // SAFETY: AVX-512F and AVX-512BW were found one line above.
                unsafe { xor_avx512(key, &mut masked) };
                assert_eq!(masked, expected);
            }
        }
    }
}
