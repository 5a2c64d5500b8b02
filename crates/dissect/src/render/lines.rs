//! Records for people who look at many of them: one line each, with everything in its column.
//!
//! ```text
//!    0.000000   1 → request                   GET /echo
//!    0.000412   1 ← response                  101 Switching Protocols
//!    0.001020   1 → text          FIN MASK      5  "Hello"
//!    0.001177   1 ← text          FIN           5  "Hello"
//!    2.000031   1 → close         FIN MASK      5  1000 "bye"
//! ```
//!
//! Time in seconds, the connection, who sent it (`→` a client, `←` a server), what it is, its bits, its length, and what it
//! says. Time and connection stand there where they are known. A line fits 80 columns, unless its numbers are huge.

use std::io::{self, Write};

use sockeye_proto::Role;
use sockeye_proto::frame::{Header, Opcode};

use super::style::{Paint, Style};
use super::words::{COLUMNS, bytes, hex, quoted, safe, seconds};
use crate::{Frame, Head, InflateOutcome, Item, Record, StartLine};

/// Writes one record as one line, with ANSI colours if they are wanted.
///
/// # Errors
/// Those of the writer.
pub fn write(record: &Record, color: bool, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", line(record, color))
}

fn line(record: &Record, color: bool) -> String {
    let mut line = String::new();
    if let Some(time) = record.time {
        line += &format!("{:>11} ", seconds(time.began));
    }
    if let Some(number) = record.connection {
        line += &format!("{number:>3} ");
    }
    line.push_str(match record.sender().role() {
        Some(Role::Client) => "→ ",
        Some(Role::Server) => "← ",
        None => "? ",
    });
    let what = match &record.item {
        Item::Frame(frame) => match frame.opcode() {
            Some(opcode) if opcode.is_reserved() => format!("reserved {:#X}", opcode.bits()),
            opcode => opcode.map_or("frame", Opcode::name).to_owned(),
        },
        Item::Head(head) if head.sender() == Role::Client => "request".to_owned(),
        Item::Head(_) => "response".to_owned(),
        Item::Opaque(_) => "bytes".to_owned(),
        Item::Gap(_) => "gap".to_owned(),
    };
    line += &format!("{what:<12}  ");
    line += &match &record.item {
        Item::Frame(frame) => bits_and_length(frame),
        other => format!(
            "{:>8}  {:>6}  ",
            "",
            match other {
                Item::Opaque(opaque) => opaque.len.to_string(),
                Item::Gap(gap) => gap.bytes.to_string(),
                _ => String::new(),
            }
        ),
    };
    let marks = marks(record);
    let room = COLUMNS.saturating_sub(line.chars().count() + marks.chars().count());
    line += &says(record, room);
    let line = format!("{marks}{}", line.trim_end());
    let style = match (record.findings().is_empty() && !record.is_cut_off(), &record.item) {
        (false, _) | (true, Item::Gap(_)) => Style::Wrong,
        (true, Item::Frame(frame)) if frame.opcode().is_some_and(Opcode::is_control) => {
            Style::Field(crate::Field::MASK)
        }
        (true, Item::Frame(_)) => return line,
        (true, _) => Style::Quiet,
    };
    Paint { color }.paint(style, &line)
}

/// `✗` for a broken rule or a cut, `○` for a hint.
fn marks(record: &Record) -> &'static str {
    match (record.findings().is_empty() && !record.is_cut_off(), record.hints().is_empty()) {
        (false, _) => "✗ ",
        (true, false) => "○ ",
        (true, true) => "  ",
    }
}

/// `FIN MASK      5  `
fn bits_and_length(frame: &Frame) -> String {
    let header = frame.header;
    let bit = |name, is_set: fn(Header) -> bool| header.filter(|&header| is_set(header)).map_or("", |_| name);
    let (fin, mask) = (bit("FIN", Header::fin), bit("MASK", Header::masked));
    let len = header.map(|header| header.payload_len().to_string()).unwrap_or_default();
    format!("{fin:<3} {mask:<4}  {len:>6}  ")
}

/// What is in it, in so many columns.
fn says(record: &Record, room: usize) -> String {
    match &record.item {
        Item::Head(Head { start, .. }) => match start {
            StartLine::Request { method, target } => safe(&format!("{method} {target}"), room),
            StartLine::Response { status, reason } => safe(format!("{} {reason}", status.as_u16()).trim_end(), room),
            StartLine::Unread(_) => "cannot be read".to_owned(),
        },
        Item::Opaque(opaque) => {
            let why = opaque.why.to_string();
            if why.chars().count() < room { why } else { opaque.why.name().to_owned() }
        }
        Item::Gap(gap) => match gap.within {
            Some(frame) => format!("missing within frame {frame}"),
            None => "missing; frames unknown".to_owned(),
        },
        Item::Frame(frame) => frame_says(frame, room),
    }
}

fn frame_says(frame: &Frame, room: usize) -> String {
    if let Some(finding) = frame.findings.first() {
        return safe(&finding.to_string(), room);
    }
    if let Some(close) = &frame.close {
        let code = close.code.map(|code| code.as_u16().to_string()).unwrap_or_default();
        let reason = close.reason.as_deref().filter(|reason| !reason.is_empty());
        let reason = reason.map(|reason| format!(" {}", quoted(reason, room.saturating_sub(code.len() + 1))));
        return code + &reason.unwrap_or_default();
    }
    // What a compressed message inflates to has a length of its own.
    let inflated = frame.inflated.as_ref().map(|inflated| match inflated.outcome {
        InflateOutcome::Good => format!("→ {}  ", inflated.payload.len()),
        outcome => format!("{outcome}  "),
    });
    let inflated = inflated.unwrap_or_default();
    let room = room.saturating_sub(inflated.chars().count());
    inflated + &content_says(frame, room)
}

fn content_says(frame: &Frame, room: usize) -> String {
    if let Some(text) = frame.text() {
        return if text.is_empty() { String::new() } else { quoted(text, room) };
    }
    // Two digits and a space for each byte, and the sign that there are more.
    let content = frame.content();
    let shown = content.len().min(room.saturating_sub(2) / 3);
    let more = if shown < content.len() { " …" } else { "" };
    if content.is_empty() && frame.not_kept() > 0 {
        return format!("{} not kept", bytes(frame.not_kept()));
    }
    hex(&content[..shown]) + more
}
