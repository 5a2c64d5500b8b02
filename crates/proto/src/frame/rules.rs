//! What a frame must keep to, judged on its header alone.
//!
//! The same rules stand here twice: [`check`] answers yes or no from a table and is what a connection calls for each
//! frame; [`violations`] lists every broken rule with its section and is called once `check` has said no, and by the
//! dissector. A test proves them equal for all first two bytes in every context, and equal to an oracle in
//! `tests/header_oracle.rs` that was written from the RFC in another style.

use core::fmt;

use super::{Header, LengthForm, Opcode};
use crate::close::CloseCode;
use crate::role::Role;

/// What the rules depend on besides the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "every caller must know all of it")]
pub struct Context {
    /// Who sent the frame: a client masks, a server does not.
    pub sender: Role,
    /// Whether an earlier frame began a message that has not ended.
    pub in_message: bool,
    /// Whether permessage-deflate was agreed on, which gives RSV1 a meaning on a message's first frame (RFC 7692 §6).
    pub compression: bool,
}

/// A rule of RFC 6455 that the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// RSV1, RSV2 or RSV3 (by number) is set and no extension gave it a meaning here.
    ReservedBit(u8),
    /// The opcode is one of 3–7 or B–F.
    ReservedOpcode(Opcode),
    /// A control frame without FIN.
    FragmentedControl(Opcode),
    /// A continuation frame, and no message was begun.
    ContinuationWithoutStart,
    /// A text or binary frame begins while the message before it has not ended.
    MessageInsideMessage(Opcode),
    /// A client sent a frame without a mask.
    UnmaskedClientFrame,
    /// A server sent a masked frame.
    MaskedServerFrame,
    /// A control frame with more than 125 bytes of payload.
    OversizedControl {
        /// What the frame is.
        opcode: Opcode,
        /// The length its header claims, in bytes.
        payload_len: u64,
    },
    /// A length of 64 bits with its top bit set.
    LengthTopBit,
    /// A length that would have fitted a shorter form.
    NonMinimalLength {
        /// The length, in bytes.
        payload_len: u64,
        /// The form it was written in.
        form: LengthForm,
    },
    /// A Close frame whose payload is a single byte: neither empty nor a code.
    TruncatedCloseCode,
    /// A Close frame with a code that must not be sent.
    InvalidCloseCode(CloseCode),
    /// A Close frame whose reason is not UTF-8.
    InvalidUtf8InCloseReason,
    /// A text message that is not UTF-8.
    InvalidUtf8InText,
    /// A compressed message that cannot be inflated.
    CorruptDeflate,
}

impl Violation {
    /// The RFC that has the rule: 6455, or 7692 for compressed messages.
    #[must_use]
    pub const fn rfc(self) -> u16 {
        match self {
            Self::CorruptDeflate => 7692,
            _ => 6455,
        }
    }

    /// The section of the [RFC](Self::rfc) that has the rule, such as `"5.5"`.
    #[must_use]
    pub const fn section(self) -> &'static str {
        match self {
            Self::UnmaskedClientFrame | Self::MaskedServerFrame => "5.1",
            Self::ReservedBit(_) | Self::ReservedOpcode(_) | Self::LengthTopBit | Self::NonMinimalLength { .. } => {
                "5.2"
            }
            Self::ContinuationWithoutStart | Self::MessageInsideMessage(_) => "5.4",
            Self::FragmentedControl(_) | Self::OversizedControl { .. } => "5.5",
            Self::TruncatedCloseCode | Self::InvalidUtf8InCloseReason => "5.5.1",
            Self::InvalidCloseCode(_) => "7.4",
            Self::InvalidUtf8InText => "8.1",
            Self::CorruptDeflate => "7.2.2",
        }
    }

    /// The code of the Close frame that answers it.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            // RFC 7692 names no code for data that is corrupt. The frames that brought it are good ones, so it is not the
            // protocol that was broken but "data within a message that was not consistent with the type of the message"
            // (§7.4.1). Node's ws says the same, Python's websockets 1002.
            Self::InvalidUtf8InText | Self::InvalidUtf8InCloseReason | Self::CorruptDeflate => {
                CloseCode::INVALID_PAYLOAD
            }
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ReservedBit(number) => write!(f, "RSV{number} is set and no extension gives it a meaning")?,
            Self::ReservedOpcode(opcode) => write!(f, "opcode {:#X} is reserved", opcode.bits())?,
            Self::FragmentedControl(opcode) => write!(f, "a control frame ({opcode}) must not be fragmented")?,
            Self::ContinuationWithoutStart => f.write_str("a continuation frame, but no message was begun")?,
            Self::MessageInsideMessage(opcode) => {
                write!(f, "a new message ({opcode}) begins before the last one has ended")?;
            }
            Self::UnmaskedClientFrame => f.write_str("a client must mask its frames")?,
            Self::MaskedServerFrame => f.write_str("a server must not mask its frames")?,
            Self::OversizedControl { opcode, payload_len } => {
                write!(f, "a control frame ({opcode}) of {payload_len} bytes; 125 are allowed")?;
            }
            Self::LengthTopBit => f.write_str("the top bit of a 64-bit length must be 0")?,
            Self::NonMinimalLength { payload_len, form } => {
                let bits = 8 * form.extra_bytes();
                write!(f, "length {payload_len} is written in {bits} bits; the shortest form must be used")?;
            }
            Self::TruncatedCloseCode => f.write_str("a Close payload of 1 byte cannot hold a code of 2")?,
            Self::InvalidCloseCode(code) => write!(f, "close code {} must not be sent", code.as_u16())?,
            Self::InvalidUtf8InCloseReason => f.write_str("the reason of the Close frame is not UTF-8")?,
            Self::InvalidUtf8InText => f.write_str("a text message is not UTF-8")?,
            Self::CorruptDeflate => f.write_str("a compressed message is no deflated data")?,
        }
        write!(f, " (RFC {} §{})", self.rfc(), self.section())
    }
}

impl core::error::Error for Violation {}

/// Whether a frame with this header keeps the rules. The hot half: a table look-up and three comparisons.
#[must_use]
#[inline]
pub fn check(header: Header, context: Context) -> bool {
    let [first, second] = header.first_bytes();
    let table = &FIRST_BYTE[usize::from(context.in_message) << 1 | usize::from(context.compression)];
    let longest = table[usize::from(first)];
    header.masked() == context.sender.masks() && (second & 0x7F).cast_signed() <= longest && has_good_length(header)
}

/// Whether a frame with this header is a whole message, not compressed, and keeps the rules between messages, as most
/// frames do.
#[inline]
pub(crate) fn is_whole_message(header: Header, sender: Role) -> bool {
    const TEXT: u8 = 0x80 | Opcode::TEXT.bits();
    const BINARY: u8 = 0x80 | Opcode::BINARY.bits();
    let [first, _] = header.first_bytes();
    matches!(first, TEXT | BINARY) && header.masked() == sender.masks() && has_good_length(header)
}

/// Whether the length is one there can be, and in its shortest form.
#[inline]
fn has_good_length(header: Header) -> bool {
    // A length of 7 bits is the shortest form of itself, and most are such.
    header.first_bytes()[1] & 0x7F <= 125
        || (header.length_form() == LengthForm::for_len(header.payload_len())
            && header.payload_len() <= MAX_PAYLOAD_LEN)
}

/// Every rule a frame with this header breaks, in the order of the fields. The cold half.
#[must_use]
#[cold]
pub fn violations(header: Header, context: Context) -> Vec<Violation> {
    let mut found = Vec::new();
    let opcode = header.opcode();

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5
    if opcode.is_control() && !header.fin() {
        found.push(Violation::FragmentedControl(opcode));
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    //# MUST be 0 unless an extension is negotiated that defines meanings for non-zero values.
    for number in 1..=3 {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-6
        let begins_message = matches!(opcode, Opcode::TEXT | Opcode::BINARY);
        let has_meaning = number == 1 && context.compression && begins_message;
        if header.rsv(number) && !has_meaning {
            found.push(Violation::ReservedBit(number));
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    if opcode.is_reserved() {
        found.push(Violation::ReservedOpcode(opcode));
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
    match opcode {
        Opcode::CONTINUATION if !context.in_message => found.push(Violation::ContinuationWithoutStart),
        Opcode::TEXT | Opcode::BINARY if context.in_message => {
            found.push(Violation::MessageInsideMessage(opcode));
        }
        _ => {}
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
    match (context.sender, header.masked()) {
        (Role::Client, false) => found.push(Violation::UnmaskedClientFrame),
        (Role::Server, true) => found.push(Violation::MaskedServerFrame),
        _ => {}
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5
    let payload_len = header.payload_len();
    if opcode.is_control() && header.first_bytes()[1] & 0x7F > MAX_CONTROL_LEN {
        found.push(Violation::OversizedControl { opcode, payload_len });
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    //# the most significant bit MUST be 0
    if payload_len > MAX_PAYLOAD_LEN {
        found.push(Violation::LengthTopBit);
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.2
    //# the minimal number of bytes MUST be used to encode the length
    let form = header.length_form();
    if form != LengthForm::for_len(payload_len) {
        found.push(Violation::NonMinimalLength { payload_len, form });
    }
    found
}

/// The longest payload of a control frame (§5.5).
const MAX_CONTROL_LEN: u8 = 125;
/// The longest payload of any frame: 63 bits (§5.2).
const MAX_PAYLOAD_LEN: u64 = u64::MAX >> 1;

/// For each context and first byte the largest value the seven length bits may have: 127 for a good data frame (any
/// length), 125 for a good control frame, -1 for a first byte that breaks a rule by itself.
static FIRST_BYTE: [[i8; 256]; 4] =
    [first_bytes(false, false), first_bytes(false, true), first_bytes(true, false), first_bytes(true, true)];

const fn first_bytes(in_message: bool, compression: bool) -> [i8; 256] {
    let mut table = [-1; 256];
    // `for` is not allowed in a const function.
    let mut byte = 0u8;
    loop {
        let (fin, rsv) = (byte & 0x80 != 0, byte & 0x70);
        table[byte as usize] = match Opcode::from_bits(byte) {
            Opcode::CONTINUATION if in_message && rsv == 0 => 127,
            Opcode::TEXT | Opcode::BINARY if !in_message && (rsv == 0 || (rsv == 0x40 && compression)) => 127,
            Opcode::CLOSE | Opcode::PING | Opcode::PONG if fin && rsv == 0 => MAX_CONTROL_LEN.cast_signed(),
            _ => -1,
        };
        if byte == 255 {
            return table;
        }
        byte += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Parse;

    /// Every first two bytes, with lengths that try each form and each of its edges.
    fn headers() -> impl Iterator<Item = Header> {
        let lengths: [u64; 8] = [0, 125, 126, 0xFFFF, 0x1_0000, u64::MAX >> 1, 1 << 63, u64::MAX];
        (0..=u16::MAX).flat_map(move |first_two| {
            lengths.into_iter().filter_map(move |len| {
                let mut bytes = [0; Header::MAX_SIZE];
                bytes[..2].copy_from_slice(&first_two.to_be_bytes());
                match bytes[1] & 0x7F {
                    126 => bytes[2..4].copy_from_slice(&u16::try_from(len).ok()?.to_be_bytes()),
                    127 => bytes[2..10].copy_from_slice(&len.to_be_bytes()),
                    _ if len > 0 => return None,
                    _ => {}
                }
                match Header::parse(&bytes) {
                    Parse::Complete(header) => Some(header),
                    Parse::Partial { .. } => unreachable!("14 bytes hold any header"),
                }
            })
        })
    }

    #[test]
    fn a_whole_message_is_what_check_says_yes_to_and_ends_as_data_with_no_bit_reserved() {
        for sender in [Role::Client, Role::Server] {
            let context = Context { sender, in_message: false, compression: false };
            for header in headers() {
                let is_whole = check(header, context) && header.fin() && !header.opcode().is_control();
                assert_eq!(is_whole_message(header, sender), is_whole, "{header:?} {sender:?}");
            }
        }
    }

    #[test]
    fn check_says_yes_exactly_when_there_are_no_violations() {
        for sender in [Role::Client, Role::Server] {
            for in_message in [false, true] {
                for compression in [false, true] {
                    let context = Context { sender, in_message, compression };
                    for header in headers() {
                        let violations = violations(header, context);
                        assert_eq!(
                            check(header, context),
                            violations.is_empty(),
                            "{header:?} {context:?} {violations:?}"
                        );
                    }
                }
            }
        }
    }
}
