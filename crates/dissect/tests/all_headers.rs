//! The finite, exhaustively: every first two bytes, from either sender, within a message and outside of one.

mod support;

use sockeye_dissect::{Deflate, Dissector, Finding, Missing};
use sockeye_proto::Role;
use sockeye_proto::frame::{Context, Header, Opcode, Parse, rules};

/// A header that begins with these two bytes, and claims a length that its form allows.
fn header(first_two: u16, long: u64) -> (Vec<u8>, Header) {
    let mut bytes = first_two.to_be_bytes().to_vec();
    match bytes[1] & 0x7F {
        126 => bytes.extend(u16::try_from(long).unwrap_or(u16::MAX).to_be_bytes()),
        127 => bytes.extend(long.to_be_bytes()),
        _ => {}
    }
    if bytes[1] & 0x80 != 0 {
        bytes.extend([1, 2, 3, 4]);
    }
    match Header::parse(&bytes) {
        Parse::Complete(header) => (bytes, header),
        Parse::Partial { .. } => unreachable!("it is whole"),
    }
}

fn dissector(sender: Role, in_message: bool, compression: bool) -> Dissector {
    let mut dissector = Dissector::new(sender);
    if compression {
        dissector = dissector.inflating(Deflate::FromStart);
    }
    if in_message {
        let key = sender.masks().then_some(support::KEY);
        let begun = dissector.push(&Header::new(false, Opcode::TEXT, 0, key).encode());
        assert!(begun[0].findings.is_empty());
    }
    dissector
}

#[test]
fn the_findings_are_those_of_the_rules() {
    for first_two in 0..=u16::MAX {
        for long in [5, 126, 70_000, 1 << 62, u64::MAX] {
            let (bytes, header) = header(first_two, long);
            for sender in [Role::Client, Role::Server] {
                for (in_message, compression) in [(false, false), (true, false), (false, true), (true, true)] {
                    let mut dissector = dissector(sender, in_message, compression);
                    // Nothing of the payload comes, so nothing is said of it; a frame without one is whole.
                    let whole = dissector.push(&bytes).pop();
                    let frame = whole.or_else(|| dissector.finish()).unwrap();
                    let context = Context { sender, in_message, compression };
                    let rules = rules::violations(header, context);
                    let expected: Vec<_> = rules.into_iter().map(Finding::Rule).collect();
                    assert_eq!(frame.findings, expected, "{bytes:02x?} from {sender}");
                    assert!(expected.iter().all(|rule| rule.name() != "violation"), "{expected:?} need names");
                    let missing = match header.payload_len() {
                        0 => Missing::Nothing,
                        missing => Missing::Exactly(missing),
                    };
                    assert_eq!(frame.missing, missing);
                    assert!(frame.payload.capacity() == 0, "a header alone allocates no payload");
                    let begins = matches!(header.opcode(), Opcode::TEXT | Opcode::BINARY);
                    assert_eq!(frame.inflated.is_some(), compression && begins && header.rsv(1));
                }
            }
            if bytes[1] & 0x7F < 126 {
                break; // The lengths make no difference.
            }
        }
    }
}

#[test]
fn a_header_cut_off_breaks_no_rule_that_the_whole_one_keeps() {
    for first_two in 0..=u16::MAX {
        let (bytes, header) = header(first_two, 7);
        let context = Context { sender: Role::Client, in_message: false, compression: false };
        let all: Vec<_> = rules::violations(header, context).into_iter().map(Finding::Rule).collect();
        let mut before = 0;
        for cut in 1..bytes.len() {
            let mut dissector = dissector(Role::Client, false, false);
            assert!(dissector.push(&bytes[..cut]).is_empty());
            let frame = dissector.finish().unwrap();
            assert!(frame.findings.iter().all(|finding| all.contains(finding)), "{frame:?}");
            assert!(frame.findings.len() >= before, "more bytes say no less");
            before = frame.findings.len();
            let total = header.size() as u64 + header.payload_len() - cut as u64;
            match frame.missing {
                Missing::Exactly(missing) => assert_eq!(missing, total),
                Missing::AtLeast(missing) => assert!(missing <= total),
                other => panic!("{other:?}"),
            }
        }
    }
}
