//! The payload: how it is unmasked, byte by byte, and what it is.

use core::ops::Range;
use std::io::{self, Write};

use sockeye_proto::mask::{self, MaskingKey};

use super::style::{PAYLOAD, Paint, Style};
use super::words;
use crate::{Field, Frame};

/// Steps of unmasking that are shown.
const STEPS: usize = 8;
/// Lines of a dump, unless all are asked for.
const LINES: usize = 4;
/// Bytes in a line of a dump.
const LINE: usize = 16;

/// The first steps of unmasking: `0x7f ^ 0x37 = 0x48  H`.
pub(super) fn steps(frame: &Frame, key: MaskingKey, paint: Paint) -> Vec<String> {
    let labels = labels(frame);
    let shown = frame.payload.iter().take(STEPS).enumerate();
    let mut lines: Vec<String> = shown
        .map(|(i, &plain)| {
            let key_byte = key.bytes()[i % 4];
            let masked = paint.paint(Style::Field(PAYLOAD), &format!("0x{:02x}", plain ^ key_byte));
            let key_byte = paint.paint(Style::Field(Field::MASKING_KEY), &format!("0x{key_byte:02x}"));
            let label = labels.get(i).map(String::as_str).unwrap_or_default();
            format!("{masked} ^ {key_byte} = 0x{plain:02x} {label}").trim_end().to_owned()
        })
        .collect();
    if frame.arrived > STEPS as u64 {
        lines.push(format!("… and so on, {}", words::more_bytes(frame.arrived - STEPS as u64)));
    }
    lines
}

/// What each of the first bytes is: an ASCII character, or a part of a longer one where the payload is text.
fn labels(frame: &Frame) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    if frame.inflated.is_some() {
        // What is compressed has no bytes that are characters.
        return labels;
    }
    let part = frame.text_part.as_ref();
    if let Some(part) = part {
        let begun = part.begins_within.as_ref();
        let label = |i| match begun.and_then(|begun| begun.character) {
            Some(character) => of(character, character.len_utf8() - part.lead + i),
            None => "part of a character".to_owned(),
        };
        labels.extend((0..part.lead).map(label));
    }
    match frame.text() {
        Some(text) => {
            for character in text.chars().take(STEPS) {
                labels.extend((0..character.len_utf8()).map(|i| of(character, i)));
            }
        }
        None => labels
            .extend(frame.payload.iter().take(STEPS).map(|&byte| ascii(byte).map(String::from).unwrap_or_default())),
    }
    labels
}

/// A character, and which of its bytes this is.
fn of(character: char, i: usize) -> String {
    match character.len_utf8() {
        1 => words::named(character),
        bytes => format!("{}, byte {} of {bytes}", words::escaped(character), i + 1),
    }
}

fn ascii(byte: u8) -> Option<char> {
    matches!(byte, b' '..=b'~').then_some(char::from(byte))
}

/// What a dump shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dump<'a> {
    pub(super) bytes: &'a [u8],
    /// The key to show them masked with.
    pub(super) key: Option<MaskingKey>,
    /// How many more there are that were not kept.
    pub(super) not_kept: u64,
    /// How many more there are that are missing.
    pub(super) lost: u64,
}

/// Bytes as a dump: offset, bytes, ASCII.
pub(super) fn dump(dump: Dump<'_>, all: bool, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let lines = dump.bytes.chunks(LINE).take(if all { usize::MAX } else { LINES });
    for (i, line) in lines.enumerate() {
        let mut bytes = line.to_vec();
        if let Some(key) = dump.key {
            mask::apply(key, (i * LINE) as u64, &mut bytes);
        }
        let offset = paint.paint(Style::Quiet, &format!("{:04x}", i * LINE));
        let hex = format!("{:<48}", halves(&bytes, 0..8) + "  " + &halves(&bytes, 8..LINE));
        let hex = paint.paint(Style::Field(PAYLOAD), &hex);
        let text: String = bytes.iter().map(|&byte| ascii(byte).unwrap_or('.')).collect();
        writeln!(out, "    {offset}  {hex}  {text}")?;
    }
    let hidden = if all { 0 } else { dump.bytes.len().saturating_sub(LINES * LINE) as u64 };
    for (count, what) in [(hidden, "not shown"), (dump.lost, "missing"), (dump.not_kept, "not kept")] {
        if count > 0 {
            writeln!(out, "    {}", paint.paint(Style::Quiet, &format!("… {}, {what}", words::more_bytes(count))))?;
            break;
        }
    }
    Ok(())
}

/// One half of a dump's line.
fn halves(bytes: &[u8], half: Range<usize>) -> String {
    words::hex(&bytes[half.start.min(bytes.len())..half.end.min(bytes.len())])
}
