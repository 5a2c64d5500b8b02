//! A frame's header: two bytes, up to eight more for the length, four for the masking key.

use core::fmt;
use core::ops::Range;

use super::Opcode;
use crate::mask::MaskingKey;

/// A frame's header, exactly as it stood on the wire: 16 bytes, `Copy`.
///
/// Any bytes make a header. The first two are kept as they came, so nothing is lost: not the reserved bits, and not which
/// of the three length forms was used. Whether the header keeps the rules is the question of [`rules`](super::rules).
///
/// ```
/// use sockeye_proto::frame::{Header, Opcode, Parse};
///
/// let Parse::Complete(header) = Header::parse(&[0x81, 0x05, b'H', b'e', b'l', b'l', b'o']) else { panic!() };
/// assert!(header.fin());
/// assert_eq!(header.opcode(), Opcode::TEXT);
/// assert_eq!(header.payload_len(), 5);
/// assert_eq!(header.size(), 2);
///
/// assert_eq!(Header::parse(&[0x81, 0xFE]), Parse::Partial { missing: 6 });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    first: u8,
    second: u8,
    /// Zero when MASK is 0.
    key: MaskingKey,
    payload_len: u64,
}

/// What [`Header::parse`] found. Needing more bytes is an answer, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a header is there or it is not")]
pub enum Parse {
    /// The header is all there; it takes [`Header::size`] bytes.
    Complete(Header),
    /// At least this many bytes are still to come before the header ends.
    Partial {
        /// Bytes missing, as far as the bytes at hand can tell.
        missing: usize,
    },
}

/// The three forms a payload length is written in (§5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "seven bits have three meanings")]
pub enum LengthForm {
    /// In the second byte itself: 0 to 125.
    Bits7,
    /// 126 stands in the second byte, the length in the 2 bytes after it.
    Bits16,
    /// 127 stands in the second byte, the length in the 8 bytes after it.
    Bits64,
}

impl LengthForm {
    /// The shortest form that can hold a length.
    #[must_use]
    pub const fn for_len(payload_len: u64) -> Self {
        match payload_len {
            0..=125 => Self::Bits7,
            126..=0xFFFF => Self::Bits16,
            _ => Self::Bits64,
        }
    }

    /// How many bytes follow the second byte to hold the length: 0, 2 or 8.
    #[must_use]
    pub const fn extra_bytes(self) -> usize {
        match self {
            Self::Bits7 => 0,
            Self::Bits16 => 2,
            Self::Bits64 => 8,
        }
    }
}

impl Header {
    /// The longest a header can be: 2 bytes, 8 of length, 4 of key.
    pub const MAX_SIZE: usize = 14;

    const FIN: u8 = 0x80;
    const MASK: u8 = 0x80;

    /// Reads the header that begins a frame. Bytes after it are not looked at.
    #[must_use]
    #[inline]
    pub fn parse(bytes: &[u8]) -> Parse {
        // Mostly there is room for any header, and no bound is looked at again.
        match bytes.first_chunk() {
            Some(bytes) => Parse::Complete(Self::read(bytes)),
            None => Self::parse_short(bytes),
        }
    }

    /// The same for fewer bytes than the longest header has.
    #[inline(never)]
    fn parse_short(bytes: &[u8]) -> Parse {
        let missing = match bytes {
            &[_, second, ..] => Self::size_of(second).saturating_sub(bytes.len()),
            _ => 2 - bytes.len(),
        };
        if missing > 0 {
            return Parse::Partial { missing };
        }
        let mut padded = [0; Self::MAX_SIZE];
        padded[..bytes.len()].copy_from_slice(bytes);
        Parse::Complete(Self::read(&padded))
    }

    /// Reads a header that is all there.
    #[inline]
    fn read(bytes: &[u8; Self::MAX_SIZE]) -> Self {
        let &[first, second, a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
        let (payload_len, key) = match second & 0x7F {
            126 => (u64::from(u16::from_be_bytes([a, b])), MaskingKey::new([c, d, e, f])),
            127 => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), MaskingKey::new([i, j, k, l])),
            short => (u64::from(short), MaskingKey::new([a, b, c, d])),
        };
        let key = if second & Self::MASK != 0 { key } else { MaskingKey::ZERO };
        Self { first, second, key, payload_len }
    }

    /// The header of a frame we send: reserved bits 0, the length in its shortest form, masked when a key is given.
    #[must_use]
    pub const fn new(fin: bool, opcode: Opcode, payload_len: u64, key: Option<MaskingKey>) -> Self {
        let length_bits = match LengthForm::for_len(payload_len) {
            #[expect(clippy::cast_possible_truncation, reason = "at most 125")]
            LengthForm::Bits7 => payload_len as u8,
            LengthForm::Bits16 => 126,
            LengthForm::Bits64 => 127,
        };
        let (mask_bit, key) = match key {
            Some(key) => (Self::MASK, key),
            None => (0, MaskingKey::ZERO),
        };
        Self {
            first: opcode.bits() | if fin { Self::FIN } else { 0 },
            second: mask_bit | length_bits,
            key,
            payload_len,
        }
    }

    /// The same header with RSV1 set: the payload of the message it begins is compressed (RFC 7692 §6).
    #[must_use]
    pub const fn compressed(self) -> Self {
        Self { first: self.first | Self::FIN >> 1, ..self }
    }

    /// Writes the header as the bytes it is on the wire: what [`parse`](Self::parse) read, to the bit.
    #[must_use]
    #[inline]
    pub fn encode(self) -> Encoded {
        let mut bytes = [0; Self::MAX_SIZE];
        bytes[0] = self.first;
        bytes[1] = self.second;
        let key = match self.length_form() {
            LengthForm::Bits7 => 2,
            LengthForm::Bits16 => {
                bytes[2..10].copy_from_slice(&(self.payload_len << 48).to_be_bytes());
                4
            }
            LengthForm::Bits64 => {
                bytes[2..10].copy_from_slice(&self.payload_len.to_be_bytes());
                10
            }
        };
        if self.masked() {
            bytes[key..key + 4].copy_from_slice(&self.key.bytes());
        }
        Encoded { bytes, size: self.size() }
    }

    /// FIN: whether this frame ends its message.
    #[must_use]
    pub const fn fin(self) -> bool {
        self.first & Self::FIN != 0
    }

    /// RSV1, RSV2 or RSV3, numbered from 1.
    ///
    /// # Panics
    /// When `number` is not 1, 2 or 3.
    #[must_use]
    pub const fn rsv(self, number: u8) -> bool {
        assert!(number >= 1 && number <= 3, "there are three reserved bits");
        self.first & (Self::FIN >> number) != 0
    }

    /// What the frame is.
    #[must_use]
    pub const fn opcode(self) -> Opcode {
        Opcode::from_bits(self.first)
    }

    /// MASK: whether the payload is masked, and a key stands in the header.
    #[must_use]
    pub const fn masked(self) -> bool {
        self.second & Self::MASK != 0
    }

    /// The masking key, if MASK is 1.
    #[must_use]
    pub fn masking_key(self) -> Option<MaskingKey> {
        self.masked().then_some(self.key)
    }

    /// The length of the payload in bytes, as the header claims it.
    #[must_use]
    pub const fn payload_len(self) -> u64 {
        self.payload_len
    }

    /// Which of the three forms the length was written in.
    #[must_use]
    pub const fn length_form(self) -> LengthForm {
        match self.second & 0x7F {
            126 => LengthForm::Bits16,
            127 => LengthForm::Bits64,
            _ => LengthForm::Bits7,
        }
    }

    /// The first two bytes as they came.
    #[must_use]
    pub const fn first_bytes(self) -> [u8; 2] {
        [self.first, self.second]
    }

    /// How many bytes the header itself takes: 2 to 14.
    #[must_use]
    pub const fn size(self) -> usize {
        Self::size_of(self.second)
    }

    /// Where each field lies. Derived, never recorded: positions are a function of the first two bytes.
    #[must_use]
    pub const fn layout(self) -> Layout {
        Layout { form: self.length_form(), masked: self.masked() }
    }

    const fn size_of(second: u8) -> usize {
        SIZES[second as usize] as usize
    }
}

/// What a header takes, by its second byte: in a table, as it is asked for several times on the way of each frame.
static SIZES: [u8; 256] = {
    let mut sizes = [2; 256];
    let mut second = 0;
    while second < 256 {
        sizes[second] += match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if second & 0x80 != 0 {
            sizes[second] += 4;
        }
        second += 1;
    }
    sizes
};

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("fin", &self.fin())
            .field("rsv", &[self.rsv(1), self.rsv(2), self.rsv(3)])
            .field("opcode", &self.opcode())
            .field("masking_key", &self.masking_key())
            .field("payload_len", &self.payload_len)
            .field("length_form", &self.length_form())
            .finish()
    }
}

/// A header's bytes, up to [`Header::MAX_SIZE`] of them; derefs to the slice.
#[derive(Clone, Copy, Debug)]
pub struct Encoded {
    bytes: [u8; Header::MAX_SIZE],
    size: usize,
}

impl Encoded {
    /// The bytes with zeros behind them.
    pub(crate) const fn padded(&self) -> &[u8; Header::MAX_SIZE] {
        &self.bytes
    }
}

impl core::ops::Deref for Encoded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

/// Where a header's fields lie, in bits from the start of the frame: the RFC's figure as numbers.
///
/// ```
/// use sockeye_proto::frame::{Header, Opcode};
///
/// let layout = Header::new(true, Opcode::TEXT, 300, None).layout();
/// assert_eq!(layout.opcode(), 4..8);
/// assert_eq!(layout.extended_len(), Some(16..32));
/// assert_eq!(layout.masking_key(), None);
/// assert_eq!(layout.payload_start(), 32);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    form: LengthForm,
    masked: bool,
}

impl Layout {
    /// FIN.
    #[must_use]
    pub const fn fin(self) -> Range<usize> {
        0..1
    }

    /// RSV1, RSV2 and RSV3.
    #[must_use]
    pub const fn rsv(self) -> [Range<usize>; 3] {
        [1..2, 2..3, 3..4]
    }

    /// The opcode.
    #[must_use]
    pub const fn opcode(self) -> Range<usize> {
        4..8
    }

    /// MASK.
    #[must_use]
    pub const fn mask(self) -> Range<usize> {
        8..9
    }

    /// The seven bits that hold the length or say where it is.
    #[must_use]
    pub const fn len(self) -> Range<usize> {
        9..16
    }

    /// The 16 or 64 bits of the longer forms.
    #[must_use]
    pub const fn extended_len(self) -> Option<Range<usize>> {
        match self.form {
            LengthForm::Bits7 => None,
            LengthForm::Bits16 => Some(16..32),
            LengthForm::Bits64 => Some(16..80),
        }
    }

    /// The masking key, if MASK is 1.
    #[must_use]
    pub const fn masking_key(self) -> Option<Range<usize>> {
        let start = 16 + 8 * self.form.extra_bytes();
        if self.masked { Some(start..start + 32) } else { None }
    }

    /// Where the payload begins.
    #[must_use]
    pub const fn payload_start(self) -> usize {
        16 + 8 * self.form.extra_bytes() + if self.masked { 32 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_takes_sixteen_bytes_of_memory() {
        assert_eq!(size_of::<Header>(), 16);
    }

    #[test]
    fn all_first_two_bytes_parse_and_encode_back_to_themselves() {
        for first in 0..=255 {
            for second in 0..=255 {
                let bytes = [first, second, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
                let Parse::Complete(header) = Header::parse(&bytes) else {
                    panic!("16 bytes hold any header");
                };
                assert_eq!(&*header.encode(), &bytes[..header.size()]);
                assert_eq!(header.layout().payload_start(), header.size() * 8);
            }
        }
    }

    #[test]
    fn a_header_cut_at_any_byte_says_how_much_is_missing() {
        for second in 0..=255 {
            let bytes = [0x82, second, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let size = Header::size_of(second);
            for cut in 0..size {
                // Before the second byte has come, it is all that is known to be missing.
                let missing = if cut < 2 { 2 - cut } else { size - cut };
                assert_eq!(Header::parse(&bytes[..cut]), Parse::Partial { missing });
            }
            assert!(matches!(Header::parse(&bytes[..size]), Parse::Complete(_)));
        }
    }

    #[test]
    fn a_new_header_uses_the_shortest_length_form() {
        let cases: [(u64, usize); 7] =
            [(0, 2), (125, 2), (126, 4), (127, 4), (65_535, 4), (65_536, 10), (u64::MAX >> 1, 10)];
        for (len, size) in cases {
            let header = Header::new(true, Opcode::BINARY, len, None);
            assert_eq!(header.size(), size);
            assert_eq!(Header::parse(&header.encode()), Parse::Complete(header));
            let key = MaskingKey::new([1, 2, 3, 4]);
            let masked = Header::new(true, Opcode::BINARY, len, Some(key));
            assert_eq!(masked.size(), size + 4);
            assert_eq!(masked.masking_key(), Some(key));
            assert_eq!(Header::parse(&masked.encode()), Parse::Complete(masked));
        }
    }
}
