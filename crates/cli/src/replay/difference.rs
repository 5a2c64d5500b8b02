//! What is not as it was, and how it is told.

use std::io::{self, Write};

use serde_json::json;
use sockeye_dissect::{Frame, Head, InflateOutcome, Item, Record, StartLine, render};

/// A place where two connections differ.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) why: String,
    /// What was recorded there, and what came.
    pub(super) recorded: Option<Box<Record>>,
    pub(super) came: Option<Box<Record>>,
}

impl Difference {
    pub(super) fn new(why: impl Into<String>, recorded: Option<Record>, came: Option<Record>) -> Self {
        Self { why: why.into(), recorded: recorded.map(Box::new), came: came.map(Box::new) }
    }
}

/// What tells two records apart, if anything does.
pub(super) fn between(recorded: &Record, came: &Record, exact: bool) -> Option<String> {
    match (&recorded.item, &came.item) {
        (Item::Frame(recorded), Item::Frame(came)) => of_frames(recorded, came, exact),
        (Item::Head(recorded), Item::Head(came)) => of_heads(recorded, came),
        (Item::Head(_), _) => Some("a head was recorded, and something else came".to_owned()),
        (_, Item::Head(_)) => Some("a head came in place of a frame".to_owned()),
        _ => None,
    }
}

fn of_frames(recorded: &Frame, came: &Frame, exact: bool) -> Option<String> {
    let first = |frame: &Frame| frame.header_bytes.first().copied().unwrap_or_default();
    let (was, is) = (first(recorded), first(came));
    for (mask, name) in [(0x0F, "the opcode"), (0x80, "FIN"), (0x40, "RSV1"), (0x20, "RSV2"), (0x10, "RSV3")] {
        if was & mask != is & mask {
            return Some(format!("{name} differs"));
        }
    }
    let is_masked = |frame: &Frame| frame.header_bytes.get(1).is_some_and(|byte| byte & 0x80 != 0);
    if is_masked(recorded) != is_masked(came) {
        return Some("MASK differs".to_owned());
    }
    let (what, (was, was_long), (is, is_long)) = match (inflated(recorded), inflated(came)) {
        (Some(was), Some(is)) if !exact => ("the inflated payload", was, is),
        _ => ("the payload", (&recorded.payload[..], recorded.arrived), (&came.payload[..], came.arrived)),
    };
    let at = was.iter().zip(is).position(|(was, is)| was != is);
    match at {
        Some(at) => Some(format!("{what} differs from byte {at} on")),
        None if was_long != is_long => Some(format!("{what} had {was_long} bytes, and has {is_long}")),
        None => None,
    }
}

/// What a frame inflates to, as much as is kept of it, and how long all of it is.
fn inflated(frame: &Frame) -> Option<(&[u8], u64)> {
    let inflated = frame.inflated.as_ref()?;
    // Of a message over several frames the last one has the length of all.
    let is_good = matches!(inflated.outcome, InflateOutcome::Good);
    is_good.then_some((&inflated.payload[..], inflated.len))
}

fn of_heads(recorded: &Head, came: &Head) -> Option<String> {
    match (&recorded.start, &came.start) {
        (StartLine::Response { status: was, .. }, StartLine::Response { status: is, .. }) if was != is => {
            return Some(format!("the status was {}, and is {}", was.as_u16(), is.as_u16()));
        }
        (StartLine::Request { method: was, target: from }, StartLine::Request { method: is, target: to })
            if (was, from) != (is, to) =>
        {
            return Some(format!("the request was {was} {from}, and is {is} {to}"));
        }
        _ => {}
    }
    let list = |head: &Head, name| {
        let values: Vec<String> =
            head.values(name).map(|value| String::from_utf8_lossy(value).trim().to_owned()).collect();
        values.join(", ")
    };
    ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"].into_iter().find_map(|name| {
        let (was, is) = (list(recorded, name), list(came, name));
        (was != is).then(|| format!("{name} was {was:?}, and is {is:?}"))
    })
}

/// Tells differences, and how it all ended, on standard output.
#[derive(Debug)]
pub(super) struct Differences {
    is_json: bool,
    color: bool,
    count: usize,
}

/// Differences that are told.
const TOLD: usize = 10;

impl Differences {
    pub(super) const fn new(is_json: bool, color: bool) -> Self {
        Self { is_json, color, count: 0 }
    }

    /// Tells one, unless many were told before.
    pub(super) fn tell(&mut self, connection: u64, difference: &Difference) {
        self.count += 1;
        if self.count <= TOLD {
            let mut out = io::stdout().lock();
            // Standard output may be closed; the exit status says it all the same.
            let _ = self.write(connection, difference, &mut out).and_then(|()| out.flush());
        }
    }

    fn write(&self, connection: u64, difference: &Difference, out: &mut impl Write) -> io::Result<()> {
        let Difference { why, recorded, came } = difference;
        let why = render::safe(why);
        let sides = [("recorded", recorded), ("came", came)];
        if self.is_json {
            write!(out, "{{\"record\":\"difference\",\"connection\":{connection}")?;
            write!(out, ",\"message\":{}", render::json::harmless(&json!(why).to_string()))?;
            for (name, record) in sides {
                let mut text = Vec::new();
                match record {
                    Some(record) => render::json::write(record, &mut text)?,
                    None => text.extend_from_slice(b"null"),
                }
                write!(out, ",\"{name}\":{}", String::from_utf8_lossy(&text).trim_end())?;
            }
            return writeln!(out, "}}");
        }
        writeln!(out, "connection {connection} differs: {why}")?;
        for (name, record) in sides {
            write!(out, "{name:>9}: ")?;
            match record {
                Some(record) => render::lines::write(record, self.color, out)?,
                None => writeln!(out, "nothing")?,
            }
        }
        Ok(())
    }

    /// Says what there was in all.
    pub(super) fn end(&self, connections: u64, frames: u64) {
        let mut out = io::stdout();
        let count = self.count;
        let _ = match (self.is_json, count) {
            (true, _) => {
                let ended = json!({"connections": connections, "compared": frames, "differences": count}).to_string();
                writeln!(out, "{{\"record\":\"replayed\",{}", &ended[1..])
            }
            (false, 0) => {
                writeln!(out, "connections replayed: {connections}, frames compared: {frames}, no difference")
            }
            (false, _) => {
                writeln!(out, "connections replayed: {connections}, frames compared: {frames}, differences: {count}")
            }
        };
    }

    pub(super) const fn is_none(&self) -> bool {
        self.count == 0
    }
}
