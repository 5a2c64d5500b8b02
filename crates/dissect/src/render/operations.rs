//! The bit operations that take a header apart, with their results, and what these mean.

use sockeye_proto::frame::{Header, LengthForm, Opcode};

use super::words::{bytes, hex};
use crate::{Field, Frame};

/// One operation on the header's bytes.
#[derive(Debug)]
pub(super) struct Operation {
    /// The field it gives.
    pub(super) field: &'static str,
    /// The operation and its result: `0x84 & 0x0F = 4`.
    pub(super) equation: String,
    /// What the result says.
    pub(super) meaning: String,
}

/// The operations, as far as the header has come.
pub(super) fn operations(frame: &Frame) -> Vec<Operation> {
    let mut operations = Vec::new();
    let mut add = |field, equation, meaning| {
        operations.push(Operation { field, equation, meaning });
    };
    let Some(&first) = frame.header_bytes.first() else {
        return operations;
    };

    let opcode = Opcode::from_bits(first);
    let fin = match (first >> 7, opcode.is_control()) {
        (1, false) => "FIN: the message ends with this frame",
        (_, false) => "FIN: more frames of the message follow",
        (1, true) => "FIN: set, as in every control frame",
        (_, true) => "FIN: not set",
    };
    add(Field::FIN, format!("0x{first:02X} >> 7 = {}", first >> 7), fin.to_owned());
    let reserved = (first >> 4) & 0x07;
    let set: Vec<_> =
        (1..=3).filter(|number| reserved & (8 >> number) != 0).map(|number| format!("RSV{number}")).collect();
    let meaning = match (reserved, &frame.inflated) {
        (0, _) => "RSV1, RSV2, RSV3: none is set".to_owned(),
        (0b100, Some(_)) if opcode != Opcode::CONTINUATION => "RSV1: set, the message is compressed".to_owned(),
        _ => format!("{}: set", set.join(", ")),
    };
    add(Field::RSV[0], format!("(0x{first:02X} >> 4) & 0x07 = {reserved}"), meaning);
    add(Field::OPCODE, format!("0x{first:02X} & 0x0F = {}", opcode.bits()), format!("opcode: {}", opcode.name()));

    let Some(&second) = frame.header_bytes.get(1) else {
        return operations;
    };
    let mask = match second >> 7 {
        1 => "MASK: a masking key follows",
        _ => "MASK: no masking key, a plain payload",
    };
    add(Field::MASK, format!("0x{second:02X} >> 7 = {}", second >> 7), mask.to_owned());
    let len = second & 0x7F;
    let meaning = match len {
        126 => "the length stands in the next 2 bytes".to_owned(),
        127 => "the length stands in the next 8 bytes".to_owned(),
        _ => format!("length: {}", bytes(len.into())),
    };
    add(Field::LEN, format!("0x{second:02X} & 0x7F = {len}"), meaning);

    let Some(header) = frame.header else {
        return operations;
    };
    let len = header.payload_len();
    match header.length_form() {
        LengthForm::Bits7 => {}
        LengthForm::Bits16 => {
            let [high, low] = [frame.header_bytes[2], frame.header_bytes[3]];
            add(
                Field::EXTENDED_LEN,
                format!("0x{high:02X} << 8 | 0x{low:02X} = {len}"),
                format!("length: {}", bytes(len)),
            );
        }
        LengthForm::Bits64 => {
            let equation = format!("0x{} = {len}", hex(&frame.header_bytes[2..10]).replace(' ', "").to_uppercase());
            add(Field::EXTENDED_LEN, equation, "length in bytes".to_owned());
        }
    }
    operations
}

/// The length form in words.
pub(super) fn length_form(header: Header) -> Vec<String> {
    let len = header.payload_len();
    let form = match header.length_form() {
        LengthForm::Bits7 => format!("{len} fits the 7 bits: no more bytes of length"),
        LengthForm::Bits16 => format!("126 says: the next 2 bytes hold the length, {len}"),
        LengthForm::Bits64 => format!("127 says: the next 8 bytes hold the length, {len}"),
    };
    let size = header.size();
    match header.masking_key() {
        None => vec![format!("{form}; header of {size} bytes")],
        Some(_) => vec![
            format!("{form}; header of {} bytes", size - 4),
            format!("with the 4 bytes of the masking key a header of {size} bytes"),
        ],
    }
}
