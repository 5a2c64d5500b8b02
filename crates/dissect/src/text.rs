//! UTF-8 over the frames of a message (§8.1): where it breaks, and which frames share a character.

use core::fmt;

use sockeye_proto::utf8::Validator;

use crate::BadUtf8;

/// What a frame's payload is as a part of a text message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextPart {
    /// How many bytes at the payload's start belong to a character that an earlier frame began.
    pub lead: usize,
    /// That character, if it ends in this frame.
    pub begins_within: Option<SharedCharacter>,
    /// The character the payload ends within, begun here or in an earlier frame.
    pub ends_within: Option<SharedCharacter>,
}

/// A character whose bytes stand in more than one frame, or do not all have come.
///
/// Displayed with a bar for each change of frame: `你 E4 BD | A0`, and while it is not whole `E4 BD | …`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedCharacter {
    /// The character, once it is whole.
    pub character: Option<char>,
    /// Its bytes so far, by frame.
    pub pieces: Vec<Piece>,
    /// Bytes still to come.
    pub missing: usize,
}

/// The bytes of a character that stand in one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Piece {
    /// The frame's number.
    pub frame: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl fmt::Display for SharedCharacter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(character) = self.character {
            write!(f, "{} ", character.escape_debug())?;
        }
        for (i, piece) in self.pieces.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { " | " })?;
            for (i, byte) in piece.bytes.iter().enumerate() {
                write!(f, "{}{byte:02X}", if i == 0 { "" } else { " " })?;
            }
        }
        f.write_str(if self.missing > 0 { " | …" } else { "" })
    }
}

/// Walks along the text of one message, over its frames, in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct TextWalk {
    validator: Validator,
    /// Bytes walked.
    len: u64,
    /// The character that has not ended: each byte with the number of its frame. At most 3.
    open: Vec<(u64, u8)>,
}

impl TextWalk {
    /// Takes the next piece of a frame's payload; says at which byte it stops being UTF-8. After that there is no text
    /// to walk along.
    pub(crate) fn feed(&mut self, frame: u64, piece: &[u8], part: &mut TextPart) -> Result<(), usize> {
        let before = self.validator;
        if self.validator.feed(piece).is_ok() {
            self.follow(frame, piece, part);
            return Ok(());
        }
        // Somewhere in this piece. Byte by byte the validator says where.
        let mut validator = before;
        let bad = piece.iter().position(|&byte| validator.feed(&[byte]).is_err()).unwrap_or_default();
        self.validator = before;
        let good = &piece[..bad];
        if self.validator.feed(good).is_ok() {
            self.follow(frame, good, part);
        }
        Err(bad)
    }

    /// Bytes of text walked so far, all good.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// The end of a frame, or of the stream within one.
    pub(crate) fn end_frame(&self, part: &mut TextPart) {
        if !self.open.is_empty() {
            part.ends_within = Some(self.character());
        }
    }

    /// The end of the message: what is wrong with a text that ends here, after so many bytes of its last frame.
    pub(crate) fn end_message(&self, in_payload: u64, inflated: bool) -> Option<BadUtf8> {
        let ends_within = self.validator.finish().is_err();
        ends_within.then_some(BadUtf8 { byte: None, in_payload, in_text: self.len, inflated })
    }

    /// Goes along a piece that is good, as far as it goes.
    fn follow(&mut self, frame: u64, piece: &[u8], part: &mut TextPart) {
        self.len += piece.len() as u64;
        let mut rest = piece;
        while let Some((&(first_frame, _), (&byte, after))) = self.open.first().zip(rest.split_first()) {
            self.open.push((frame, byte));
            rest = after;
            if first_frame != frame {
                part.lead += 1;
            }
            let character = self.character();
            if character.missing == 0 {
                self.open.clear();
                if character.pieces.len() > 1 {
                    part.begins_within = Some(character);
                }
            }
        }
        // Whatever the validator holds now has begun at the end of the rest.
        if self.open.is_empty() {
            let held = self.validator.held();
            self.open.extend(rest[rest.len() - held..].iter().map(|&byte| (frame, byte)));
        }
    }

    /// The open character as it stands.
    fn character(&self) -> SharedCharacter {
        let bytes: Vec<u8> = self.open.iter().map(|&(_, byte)| byte).collect();
        let needs = match bytes[0] {
            0x00..=0x7F => 1,
            0x80..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
        };
        let mut pieces: Vec<Piece> = Vec::new();
        for &(frame, byte) in &self.open {
            match pieces.last_mut().filter(|piece| piece.frame == frame) {
                Some(piece) => piece.bytes.push(byte),
                None => pieces.push(Piece { frame, bytes: vec![byte] }),
            }
        }
        let character = core::str::from_utf8(&bytes).ok().and_then(|text| text.chars().next());
        SharedCharacter { character, pieces, missing: needs - bytes.len() }
    }
}
