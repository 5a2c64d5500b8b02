//! UTF-8 that arrives in pieces (RFC 6455 §8.1): a character may be split over reads and frames at any byte, and bad
//! text is noticed at the first byte that no good text can have, not when the message ends.

#[cfg(target_arch = "x86_64")]
mod x86;

use crate::mask::{self, MaskingKey};

/// The bytes handed in so far cannot be the beginning of any UTF-8 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidUtf8;

impl core::fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("invalid UTF-8")
    }
}

impl core::error::Error for InvalidUtf8 {}

/// Checks a text piece by piece. Holds at most the 3 bytes of a character that has not ended.
///
/// ```
/// use sockeye_proto::utf8::Validator;
///
/// let mut validator = Validator::default();
/// validator.feed(&[0xE4, 0xBD])?; // the first two bytes of 你 …
/// validator.feed(&[0xA0])?; //       … and its third
/// assert_eq!(validator.finish()?.len(), 3);
///
/// assert!(Validator::default().feed(&[0xF4, 0x90]).is_err()); // above U+10FFFF, two bytes before the character ends
/// # Ok::<(), sockeye_proto::utf8::InvalidUtf8>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Validator {
    /// The beginning of a character, `held` bytes of it.
    start: [u8; 4],
    held: usize,
    /// Bytes fed so far, those held included.
    len: usize,
}

/// What is shorter is mostly ASCII, and has been looked through before wide registers are ready to begin.
const SHORT: usize = 64;

/// Proof that a whole text was seen to be UTF-8, and how long it was.
#[derive(Clone, Copy, Debug)]
pub struct Validated {
    len: usize,
}

impl Validated {
    /// The length of the text, in bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.len
    }

    /// Whether the text has no bytes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }
}

impl Validator {
    /// Takes the next piece.
    ///
    /// # Errors
    /// At the first byte that no valid text can have after those before it. The validator is of no more use then.
    #[inline]
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        self.feed_judged_by(is_good, piece)
    }

    #[inline]
    fn feed_judged_by(&mut self, is_good: impl Fn(&[u8], usize) -> bool, piece: &[u8]) -> Result<(), InvalidUtf8> {
        if self.held == 0 && piece.len() < SHORT && piece.is_ascii() {
            self.len += piece.len();
            return Ok(());
        }
        self.feed_characters_judged_by(is_good, piece)
    }

    fn feed_characters_judged_by(
        &mut self,
        is_good: impl Fn(&[u8], usize) -> bool,
        piece: &[u8],
    ) -> Result<(), InvalidUtf8> {
        self.len += piece.len();
        let (head, rest) = piece.split_at(self.lacking().min(piece.len()));
        self.feed_held(head)?;
        let unfinished = unfinished(rest);
        if is_good(rest, unfinished) { self.hold_last(rest, unfinished) } else { Err(InvalidUtf8) }
    }

    /// Unmasks the next piece in place, as [`mask::apply`] does, and takes it: for less than the two cost one by one.
    ///
    /// ```
    /// use sockeye_proto::mask::MaskingKey;
    /// use sockeye_proto::utf8::Validator;
    ///
    /// let key = MaskingKey::new([0x37, 0xfa, 0x21, 0x3d]); // the example of RFC 6455 §5.7
    /// let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
    /// let mut validator = Validator::default();
    /// validator.feed_masked(key, 0, &mut payload)?;
    /// assert_eq!(&payload, b"Hello");
    /// # Ok::<(), sockeye_proto::utf8::InvalidUtf8>(())
    /// ```
    ///
    /// # Errors
    /// As of [`feed`](Self::feed). How much of the piece has been unmasked is then not said.
    #[inline]
    pub fn feed_masked(&mut self, key: MaskingKey, offset: u64, piece: &mut [u8]) -> Result<(), InvalidUtf8> {
        #[cfg(target_arch = "x86_64")]
        if let Some(avx512) = x86::Avx512::detect() {
            self.len += piece.len();
            let (head, rest) = piece.split_at_mut(self.lacking().min(piece.len()));
            mask::apply(key, offset, head);
            self.feed_held(head)?;
            let good = avx512.unmask_and_check(key.rotated(offset).rotated(head.len() as u64), rest, false);
            return if good { self.hold_last(rest, unfinished(rest)) } else { Err(InvalidUtf8) };
        }
        self.feed_masked_in_two_passes(key, offset, piece)
    }

    /// For where there is no AVX-512 VBMI2. So much is unmasked and then checked that the second pass finds it in the nearest
    /// cache.
    #[inline]
    fn feed_masked_in_two_passes(&mut self, key: MaskingKey, offset: u64, piece: &mut [u8]) -> Result<(), InvalidUtf8> {
        const LAP: usize = 16 << 10;
        let (laps, rest) = piece.as_chunks_mut::<LAP>();
        for lap in laps {
            // Each begins with the same byte of the key, as a lap is many times its length.
            mask::apply(key, offset, lap);
            self.feed_judged_by(is_good_by_simdutf8, lap)?;
        }
        mask::apply(key, offset, rest);
        self.feed_judged_by(is_good_by_simdutf8, rest)
    }

    /// Ends the text.
    ///
    /// # Errors
    /// When it ends within a character.
    pub const fn finish(self) -> Result<Validated, InvalidUtf8> {
        if self.held == 0 { Ok(Validated { len: self.len }) } else { Err(InvalidUtf8) }
    }

    /// Bytes held of a character that has not ended: 0 to 3.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held
    }

    /// How many bytes the character lacks that is held.
    fn lacking(&self) -> usize {
        if self.held == 0 { 0 } else { width(self.start[0]) - self.held }
    }

    /// Gives the character that is held bytes that it lacks.
    fn feed_held(&mut self, bytes: &[u8]) -> Result<(), InvalidUtf8> {
        for &byte in bytes {
            let mut character = self.start;
            character[self.held] = byte;
            self.hold(&character[..=self.held])?;
        }
        Ok(())
    }

    /// A piece mostly ends with a character. Where it does not, what began last is held back, up to 3 bytes.
    #[inline]
    fn hold_last(&mut self, piece: &[u8], unfinished: usize) -> Result<(), InvalidUtf8> {
        if unfinished == 0 { Ok(()) } else { self.hold(&piece[piece.len() - unfinished..]) }
    }

    /// Holds the beginning of one character, or nothing if it is whole.
    fn hold(&mut self, bytes: &[u8]) -> Result<(), InvalidUtf8> {
        self.held = match core::str::from_utf8(bytes) {
            Ok(_) => 0,
            // Good as far as it goes: `std` tells the end of the input apart from a wrong byte.
            Err(error) if error.error_len().is_none() => bytes.len(),
            Err(_) => return Err(InvalidUtf8),
        };
        self.start[..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// Checks a text that is there from its beginning to its end.
///
/// # Errors
/// When it is not UTF-8.
#[inline]
pub(crate) fn check_whole(text: &[u8]) -> Result<Validated, InvalidUtf8> {
    let mut validator = Validator::default();
    validator.feed(text)?;
    validator.finish()
}

/// Unmasks such a text in place, and checks it.
///
/// # Errors
/// As of [`check_whole`].
#[inline]
pub(crate) fn unmask_and_check_whole(key: MaskingKey, text: &mut [u8]) -> Result<Validated, InvalidUtf8> {
    if text.len() < SHORT && mask::hides_ascii(key, text) {
        mask::apply(key, 0, text);
        return Ok(Validated { len: text.len() });
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = x86::Avx512::detect() {
        let is_good = avx512.unmask_and_check(key, text, true);
        return if is_good { Ok(Validated { len: text.len() }) } else { Err(InvalidUtf8) };
    }
    let mut validator = Validator::default();
    validator.feed_masked_in_two_passes(key, 0, text)?;
    validator.finish()
}

/// Whether a text is good that begins with a character, but for one of which its end has only so many bytes.
#[inline]
fn is_good(text: &[u8], unfinished: usize) -> bool {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx512) = x86::Avx512::detect() {
        return avx512.check(text);
    }
    is_good_by_simdutf8(text, unfinished)
}

#[inline]
fn is_good_by_simdutf8(text: &[u8], unfinished: usize) -> bool {
    simdutf8::basic::from_utf8(&text[..text.len() - unfinished]).is_ok()
}

/// How many bytes a character has that begins with this one.
const fn width(lead: u8) -> usize {
    match lead {
        0x00..=0xBF => 1,
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xFF => 4,
    }
}

/// How many bytes at the end of a piece began a character of more bytes than are there.
fn unfinished(piece: &[u8]) -> usize {
    let last = piece.iter().rev().take(3).enumerate();
    let lead = last.map(|(back, &byte)| (back + 1, byte)).find(|(_, byte)| !(0x80..=0xBF).contains(byte));
    lead.filter(|&(there, byte)| there < width(byte)).map_or(0, |(there, _)| there)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Zeros under it are bad text: behind a text's end, where nobody is to look.
    const KEY: MaskingKey = MaskingKey::new([0xF5, 0x80, 0xED, 0xA0]);

    type Feed = fn(&mut Validator, &[u8]) -> Result<(), InvalidUtf8>;

    /// Read and unmasked, by the widest registers there are and without them: each is to meet the same verdicts.
    const WAYS: [Feed; 4] = [
        |validator, piece| validator.feed(piece),
        |validator, piece| validator.feed_judged_by(is_good_by_simdutf8, piece),
        |validator, piece| masked(piece, |key, offset, piece| validator.feed_masked(key, offset, piece)),
        |validator, piece| masked(piece, |key, offset, piece| validator.feed_masked_in_two_passes(key, offset, piece)),
    ];

    /// Says how long the text is.
    type Judge = fn(&[u8]) -> Result<usize, InvalidUtf8>;

    /// The two that judge a whole text at once.
    const AT_ONCE: [Judge; 2] = [
        |text| check_whole(text).map(Validated::len),
        |text| {
            let mut judged = Err(InvalidUtf8);
            masked(text, |key, offset, bytes| {
                judged = unmask_and_check_whole(key.rotated(offset), bytes).map(Validated::len);
                judged.map(drop)
            })?;
            judged
        },
    ];

    /// Feeds a piece masked, and looks whether it was unmasked.
    fn masked(
        piece: &[u8],
        feed: impl FnOnce(MaskingKey, u64, &mut [u8]) -> Result<(), InvalidUtf8>,
    ) -> Result<(), InvalidUtf8> {
        const OFFSET: u64 = 7;
        let mut bytes = piece.to_vec();
        mask::apply(KEY, OFFSET, &mut bytes);
        feed(KEY, OFFSET, &mut bytes)?;
        assert_eq!(bytes, piece);
        Ok(())
    }

    /// The byte at which text fed byte by byte is refused, if it is.
    fn refused_at(bytes: &[u8]) -> Option<usize> {
        let mut validator = Validator::default();
        bytes.iter().position(|&byte| validator.feed(&[byte]).is_err())
    }

    /// The same by `std`: the first length whose prefix is bad and not merely unfinished.
    fn refused_at_by_std(bytes: &[u8]) -> Option<usize> {
        (0..bytes.len()).find(|&i| refused_by_std(&bytes[..=i]))
    }

    fn refused_by_std(bytes: &[u8]) -> bool {
        core::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some())
    }

    /// Fed whole, in every two pieces and byte by byte, a string meets `std`'s verdict.
    fn agrees_with_std(bytes: &[u8]) {
        let valid = core::str::from_utf8(bytes).is_ok();
        for judge in AT_ONCE {
            assert_eq!(judge(bytes), if valid { Ok(bytes.len()) } else { Err(InvalidUtf8) }, "{bytes:02x?}");
        }
        for cut in 0..=bytes.len() {
            let mut validator = Validator::default();
            let verdict = validator.feed(&bytes[..cut]).and_then(|()| validator.feed(&bytes[cut..]));
            let ended = verdict.and_then(|()| validator.finish()).map(Validated::len);
            assert_eq!(ended, if valid { Ok(bytes.len()) } else { Err(InvalidUtf8) }, "{bytes:02x?} cut at {cut}");
        }
        assert_eq!(refused_at(bytes), refused_at_by_std(bytes), "{bytes:02x?}");
    }

    /// As part of a longer text and as its end, across the bounds of 8, 64 and 256 bytes and before them, a string meets
    /// `std`'s verdict; also where the text ends at such a bound.
    fn agrees_with_std_around(places: &[usize], ways: &[Feed], string: &[u8]) {
        let mut text = [b'x'; 256 + 64 + 256];
        for &place in places {
            let end = place + string.len();
            text[place..end].copy_from_slice(string);
            for text in [&text[..end], &text[..end + 1], &text[..512], &text[..]] {
                for feed in ways {
                    let refused = feed(&mut Validator::default(), text).is_err();
                    assert_eq!(refused, refused_by_std(text), "{string:02x?} at {place} of {}", text.len());
                }
                for judge in AT_ONCE {
                    let is_good = core::str::from_utf8(text).is_ok();
                    assert_eq!(judge(text).is_ok(), is_good, "{string:02x?} at {place} of {}", text.len());
                }
            }
            text[place..end].fill(b'x');
        }
    }

    /// Third and fourth bytes of characters, and others.
    const EDGES: [u8; 12] = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xE4, 0xF0, 0xFF];

    #[test]
    fn all_strings_of_one_two_and_three_bytes_agree_with_std() {
        for a in 0..=255 {
            agrees_with_std(&[a]);
            for b in 0..=255 {
                agrees_with_std(&[a, b]);
                // After a first byte that is ASCII the others are the cases of the shorter strings.
                if a >= 0x7F {
                    for c in 0..=255 {
                        agrees_with_std(&[a, b, c]);
                    }
                }
            }
        }
    }

    #[test]
    fn all_leads_of_four_bytes_agree_with_std() {
        for a in 0xE0..=255 {
            for b in 0..=255 {
                for c in EDGES {
                    for d in EDGES {
                        agrees_with_std(&[a, b, c, d]);
                    }
                }
            }
        }
    }

    #[test]
    fn all_strings_of_one_and_two_bytes_agree_with_std_at_the_bounds_of_blocks() {
        const PLACES: [usize; 11] = [0, 7, 61, 62, 63, 64, 127, 254, 255, 256, 319];
        for a in 0..=255 {
            agrees_with_std_around(&PLACES, &WAYS, &[a]);
            for b in 0..=255 {
                agrees_with_std_around(&PLACES, &WAYS, &[a, b]);
            }
        }
    }

    #[test]
    fn all_leads_of_three_and_four_bytes_agree_with_std_at_the_bounds_of_blocks() {
        for a in 0xE0..=255 {
            for b in 0..=255 {
                for c in EDGES {
                    agrees_with_std_around(
                        &[0, 5, 6, 7, 59, 60, 61, 62, 63, 125, 252, 253, 254, 255],
                        &WAYS,
                        &[a, b, c],
                    );
                    for d in EDGES {
                        agrees_with_std_around(&[5, 61, 254, 319], &[Validator::feed], &[a, b, c, d]);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn text_cut_anywhere_is_valid_and_broken_text_is_refused_where_std_refuses_it(
            words in proptest::collection::vec(prop_oneof![".{0,200}", "[a-z]{300}"], 0..4),
            cuts in proptest::collection::vec(0usize..400, 0..20),
            way in proptest::sample::select(&WAYS),
            flip in any::<(usize, u8)>(),
        ) {
            let text = words.concat();
            let mut validator = Validator::default();
            let mut rest = text.as_bytes();
            for &cut in &cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                prop_assert!(way(&mut validator, piece).is_ok());
                rest = after;
            }
            prop_assert!(way(&mut validator, rest).is_ok());
            prop_assert_eq!(validator.finish().map(Validated::len), Ok(text.len()));

            let mut broken = text.into_bytes();
            if !broken.is_empty() {
                let at = flip.0 % broken.len();
                broken[at] = flip.1;
            }
            let mut validator = Validator::default();
            let mut fed = 0;
            for cut in cuts {
                let end = (fed + cut).min(broken.len());
                let refused = way(&mut validator, &broken[fed..end]).is_err();
                prop_assert_eq!(refused, refused_by_std(&broken[..end]));
                if refused {
                    return Ok(());
                }
                fed = end;
            }
            prop_assert_eq!(way(&mut validator, &broken[fed..]).is_err(), refused_by_std(&broken));
        }
    }
}
