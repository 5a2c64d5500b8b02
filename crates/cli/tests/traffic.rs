//! `sockeye inspect` of recordings and captures, as its users meet it.

#[path = "../../traffic/tests/support/mod.rs"]
#[expect(dead_code, reason = "each test uses a part of it")]
#[expect(clippy::cast_possible_truncation, reason = "captures by hand are short")]
mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use sockeye_proto::Role::{self, Client, Server};
use sockeye_traffic::recording::{Options, Recorder};
use sockeye_traffic::{Ending, Ends, Event, What};
use support::{CLIENT, FIN, PLAIN, SERVER, SYN, Tcp};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
/// The masked "Hello" of RFC 6455 §5.7, and the compressed one of RFC 7692 §7.2.3.1.
const HELLO: [u8; 11] = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
const DEFLATED: [u8; 9] = [0xC1, 0x07, 0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];

fn inspect(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.arg("inspect").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SOCKEYE_") {
            command.env_remove(name);
        }
    }
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// What it says of these bytes on its standard input.
fn fed(arguments: &[&str], input: &[u8]) -> (String, String, i32) {
    fed_to(inspect(arguments), input)
}

fn fed_to(mut command: Command, input: &[u8]) -> (String, String, i32) {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(stdout), text(stderr), status.code().unwrap())
}

fn json(arguments: &[&str], input: &[u8]) -> Vec<Value> {
    let (out, _, _) = fed(&[arguments, &["--format", "json"]].concat(), input);
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The records in a word each, by connection.
fn kinds(records: &[Value]) -> Vec<String> {
    let name =
        |record: &Value| record["opcode_name"].as_str().or_else(|| record["record"].as_str()).unwrap().to_owned();
    records.iter().map(|record| format!("{} {}", record["connection"], name(record))).collect()
}

/// A recording of these pieces on connection 1.
fn recording(sent: &[(Role, &[u8])]) -> Vec<u8> {
    let ends = Ends { client: Some(CLIENT.to_owned()), server: Some(SERVER.to_owned()), ..Ends::default() };
    let pieces =
        sent.iter().map(|(from, bytes)| What::Bytes { from: *from, bytes: bytes.to_vec().into(), redacted: false });
    let all = [What::Opened(ends)].into_iter().chain(pieces).chain([What::Ended(Ending::Closed(Some(Client)))]);
    let mut file = Vec::new();
    let mut recorder = Recorder::new(&mut file, SystemTime::now(), Options::default()).unwrap();
    for (i, what) in all.enumerate() {
        recorder.write(&Event { connection: 1, time: Duration::from_millis(i as u64), what }).unwrap();
    }
    file
}

fn session() -> Vec<(Role, &'static [u8])> {
    vec![
        (Client, REQUEST.as_bytes()),
        (Server, RESPONSE.as_bytes()),
        (Client, &HELLO),
        (Server, &DEFLATED),
        (Server, &[0x88, 0x05, 0x03, 0xE8, b'b', b'y', b'e']),
    ]
}

/// A capture of a WebSocket, and of a connection with TLS.
fn capture() -> Vec<u8> {
    let tls = |seq, payload: &[u8]| Tcp::new("10.0.0.1:50001", "10.0.0.2:443", seq, payload);
    let mut packets = vec![
        Tcp::new(CLIENT, SERVER, 0, b"").flags(SYN),
        tls(0, b"").flags(SYN),
        tls(1, b"\x16\x03\x01\x02\x00"),
        Tcp::new(SERVER, CLIENT, 0, b"").flags(SYN).ack(1),
    ];
    let mut next = [1, 1];
    for (from, bytes) in session() {
        let at = usize::from(from == Server);
        let (from, to) = if at == 0 { (CLIENT, SERVER) } else { (SERVER, CLIENT) };
        packets.push(Tcp::new(from, to, next[at], bytes));
        next[at] += u32::try_from(bytes.len()).unwrap();
    }
    packets.push(Tcp::new(SERVER, CLIENT, next[1], b"").flags(FIN).ack(next[0]));
    packets.push(Tcp::new(CLIENT, SERVER, next[0], b"").flags(FIN).ack(next[1] + 1));
    PLAIN.file(&packets.iter().map(Tcp::ethernet).collect::<Vec<_>>())
}

#[test]
fn a_capture_shows_each_connection_from_its_handshake_to_its_end() {
    let (out, err, status) = fed(&["-"], &capture());
    for expected in [
        "Connection 2 · 10.0.0.1:50000 → 10.0.0.2:8080\n  2026-11-18T11:06:40.004000000Z\n",
        "Request of connection 2 · client · GET /chat · asks for a WebSocket",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo= answers the key (§4.2.2)",
        "permessage-deflate is agreed on (RFC 7692)",
        "Frame 1 of connection 2 · client · text · FIN · MASK · 5 bytes · \"Hello\"",
        "Frame 1 of connection 2 · server · text · FIN · no MASK · 7 bytes → 5\n",
        "  ○ compressed it takes 7 bytes, plain it would take 5\n",
        "End of connection 2 · closed, by the server first · at 0.010000 s",
        "Bytes of connection 1 · client · 5 bytes · TLS: what is in it cannot be seen\nfrom outside",
        "Connections: 2, of which WebSockets: 1, frames: 3, bytes: ",
    ] {
        assert!(out.contains(expected), "{expected} is missing in\n{out}");
    }
    assert_eq!((err.as_str(), status), ("", 0));
}

#[test]
fn json_has_connections_heads_frames_and_ends() {
    let records = json(&[], &capture());
    let expected =
        ["2 connection", "2 request", "2 response", "2 text", "2 text", "2 close", "2 end", "1 connection", "1 opaque"];
    assert_eq!(kinds(&records), expected);
    assert_eq!((&records[0]["client"], &records[0]["time_ns"]), (&CLIENT.into(), &4_000_000.into()));
    assert_eq!(records[2]["compression"]["server_takeover"], true);
    assert_eq!(records[3]["text"], "Hello");
    assert_eq!(
        (&records[4]["inflated"]["payload"], &records[4]["hints"][0]["hint"]),
        (&"48656c6c6f".into(), &"grown-by-compression".into())
    );
    assert_eq!((&records[6]["how"], &records[6]["by"]), (&"closed".into(), &"server".into()));
    assert_eq!((&records[8]["why"], &records[8]["bytes"]), (&"tls".into(), &"1603010200".into()));
}

#[test]
fn a_recording_is_read_as_it_is_written() {
    let file = recording(&session());
    let records = json(&["-"], &file);
    assert_eq!(kinds(&records)[..4], ["1 connection", "1 request", "1 response", "1 text"]);

    let mut command = inspect(&["-", "--format", "json"]);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let end = file.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(4).unwrap().0;
    stdin.write_all(&file[..=end]).unwrap();
    stdin.flush().unwrap();
    // The pipe is still open: had it waited for the end, this would wait for ever.
    let names: Vec<Value> = lines.by_ref().take(4).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert_eq!(kinds(&names)[3], "1 text");
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn lines_have_a_line_for_each() {
    let (out, _, status) = fed(&["--format", "lines"], &recording(&session()));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!((lines.len(), status), (7, 0));
    assert_eq!(lines[0], "     0.000000   1   10.0.0.1:50000 → 10.0.0.2:8080");
    assert_eq!(lines[3], "     0.003000   1 → text          FIN MASK       5  \"Hello\"");
    assert_eq!(lines[4], "○    0.004000   1 ← text          FIN            7  → 5  \"Hello\"");
    assert_eq!(lines[6], "     0.006000   1   closed, by the client first");
    assert!(lines.iter().all(|line| line.chars().count() <= 80));
}

#[test]
fn a_filter_shows_what_matches_and_judges_nothing_else() {
    let broken: &[u8] = &[0x81, 0x00];
    let file = recording(&[session(), vec![(Client, broken)]].concat());
    assert_eq!(fed(&[], &file).2, 1);
    let shown = |filter: &str| (kinds(&json(&["--filter", filter], &file)), fed(&["--filter", filter], &file).2);
    assert_eq!(shown("close"), (vec!["1 connection".into(), "1 close".into(), "1 end".into()], 0));
    assert_eq!(shown("text client").1, 1);
    assert_eq!(shown("text client not violation").1, 0);
    assert_eq!(shown("port=8080 (request or response)").0.len(), 4);
    assert_eq!(shown("port=81"), (vec![], 0));
    assert_eq!(shown("address!=10.0.0.1"), (vec![], 0));
    assert_eq!(kinds(&json(&["--filter", "ping"], &[0x81, 0x00, 0x89, 0x00])), ["null ping"]);

    let (out, err, status) = fed(&["--filter", "text or pingg"], b"");
    assert_eq!((out.as_str(), status), ("", 2));
    assert!(err.contains("column 9: \"pingg\" is no word of a filter"), "{err}");
}

#[test]
fn where_the_beginning_is_missing_it_says_so_and_joins_if_told_to() {
    let packets = [Tcp::new(CLIENT, SERVER, 7, &HELLO), Tcp::new(SERVER, CLIENT, 9, &DEFLATED)];
    let file = PLAIN.file(&packets.map(|tcp| tcp.ethernet()));
    let (out, err, status) = fed(&[], &file);
    assert!(out.contains("its beginning is missing: where\nframes begin is unknown"), "{out}");
    let note = "sockeye: standard input: note: connections whose beginning is missing: 1; --joined takes their first bytes \
        for the start of a frame\n";
    assert_eq!((err.as_str(), status), (note, 0));
    let (out, err, status) = fed(&["--joined", "--deflate=joined"], &file);
    assert_eq!(out.matches("Text        \"Hello\" (").count(), 2, "{out}");
    assert_eq!((err.as_str(), status), ("", 0));
    let mut command = inspect(&["--deflate=joined"]);
    command.env("SOCKEYE_JOINED", "1").env("SOCKEYE_FILTER", "client");
    let (out, _, _) = fed_to(command, &file);
    assert_eq!(out.matches("Text        \"Hello\" (").count(), 1, "{out}");
}

#[test]
fn missing_bytes_are_shown_and_are_not_well() {
    let text: &[u8] = &[[0x82, 0x7E, 0x10, 0x00].as_slice(), &[7; 4096]].concat();
    let ping: &[u8] = &[0x89, 0x00];
    let file = recording(&[
        (Client, REQUEST.as_bytes()),
        (Server, RESPONSE.as_bytes()),
        (Server, &text[..1000]),
        (Server, &text[1000..2000]),
        (Server, &[&text[2000..], ping].concat()),
    ]);
    let lines: Vec<_> = file.split_inclusive(|&byte| byte == b'\n').collect();
    // The fifth is the second part of the payload.
    let without = [&lines[..5], &lines[6..]].concat().concat();
    assert_eq!(kinds(&json(&[], &without))[3..6], ["1 gap", "1 binary", "1 ping"]);
    let (out, err, status) = fed(&[], &without);
    assert!(
        out.contains("Gap of connection 1 · server · 1000 bytes missing · within frame 1") && out.contains(", gaps: 1"),
        "{out}"
    );
    assert_eq!((err.as_str(), status), ("", 1));
}

#[test]
fn damage_is_told_with_its_place_and_what_is_readable_is_shown() {
    let file = recording(&session());
    let lines: Vec<usize> = [0]
        .into_iter()
        .chain(file.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1))
        .collect();
    let (out, err, status) = fed(&["--format", "lines"], &file[..lines[5] + 40]);
    assert_eq!(out.lines().count(), 4, "{out}");
    assert_eq!(
        err,
        format!("sockeye: standard input: byte {} (line 6): the line is cut off, or none of a recording\n", lines[5])
    );
    assert_eq!(status, 1);

    let mut flipped = file.clone();
    flipped[lines[5] + 80] ^= 1;
    let (out, err, status) = fed(&["--format", "lines"], &flipped);
    assert!(
        out.contains("gap                          9  missing; frames unknown") && out.contains("7  after-gap"),
        "{out}"
    );
    let why = "the line is damaged: its checksum is that of another";
    assert_eq!((err, status), (format!("sockeye: standard input: byte {} (line 6): {why}\n", lines[5]), 1));

    let newer = String::from_utf8(file.clone()).unwrap().replace("\"version\":1", "\"version\":2");
    let (first, rest) = newer.split_once(",\"crc32\"").unwrap();
    let newer = format!("{first},\"crc32\":\"{:08x}\"}}\n{rest}", crc32fast::hash(first.as_bytes()));
    let (out, err, status) = fed(&["--format", "lines"], newer.as_bytes());
    assert_eq!((out.as_str(), status), ("", 1));
    assert_eq!(err, "sockeye: standard input: byte 0 (line 1): a recording of version 2; this reads version 1\n");

    let capture = capture();
    let (out, err, status) = fed(&["--format", "lines"], &capture[..capture.len() - 200]);
    assert!(out.contains("GET /chat"), "{out}");
    assert!(err.starts_with("sockeye: standard input: byte ") && err.ends_with(": it ends within a packet\n"), "{err}");
    assert_eq!((err.lines().count(), status), (1, 1));
    let (_, err, status) = fed(&[], b"\x1F\x8B\x08\x00");
    assert_eq!(
        (err.as_str(), status),
        ("sockeye: standard input: byte 0: compressed with gzip: give gunzip's output to sockeye inspect -\n", 1)
    );

    // Many bad lines take a few to tell.
    let mut noise = file[..lines[2]].to_vec();
    noise.extend(b"noise\n".repeat(1000));
    let (_, err, _) = fed(&[], &noise);
    assert_eq!(err.lines().count(), 11, "{err}");
    assert!(err.ends_with("sockeye: standard input: 990 more places are damaged\n"));
}

/// What terminals act on, and what turns, hides or forges what is read.
fn evil() -> Vec<String> {
    let mut evil: Vec<String> = [
        "\x1b[31mred",
        "\x1b]0;title\x07",
        "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
        "\x1b[2J\x1b[H",
        "\x1b[6n",
        "\x1bP$q\"p\x1b\\",
        "\x1b]52;c;ZXZpbA==\x07",
        "\x1b[?1049h",
        "\x1b(0lqk",
        "\x1bc",
        "\x1b#8",
        "\x1b[8m",
        "\u{9b}31m",
        "\u{9d}0;t\u{9c}",
        "\u{90}q\u{9c}",
        "a\rb",
        "a\x08b",
        "\x07",
        "\x0b\x0c",
        "\x0e\x0f",
        "\x7f",
        "\0",
        "\x1b_Gf=100;AAAA\x1b\\",
        "\u{202e}gnp.exe",
        "\u{2066}\u{2069}",
        "\u{200b}\u{200d}\u{feff}",
        "\u{2028}\u{2029}",
        "\u{e0041}\u{e007f}",
        "\u{ad}",
        "\u{61c}\u{200f}",
        "\x1b[38;5;1m\x1b[5m",
        "✗ forged (RFC 6455 §5.2)\n",
        "Frame 1 · client\n\nFrame 2",
        "\t\t\t",
        "\\u001b[31m",
        "\"}\n{\"record\":\"frame\"}",
        "%1b[31m",
        "\x18\x1a",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    evil.extend((0..32).chain(127..160).filter_map(char::from_u32).map(|control| format!("<{control}>")));
    evil
}

fn is_harmless(text: &str) -> bool {
    let acts = |character: char| {
        (character.is_control() && character != '\n')
            || matches!(u32::from(character), 0xAD | 0x61C | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xE0000..=0xE007F)
    };
    !text.chars().any(acts)
}

#[test]
fn nothing_in_a_file_acts_on_the_terminal() {
    let frame = |opcode: u8, payload: &[u8]| [&[0x80 | opcode, u8::try_from(payload.len()).unwrap()], payload].concat();
    for evil in evil() {
        let one_line = evil.replace(['\r', '\n'], " ");
        // What HTTP allows in a field, and what makes a head unreadable.
        let request = REQUEST
            .replace("\r\n\r\n", &format!("\r\nX-Evil: {one_line}\r\nSec-WebSocket-Protocol: {one_line}\r\n\r\n"));
        let response = RESPONSE.replace("Switching Protocols", &one_line);
        let target = REQUEST.replace("/chat", &format!("/{}", one_line.replace(' ', "_")));
        let text = frame(1, evil.as_bytes());
        let close = frame(8, &[&[3, 0xE8], evil.as_bytes()].concat());
        let sent: Vec<Vec<u8>> =
            vec![REQUEST.into(), RESPONSE.into(), text, frame(2, evil.as_bytes()), frame(9, evil.as_bytes()), close];
        let good: Vec<_> = sent
            .iter()
            .enumerate()
            .map(|(i, bytes)| (if i == 0 { Client } else { Server }, bytes.as_slice()))
            .collect();
        let ends = |text: &str| Some(text.to_owned());
        let mut named = Vec::new();
        let mut recorder = Recorder::new(&mut named, SystemTime::now(), Options::default()).unwrap();
        let ends = Ends { client: ends(&evil), server: ends(&evil), target: ends(&evil), joined: false };
        let all = [
            What::Opened(ends),
            What::Bytes { from: Client, bytes: evil.clone().into(), redacted: false },
            What::Ended(Ending::Failed(evil.clone())),
        ];
        for what in all {
            recorder.write(&Event { connection: 1, time: Duration::ZERO, what }).unwrap();
        }
        let files = [
            recording(&good),
            recording(&[(Client, request.as_bytes()), (Server, response.as_bytes())]),
            recording(&[(Client, target.as_bytes()), (Server, evil.as_bytes())]),
            named,
            format!("{{{evil}\n").into_bytes(),
        ];
        for file in files {
            for format in ["text", "lines", "json"] {
                let (out, err, _) = fed(&["--format", format, "--all"], &file);
                assert!(is_harmless(&out) && is_harmless(&err), "{evil:?} in {format}: {out:?} {err:?}");
                assert!(!out.is_empty() || !err.is_empty());
                // Nothing forges a line of its own.
                assert!(
                    !out.lines().chain(err.lines()).any(|line| line.starts_with("✗ forged") || line == "Frame 2"),
                    "{out}"
                );
            }
        }
    }
}
