//! Hex as people write it: `84 67`, `8467`, `0x84,0x67`, `84:67`.

/// Reads hex in pieces; a byte, and a token, may be split between them.
#[derive(Debug)]
pub(super) struct HexReader {
    place: Place,
    /// The token at hand, for the message should it be bad; a long one only as far as it is worth showing.
    token: Vec<u8>,
    /// Where it begins.
    token_place: Place,
    /// Characters of the token.
    len: usize,
    /// The first digit of a byte whose second has not come.
    high: Option<u8>,
}

/// Where we are in what is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// In the argument with this number, from 1.
    Argument(usize),
    /// In a line and a column of it, from 1.
    Line { line: usize, column: usize },
}

impl Place {
    pub(super) const START_OF_TEXT: Self = Self::Line { line: 1, column: 1 };

    fn advance(&mut self, byte: u8) {
        match self {
            Self::Argument(_) => {}
            Self::Line { line, column } if byte == b'\n' => (*line, *column) = (*line + 1, 1),
            Self::Line { column, .. } => *column += 1,
        }
    }
}

impl core::fmt::Display for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Argument(number) => write!(f, "argument {number}"),
            Self::Line { line, column } => write!(f, "line {line}, column {column}"),
        }
    }
}

const fn separates(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b',' | b':' | b';')
}

impl HexReader {
    /// Characters of a bad token that a message shows.
    const SHOWN: usize = 24;

    pub(super) const fn new(place: Place) -> Self {
        Self { place, token: Vec::new(), token_place: place, len: 0, high: None }
    }

    /// Reads the next piece; its bytes join `bytes`.
    ///
    /// # Errors
    /// A line that names the token which is not hex, and its place.
    pub(super) fn push(&mut self, text: &[u8], bytes: &mut Vec<u8>) -> Result<(), String> {
        for (i, &character) in text.iter().enumerate() {
            if separates(character) {
                self.end_token()?;
                self.place.advance(character);
                self.token_place = self.place;
                continue;
            }
            self.len += 1;
            if self.token.len() <= Self::SHOWN {
                self.token.push(character);
            }
            self.place.advance(character);
            match (char::from(character).to_digit(16), self.high.take()) {
                #[expect(clippy::cast_possible_truncation, reason = "a digit is below 16")]
                (Some(digit), None) => self.high = Some(digit as u8),
                #[expect(clippy::cast_possible_truncation, reason = "a digit is below 16")]
                (Some(digit), Some(high)) => bytes.push(high << 4 | digit as u8),
                (None, Some(0)) if self.len == 2 && matches!(character, b'x' | b'X') => {}
                (None, _) => {
                    let rest = text[i + 1..].iter().take_while(|&&byte| !separates(byte));
                    self.token.extend(rest.take(Self::SHOWN));
                    return Err(self.bad("is not hex"));
                }
            }
        }
        Ok(())
    }

    /// Ends a token: digits come in pairs.
    ///
    /// # Errors
    /// A line that names the token which ends within a byte, and its place.
    pub(super) fn end_token(&mut self) -> Result<(), String> {
        let is_prefix = self.len == 2 && self.token.eq_ignore_ascii_case(b"0x");
        if is_prefix || self.high.is_some() {
            return Err(self.bad(if is_prefix { "is not hex" } else { "is not whole bytes: two digits make one" }));
        }
        self.token.clear();
        self.len = 0;
        Ok(())
    }

    fn bad(&self, what: &str) -> String {
        let token = String::from_utf8_lossy(&self.token);
        let shown: String = token.chars().take(Self::SHOWN).collect();
        let more = if shown.len() < token.len() { "…" } else { "" };
        format!("{shown:?}{more} ({}) {what}", self.token_place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<u8>, String> {
        let mut reader = HexReader::new(Place::START_OF_TEXT);
        let mut bytes = Vec::new();
        reader.push(text.as_bytes(), &mut bytes)?;
        reader.end_token()?;
        Ok(bytes)
    }

    #[test]
    fn people_write_hex_in_many_ways() {
        for text in ["84 67 0A", "84670a", "0x84,0x67,0x0a", "84:67:0A", "0X84670A", " 8467\r\n0a\t", "84; 67;0a"] {
            assert_eq!(read(text), Ok(vec![0x84, 0x67, 0x0A]), "{text:?}");
        }
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(read("00 0x00"), Ok(vec![0, 0]));
    }

    #[test]
    fn a_bad_token_is_named_with_its_place() {
        for (text, message) in [
            ("84 6g", r#""6g" (line 1, column 4) is not hex"#),
            ("84\n67 hello", r#""hello" (line 2, column 4) is not hex"#),
            ("84 6", r#""6" (line 1, column 4) is not whole bytes: two digits make one"#),
            ("846 7", r#""846" (line 1, column 1) is not whole bytes: two digits make one"#),
            ("84 0x", r#""0x" (line 1, column 4) is not hex"#),
            ("0x840x67", r#""0x840x67" (line 1, column 1) is not hex"#),
            ("8x", r#""8x" (line 1, column 1) is not hex"#),
            ("é", r#""é" (line 1, column 1) is not hex"#),
            ("\x1b[31m", r#""\u{1b}[31m" (line 1, column 1) is not hex"#),
        ] {
            assert_eq!(read(text), Err(message.to_owned()), "{text:?}");
        }
        assert!(read(&"8".repeat(1001)).unwrap_err().len() < 120);
    }

    #[test]
    fn hex_cut_anywhere_is_the_same_hex() {
        let text = b"0x84,67 0a\n8467:0X0a";
        for cut in 0..text.len() {
            let mut reader = HexReader::new(Place::START_OF_TEXT);
            let mut bytes = Vec::new();
            reader.push(&text[..cut], &mut bytes).unwrap();
            reader.push(&text[cut..], &mut bytes).unwrap();
            assert_eq!(bytes, [0x84, 0x67, 0x0A, 0x84, 0x67, 0x0A]);
        }
    }
}
