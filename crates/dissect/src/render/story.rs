//! What a frame means, in words: its text, its place in a message, what a Close says, and what a receiver does.

use sockeye_proto::CloseCode;
use sockeye_proto::frame::{Header, Opcode};

use super::words::{self, COLUMNS, TIE, bytes, counted, more_bytes, named, quoted};
use crate::{Frame, Hint, InflateOutcome, MessagePart, Missing, Receiver, Sender, SharedCharacter};

/// Columns for quotes that may take several lines, unless all is asked for.
const QUOTE: usize = 3 * COLUMNS;
/// Characters whose bytes are listed, unless all is asked for.
const CHARACTERS: usize = 12;

/// The frame in one line, which fits 80 columns unless its numbers are huge.
pub(super) fn summary(frame: &Frame, connection: Option<u64>) -> String {
    let mut parts = vec![format!("Frame {}{}", frame.number, of_connection(connection))];
    parts.extend(frame.sender.role().map(|role| role.to_string()));
    parts.extend(frame.opcode().map(|opcode| match opcode.is_reserved() {
        true => format!("reserved {:#X}", opcode.bits()),
        false => opcode.name().to_owned(),
    }));
    match frame.header {
        None => parts.push("cut off in its header".to_owned()),
        Some(header) => {
            parts.push(if header.fin() { "FIN" } else { "no FIN" }.to_owned());
            parts.push(if header.masked() { "MASK" } else { "no MASK" }.to_owned());
            let size = match frame.missing {
                Missing::Nothing => bytes(header.payload_len()),
                _ => format!("{} of {}", frame.arrived, bytes(header.payload_len())),
            };
            parts.push(match &frame.inflated {
                None => size,
                Some(inflated) if inflated.outcome == InflateOutcome::Good => {
                    format!("{size} → {}", inflated.payload.len())
                }
                Some(_) => format!("{size} → ?"),
            });
        }
    }
    if !frame.findings.is_empty() {
        parts.push(format!("✗ {}", frame.findings.len()));
    }
    let line = parts.join(" · ");
    let room = COLUMNS.saturating_sub(line.chars().count() + 3);
    match frame.text().filter(|text| !text.is_empty() && room > 8) {
        Some(text) => format!("{line} · {}", quoted(text, room)),
        None => line,
    }
}

/// Which connection something belongs to, where there may be several.
pub(super) fn of_connection(connection: Option<u64>) -> String {
    connection.map(|number| format!(" of connection {number}")).unwrap_or_default()
}

/// Where the frame lies in the stream, and how we know who sent it.
pub(super) fn place(frame: &Frame) -> Vec<String> {
    let end = frame.offset.saturating_add(frame.size());
    let [header, payload] = [frame.header_bytes.len() as u64, frame.arrived];
    let payload = if payload > 0 { format!(", {payload} of payload") } else { String::new() };
    let mut lines = vec![format!("bytes {} to {}: {header} of header{payload}", frame.offset, end - 1)];
    if let (Sender::Assumed(role), 1) = (frame.sender, frame.number) {
        let bit = u8::from(role.masks());
        lines.push(format!("taken to come from a {role}, because MASK is {bit}"));
    }
    lines
}

/// What the payload inflates to in numbers, or why it does not.
pub(super) fn inflated(frame: &Frame) -> Vec<String> {
    let Some(inflated) = &frame.inflated else {
        return Vec::new();
    };
    let here = inflated.payload.len() as u64;
    let why = match inflated.outcome {
        InflateOutcome::Good => return vec![bytes(here)],
        outcome @ InflateOutcome::WindowUnknown => format!("{outcome}: it refers to messages that are not here"),
        outcome => outcome.to_string(),
    };
    if here > 0 { vec![format!("{}; then {why}", bytes(here))] } else { vec![why] }
}

/// The text of the frame, and the bytes of its characters.
pub(super) fn text(frame: &Frame, all: bool) -> Vec<String> {
    let (Some(part), Some(text)) = (&frame.text_part, frame.text()) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    if let Some(shared) = &part.begins_within {
        lines.push(format!("begins within a character: {shared} {}", in_frames(shared)));
    }
    if !text.is_empty() {
        let quote = quoted(text, if all { usize::MAX } else { QUOTE });
        let characters = counted(text.chars().count() as u64, "character");
        lines.push(format!("{quote} ({characters} in {})", bytes(text.len() as u64)));
    }
    if !text.is_ascii() {
        let shown = if all { usize::MAX } else { CHARACTERS };
        let mut list: Vec<String> = text.chars().take(shown).map(with_bytes).collect();
        if text.chars().nth(shown).is_some() {
            list.push("…".to_owned());
        }
        lines.push(list.join(" · ").replace(" ·", &format!("{TIE}·")));
    }
    if let Some(shared) = &part.ends_within {
        let missing = more_bytes(shared.missing as u64);
        lines.push(format!("ends within a character: {shared} ({missing} to come)"));
    }
    lines
}

/// `你 E4 BD A0`
fn with_bytes(character: char) -> String {
    let mut buffer = [0; 4];
    let bytes = character.encode_utf8(&mut buffer).as_bytes();
    format!("{} {}", named(character), words::hex(bytes).to_uppercase()).replace(' ', &TIE.to_string())
}

fn in_frames(shared: &SharedCharacter) -> String {
    let frames: Vec<String> = shared.pieces.iter().map(|piece| piece.frame.to_string()).collect();
    match frames.split_last() {
        Some((last, others)) if !others.is_empty() => {
            format!("(frames {} and {last})", others.join(", "))
        }
        _ => String::new(),
    }
}

/// How the frame begins, continues or ends a message.
pub(super) fn message(frame: &Frame, all: bool) -> Vec<String> {
    if let Some(number) = frame.within_message {
        return vec![match frame.opcode() {
            Some(Opcode::CLOSE) => format!("closes while message {number} has not ended"),
            _ => format!("none: a control frame may stand within message {number} (§5.4)"),
        }];
    }
    let (Some(message), Some(header)) = (&frame.message, frame.header) else {
        return Vec::new();
    };
    let mut lines = vec![position(message, header, frame.is_cut_off())];
    lines.extend(ratio(frame, message));
    if message.assembled.is_some()
        && let Some(text) = frame.message_text()
    {
        lines.push(format!("its text: {}", quoted(text, if all { usize::MAX } else { QUOTE })));
    }
    lines
}

/// `27 bytes inflated to 100, 27 %`, and before the message's end how far it has come.
fn ratio(frame: &Frame, message: &MessagePart) -> Option<String> {
    let inflated = frame.inflated.as_ref().filter(|inflated| inflated.outcome == InflateOutcome::Good)?;
    let sizes = format!("{} inflated to {}", bytes(message.len), inflated.len);
    Some(match frame.percent() {
        _ if !message.ends => format!("{sizes} so far"),
        Some(0) if message.len > 0 => format!("{sizes}, under 1 %"),
        Some(percent) => format!("{sizes}, {percent} %"),
        None => sizes,
    })
}

fn position(message: &MessagePart, header: Header, cut_off: bool) -> String {
    let MessagePart { number, kind, fragment, len, .. } = message;
    let len = bytes(*len);
    match (fragment, header.fin()) {
        (1, true) if cut_off => {
            format!("message {number} ({kind}), all in this frame, which is cut off")
        }
        (1, true) => format!("message {number} ({kind}), all in this frame"),
        (1, false) => {
            format!("begins message {number} ({kind}); more fragments follow, as FIN is 0")
        }
        (_, false) => format!("continues message {number} ({kind}): fragment {fragment}, {len} so far, more follow"),
        (_, true) if cut_off => {
            format!("ends message {number} ({kind}) with fragment {fragment}, which is cut off")
        }
        (_, true) => {
            format!("ends message {number} ({kind}) with fragment {fragment}: {len} in all")
        }
    }
}

/// What a Close frame says.
pub(super) fn close(frame: &Frame) -> Vec<String> {
    let Some(close) = &frame.close else {
        return Vec::new();
    };
    let Some(code) = close.code else {
        return vec![format!("no code; an application is told {}", CloseCode::NO_STATUS_RECEIVED)];
    };
    let [high, low] = code.as_u16().to_be_bytes();
    let name = code.name().map(|name| format!(": {name}")).unwrap_or_default();
    let code = format!("0x{high:02X} << 8 | 0x{low:02X} = {}{name}", code.as_u16());
    let reason = match close.reason.as_deref() {
        Some("") => "no reason".to_owned(),
        Some(reason) => format!("reason {}", quoted(reason, QUOTE)),
        None => "a reason that is not UTF-8".to_owned(),
    };
    vec![code, reason]
}

/// What a receiver does, if it is more than to take the frame.
pub(super) fn receiver(frame: &Frame) -> Option<String> {
    let receiver = frame.sender.role().map_or_else(|| "receiver".to_owned(), |role| role.peer().to_string());
    match frame.receiver {
        Receiver::Takes => None,
        Receiver::Fails(code) => Some(format!("a {receiver} fails the connection here with {code} (§7.1.7)")),
        Receiver::HasFailed(number) => {
            Some(format!("a {receiver} does not read this: it has failed the connection at frame {number} (§7.1.7)"))
        }
        Receiver::Discards(number) => {
            let what = if frame.opcode().is_some_and(Opcode::is_control) { "frame" } else { "data" };
            Some(format!("a {receiver} discards this {what}: frame {number} was the Close (§1.4, §5.5.1)"))
        }
    }
}

/// What is no broken rule, and good to know; with what can be done about it.
pub(super) fn hint(hint: &Hint) -> String {
    match hint {
        Hint::MaybeCompressed => format!("{hint}; sockeye{TIE}inspect{TIE}--deflate inflates it"),
        _ => hint.to_string(),
    }
}

/// What is missing of a frame that is cut off.
pub(super) fn missing(frame: &Frame) -> Option<String> {
    let header = if frame.header.is_none() { " in its header" } else { "" };
    let missing = match frame.missing {
        Missing::Nothing => return None,
        Missing::Exactly(missing) => more_bytes(missing),
        Missing::AtLeast(missing) => format!("at least {}", more_bytes(missing)),
    };
    Some(format!("cut off{header}: needs {missing}"))
}
