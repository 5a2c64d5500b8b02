//! Records for people: a summary, the RFC's figure with this frame's bits, the operations that read them, the payload
//! unmasked, and what it all means.
//!
//! Lines fit 80 columns. Nothing a peer sent passes unescaped.

use std::io::{self, Write};

use super::figure::figure;
use super::operations::{length_form, operations};
use super::payload::{self, Dumped};
use super::story;
use super::style::{Paint, Style};
use super::words::{COLUMNS, bytes, hex, wrapped};
use crate::Record;

/// How records are shown.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a caller sets all of it, or says ..Default::default()")]
pub struct Options {
    /// Whether to use ANSI colours.
    pub color: bool,
    /// Whether to show payloads and texts to their ends; else long ones are shortened.
    pub all: bool,
}

/// The frame in one line, which fits 80 columns unless its numbers are huge: number, sender, opcode, FIN, mask, length, broken rules, text.
#[must_use]
pub fn summary(record: &Record) -> String {
    story::summary(record)
}

/// Writes everything there is to say of one frame.
///
/// # Errors
/// Those of the writer.
pub fn write(record: &Record, options: Options, out: &mut impl Write) -> io::Result<()> {
    let paint = Paint { color: options.color };
    writeln!(out, "{}", paint.paint(Style::Title, &summary(record)))?;
    for line in story::place(record) {
        writeln!(out, "  {}", paint.paint(Style::Quiet, &line))?;
    }

    writeln!(out)?;
    for line in figure(record, paint) {
        writeln!(out, "  {line}")?;
    }

    writeln!(out)?;
    write_operations(record, paint, out)?;
    if let Some(header) = record.header {
        section("Length", &length_form(header), paint, out)?;
    }
    write_payload(record, options, paint, out)?;
    let meaning = [
        ("Text", story::text(record, options.all)),
        ("Close", story::close(record)),
        ("Message", story::message(record, options.all)),
    ];
    if meaning.iter().any(|(_, lines)| !lines.is_empty()) {
        writeln!(out)?;
    }
    for (label, lines) in &meaning {
        section(label, lines, paint, out)?;
    }
    write_verdict(record, paint, out)
}

/// Columns before every line but the first.
const INDENT: usize = 2;
/// Columns before the words of a section, with its label.
const LABEL: usize = 14;

/// A label and its lines, wrapped; nothing at all where there are no lines.
fn section(label: &str, lines: &[String], paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let mut label = format!("{label:<width$}", width = LABEL - INDENT);
    for line in lines.iter().flat_map(|line| wrapped(line, COLUMNS - LABEL)) {
        writeln!(out, "  {}{line}", paint.paint(Style::Label, &label))?;
        label = " ".repeat(LABEL - INDENT);
    }
    Ok(())
}

fn write_operations(record: &Record, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let mut label = "Bits";
    for operation in operations(record) {
        let equation = paint.paint(Style::Field(operation.field), &format!("{:<25}", operation.equation));
        let label =
            paint.paint(Style::Label, &format!("{:<width$}", core::mem::take(&mut label), width = LABEL - INDENT));
        let meaning = paint.paint(Style::Quiet, &operation.meaning);
        writeln!(out, "  {label}{equation}  {meaning}")?;
    }
    Ok(())
}

fn write_payload(record: &Record, options: Options, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let Some(header) = record.header else {
        return Ok(());
    };
    let key = header.masking_key();
    writeln!(out)?;
    if let Some(key) = key {
        section("Masking key", &[hex(&key.bytes())], paint, out)?;
    }
    if record.arrived == 0 {
        let payload = if header.payload_len() == 0 { "none" } else { "nothing of it has come" };
        section("Payload", &[payload.to_owned()], paint, out)?;
        return write_inflated(record, options, paint, out);
    }
    if let Some(key) = key {
        let mut steps = payload::steps(record, key, paint);
        steps.insert(0, "byte i of the payload ^ byte (i mod 4) of the key".to_owned());
        section_as_is("Unmasking", &steps, paint, out)?;
    }
    let whole = if record.is_cut_off() {
        format!("{} of {}", record.arrived, bytes(header.payload_len()))
    } else {
        bytes(record.arrived)
    };
    let compressed = if record.inflated.is_some() { ", compressed" } else { "" };
    if key.is_some() {
        section("Payload", &[format!("{whole}, as on the wire")], paint, out)?;
        payload::dump(record, Dumped::Wire, options.all, paint, out)?;
        section("", &[format!("unmasked{compressed}")], paint, out)?;
    } else {
        section("Payload", &[format!("{whole}{compressed}")], paint, out)?;
    }
    payload::dump(record, Dumped::Unmasked, options.all, paint, out)?;
    write_inflated(record, options, paint, out)
}

/// What the payload inflates to, and where that ends before the payload does.
fn write_inflated(record: &Record, options: Options, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    section("Inflated", &story::inflated(record), paint, out)?;
    if record.inflated.is_some() {
        payload::dump(record, Dumped::Inflated, options.all, paint, out)?;
    }
    Ok(())
}

/// Like [`section`], for lines that are short and may have colours in them.
fn section_as_is(label: &str, lines: &[String], paint: Paint, out: &mut impl Write) -> io::Result<()> {
    for (i, line) in lines.iter().enumerate() {
        let label = format!("{:<width$}", if i == 0 { label } else { "" }, width = LABEL - INDENT);
        writeln!(out, "  {}{line}", paint.paint(Style::Label, &label))?;
    }
    Ok(())
}

/// The broken rules, each on its own lines, what a receiver does about them, and what is missing.
fn write_verdict(record: &Record, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let findings = record.findings.iter().map(|finding| ("✗", finding.to_string()));
    let receiver = story::receiver(record).map(|line| ("→", line));
    let note = story::note(record).map(|line| (" ", line));
    let missing = story::missing(record).map(|line| ("✂", line));
    let mut separated = false;
    for (mark, words) in findings.chain(receiver).chain(note).chain(missing) {
        if !core::mem::replace(&mut separated, true) {
            writeln!(out)?;
        }
        for (i, line) in wrapped(&words, COLUMNS - 2 * INDENT).iter().enumerate() {
            let line = format!("{} {line}", if i == 0 { mark } else { " " });
            writeln!(out, "  {}", paint.paint(Style::Wrong, &line))?;
        }
    }
    Ok(())
}
