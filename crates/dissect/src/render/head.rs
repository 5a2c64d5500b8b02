//! The head of a request or response for people: its lines as they stand there, and what they mean for a WebSocket.

use std::io::{self, Write};

use sockeye_proto::Role;
use sockeye_proto::deflate::Params;
use sockeye_proto::handshake::HandshakeError;

use super::story::of_connection;
use super::style::{Paint, Style};
use super::text::{INDENT, Options, section};
use super::words::{COLUMNS, counted, quoted, safe, wrapped};
use crate::{Field, Finding, Head, Opening, StartLine};

/// Columns for a value, unless all is asked for.
const VALUE: usize = 3 * COLUMNS;

/// The head in one line.
pub(super) fn summary(head: &Head, connection: Option<u64>) -> String {
    let mut parts = vec![match head.sender() {
        Role::Client => format!("Request{}", of_connection(connection)),
        Role::Server => format!("Response{}", of_connection(connection)),
    }];
    parts.push(head.sender().to_string());
    parts.push(match &head.start {
        StartLine::Request { method, target } => safe(&format!("{method} {target}"), 40),
        StartLine::Response { status, reason } => safe(format!("{} {reason}", status.as_u16()).trim_end(), 40),
        StartLine::Unread(_) => "cannot be read".to_owned(),
    });
    match head.opening {
        Opening::Asks { .. } => parts.push("asks for a WebSocket".to_owned()),
        Opening::Opens(_) => parts.push("opens a WebSocket".to_owned()),
        Opening::Nothing => {}
    }
    if !head.findings.is_empty() {
        parts.push(format!("✗ {}", head.findings.len()));
    }
    parts.join(" · ")
}

/// Where the head lies in the stream.
pub(super) fn place(head: &Head) -> String {
    let fields = counted(head.fields.len() as u64, "field");
    format!("bytes {} to {}: a head of {fields}", head.offset, head.offset + head.bytes.len() as u64 - 1)
}

/// Everything between the place of a head and the verdict on it.
pub(super) fn write(head: &Head, options: Options, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let room = if options.all { usize::MAX } else { VALUE };
    writeln!(out)?;
    let start = head.bytes.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let start = safe(&String::from_utf8_lossy(start.trim_ascii()), room);
    for line in wrapped(&start, COLUMNS - INDENT) {
        writeln!(out, "  {}", paint.paint(Style::Title, &line))?;
    }
    for field in &head.fields {
        let value = safe(&String::from_utf8_lossy(&field.value), room);
        // A long value goes on below itself, further in.
        let lines = wrapped(&format!("{}: {value}", field.name), COLUMNS - 2 * INDENT);
        for (i, line) in lines.iter().enumerate() {
            match line.strip_prefix(&field.name).filter(|_| i == 0) {
                Some(value) => writeln!(out, "  {}{value}", paint.paint(name_style(&field.name), &field.name))?,
                None => writeln!(out, "    {line}")?,
            }
        }
    }
    let meaning = meaning(head);
    if !meaning.is_empty() {
        writeln!(out)?;
    }
    for (label, lines) in &meaning {
        section(label, lines, paint, out)?;
    }
    Ok(())
}

/// The handshake's own fields have colours; the others are there, too.
fn name_style(name: &str) -> Style {
    let own = name.eq_ignore_ascii_case("upgrade")
        || name.eq_ignore_ascii_case("connection")
        || name.get(..14).is_some_and(|start| start.eq_ignore_ascii_case("sec-websocket-"));
    if own { Style::Field(Field::OPCODE) } else { Style::Quiet }
}

/// What the handshake's own fields say.
fn meaning(head: &Head) -> Vec<(&'static str, Vec<String>)> {
    let value = |name| head.values(name).next().map(|value| String::from_utf8_lossy(value).into_owned());
    let mut meaning = Vec::new();
    let mut say = |label, lines: Vec<String>| meaning.push((label, lines));
    match &head.opening {
        Opening::Nothing => {}
        Opening::Asks { accept } => {
            let key = value("Sec-WebSocket-Key").unwrap_or_default();
            say(
                "Key",
                match accept {
                    Some(accept) => vec![
                        format!("{key}: 16 random bytes in base64 (§4.1)"),
                        format!("its answer: {accept}, the SHA-1 of the key and a GUID (§4.2.2)"),
                    ],
                    None => vec!["none that a response could answer".to_owned()],
                },
            );
            let lists = [("subprotocols", "Sec-WebSocket-Protocol"), ("extensions", "Sec-WebSocket-Extensions")];
            let offers = lists.into_iter().filter_map(|(what, name)| {
                let offered: Vec<_> = head.values(name).map(|value| String::from_utf8_lossy(value)).collect();
                (!offered.is_empty()).then(|| format!("{what}: {}", safe(&offered.join(", "), VALUE)))
            });
            say("Offers", offers.collect());
        }
        Opening::Opens(agreed) => {
            let answers = !head.findings.contains(&Finding::Response(HandshakeError::Accept));
            if let Some(accept) = value("Sec-WebSocket-Accept").filter(|_| answers) {
                say("Accept", vec![format!("{} answers the key (§4.2.2)", safe(&accept, VALUE))]);
            }
            if let Some(chosen) = &agreed.subprotocol {
                say("Subprotocol", vec![format!("{} is agreed on (§1.9)", quoted(chosen, VALUE))]);
            }
            say(
                "Compression",
                match &agreed.compression {
                    Some(params) => {
                        vec![
                            "permessage-deflate is agreed on (RFC 7692)".to_owned(),
                            sending(*params, Role::Client),
                            sending(*params, Role::Server),
                        ]
                    }
                    None => vec!["none: RSV1 has no meaning".to_owned()],
                },
            );
        }
    }
    meaning
}

/// What a receiver that keeps the rules does about the first rule that the head breaks.
pub(super) fn receiver(head: &Head) -> Option<String> {
    match head.findings.first()? {
        Finding::Request(refusal) => Some(format!("a server answers {}", refusal.status())),
        Finding::Response(_) => Some("a client fails the connection (§4.1)".to_owned()),
        _ => None,
    }
}

/// How one end compresses.
fn sending(params: Params, sender: Role) -> String {
    let takeover = if params.takeover(sender) { "may refer to earlier messages" } else { "each message by itself" };
    format!("{sender}: {takeover}, window of {} bits", params.window_bits(sender))
}
