//! `--filter`: which records to show.
//!
//! ```text
//! any   = all *( "or" all )
//! all   = term *( [ "and" ] term )
//! term  = "not" term / "(" any ")" / word / key op value
//! op    = "=" / "!=" / "<" / "<=" / ">" / ">=" / "~"
//! value = bare word / "…"
//! ```

mod parser;

use sockeye_dissect::{Frame, Item, Record, StartLine};
use sockeye_proto::Role;
use sockeye_proto::frame::{Header, Opcode};
use sockeye_traffic::Ends;

pub(crate) use parser::Mistake;

/// A condition on records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter(Term);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Word(Word),
    Number(Key, Op, u64),
    Address(bool, String),
    Text(String),
    Payload(Vec<u8>),
}

/// What a record is or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    From(Role),
    Frame,
    Request,
    Response,
    Opaque,
    Gap,
    Opcode(Opcode),
    Control,
    Data,
    Reserved,
    Fin,
    Masked,
    Compressed,
    Violation,
    Hint,
}

/// What has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Connection,
    Frame,
    Message,
    Opcode,
    Length,
    Code,
    Port,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
}

impl Filter {
    /// Reads an expression.
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        parser::parse(text).map(Self)
    }

    /// Whether a record is to be shown. `ends` are those of its connection, where there is one.
    pub(crate) fn matches(&self, record: &Record, ends: Option<&Ends>) -> bool {
        self.0.matches(record, ends)
    }
}

impl Term {
    fn matches(&self, record: &Record, ends: Option<&Ends>) -> bool {
        match self {
            Self::All(terms) => terms.iter().all(|term| term.matches(record, ends)),
            Self::Any(terms) => terms.iter().any(|term| term.matches(record, ends)),
            Self::Not(term) => !term.matches(record, ends),
            Self::Word(word) => word.matches(record),
            Self::Number(Key::Port, op, number) => {
                let ports = addresses(ends).filter_map(|address| address.rsplit_once(':')?.1.parse().ok());
                // `port!=80`: neither end has it.
                match op {
                    Op::NotEqual => ports.into_iter().all(|port| op.holds(port, *number)),
                    _ => ports.into_iter().any(|port| op.holds(port, *number)),
                }
            }
            Self::Number(key, op, number) => key.of(record).is_some_and(|value| op.holds(value, *number)),
            Self::Address(wanted, ip) => addresses(ends).any(|address| host(address) == ip || address == ip) == *wanted,
            Self::Text(words) => texts(record).iter().any(|text| text.to_lowercase().contains(words)),
            Self::Payload(bytes) => payload(record).windows(bytes.len()).any(|window| window == bytes),
        }
    }
}

fn addresses(ends: Option<&Ends>) -> impl Iterator<Item = &str> {
    ends.into_iter().flat_map(|ends| [&ends.client, &ends.server]).filter_map(Option::as_deref)
}

/// `127.0.0.1` of `127.0.0.1:80`, `::1` of `[::1]:80`.
fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host).trim_start_matches('[').trim_end_matches(']')
}

impl Word {
    fn matches(self, record: &Record) -> bool {
        let frame = record.frame();
        let opcode = frame.and_then(Frame::opcode);
        let header = |test: fn(Header) -> bool| frame.and_then(|frame| frame.header).is_some_and(test);
        match self {
            Self::From(role) => record.sender().role() == Some(role),
            Self::Frame => frame.is_some(),
            Self::Request => record.head().is_some_and(|head| head.sender() == Role::Client),
            Self::Response => record.head().is_some_and(|head| head.sender() == Role::Server),
            Self::Opaque => matches!(record.item, Item::Opaque(_)),
            Self::Gap => matches!(record.item, Item::Gap(_)),
            Self::Opcode(wanted) => opcode == Some(wanted),
            Self::Control => opcode.is_some_and(Opcode::is_control),
            Self::Data => opcode.is_some_and(|opcode| !opcode.is_control()),
            Self::Reserved => opcode.is_some_and(Opcode::is_reserved),
            Self::Fin => header(Header::fin),
            Self::Masked => header(Header::masked),
            Self::Compressed => frame.is_some_and(|frame| frame.inflated.is_some()),
            Self::Violation => !record.findings().is_empty(),
            Self::Hint => !record.hints().is_empty(),
        }
    }
}

impl Key {
    fn of(self, record: &Record) -> Option<u64> {
        let frame = record.frame();
        match self {
            Self::Connection => record.connection,
            Self::Frame => frame.map(|frame| frame.number),
            Self::Message => {
                frame.and_then(|frame| frame.message.as_ref().map(|message| message.number).or(frame.within_message))
            }
            Self::Opcode => frame.and_then(Frame::opcode).map(|opcode| opcode.bits().into()),
            Self::Length => frame.and_then(|frame| frame.header).map(Header::payload_len),
            Self::Code => frame.and_then(|frame| frame.close.as_ref()?.code).map(|code| code.as_u16().into()),
            // Of the connection, not of the record.
            Self::Port => None,
        }
    }
}

impl Op {
    const fn holds(self, value: u64, number: u64) -> bool {
        match self {
            Self::Equal => value == number,
            Self::NotEqual => value != number,
            Self::Less => value < number,
            Self::LessOrEqual => value <= number,
            Self::Greater => value > number,
            Self::GreaterOrEqual => value >= number,
            Self::Contains => false,
        }
    }
}

/// What words may stand in: of a frame its text and that of the message it ends, of a Close its reason, of a head its lines.
fn texts(record: &Record) -> Vec<String> {
    match &record.item {
        Item::Frame(frame) => {
            let reason = frame.close.as_ref().and_then(|close| close.reason.as_deref());
            let texts = [frame.text(), frame.message_text(), reason];
            texts.into_iter().flatten().map(str::to_owned).collect()
        }
        Item::Head(head) => {
            let start = match &head.start {
                StartLine::Request { method, target } => format!("{method} {target}"),
                StartLine::Response { status, reason } => format!("{} {reason}", status.as_u16()),
                StartLine::Unread(_) => String::new(),
            };
            let fields =
                head.fields.iter().map(|field| format!("{}: {}", field.name, String::from_utf8_lossy(&field.value)));
            fields.chain([start]).collect()
        }
        _ => Vec::new(),
    }
}

/// The bytes of a frame, inflated if they were compressed; of what is not taken apart, those that are kept.
fn payload(record: &Record) -> &[u8] {
    match &record.item {
        Item::Frame(frame) => frame.inflated.as_ref().map_or(&frame.payload, |inflated| &inflated.payload),
        Item::Opaque(opaque) => &opaque.bytes,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use sockeye_dissect::Dissector;

    use super::*;

    fn ends() -> Ends {
        let own = |text: &str| Some(text.to_owned());
        Ends { client: own("10.0.0.1:50000"), server: own("[::1]:8080"), ..Ends::default() }
    }

    /// The numbers of the frames that match, of: text "Hello", ping, close 1000 "bye", binary of 300 bytes, a bad one.
    fn matching(filter: &str) -> Vec<u64> {
        let mut stream = b"\x81\x05Hello\x89\x00\x88\x05\x03\xE8bye\x82\x7E\x01\x2C".to_vec();
        stream.extend([0xAB; 300]);
        stream.extend([0x83, 0x80, 1, 2, 3, 4]);
        let frames = Dissector::new(Role::Server).push(&stream);
        let filter = Filter::parse(filter).unwrap_or_else(|mistake| panic!("{filter}: {mistake}"));
        let records = frames.into_iter().map(|frame| {
            let mut record = Record::from(frame);
            record.connection = Some(7);
            record
        });
        records
            .filter(|record| filter.matches(record, Some(&ends())))
            .filter_map(|record| Some(record.frame()?.number))
            .collect()
    }

    #[test]
    fn words_comparisons_and_brackets_mean_what_they_say() {
        for (filter, expected) in [
            ("text", vec![1]),
            ("ping or close", vec![2, 3]),
            ("control", vec![2, 3]),
            ("not control", vec![1, 4, 5]),
            ("server data length>100", vec![4]),
            ("server and data and length > 100", vec![4]),
            ("data (length=5 or length=300)", vec![1, 4]),
            ("not(text or ping)", vec![3, 4, 5]),
            ("client", vec![]),
            ("violation", vec![4, 5]),
            ("reserved masked", vec![5]),
            ("opcode=0x8", vec![3]),
            ("opcode!=8 opcode<=9", vec![1, 2, 4, 5]),
            ("code=1000", vec![3]),
            ("text~HELL", vec![1]),
            ("text~\"by\"", vec![3]),
            ("payload~abab", vec![4]),
            ("payload~\"ab ab\" or payload~48:65", vec![1, 4]),
            ("connection=7 frame<3", vec![1, 2]),
            ("connection=8", vec![]),
            ("message=2", vec![4]),
            ("port=8080 text", vec![1]),
            ("port=80", vec![]),
            ("port!=80 ping", vec![2]),
            ("address=::1 ping", vec![2]),
            ("address=10.0.0.1:50000 ping", vec![2]),
            ("address!=10.0.0.1", vec![]),
            ("frame not frame>1", vec![1]),
            ("request or response or opaque or gap or hint or compressed", vec![]),
        ] {
            assert_eq!(matching(filter), expected, "{filter}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_column() {
        for (filter, expected) in [
            ("", "column 1: a word is missing"),
            ("texts", "column 1: \"texts\" is no word of a filter"),
            ("ping or", "column 8: a word is missing"),
            ("(ping", "column 6: a bracket is not closed"),
            ("ping)", "column 5: a bracket that nothing opens"),
            ("你 好", "column 1: \"你\" is no word of a filter"),
            ("ping 好=1", "column 6: \"好\" cannot be compared with ="),
            ("length~1", "column 1: \"length\" cannot be compared with ~"),
            ("length=x", "column 8: \"x\" is no number"),
            ("length=", "column 8: a value is missing"),
            ("text~\"a", "column 6: a quote is not closed"),
            ("payload~abc", "column 9: \"abc\" is not hex"),
            ("payload~+1", "column 9: \"+1\" is not hex"),
            ("not", "column 4: a word is missing"),
            ("=1", "column 1: a word is missing"),
        ] {
            assert_eq!(Filter::parse(filter).unwrap_err().to_string(), expected, "{filter}");
        }
        assert!(Filter::parse(&"(".repeat(100_000)).is_err());
        assert!(Filter::parse(&"not ".repeat(100_000)).is_err());
    }
}
