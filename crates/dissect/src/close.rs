//! The body of a Close frame (§5.5.1): nothing, or a code and a reason.

use sockeye_proto::CloseCode;
use sockeye_proto::frame::Violation;

use crate::{BadUtf8, Finding};

/// What a Close frame says. Unlike `sockeye_proto::CloseReason` it holds bad ones too.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseBody {
    /// The code; `None` where the payload has fewer than 2 bytes.
    pub code: Option<CloseCode>,
    /// The reason, often empty; `None` where it is not UTF-8.
    pub reason: Option<String>,
}

impl CloseBody {
    /// Takes the payload of a Close frame apart, and lists every rule it breaks.
    pub(crate) fn parse(payload: &[u8]) -> (Self, Vec<Finding>) {
        let mut findings = Vec::new();
        let (code, reason) = match *payload {
            [] => (None, [].as_slice()),
            [_] => {
                findings.push(Finding::Rule(Violation::TruncatedCloseCode));
                (None, [].as_slice())
            }
            [high, low, ref reason @ ..] => (Some(CloseCode::from(u16::from_be_bytes([high, low]))), reason),
        };
        if let Some(code) = code.filter(|code| !code.may_be_sent()) {
            findings.push(Finding::Rule(Violation::InvalidCloseCode(code)));
        }
        let reason = core::str::from_utf8(reason).map(str::to_owned).map_err(|error| {
            // `valid_up_to` is where the character begins; what tells it apart from a good one may come later.
            let bad = (error.valid_up_to()..reason.len())
                .find(|&i| core::str::from_utf8(&reason[..=i]).is_err_and(|error| error.error_len().is_some()));
            let in_text = bad.unwrap_or(reason.len()) as u64;
            let at = BadUtf8 { byte: bad.map(|i| reason[i]), in_payload: in_text + 2, in_text, inflated: false };
            findings.push(Finding::InvalidUtf8 { rule: Violation::InvalidUtf8InCloseReason, at });
        });
        (Self { code, reason: reason.ok() }, findings)
    }
}

#[cfg(test)]
mod tests {
    use sockeye_proto::CloseReason;

    use super::*;

    #[test]
    fn every_code_with_a_good_and_a_bad_reason_agrees_with_proto() {
        for code in 0..=u16::MAX {
            for reason in ["".as_bytes(), "再见".as_bytes(), b"\xE5\x86", b"a\xFF", b"\xF4\x90\x80\x80"] {
                let payload = [&code.to_be_bytes(), reason].concat();
                let (body, findings) = CloseBody::parse(&payload);
                assert_eq!(body.code.map(u16::from), Some(code));
                let first = findings.first().map(|finding| match *finding {
                    Finding::Rule(rule) | Finding::InvalidUtf8 { rule, .. } => rule,
                    ref other => unreachable!("{other} is not a matter of the body"),
                });
                assert_eq!(CloseReason::parse(&payload).err(), first);
            }
        }
    }

    #[test]
    fn a_reason_that_is_not_utf8_names_the_byte() {
        let at = |payload: &[u8]| match CloseBody::parse(payload).1[..] {
            [Finding::InvalidUtf8 { at, .. }] => at,
            ref other => panic!("{other:?}"),
        };
        let overlong = at(b"\x03\xE8ok\xE0\x9F\x80");
        assert_eq!((overlong.byte, overlong.in_payload, overlong.in_text), (Some(0x9F), 5, 3));
        let unfinished = at(b"\x03\xE8\xE4\xBD");
        assert_eq!((unfinished.byte, unfinished.in_payload), (None, 4));
    }
}
