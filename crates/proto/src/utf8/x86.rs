//! Text checked 64 bytes at a time, and unmasked in the same go.
//!
//! One of the crate's three doors to `unsafe`. Calling a function that is compiled for AVX-512 is sound only where the
//! processor has it: an [`Avx512`] is had only by asking. And the blocks are read and written through pointers, each
//! within the slice at hand.
//!
//! The idea is Keiser and Lemire's ("Validating UTF-8 In Less Than One Instruction Per Byte", 2021): what a byte allows is
//! looked up in a table held in registers, and compared with what the bytes before it want. AVX-512 VBMI looks up 128
//! entries at once, so here one table of all bytes from 0x80 on does for their three of 16.
//!
//! ```text
//!            0x80 ... 0x8F   . . . . . 0 0 1     bits 0 to 2: which of the three kinds of continuation this is
//!            0x90 ... 0x9F   . . . . . 0 1 0
//!            0xA0 ... 0xBF   . . . . . 1 0 0
//!   a lead   0xC2 ... 0xF4   1 f f f . . . .     bits 4 to 6: the kinds that must not follow, as they would be
//!   no byte of UTF-8 at all  1 1 1 1 . . . .                  overlong, a surrogate or above U+10FFFF
//! ```
#![expect(unsafe_code, reason = "target_feature functions, called after detection; loads and stores of blocks")]

use core::arch::x86_64::{
    __m512i, _mm512_alignr_epi8, _mm512_alignr_epi64, _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8,
    _mm512_maskz_mov_epi8, _mm512_maskz_permutex2var_epi8, _mm512_movepi8_mask, _mm512_or_si512, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_setzero_si512, _mm512_srli_epi16, _mm512_subs_epu8, _mm512_ternarylogic_epi64,
    _mm512_test_epi8_mask, _mm512_xor_si512,
};

use crate::mask::MaskingKey;

const BLOCK: usize = 64;

/// Proof that the processor has what this file is compiled for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    #[inline]
    pub(super) fn detect() -> Option<Self> {
        let detected = std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512vbmi");
        detected.then_some(Self(()))
    }

    /// Whether text that begins with a character is good, as far as that can be said without what its last bytes begin:
    /// a character that the end cuts off, if there is one, is still to be judged.
    pub(super) fn check(self, text: &[u8]) -> bool {
        // SAFETY: `detect` has found AVX-512F, BW and VBMI in this processor, or there would be no `self`.
        unsafe { check(text) }
    }

    /// The same for masked text, which is unmasked: byte `i` with the key's byte `i mod 4`. Where it `ends` here, a
    /// character that is cut off is judged, too.
    pub(super) fn unmask_and_check(self, key: MaskingKey, text: &mut [u8], ends: bool) -> bool {
        // SAFETY: as above.
        unsafe { unmask_and_check(key, text, ends) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn check(text: &[u8]) -> bool {
    let mut seen = Seen::nothing();
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    let (fours, ones) = blocks.as_chunks::<4>();
    for [a, b, c, d] in fours {
        seen.four([load(a), load(b), load(c), load(d)]);
    }
    for block in ones {
        seen.block(load(block), BLOCK);
    }
    if !rest.is_empty() {
        seen.block(load(rest), rest.len());
    }
    seen.is_good()
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn unmask_and_check(key: MaskingKey, text: &mut [u8], ends: bool) -> bool {
    let key = _mm512_set1_epi32(i32::from_ne_bytes(key.bytes()));
    let mut seen = Seen::nothing();
    let (blocks, rest) = text.as_chunks_mut::<BLOCK>();
    let (fours, ones) = blocks.as_chunks_mut::<4>();
    for [a, b, c, d] in fours {
        seen.four([unmask(key, a), unmask(key, b), unmask(key, c), unmask(key, d)]);
    }
    for block in ones {
        seen.block(unmask(key, block), BLOCK);
    }
    match rest.len() {
        // The zeros behind a text's last byte are no continuation. Behind a full block there are none yet.
        0 if ends => seen.block(_mm512_setzero_si512(), BLOCK),
        0 => {}
        len => seen.block(unmask(key, rest), if ends { BLOCK } else { len }),
    }
    seen.is_good()
}

/// Unmasks up to 64 bytes, and gives them with zeros behind.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn unmask(key: __m512i, bytes: &mut [u8]) -> __m512i {
    let live = live(bytes.len());
    let block = _mm512_maskz_mov_epi8(live, _mm512_xor_si512(load(bytes), key));
    // SAFETY: the store writes where `live` has a bit, that is to all of `bytes` and to nothing behind.
    unsafe { _mm512_mask_storeu_epi8(bytes.as_mut_ptr().cast(), live, block) };
    block
}

/// Up to 64 bytes, with zeros behind.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn load(bytes: &[u8]) -> __m512i {
    // SAFETY: the load reads where `live` has a bit, that is all of `bytes` and nothing behind.
    unsafe { _mm512_maskz_loadu_epi8(live(bytes.len()), bytes.as_ptr().cast()) }
}

/// Each byte's neighbour so many to the left, where the left of the block is what was `last`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn back<const BY: i32>(last: __m512i, block: __m512i) -> __m512i {
    const { assert!(1 <= BY && BY <= 3) }
    // First the quarter to the left of each, then the bytes where the two meet. That is one step each; to look every byte up
    // among 128 is three on Intel's processors.
    let before = _mm512_alignr_epi64::<6>(block, last);
    match BY {
        1 => _mm512_alignr_epi8::<15>(block, before),
        2 => _mm512_alignr_epi8::<14>(block, before),
        _ => _mm512_alignr_epi8::<13>(block, before),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn is_ascii(block: __m512i) -> bool {
    _mm512_movepi8_mask(block) == 0
}

/// A bit for each of the first `len` bytes of a block, of which there are 1 to 64.
#[inline]
fn live(len: usize) -> u64 {
    assert!((1..=BLOCK).contains(&len));
    u64::MAX >> (BLOCK - len)
}

/// What the blocks so far come to.
struct Seen {
    /// The latest block, and what the table says of its bytes.
    last: __m512i,
    classes: __m512i,
    /// Bit 7 of a byte: in some block it was a continuation that nothing before it wants, or none where one was wanted.
    misplaced: __m512i,
    /// Bits 0 to 2 of a byte: it was of that kind in some block, and the lead before it forbids it. The others mean nothing.
    forbidden: __m512i,
}

impl Seen {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn nothing() -> Self {
        let zero = _mm512_setzero_si512();
        Self { last: zero, classes: zero, misplaced: zero, forbidden: zero }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn four(&mut self, [a, b, c, d]: [__m512i; 4]) {
        self.block(a, BLOCK);
        // Behind ASCII more ASCII is good.
        if !is_ascii(_mm512_or_si512(_mm512_ternarylogic_epi64(a, b, c, A | B | C), d)) {
            self.block(b, BLOCK);
            self.block(c, BLOCK);
            self.block(d, BLOCK);
        }
    }

    /// Takes a block's first `len` bytes, behind which there are zeros.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn block(&mut self, block: __m512i, len: usize) {
        const SECOND: i8 = 0x60; // 0xE0 - 0x80
        const THIRD: i8 = 0x70; // 0xF0 - 0x80
        let [low, high] = &CLASSES;
        let not_ascii = _mm512_movepi8_mask(block);
        let classes = _mm512_maskz_permutex2var_epi8(not_ascii, load(low), block, load(high));
        let before = back::<1>(self.classes, classes);

        // A lead wants one continuation, a lead from 0xE0 on a second, from 0xF0 on a third: in each case bit 7 says so.
        let want_2 = _mm512_subs_epu8(back::<2>(self.last, block), _mm512_set1_epi8(SECOND));
        let want_3 = _mm512_subs_epu8(back::<3>(self.last, block), _mm512_set1_epi8(THIRD));
        let wanted = _mm512_ternarylogic_epi64(before, want_2, want_3, A | B | C);
        // What is not ASCII and no lead is a continuation.
        let misplaced = _mm512_ternarylogic_epi64(wanted, block, classes, A ^ (B & !C));
        // The zeros may stand where a continuation is wanted: it may come with the next piece.
        let misplaced = _mm512_maskz_mov_epi8(live(len), misplaced);
        self.misplaced = _mm512_or_si512(self.misplaced, misplaced);

        let forbids = _mm512_srli_epi16(before, 4);
        self.forbidden = _mm512_ternarylogic_epi64(self.forbidden, forbids, classes, A | (B & C));

        (self.last, self.classes) = (block, classes);
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn is_good(&self) -> bool {
        let forbidden = _mm512_test_epi8_mask(self.forbidden, _mm512_set1_epi8(0b111));
        _mm512_movepi8_mask(self.misplaced) | forbidden == 0
    }
}

/// Formulas of these are what `ternarylogic` takes to say what it makes of its three operands.
const A: i32 = 0b1111_0000;
const B: i32 = 0b1100_1100;
const C: i32 = 0b1010_1010;

/// The drawing at the top of the file, for the bytes from 0x80 on.
static CLASSES: [[u8; BLOCK]; 2] = [classes_from(0x80), classes_from(0xC0)];

const fn classes_from(first: u8) -> [u8; BLOCK] {
    let mut table = [0; BLOCK];
    let mut i = 0;
    while (i as usize) < BLOCK {
        table[i as usize] = class(first + i);
        i += 1;
    }
    table
}

const fn class(byte: u8) -> u8 {
    const LOW: u8 = 0b001;
    const MIDDLE: u8 = 0b010;
    const HIGH: u8 = 0b100;
    const fn lead(forbids: u8) -> u8 {
        0x80 | forbids << 4
    }
    match byte {
        0x00..=0x7F => 0,
        0x80..=0x8F => LOW,
        0x90..=0x9F => MIDDLE,
        0xA0..=0xBF => HIGH,
        0xE0 => lead(LOW | MIDDLE),
        0xED => lead(HIGH),
        0xF0 => lead(LOW),
        0xF4 => lead(MIDDLE | HIGH),
        0xC2..=0xDF | 0xE1..=0xEF | 0xF1..=0xF3 => lead(0),
        0xC0 | 0xC1 | 0xF5..=0xFF => lead(LOW | MIDDLE | HIGH),
    }
}
