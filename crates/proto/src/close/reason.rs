//! The body of a Close frame: nothing, or a code and a reason (RFC 6455 §5.5.1).

use core::fmt;

use bytes::Bytes;

use super::CloseCode;
use crate::frame::Violation;
use crate::text::Text;
use crate::utf8::Validator;

/// Why a connection was closed: a code, and a text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReason {
    code: CloseCode,
    reason: Text,
}

impl CloseReason {
    /// The most bytes a reason can have: 125, less 2 for the code.
    pub const MAX_REASON_LEN: usize = 123;

    /// A Close frame without a body, which the other end reads as [`CloseCode::NO_STATUS_RECEIVED`].
    pub(crate) const EMPTY: Self = Self { code: CloseCode::NO_STATUS_RECEIVED, reason: Text::new() };

    /// A code and a reason that can be sent.
    ///
    /// # Errors
    /// When the code [may not be sent](CloseCode::may_be_sent), or the reason is longer than 123 bytes.
    pub fn new(code: CloseCode, reason: impl Into<Text>) -> Result<Self, InvalidCloseReason> {
        let reason = reason.into();
        if !code.may_be_sent() {
            return Err(InvalidCloseReason::Code(code));
        }
        if reason.len() > Self::MAX_REASON_LEN {
            return Err(InvalidCloseReason::TooLong { len: reason.len() });
        }
        Ok(Self { code, reason })
    }

    /// Reads the payload of a Close frame.
    ///
    /// # Errors
    /// The rule it breaks: a payload of one byte, a code that must not be sent, a reason that is not UTF-8.
    pub fn parse(payload: &[u8]) -> Result<Self, Violation> {
        let (code, reason) = match *payload {
            [] => return Ok(Self::EMPTY),
            [_] => return Err(Violation::TruncatedCloseCode),
            [high, low, ref reason @ ..] => (CloseCode::from(u16::from_be_bytes([high, low])), reason),
        };
        if !code.may_be_sent() {
            return Err(Violation::InvalidCloseCode(code));
        }
        let mut validator = Validator::default();
        let proof = validator.feed(reason).and_then(|()| validator.finish());
        let proof = proof.map_err(|_| Violation::InvalidUtf8InCloseReason)?;
        Ok(Self { code, reason: Text::from_validated(Bytes::copy_from_slice(reason), proof) })
    }

    /// The code; [`CloseCode::NO_STATUS_RECEIVED`] when the Close frame had no body.
    #[must_use]
    pub const fn code(&self) -> CloseCode {
        self.code
    }

    /// The reason; often empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The payload of the Close frame that says this.
    pub(crate) fn payload(&self) -> Vec<u8> {
        if self.code == CloseCode::NO_STATUS_RECEIVED {
            return Vec::new();
        }
        [&self.code.as_u16().to_be_bytes(), self.reason.as_bytes()].concat()
    }
}

/// The code alone, or code and reason: `1000 Normal Closure: bye`.
impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code.fmt(f)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}

/// The caller asked for a Close frame that must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidCloseReason {
    /// A code that is reserved or out of range (§7.4).
    Code(CloseCode),
    /// A reason of more than 123 bytes (§5.5).
    TooLong {
        /// Its length, in bytes.
        len: usize,
    },
}

impl fmt::Display for InvalidCloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "close code {} must not be sent (RFC 6455 §7.4)", code.as_u16()),
            Self::TooLong { len } => {
                write!(f, "a close reason of {len} bytes; {} fit (RFC 6455 §5.5)", CloseReason::MAX_REASON_LEN)
            }
        }
    }
}

impl core::error::Error for InvalidCloseReason {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_or_refused_as_the_table_of_codes_says() {
        for code in 0..=u16::MAX {
            let parsed = CloseReason::parse(&code.to_be_bytes());
            if CloseCode::from(code).may_be_sent() {
                assert_eq!(parsed.unwrap().payload(), code.to_be_bytes());
            } else {
                assert_eq!(parsed, Err(Violation::InvalidCloseCode(CloseCode::from(code))));
            }
        }
    }

    #[test]
    fn an_empty_payload_has_no_status_and_one_byte_is_refused() {
        assert_eq!(CloseReason::parse(&[]).unwrap().code(), CloseCode::NO_STATUS_RECEIVED);
        assert_eq!(CloseReason::parse(&[3]), Err(Violation::TruncatedCloseCode));
    }

    #[test]
    fn a_reason_must_be_utf8_and_fit() {
        assert_eq!(CloseReason::parse(&[0x03, 0xE8, 0xE4, 0xBD]), Err(Violation::InvalidUtf8InCloseReason));
        assert_eq!(CloseReason::parse(b"\x03\xE8\xE5\x86\x8D\xE8\xA7\x81").unwrap().reason(), "再见");
        assert!(CloseReason::new(CloseCode::NORMAL, "x".repeat(123)).is_ok());
        assert_eq!(CloseReason::new(CloseCode::NORMAL, "x".repeat(124)), Err(InvalidCloseReason::TooLong { len: 124 }));
    }
}
