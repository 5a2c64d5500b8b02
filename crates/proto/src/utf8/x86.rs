//! Text checked 64 bytes at a time, and unmasked in the same go.
//!
//! One of the crate's three doors to `unsafe`. Calling a function that is compiled for AVX-512 is sound only where the
//! processor has it: an [`Avx512`] is had only by asking. And the blocks are read and written through pointers, each
//! within the slice at hand.
//!
//! The idea is Keiser and Lemire's ("Validating UTF-8 In Less Than One Instruction Per Byte", 2021): what a lead wants of the
//! bytes behind it is looked up in a table held in registers, and compared with what they are. Theirs has 16 entries, so
//! a byte is looked up in halves; here AVX-512 VBMI finds each of 64 bytes among 64 entries, and VBMI2 brings what is wanted
//! to the byte it is wanted of, as it shifts across the 8 bytes of a lane.
//!
//! ```text
//!   a lead   0xC2 ... 0xDF   1 . . . . . . .     bit 7: wants a continuation
//!            0xE0 ... 0xEF   1 1 . . . f f f     bit 6: and a second
//!            0xF0 ... 0xF4   1 1 1 . . f f f     bit 5: and a third
//!   no byte of UTF-8 at all  1 . . . . 1 1 1     bits 0 to 2: the kinds that the first must not be of, as the character
//!                                                would be overlong, a surrogate or above U+10FFFF
//!
//!   a continuation           0x80 ... 0x8F       . . . . . . . 1     its kind
//!                            0x90 ... 0x9F       . . . . . . 1 .
//!                            0xA0 ... 0xBF       . . . . . 1 . .
//! ```
#![expect(unsafe_code, reason = "target_feature functions, called after detection; loads and stores of blocks")]

use core::arch::x86_64::{
    __m512i, _mm512_alignr_epi64, _mm512_cmpge_epu8_mask, _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8,
    _mm512_maskz_mov_epi8, _mm512_maskz_permutexvar_epi8, _mm512_movepi8_mask, _mm512_or_si512, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_setzero_si512, _mm512_shldi_epi64, _mm512_ternarylogic_epi64, _mm512_test_epi8_mask,
    _mm512_xor_si512,
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
            && std::is_x86_feature_detected!("avx512vbmi")
            && std::is_x86_feature_detected!("avx512vbmi2");
        detected.then_some(Self(()))
    }

    /// Whether text that begins with a character is good, as far as that can be said without what its last bytes begin:
    /// a character that the end cuts off, if there is one, is still to be judged.
    pub(super) fn check(self, text: &[u8]) -> bool {
        // SAFETY: `detect` has found AVX-512F, BW, VBMI and VBMI2 in this processor, or there would be no `self`.
        unsafe { check(text) }
    }

    /// The same for masked text, which is unmasked: byte `i` with the key's byte `i mod 4`. Where it `ends` here, a
    /// character that is cut off is judged, too.
    pub(super) fn unmask_and_check(self, key: MaskingKey, text: &mut [u8], ends: bool) -> bool {
        // SAFETY: as above.
        unsafe { unmask_and_check(key, text, ends) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2")]
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

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2")]
fn unmask(key: __m512i, bytes: &mut [u8]) -> __m512i {
    let live = live(bytes.len());
    let block = _mm512_maskz_mov_epi8(live, _mm512_xor_si512(load(bytes), key));
    // SAFETY: the store writes where `live` has a bit, that is to all of `bytes` and to nothing behind.
    unsafe { _mm512_mask_storeu_epi8(bytes.as_mut_ptr().cast(), live, block) };
    block
}

/// Up to 64 bytes, with zeros behind.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2")]
fn load(bytes: &[u8]) -> __m512i {
    // SAFETY: the load reads where `live` has a bit, that is all of `bytes` and nothing behind.
    unsafe { _mm512_maskz_loadu_epi8(live(bytes.len()), bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2")]
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
    /// What the leads of the latest block want and forbid, and zeros for its other bytes.
    leads: __m512i,
    /// Bit 7 of a byte: in some block it was a continuation that nothing before it wants, or none where one was wanted. The
    /// other bits mean nothing.
    misplaced: __m512i,
    /// Not zero: in some block it was of a kind that the lead before it forbids.
    forbidden: __m512i,
}

impl Seen {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2")]
    fn nothing() -> Self {
        let zero = _mm512_setzero_si512();
        Self { leads: zero, misplaced: zero, forbidden: zero }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2")]
    fn four(&mut self, [a, b, c, d]: [__m512i; 4]) {
        self.block(a, BLOCK);
        // Behind ASCII more ASCII is good.
        if !is_ascii(_mm512_or_si512(_mm512_ternarylogic_epi64(a, b, c, A | B | C), d)) {
            self.block(b, BLOCK);
            self.block(c, BLOCK);
            self.block(d, BLOCK);
        }
    }

    /// Takes a block's first `len` bytes, behind which there are zeros. They may stand where a continuation is wanted, as it may
    /// come with the next piece: so they are not judged.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2")]
    fn block(&mut self, block: __m512i, len: usize) {
        let live = live(len);
        let is_lead = _mm512_cmpge_epu8_mask(block, _mm512_set1_epi8(FIRST_LEAD.cast_signed()));
        let leads = _mm512_maskz_permutexvar_epi8(is_lead, block, load(&LEADS));
        // What is no continuation has some kind here, too. It is forbidden only where it is misplaced.
        let kinds = _mm512_maskz_permutexvar_epi8(live, block, load(&KINDS));

        // What the byte before each wants and forbids; and in bit 7, whether the second and the third before it want it.
        let lane_before = _mm512_alignr_epi64::<7>(leads, self.leads);
        let before = _mm512_shldi_epi64::<8>(leads, lane_before);
        let second = _mm512_shldi_epi64::<{ 16 + 1 }>(leads, lane_before);
        let third = _mm512_shldi_epi64::<{ 24 + 2 }>(leads, lane_before);
        // What is not ASCII and no lead is a continuation. Up to the first that is misplaced no byte is wanted twice, as the
        // nearer of two leads would stand where the farther wants a continuation: so "or" is "xor".
        let misplaced = _mm512_ternarylogic_epi64(block, leads, before, (A & !B) ^ C);
        let misplaced = _mm512_ternarylogic_epi64(misplaced, second, third, A ^ B ^ C);
        self.misplaced = _mm512_or_si512(self.misplaced, _mm512_maskz_mov_epi8(live, misplaced));
        self.forbidden = _mm512_ternarylogic_epi64(self.forbidden, before, kinds, A | (B & C));

        self.leads = leads;
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2")]
    fn is_good(&self) -> bool {
        _mm512_movepi8_mask(self.misplaced) | _mm512_test_epi8_mask(self.forbidden, self.forbidden) == 0
    }
}

/// Formulas of these are what `ternarylogic` takes to say what it makes of its three operands.
const A: i32 = 0b1111_0000;
const B: i32 = 0b1100_1100;
const C: i32 = 0b1010_1010;

/// The drawing at the top of the file, by the lower six bits of a byte: for leads, and for continuations.
static LEADS: [u8; BLOCK] = table(FIRST_LEAD);
static KINDS: [u8; BLOCK] = table(0x80);

const FIRST_LEAD: u8 = 0xC0;

const fn table(first: u8) -> [u8; BLOCK] {
    let mut table = [0; BLOCK];
    let mut i = 0;
    while (i as usize) < BLOCK {
        table[i as usize] = entry(first + i);
        i += 1;
    }
    table
}

const fn entry(byte: u8) -> u8 {
    const LOW: u8 = 0b001;
    const MIDDLE: u8 = 0b010;
    const HIGH: u8 = 0b100;
    const TWO: u8 = 0x80;
    const THREE: u8 = TWO | 0x40;
    const FOUR: u8 = THREE | 0x20;
    match byte {
        0x00..=0x7F => 0, // in neither table
        0x80..=0x8F => LOW,
        0x90..=0x9F => MIDDLE,
        0xA0..=0xBF => HIGH,
        0xC2..=0xDF => TWO,
        0xE0 => THREE | LOW | MIDDLE,
        0xED => THREE | HIGH,
        0xE1..=0xEF => THREE,
        0xF0 => FOUR | LOW,
        0xF4 => FOUR | MIDDLE | HIGH,
        0xF1..=0xF3 => FOUR,
        0xC0 | 0xC1 | 0xF5..=0xFF => TWO | LOW | MIDDLE | HIGH,
    }
}
