//! The fields of a header: the RFC's figure as names, bits and values.

use core::ops::Range;

use sockeye_proto::frame::{Header, Parse};

/// Some bits of a header that have a name (§5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Field {
    /// The RFC's name for it, such as `"opcode"` or `"Masking-key"`.
    pub name: &'static str,
    /// Where it lies, in bits from the start of the frame.
    pub bits: Range<usize>,
    /// Its bits as one number; `None` where the stream ends before the field does.
    pub value: Option<u64>,
}

impl Field {
    /// FIN.
    pub const FIN: &'static str = "FIN";
    /// The reserved bits.
    pub const RSV: [&'static str; 3] = ["RSV1", "RSV2", "RSV3"];
    /// The opcode.
    pub const OPCODE: &'static str = "opcode";
    /// MASK.
    pub const MASK: &'static str = "MASK";
    /// The seven bits that hold the length, or say where it is.
    pub const LEN: &'static str = "Payload len";
    /// The 16 or 64 bits of a longer length.
    pub const EXTENDED_LEN: &'static str = "Extended payload length";
    /// The masking key.
    pub const MASKING_KEY: &'static str = "Masking-key";

    /// The fields of the header that begins with these bytes, as far as these tell.
    pub(crate) fn all_in(bytes: &[u8]) -> Vec<Self> {
        let layout = padded(bytes).layout();
        let [rsv1, rsv2, rsv3] = layout.rsv();
        let named = [
            (Self::FIN, Some(layout.fin())),
            (Self::RSV[0], Some(rsv1)),
            (Self::RSV[1], Some(rsv2)),
            (Self::RSV[2], Some(rsv3)),
            (Self::OPCODE, Some(layout.opcode())),
            (Self::MASK, Some(layout.mask())),
            (Self::LEN, Some(layout.len())),
            (Self::EXTENDED_LEN, layout.extended_len()),
            (Self::MASKING_KEY, layout.masking_key()),
        ];
        let fields = named.into_iter().filter_map(|(name, bits)| Some((name, bits?)));
        fields.map(|(name, bits)| Self { name, value: value(bytes, bits.clone()), bits }).collect()
    }
}

/// The header that begins with these bytes, were the rest of it zeros: what is there keeps its place.
pub(crate) fn padded(bytes: &[u8]) -> Header {
    let mut whole = [0; Header::MAX_SIZE];
    let there = bytes.len().min(whole.len());
    whole[..there].copy_from_slice(&bytes[..there]);
    match Header::parse(&whole) {
        Parse::Complete(header) => header,
        Parse::Partial { .. } => unreachable!("14 bytes hold any header"),
    }
}

/// At most 64 bits as a number, the first the most significant.
fn value(bytes: &[u8], bits: Range<usize>) -> Option<u64> {
    bits.into_iter().try_fold(0, |value, bit| Some(value << 1 | u64::from(self::bit(bytes, bit)?)))
}

/// One bit, counted from the most significant of the first byte.
pub(crate) fn bit(bytes: &[u8], number: usize) -> Option<bool> {
    bytes.get(number / 8).map(|byte| byte << (number % 8) & 0x80 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notes_first_two_bytes_are_fin_opcode_4_no_mask_length_103() {
        let fields = Field::all_in(&[0x84, 0x67]);
        let values: Vec<_> = fields.iter().map(|field| (field.name, field.value.unwrap())).collect();
        assert_eq!(
            values,
            [("FIN", 1), ("RSV1", 0), ("RSV2", 0), ("RSV3", 0), ("opcode", 4), ("MASK", 0), ("Payload len", 103)]
        );
    }

    #[test]
    fn fields_lie_side_by_side_and_a_cut_takes_values_from_the_end_only() {
        for second in 0..=255 {
            let bytes = [0x82, second, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
            let size = padded(&bytes).size();
            for cut in 0..=size {
                let mut next = 0;
                for field in Field::all_in(&bytes[..cut]) {
                    assert_eq!(field.bits.start, next);
                    next = field.bits.end;
                    assert_eq!(field.value.is_some(), next <= 8 * cut, "{field:?} of {cut} bytes");
                }
                assert_eq!(next, 8 * if cut < 2 { 2 } else { size });
            }
        }
    }
}
