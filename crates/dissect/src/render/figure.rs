//! The figure of RFC 6455 §5.2, filled in with the bits of one frame: 32 to a row, each field where it really lies.

use core::ops::Range;

use super::style::{PAYLOAD, Paint, Style};
use super::words::bytes;
use crate::{Field, Frame, Missing, field};

/// Bits in a row.
const ROW: usize = 32;

/// A field, or the part of one that stands in one row.
#[derive(Debug)]
struct Cell {
    name: &'static str,
    /// Where it lies, in bits from the start of the frame; within one row.
    bits: Range<usize>,
    /// Whether the field began in an earlier row.
    continued: bool,
}

/// The figure, line by line.
pub(super) fn figure(frame: &Frame, paint: Paint) -> Vec<String> {
    let quiet = |line: &str| paint.paint(Style::Quiet, line);
    let numbers = |number: fn(usize) -> String| (0..ROW).map(number).collect::<String>();
    let tens = numbers(|bit| if bit % 10 == 0 { format!(" {}", bit / 10) } else { "  ".into() });
    let units = numbers(|bit| format!(" {}", bit % 10));
    let mut lines = vec![quiet(tens.trim_end()), quiet(&units)];

    // What is drawn of the payload ends the row it begins in, and fills one more.
    let start = frame.fields().last().map_or(0, |field| field.bits.end);
    let room = (ROW - start % ROW) % ROW + ROW;
    let wire = frame.wire_bytes(room / 8);
    let rows = rows(frame, start..(8 * wire.len()).max(start));

    let mut above = Vec::new();
    for row in &rows {
        let edges = edges(row);
        lines.push(quiet(&border(&above, &edges, false)));
        lines.extend(draw(row, &wire, paint));
        above = edges;
    }
    match tail(frame, wire.len() as u64) {
        Some(tail) => {
            let whole = [0, ROW];
            lines.push(quiet(&border(&above, &whole, true)));
            let bar = quiet(":");
            lines.push(format!("{bar}{}{bar}", paint.paint(Style::Field(PAYLOAD), &format!("{tail:^63}"))));
            lines.push(quiet(&border(&whole, &[], frame.is_cut_off())));
        }
        None => lines.push(quiet(&border(&above, &[], frame.is_cut_off()))),
    }
    lines
}

/// What the figure says in place of the bytes it does not draw.
fn tail(frame: &Frame, drawn: u64) -> Option<String> {
    let more = frame.size().saturating_sub(drawn);
    let cut = match frame.missing {
        Missing::Nothing => None,
        Missing::Exactly(missing) => Some(format!("cut off: {missing} more to come")),
        Missing::AtLeast(missing) => Some(format!("cut off: at least {missing} more to come")),
    };
    let more = (more > 0).then(|| format!("{PAYLOAD} continued: {}", bytes(more)));
    match (more, cut) {
        // With a length of 19 digits both do not fit.
        (Some(_), Some(cut)) if cut.len() > 32 => Some(cut),
        (Some(more), Some(cut)) => Some(format!("{more}, then {cut}")),
        (more, cut) => more.or(cut),
    }
}

/// The header's fields and the payload, cut where rows end.
fn rows(frame: &Frame, payload: Range<usize>) -> Vec<Vec<Cell>> {
    let fields = frame.fields().into_iter().map(|field| (field.name, field.bits));
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (name, bits) in fields.chain([(PAYLOAD, payload)]) {
        let mut start = bits.start;
        while start < bits.end {
            let end = bits.end.min((start / ROW + 1) * ROW);
            if start % ROW == 0 {
                rows.push(Vec::new());
            }
            let row = rows.last_mut().expect("bit 0 has begun the first row");
            row.push(Cell { name, bits: start..end, continued: start > bits.start });
            start = end;
        }
    }
    rows
}

/// The bits at which a row's cells begin and end.
fn edges(row: &[Cell]) -> Vec<usize> {
    let first = row.first().map_or(0, |cell| cell.bits.start);
    [0].into_iter().chain(row.iter().map(|cell| cell.bits.end - first)).collect()
}

/// The line between two rows: a `+` wherever a cell of either begins or ends.
fn border(above: &[usize], below: &[usize], dashed: bool) -> String {
    let width = above.iter().chain(below).copied().max().unwrap_or(0);
    (0..=2 * width)
        .map(|column| {
            let edge = column / 2;
            match column % 2 {
                0 if above.contains(&edge) || below.contains(&edge) => '+',
                0 if dashed => '-',
                _ if dashed => ' ',
                _ => '-',
            }
        })
        .collect()
}

/// A row: the names of its cells, their bits, and what these amount to.
fn draw(row: &[Cell], wire: &[u8], paint: Paint) -> Vec<String> {
    let columns: Vec<Vec<String>> = row
        .iter()
        .map(|cell| {
            let mut column = names(cell);
            let height = if cell.bits.start < ROW { 4 } else { 1 };
            column.resize(height, String::new());
            column.push(bits(cell, wire));
            column.push(values(cell, wire));
            column
        })
        .collect();
    let height = columns.first().map_or(0, Vec::len);
    (0..height)
        .map(|line| {
            let bar = paint.paint(Style::Quiet, "|");
            row.iter().zip(&columns).fold(bar.clone(), |drawn, (cell, column)| {
                let width = 2 * cell.bits.len() - 1;
                drawn + &paint.paint(Style::Field(cell.name), &format!("{:^width$}", column[line])) + &bar
            })
        })
        .collect()
}

/// A cell's name as the RFC writes it; a cell of one bit has its letters below one another.
fn names(cell: &Cell) -> Vec<String> {
    let strings = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect();
    match cell.name {
        Field::FIN => strings(&["F", "I", "N"]),
        Field::MASK => strings(&["M", "A", "S", "K"]),
        Field::OPCODE => strings(&[" opcode", "(4)"]),
        Field::LEN => strings(&["Payload len", "(7)"]),
        // The last two bytes of a 64-bit length have half a row.
        Field::EXTENDED_LEN if cell.continued && cell.bits.len() < ROW => strings(&["Length (continued)"]),
        PAYLOAD if cell.bits.len() < 16 => strings(&[if cell.continued { "continued" } else { PAYLOAD }]),
        name if cell.continued => vec![format!("{name} (continued)")],
        name if cell.bits.len() == 1 => name.chars().map(String::from).collect(),
        name => strings(&[name]),
    }
}

/// A cell's bits, with a question mark for each that has not come.
fn bits(cell: &Cell, wire: &[u8]) -> String {
    let digit = |bit| match field::bit(wire, bit) {
        Some(true) => "1",
        Some(false) => "0",
        None => "?",
    };
    cell.bits.clone().map(digit).collect::<Vec<_>>().join(" ")
}

/// What a cell's bits amount to: a number, or a byte below each eight of them.
fn values(cell: &Cell, wire: &[u8]) -> String {
    match cell.bits.len() {
        1 => String::new(),
        len @ (4 | 7) => {
            let number =
                cell.bits.clone().try_fold(0, |value, bit| Some(value << 1 | u8::from(field::bit(wire, bit)?)));
            match number {
                Some(number) if len == 4 => format!("= {number:#X}"),
                Some(number) => format!("= {number}"),
                None => String::new(),
            }
        }
        _ => {
            let bytes = cell.bits.clone().step_by(8).map(|bit| match wire.get(bit / 8) {
                Some(byte) => format!("{:^15}", format!("0x{byte:02x}")),
                None => " ".repeat(15),
            });
            bytes.collect::<Vec<_>>().join(" ")
        }
    }
}
