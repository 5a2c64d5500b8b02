//! Records for people: a summary, and all that explains it. For a frame that is the RFC's figure with its bits, the
//! operations that read them, the payload unmasked, and what it all means.
//!
//! Lines fit 80 columns. Nothing a peer sent passes unescaped.

use std::io::{self, Write};

use super::style::{Paint, Style};
use super::words::{COLUMNS, seconds, wrapped};
use super::{frame, head, opaque, story};
use crate::{Item, Record};

/// How records are shown.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a caller sets all of it, or says ..Default::default()")]
pub struct Options {
    /// Whether to use ANSI colours.
    pub color: bool,
    /// Whether to show payloads and texts to their ends; else long ones are shortened.
    pub all: bool,
}

/// The record in one line, which fits 80 columns unless its numbers are huge. For a frame: number, sender, opcode, FIN,
/// mask, length, broken rules, text.
#[must_use]
pub fn summary(record: &Record) -> String {
    match &record.item {
        Item::Frame(frame) => story::summary(frame, record.connection),
        Item::Head(head) => head::summary(head, record.connection),
        Item::Opaque(opaque) => opaque::summary(opaque, record.connection),
        Item::Gap(gap) => opaque::gap_summary(gap, record.connection),
    }
}

/// Writes everything there is to say of one record.
///
/// # Errors
/// Those of the writer.
pub fn write(record: &Record, options: Options, out: &mut impl Write) -> io::Result<()> {
    let paint = Paint { color: options.color };
    // A frame's fits, whatever its numbers.
    let columns = if record.frame().is_some() { usize::MAX } else { COLUMNS };
    for line in wrapped(&summary(record), columns) {
        writeln!(out, "{}", paint.paint(Style::Title, &line))?;
    }
    let mut place = match &record.item {
        Item::Frame(frame) => story::place(frame),
        Item::Head(head) => vec![head::place(head)],
        Item::Opaque(opaque) => vec![opaque::place(opaque)],
        Item::Gap(gap) => vec![opaque::gap_place(gap)],
    };
    if let Some(time) = record.time {
        let until = if time.ended > time.began { format!(" to {}", seconds(time.ended)) } else { String::new() };
        place[0] += &format!("; at {}{until} s", seconds(time.began));
    }
    for line in place.iter().flat_map(|line| wrapped(line, COLUMNS - INDENT)) {
        writeln!(out, "  {}", paint.paint(Style::Quiet, &line))?;
    }
    match &record.item {
        Item::Frame(frame) => frame::write(frame, options, paint, out)?,
        Item::Head(head) => head::write(head, options, paint, out)?,
        Item::Opaque(opaque) => opaque::write(opaque, options, paint, out)?,
        Item::Gap(_) => {}
    }
    write_verdict(record, paint, out)
}

/// Columns before every line but the first.
pub(super) const INDENT: usize = 2;
/// Columns before the words of a section, with its label.
pub(super) const LABEL: usize = 14;

/// A label and its lines, wrapped; nothing at all where there are no lines.
pub(super) fn section(label: &str, lines: &[String], paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let mut label = format!("{label:<width$}", width = LABEL - INDENT);
    for line in lines.iter().flat_map(|line| wrapped(line, COLUMNS - LABEL)) {
        writeln!(out, "  {}{line}", paint.paint(Style::Label, &label))?;
        label = " ".repeat(LABEL - INDENT);
    }
    Ok(())
}

/// Like [`section`], for lines that are short and may have colours in them.
pub(super) fn section_as_is(label: &str, lines: &[String], paint: Paint, out: &mut impl Write) -> io::Result<()> {
    for (i, line) in lines.iter().enumerate() {
        let label = format!("{:<width$}", if i == 0 { label } else { "" }, width = LABEL - INDENT);
        writeln!(out, "  {}{line}", paint.paint(Style::Label, &label))?;
    }
    Ok(())
}

/// The broken rules, each on its own lines, what a receiver does about them, what is good to know, and what is missing.
fn write_verdict(record: &Record, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let frame = record.frame();
    let receiver = frame.and_then(story::receiver).or_else(|| record.head().and_then(head::receiver));
    let findings = record.findings().iter().map(|finding| ("✗", Style::Wrong, finding.to_string()));
    let receiver = receiver.map(|line| ("→", Style::Wrong, line));
    let hints = record.hints().iter().map(|hint| ("○", Style::Hint, story::hint(hint)));
    let missing = frame.and_then(story::missing).map(|line| ("✂", Style::Wrong, line));
    let mut separated = false;
    for (mark, style, words) in findings.chain(receiver).chain(hints).chain(missing) {
        if !core::mem::replace(&mut separated, true) {
            writeln!(out)?;
        }
        for (i, line) in wrapped(&words, COLUMNS - 2 * INDENT).iter().enumerate() {
            let line = format!("{} {line}", if i == 0 { mark } else { " " });
            writeln!(out, "  {}", paint.paint(style, &line))?;
        }
    }
    Ok(())
}
