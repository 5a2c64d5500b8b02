//! A frame for people: the figure, the operations that read its header, the payload as it came and as it is, and what it
//! means.

use std::io::{self, Write};

use super::figure::figure;
use super::operations::{length_form, operations};
use super::payload::{self, Dump};
use super::story;
use super::style::{Paint, Style};
use super::text::{INDENT, LABEL, Options, section, section_as_is};
use super::words::{bytes, hex};
use crate::Frame;

/// Everything between the place of a frame and the verdict on it.
pub(super) fn write(frame: &Frame, options: Options, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    writeln!(out)?;
    for line in figure(frame, paint) {
        writeln!(out, "  {line}")?;
    }

    writeln!(out)?;
    write_operations(frame, paint, out)?;
    if let Some(header) = frame.header {
        section("Length", &length_form(header), paint, out)?;
    }
    write_payload(frame, options, paint, out)?;
    let meaning = [
        ("Text", story::text(frame, options.all)),
        ("Close", story::close(frame)),
        ("Message", story::message(frame, options.all)),
    ];
    if meaning.iter().any(|(_, lines)| !lines.is_empty()) {
        writeln!(out)?;
    }
    for (label, lines) in &meaning {
        section(label, lines, paint, out)?;
    }
    Ok(())
}

fn write_operations(frame: &Frame, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let mut label = "Bits";
    for operation in operations(frame) {
        let equation = paint.paint(Style::Field(operation.field), &format!("{:<25}", operation.equation));
        let label =
            paint.paint(Style::Label, &format!("{:<width$}", core::mem::take(&mut label), width = LABEL - INDENT));
        let meaning = paint.paint(Style::Quiet, &operation.meaning);
        writeln!(out, "  {label}{equation}  {meaning}")?;
    }
    Ok(())
}

fn write_payload(frame: &Frame, options: Options, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let Some(header) = frame.header else {
        return Ok(());
    };
    let key = header.masking_key();
    writeln!(out)?;
    if let Some(key) = key {
        section("Masking key", &[hex(&key.bytes())], paint, out)?;
    }
    if frame.arrived == 0 {
        let payload = if header.payload_len() == 0 { "none" } else { "nothing of it has come" };
        section("Payload", &[payload.to_owned()], paint, out)?;
        return write_inflated(frame, options, paint, out);
    }
    if let Some(key) = key {
        let mut steps = payload::steps(frame, key, paint);
        steps.insert(0, "byte i of the payload ^ byte (i mod 4) of the key".to_owned());
        section_as_is("Unmasking", &steps, paint, out)?;
    }
    let whole = if frame.is_cut_off() {
        format!("{} of {}", frame.arrived, bytes(header.payload_len()))
    } else {
        bytes(frame.arrived)
    };
    let lost = frame.lost.map(|lost| lost.bytes).unwrap_or_default();
    let unmasked = Dump { bytes: &frame.payload, key: None, not_kept: frame.not_kept(), lost };
    let compressed = if frame.inflated.is_some() { ", compressed" } else { "" };
    if key.is_some() {
        section("Payload", &[format!("{whole}, as on the wire")], paint, out)?;
        payload::dump(Dump { key, ..unmasked }, options.all, paint, out)?;
        section("", &[format!("unmasked{compressed}")], paint, out)?;
    } else {
        section("Payload", &[format!("{whole}{compressed}")], paint, out)?;
    }
    payload::dump(unmasked, options.all, paint, out)?;
    write_inflated(frame, options, paint, out)
}

/// What the payload inflates to, and where that ends before the payload does.
fn write_inflated(frame: &Frame, options: Options, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    section("Inflated", &story::inflated(frame), paint, out)?;
    if frame.inflated.is_some() {
        let inflated = Dump { bytes: frame.content(), key: None, not_kept: 0, lost: 0 };
        payload::dump(inflated, options.all, paint, out)?;
    }
    Ok(())
}
