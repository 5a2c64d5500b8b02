//! UTF-8 that arrives in pieces (RFC 6455 §8.1): a character may be split over reads and frames at any byte, and bad
//! text is noticed at the first byte that no good text can have, not when the message ends.

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

/// Proof that a [`Validator`] has seen a whole text to its end, and how long it was.
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
        self.len += piece.len();
        let piece = if self.held == 0 { piece } else { self.feed_held(piece)? };
        // A piece mostly ends with a character. Where it does not, what began last is held back, up to 3 bytes.
        let (whole, start) = piece.split_at(piece.len() - unfinished(piece));
        simdutf8::basic::from_utf8(whole).map_err(|_| InvalidUtf8)?;
        if !start.is_empty() {
            self.hold(start)?;
        }
        Ok(())
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

    /// Gives the character that is held the bytes it still needs, as far as they have come; returns what follows it.
    fn feed_held<'a>(&mut self, mut piece: &'a [u8]) -> Result<&'a [u8], InvalidUtf8> {
        while let Some((&byte, rest)) = piece.split_first().filter(|_| self.held > 0) {
            let mut character = self.start;
            character[self.held] = byte;
            self.hold(&character[..=self.held])?;
            piece = rest;
        }
        Ok(piece)
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

/// How many bytes at the end of a piece began a character of more bytes than are there.
fn unfinished(piece: &[u8]) -> usize {
    for (back, &byte) in piece.iter().rev().take(3).enumerate() {
        let needs = match byte {
            0x00..=0x7F => return 0,
            0x80..=0xBF => continue,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
        };
        return if back + 1 < needs { back + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The byte at which text fed byte by byte is refused, if it is.
    fn refused_at(bytes: &[u8]) -> Option<usize> {
        let mut validator = Validator::default();
        bytes.iter().position(|&byte| validator.feed(&[byte]).is_err())
    }

    /// The same by `std`: the first length whose prefix is bad and not merely unfinished.
    fn refused_at_by_std(bytes: &[u8]) -> Option<usize> {
        (0..bytes.len()).find(|&i| core::str::from_utf8(&bytes[..=i]).is_err_and(|error| error.error_len().is_some()))
    }

    /// Fed whole, in every two pieces and byte by byte, a string meets `std`'s verdict.
    fn agrees_with_std(bytes: &[u8]) {
        let valid = core::str::from_utf8(bytes).is_ok();
        for cut in 0..=bytes.len() {
            let mut validator = Validator::default();
            let verdict = validator.feed(&bytes[..cut]).and_then(|()| validator.feed(&bytes[cut..]));
            let ended = verdict.and_then(|()| validator.finish()).map(Validated::len);
            assert_eq!(ended, if valid { Ok(bytes.len()) } else { Err(InvalidUtf8) }, "{bytes:02x?} cut at {cut}");
        }
        assert_eq!(refused_at(bytes), refused_at_by_std(bytes), "{bytes:02x?}");
    }

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
        let edges = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xE4, 0xF0, 0xFF];
        for a in 0xE0..=255 {
            for b in 0..=255 {
                for c in edges {
                    for d in edges {
                        agrees_with_std(&[a, b, c, d]);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn text_cut_anywhere_is_valid_and_broken_text_is_refused_where_std_refuses_it(
            text in ".{0,200}", cuts in proptest::collection::vec(0usize..64, 0..20), flip in any::<(usize, u8)>(),
        ) {
            let mut validator = Validator::default();
            let mut rest = text.as_bytes();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                prop_assert!(validator.feed(piece).is_ok());
                rest = after;
            }
            prop_assert!(validator.feed(rest).is_ok());
            prop_assert_eq!(validator.finish().map(Validated::len), Ok(text.len()));

            let mut broken = text.into_bytes();
            if !broken.is_empty() {
                let at = flip.0 % broken.len();
                broken[at] = flip.1;
            }
            prop_assert_eq!(refused_at(&broken), refused_at_by_std(&broken));
            let mut validator = Validator::default();
            prop_assert_eq!(validator.feed(&broken).is_err(), refused_at(&broken).is_some());
        }
    }
}
