//! Records for programs: JSON Lines, one object for each record. These names stay; new ones may be added.
//!
//! Of every record:
//!
//! | name | type | |
//! |---|---|---|
//! | `record` | string | what it is: `"frame"`, `"request"`, `"response"`, `"opaque"` or `"gap"` |
//! | `connection` | number, null | the number of its connection, where there may be several |
//! | `time_ns`, `until_ns` | number, null | when its first and its last byte came: nanoseconds since the beginning of what is read |
//! | `offset`, `size` | number | bytes its sender has sent before it; bytes of it that are there |
//! | `from` | `"client"`, `"server"`, null | who sent it; null where the stream ends before the MASK bit |
//! | `violations` | array | of `{"rule", "rfc", "section", "message", "byte"}`; `byte` is the place in the payload, inflated, for bad UTF-8, else null |
//! | `hints` | array | of `{"hint", "message"}`: what is allowed and good to know |
//!
//! Of a frame, besides:
//!
//! | name | type | |
//! |---|---|---|
//! | `frame` | number | the frame's number in its stream, from 1 |
//! | `from_assumed` | bool | whether `from` was taken from the first frame's MASK bit |
//! | `header` | hex | the header's bytes, as far as they have come |
//! | `fin`, `rsv1`, `rsv2`, `rsv3` | bool, null | null, here and below: has not come |
//! | `opcode`, `opcode_name` | number, string | 0 to 15; the RFC's name in lower case, or `"reserved"` |
//! | `masked` | bool, null | the MASK bit |
//! | `length_bits` | 7, 16, 64, null | the form of the length |
//! | `payload_length` | number, null | as the header claims it |
//! | `masking_key` | hex, null | null when MASK is 0 too |
//! | `fields` | array | of `{"name", "bit", "bits", "value"}`: where each field of the header lies, in bits |
//! | `payload` | hex | unmasked, as much as has come; up to the first byte that is lost |
//! | `payload_masked` | hex, null | as on the wire; null when MASK is 0 |
//! | `payload_not_kept` | number | bytes that have come and are not in `payload`, because it is too long to keep, or behind bytes that are lost |
//! | `lost` | object, null | bytes of the payload that were sent and are not there: `{"at", "bytes"}`, the place of the first and how many |
//! | `missing` | number | bytes the frame lacks where the stream ends; 0 when it is whole |
//! | `missing_is_exact` | bool | false where the stream ends before the length of the frame is known |
//! | `text` | string, null | of a text message: the characters that lie in this frame as a whole; null if it has bad UTF-8 |
//! | `begins_within`, `ends_within` | object, null | a character shared with other frames: `{"character", "pieces", "missing"}`, each piece `{"frame", "bytes"}` |
//! | `message` | object, null | `{"number", "kind", "fragment", "ends", "length", "text"}`; the text stands where it ends, if it is good; the length is that on the wire |
//! | `inflated` | object, null | of a compressed message: `{"payload", "outcome", "length", "percent"}`, see below |
//! | `within_message` | number, null | for a control frame: the message between whose fragments it stands |
//! | `close` | object, null | `{"code", "name", "reason"}` |
//! | `receiver` | string | `"takes"`, `"fails"`, `"has failed"` or `"discards"` |
//! | `receiver_code` | number, null | the close code it fails the connection with |
//!
//! Of a request or a response:
//!
//! | name | type | |
//! |---|---|---|
//! | `method`, `target` | string, null | of a request; null where the head cannot be read |
//! | `status`, `reason` | number, string, null | of a response, the same |
//! | `headers` | array | of `{"name", "value"}`, in their order; bytes that are not UTF-8 stand as `\u{fffd}` |
//! | `head` | hex | all of it, as on the wire |
//! | `websocket` | string, null | `"asks"`, `"opens"`, or null for a head that is about none |
//! | `accept` | string, null | of a request: the `Sec-WebSocket-Accept` that answers it |
//! | `subprotocol` | string, null | of a response: what it agrees on |
//! | `compression` | object, null | the same for permessage-deflate: `{"client_takeover", "server_takeover", "client_window_bits", "server_window_bits"}` |
//!
//! Of opaque bytes, which are no frames, or of which nobody can know where one begins; and of a gap:
//!
//! | name | type | |
//! |---|---|---|
//! | `why`, `message` | string | of opaque bytes: why they are not taken apart, for programs and in words |
//! | `bytes` | hex | the first 4 KiB of them |
//! | `within` | number, null | of a gap, whose bytes were sent and are not there: the frame whose length covers it; null means that frames cannot be told apart behind it |
//!
//! Of `inflated`, `payload` (hex) is what this frame's payload inflates to; `outcome` is `"good"`, `"window unknown"`,
//! `"too long"`, `"too many bytes"` or `"corrupt"`; `length` (number) counts the message's bytes, inflated, up to this
//! frame's end; `percent` (number, null) is how many of these the compressed ones are, where the message ends good.
//!
//! Hex is lower case without spaces. Any number above 2^53 − 1 stands as a string of its digits (RFC 7493 §2.2), so that
//! no reader rounds it: a length may have 64 bits. In strings every control and formatting character is escaped, so that
//! a terminal shows them and does nothing else.

use core::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};
use sockeye_proto::Role;
use sockeye_proto::deflate::Params;
use sockeye_proto::frame::{Header, LengthForm, Opcode};

use super::words::escaped;
use crate::{
    CloseBody, Field, Finding, Frame, Head, Hint, InflateOutcome, Inflated, Item, MessagePart, Missing, Opening,
    Receiver, Record, Sender, SharedCharacter, StartLine,
};

/// Writes one record as one line.
///
/// # Errors
/// Those of the writer.
pub fn write(record: &Record, out: &mut impl Write) -> io::Result<()> {
    let mut before = '{';
    for (name, value) in members(record) {
        write!(out, "{before}\"{name}\":{}", harmless(&value.to_string()))?;
        before = ',';
    }
    writeln!(out, "}}")
}

type Members = Vec<(&'static str, Value)>;

/// The members of a record's object, in the order they are written.
fn members(record: &Record) -> Members {
    let (name, own) = match &record.item {
        Item::Frame(frame) => ("frame", of_frame(frame)),
        Item::Head(head) => (if head.sender() == Role::Client { "request" } else { "response" }, of_head(head)),
        Item::Opaque(opaque) => {
            let why = [("why", json!(opaque.why.name())), ("message", json!(opaque.why.to_string()))];
            ("opaque", why.into_iter().chain([("bytes", json!(hex(&opaque.bytes)))]).collect())
        }
        Item::Gap(gap) => ("gap", vec![("within", json!(gap.within.map(number)))]),
    };
    let nanos = |time: core::time::Duration| number(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    let mut members = vec![
        ("record", json!(name)),
        ("connection", json!(record.connection.map(number))),
        ("time_ns", json!(record.time.map(|time| nanos(time.began)))),
        ("until_ns", json!(record.time.map(|time| nanos(time.ended)))),
        ("offset", number(record.offset())),
        ("size", number(record.size())),
        ("from", json!(record.sender().role().map(|role| role.to_string()))),
        ("violations", record.findings().iter().map(violation).collect()),
        ("hints", record.hints().iter().map(hint).collect()),
    ];
    members.extend(own);
    members
}

fn of_head(head: &Head) -> Members {
    let (method, target, status, reason) = match &head.start {
        StartLine::Request { method, target } => (Some(method), Some(target), None, None),
        StartLine::Response { status, reason } => (None, None, Some(status.as_u16()), Some(reason)),
        StartLine::Unread(_) => (None, None, None, None),
    };
    let field = |(name, value): (&str, &[u8])| json!({ "name": name, "value": String::from_utf8_lossy(value) });
    let headers = head.fields.iter().map(|line| field((&line.name, &line.value)));
    let (websocket, accept, agreed) = match &head.opening {
        Opening::Asks { accept } => (Some("asks"), accept.as_ref(), None),
        Opening::Opens(agreed) => (Some("opens"), None, Some(agreed)),
        Opening::Nothing => (None, None, None),
    };
    let compression = agreed.and_then(|agreed| agreed.compression).map(compression);
    vec![
        ("method", json!(method)),
        ("target", json!(target)),
        ("status", json!(status)),
        ("reason", json!(reason)),
        ("headers", headers.collect()),
        ("head", json!(hex(&head.bytes))),
        ("websocket", json!(websocket)),
        ("accept", json!(accept)),
        ("subprotocol", json!(agreed.and_then(|agreed| agreed.subprotocol.as_ref()))),
        ("compression", json!(compression)),
    ]
}

/// What was agreed on of permessage-deflate, as in the record of a response.
#[must_use]
pub fn compression(params: Params) -> Value {
    json!({
        "client_takeover": params.takeover(Role::Client),
        "server_takeover": params.takeover(Role::Server),
        "client_window_bits": params.window_bits(Role::Client),
        "server_window_bits": params.window_bits(Role::Server),
    })
}

fn of_frame(frame: &Frame) -> Members {
    let header = frame.header;
    let fields = frame.fields();
    let bit = |name| flag(&fields, name);
    let has_bad_utf8 = frame.findings.iter().any(|finding| matches!(finding, Finding::InvalidUtf8 { .. }));
    let part = frame.text_part.as_ref();
    let (missing, missing_is_exact) = match frame.missing {
        Missing::Nothing => (0, true),
        Missing::Exactly(missing) => (missing, true),
        Missing::AtLeast(missing) => (missing, false),
    };
    let (receiver, receiver_code) = match frame.receiver {
        Receiver::Takes => ("takes", None),
        Receiver::Fails(code) => ("fails", Some(code.as_u16())),
        Receiver::HasFailed(_) => ("has failed", None),
        Receiver::Discards(_) => ("discards", None),
    };
    vec![
        ("frame", number(frame.number)),
        ("from_assumed", json!(matches!(frame.sender, Sender::Assumed(_)))),
        ("header", json!(hex(&frame.header_bytes))),
        ("fin", bit(Field::FIN)),
        ("rsv1", bit(Field::RSV[0])),
        ("rsv2", bit(Field::RSV[1])),
        ("rsv3", bit(Field::RSV[2])),
        ("opcode", json!(frame.opcode().map(Opcode::bits))),
        ("opcode_name", json!(frame.opcode().map(Opcode::name))),
        ("masked", bit(Field::MASK)),
        ("length_bits", json!(header.map(length_bits))),
        ("payload_length", json!(header.map(|header| number(header.payload_len())))),
        ("masking_key", json!(header.and_then(Header::masking_key).map(|key| hex(&key.bytes())))),
        ("fields", fields.iter().map(field).collect()),
        ("payload", json!(hex(&frame.payload))),
        ("payload_masked", json!(frame.masked_payload().map(|payload| hex(&payload)))),
        ("payload_not_kept", number(frame.not_kept())),
        ("lost", json!(frame.lost.map(|lost| json!({ "at": number(lost.at), "bytes": number(lost.bytes) })))),
        ("missing", number(missing)),
        ("missing_is_exact", json!(missing_is_exact)),
        ("text", json!(frame.text().filter(|_| !has_bad_utf8))),
        ("begins_within", json!(part.and_then(|part| part.begins_within.as_ref()).map(shared))),
        ("ends_within", json!(part.and_then(|part| part.ends_within.as_ref()).map(shared))),
        ("message", json!(frame.message.as_ref().map(|part| message(part, frame)))),
        ("inflated", json!(frame.inflated.as_ref().map(|part| inflated(part, frame)))),
        ("within_message", json!(frame.within_message.map(number))),
        ("close", json!(frame.close.as_ref().map(close))),
        ("receiver", json!(receiver)),
        ("receiver_code", json!(receiver_code)),
    ]
}

/// The largest integer that every reader of JSON holds exactly: 2^53 − 1 (RFC 7493 §2.2).
const EXACT: u64 = (1 << 53) - 1;

fn number(number: u64) -> Value {
    if number <= EXACT { json!(number) } else { json!(number.to_string()) }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digits = bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0x0F)]]);
    let mut hex = String::with_capacity(2 * bytes.len());
    hex.extend(digits);
    hex
}

fn flag(fields: &[Field], name: &str) -> Value {
    let field = fields.iter().find(|field| field.name == name);
    json!(field.and_then(|field| field.value).map(|value| value == 1))
}

fn field(field: &Field) -> Value {
    json!({
        "name": field.name,
        "bit": field.bits.start,
        "bits": field.bits.len(),
        "value": field.value.map(number),
    })
}

const fn length_bits(header: Header) -> u8 {
    match header.length_form() {
        LengthForm::Bits7 => 7,
        LengthForm::Bits16 => 16,
        LengthForm::Bits64 => 64,
    }
}

fn message(message: &MessagePart, frame: &Frame) -> Value {
    json!({
        "number": number(message.number),
        "kind": message.kind.name(),
        "fragment": number(message.fragment),
        "ends": message.ends,
        "length": number(message.len),
        "text": frame.message_text(),
    })
}

fn inflated(inflated: &Inflated, frame: &Frame) -> Value {
    let outcome = match inflated.outcome {
        InflateOutcome::Good => "good",
        InflateOutcome::WindowUnknown => "window unknown",
        InflateOutcome::TooLong(_) => "too long",
        InflateOutcome::TooManyBytes(_) => "too many bytes",
        InflateOutcome::Corrupt(_) => "corrupt",
    };
    json!({
        "payload": hex(&inflated.payload),
        "outcome": outcome,
        "length": number(inflated.len),
        "percent": frame.percent().map(number),
    })
}

fn shared(shared: &SharedCharacter) -> Value {
    let pieces = shared.pieces.iter();
    let pieces: Vec<_> =
        pieces.map(|piece| json!({ "frame": number(piece.frame), "bytes": hex(&piece.bytes) })).collect();
    json!({ "character": shared.character, "pieces": pieces, "missing": shared.missing })
}

fn close(close: &CloseBody) -> Value {
    json!({
        "code": close.code.map(u16::from),
        "name": close.code.and_then(|code| code.name()),
        "reason": close.reason,
    })
}

fn violation(finding: &Finding) -> Value {
    let byte = match finding {
        Finding::InvalidUtf8 { at, .. } => Some(number(at.in_payload)),
        _ => None,
    };
    json!({
        "rule": finding.name(),
        "rfc": finding.rfc(),
        "section": finding.section(),
        "message": finding.to_string(),
        "byte": byte,
    })
}

fn hint(hint: &Hint) -> Value {
    json!({ "hint": hint.name(), "message": hint.to_string() })
}

/// JSON with everything escaped that a terminal could take for a command, or that would not be seen. Outside of strings
/// JSON is ASCII and has none of it; in strings its C0 controls are escaped already.
///
/// ```
/// assert_eq!(sockeye_dissect::render::json::harmless("\"\u{202e}\""), r#""\u202e""#);
/// ```
#[must_use]
pub fn harmless(json: &str) -> String {
    let acts = |character: char| character == '\x7f' || (!character.is_ascii() && escaped(character).is_ascii());
    if !json.contains(acts) {
        return json.to_owned();
    }
    json.chars().fold(String::with_capacity(json.len()), |mut harmless, character| {
        if acts(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(harmless, "\\u{unit:04x}"); // A String takes everything.
            }
        } else {
            harmless.push(character);
        }
        harmless
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_comes_back_from_its_json_and_none_of_the_dangerous_stands_in_it() {
        for character in '\0'..=char::MAX {
            let json = harmless(&json!(character).to_string());
            assert!(!json.chars().any(char::is_control), "{json:?}");
            assert_eq!(serde_json::from_str::<char>(&json).unwrap(), character);
        }
        assert_eq!(harmless(&json!("你\u{202e}\u{9b}\u{e0001}").to_string()), r#""你\u202e\u009b\udb40\udc01""#);
    }

    #[test]
    fn numbers_no_reader_rounds_are_numbers_and_longer_ones_strings() {
        assert_eq!(number((1 << 53) - 1).to_string(), "9007199254740991");
        assert_eq!(number(1 << 53).to_string(), "\"9007199254740992\"");
    }
}
