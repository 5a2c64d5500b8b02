//! Plain words: counts, quotes and lines that fit.

use core::time::Duration;

/// The columns every view keeps to.
pub(super) const COLUMNS: usize = 80;

/// A count of bytes.
pub(super) fn bytes(count: u64) -> String {
    counted(count, "byte")
}

/// A count of bytes that are not there, or not shown.
pub(super) fn more_bytes(count: u64) -> String {
    counted(count, "more byte")
}

/// A count of things, with the plural it needs.
pub(super) fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// A time in seconds, to the microsecond.
pub(super) fn seconds(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}

/// Bytes as two digits each, with spaces between.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// A text in quotes, at most `columns` wide, with everything escaped that a terminal could take for a command or that
/// would not be seen: the standard library's `Debug` does that for control and formatting characters.
pub(super) fn quoted(text: &str, columns: usize) -> String {
    // Two columns for the quotes.
    let (shown, more) = shortened(text, columns.saturating_sub(2), escaped);
    format!("\"{shown}\"{more}")
}

/// A text without quotes, and else the same.
pub(super) fn safe(text: &str, columns: usize) -> String {
    let unquoted = |character| match character {
        '"' | '\\' => String::from(character),
        other => escaped(other),
    };
    let (shown, more) = shortened(text, columns, unquoted);
    shown + more
}

/// As much of a text as fits, and the sign that something is left out, if something is.
fn shortened(text: &str, columns: usize, show: impl Fn(char) -> String) -> (String, &'static str) {
    let mut shown = String::new();
    let mut used = 0;
    for character in text.chars() {
        let escaped = show(character);
        let wide: usize = escaped.chars().map(width).sum();
        // The last column is for the sign.
        if used + wide >= columns {
            return (shown, "…");
        }
        used += wide;
        shown += &escaped;
    }
    (shown, "")
}

/// One character as it may stand in a terminal, where there are no quotes around it.
pub(super) fn named(character: char) -> String {
    if character == ' ' { "space".to_owned() } else { escaped(character) }
}

/// One character as it may stand in a terminal between quotes.
pub(super) fn escaped(character: char) -> String {
    match character {
        '\'' => character.to_string(),
        // `char`'s own would escape an accent that follows its letter, `str`'s knows that it follows one.
        _ => format!("a{character}").escape_debug().skip(1).collect(),
    }
}

/// The columns a character takes in a terminal: two for East Asian wide ones and emoji.
fn width(character: char) -> usize {
    match u32::from(character) {
        0x1100..=0x115F
        | 0x2E80..=0x303E
        | 0x3041..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1FAFF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

/// Joins words that are to stay on one line. No quote has it: there it is escaped.
pub(super) const TIE: char = '\u{a0}';

/// Cuts words into lines of at most `columns`, at spaces where there are any.
pub(super) fn wrapped(words: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in words.split(' ') {
        let wide: usize = word.chars().map(width).sum();
        let line = lines.last_mut().expect("there is a first line");
        if used > 0 && used + 1 + wide > columns {
            lines.push(String::new());
            used = 0;
        } else if used > 0 {
            line.push(' ');
            used += 1;
        }
        for character in word.chars() {
            if used + width(character) > columns {
                lines.push(String::new());
                used = 0;
            }
            lines.last_mut().expect("there is a first line").push(if character == TIE { ' ' } else { character });
            used += width(character);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever a terminal may act on, or a reader cannot see: controls, direction, separators of lines, tags.
    fn is_dangerous(character: char) -> bool {
        character.is_control()
            || matches!(u32::from(character),
                0xAD | 0x61C | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFF9..=0xFFFB | 0xE0000..=0xE007F)
    }

    #[test]
    fn of_all_characters_none_that_is_dangerous_passes_a_quote() {
        for character in '\0'..=char::MAX {
            let quote = quoted(&character.to_string(), COLUMNS);
            assert!(!quote.chars().any(is_dangerous), "{:x}", u32::from(character));
        }
        assert_eq!(quoted("\x1b[31m\u{202e}\u{9b}\r", 80), r#""\u{1b}[31m\u{202e}\u{9b}\r""#);
        assert_eq!(quoted("it's 你好 e\u{301}", 80), "\"it's 你好 e\u{301}\"");
        for character in '\0'..=char::MAX {
            let safe = safe(&character.to_string(), COLUMNS);
            assert!(!safe.chars().any(is_dangerous), "{:x}", u32::from(character));
        }
        assert_eq!(safe(r#"\ "a" \u{1b}"#, 80), r#"\ "a" \u{1b}"#);
    }

    #[test]
    fn a_long_quote_is_cut_where_its_columns_end() {
        assert_eq!(quoted("Hello", 8), "\"Hello\"");
        assert_eq!(quoted("Hello!", 8), "\"Hello\"…");
        assert_eq!(quoted("你好世界", 7), "\"你好\"…");
    }

    #[test]
    fn lines_break_at_spaces_and_within_what_has_none() {
        assert_eq!(wrapped("the next 2 bytes", 8), ["the next", "2 bytes"]);
        assert_eq!(wrapped("你好世界", 5), ["你好", "世界"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(wrapped("a b\u{a0}c", 4), ["a", "b c"]);
    }
}
