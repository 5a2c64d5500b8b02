//! What a reader sees, to the letter. `SOCKEYE_BLESS=1 cargo test -p sockeye-dissect` writes the files anew; look at the
//! difference before you keep it.

mod support;

use core::time::Duration;
use std::fs;
use std::path::Path;

use sockeye_dissect::{Conversation, Deflate, Dissector, Record, render};
use sockeye_proto::Role;
use sockeye_proto::frame::Opcode;
use support::{client, compressed, deflated, frames, in_fragments, inflated_frames, inflating, pieces};

fn shown(records: &[Record], options: render::text::Options) -> String {
    let mut out = Vec::new();
    for (i, record) in records.iter().enumerate() {
        out.extend_from_slice(if i == 0 { b"" } else { b"\n" });
        render::text::write(record, options, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn is_golden(name: &str, records: impl IntoIterator<Item: Into<Record>>) {
    let records: Vec<Record> = records.into_iter().map(Into::into).collect();
    is_kept(name, &shown(&records, render::text::Options::default()));
}

fn is_kept(name: &str, shown: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("SOCKEYE_BLESS").is_some() {
        fs::write(&path, shown).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(shown == golden, "{name} is no longer what is shown:\n{shown}");
}

#[test]
fn the_notes_example_is_explained() {
    is_golden("notes.txt", frames(&[0x84, 0x67, 0x78, 0x83, 0x21, 0x22, 0x12, 0x43, 0x12]));
}

#[test]
fn the_rfcs_masked_hello_is_explained() {
    let hello = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
    is_golden("hello.txt", pieces(Dissector::assuming_sender(), [hello.as_slice()]));
}

#[test]
fn a_character_shared_by_two_frames_is_explained() {
    let stream = [
        client(false, Opcode::TEXT, &"你好".as_bytes()[..5]),
        client(true, Opcode::PING, b""),
        client(true, Opcode::CONTINUATION, &"你好，世界 👋".as_bytes()[5..]),
    ];
    is_golden("shared.txt", frames(&stream.concat()));
}

#[test]
fn the_three_forms_of_the_length_are_explained() {
    let mut stream = vec![0x82, 3, 1, 2, 3, 0x82, 126, 0x01, 0x00];
    stream.extend((0..=255).collect::<Vec<u8>>());
    stream.extend([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    stream.extend(vec![b'v'; 0x1_0000]);
    is_golden("lengths.txt", pieces(Dissector::new(Role::Server), [stream.as_slice()]));
}

#[test]
fn a_close_data_after_it_and_a_cut_header_are_explained() {
    let stream = [
        client(true, Opcode::CLOSE, "\u{3}\u{7f}".as_bytes()),
        client(true, Opcode::CLOSE, b"\x03\xE8\x1b[31mbye\xC2\x85"),
        client(true, Opcode::TEXT, b"\x1b]0;owned\x07"),
        vec![0xC9, 0xFE, 0x00],
    ];
    is_golden("close.txt", frames(&stream.concat()));
}

#[test]
fn a_compressed_message_is_explained() {
    let text = "你好，世界，你好，世界，你好 👋".repeat(3);
    let payload = deflated([text.as_bytes()]).remove(0).unwrap();
    is_golden("compressed.txt", inflated_frames(&in_fragments(Opcode::TEXT, &payload, &[12])));
}

#[test]
fn what_cannot_be_inflated_says_why() {
    let second = [0xF2, 0x00, 0x11, 0x00, 0x00];
    let stream = [
        compressed(true, Opcode::TEXT, &second),
        compressed(true, Opcode::BINARY, &deflated([vec![7; 1000].as_slice()]).remove(0).unwrap()),
        compressed(true, Opcode::CONTINUATION, b""),
    ];
    let mut not_inflated = pieces(inflating(Deflate::Joined).keeping(125), [stream.concat().as_slice()]);
    not_inflated.extend(inflated_frames(&compressed(true, Opcode::TEXT, &second)));
    is_golden("not-inflated.txt", not_inflated);
    is_golden("rsv1.txt", frames(&compressed(true, Opcode::BINARY, &second)));
}

#[test]
fn colour_changes_nothing_but_the_colour() {
    let records = frames(&[client(true, Opcode::TEXT, "你好".as_bytes()), vec![0x84, 0x67, 1]].concat());
    let records: Vec<Record> = records.into_iter().map(Into::into).collect();
    let plain = shown(&records, render::text::Options::default());
    let coloured = shown(&records, render::text::Options { color: true, all: false });
    assert_ne!(coloured, plain);
    let mut rest = coloured.as_str();
    let mut without = String::new();
    while let Some((before, after)) = rest.split_once("\x1b[") {
        without += before;
        let (code, after) = after.split_once('m').unwrap();
        assert!(code.chars().all(|character| character.is_ascii_digit() || character == ';'));
        rest = after;
    }
    assert_eq!(without + rest, plain);
}

/// The names in a table of the documentation, row by row.
fn documented(table: &str) -> Vec<String> {
    let rows = table.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let names = rows.flat_map(|row| row.split(" |").next().unwrap_or_default().split(", "));
    names.map(|name| name.replace('`', "")).collect()
}

#[test]
fn json_has_every_documented_name_and_nothing_else() {
    let source = include_str!("../src/render/json.rs");
    let tables: Vec<_> = source.split("//! |---|---|---|").skip(1).map(documented).collect();
    let [every, frame, head, rest] = &tables[..] else { panic!("{tables:?}") };
    assert_eq!((every.len(), frame.len()), (9, 29));
    let mut records: Vec<Record> = conversation();
    let mut bare = frames(&[client(true, Opcode::TEXT, "你".as_bytes()), vec![0x82, 0xFF]].concat());
    bare.extend(inflated_frames(&compressed(true, Opcode::TEXT, &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])));
    records.extend(bare.into_iter().map(Into::into));
    for record in &records {
        let mut out = Vec::new();
        render::json::write(record, &mut out).unwrap();
        let line = String::from_utf8(out).unwrap();
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
        let own: &[String] = match object["record"].as_str().unwrap() {
            "frame" => frame,
            "request" | "response" => head,
            "opaque" => &rest[..3],
            "gap" => &rest[3..],
            other => panic!("{other}"),
        };
        let documented: Vec<_> = every.iter().chain(own).cloned().collect();
        let mut names: Vec<_> = object.keys().cloned().collect();
        let mut expected = documented.clone();
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected);
        // In the order of the documentation, for who reads it.
        let mut rest = line.as_str();
        for name in &documented {
            rest = rest.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{name} is late in {line}")).1;
        }
    }
    // The guide has the same names.
    let guide = include_str!("../../../docs/guide/inspect.md");
    for line in source.lines().filter(|line| line.starts_with("//! | `")) {
        assert!(guide.contains(&line[4..]), "the guide lacks {line}");
    }
}

/// A connection with one of everything in it.
fn conversation() -> Vec<Record> {
    let at = Duration::from_micros;
    let request = "GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: chat, superchat\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    let response = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_max_window_bits=12\r\n\r\n";
    let mut conversation = Conversation::new().numbered(2);
    let mut records = conversation.push(Role::Client, at(0), request.as_bytes());
    records.extend(conversation.push(Role::Server, at(1_250), response.as_bytes()));
    records.extend(conversation.push(Role::Client, at(1_900), &client(false, Opcode::TEXT, b"Hel")));
    records.extend(conversation.push(Role::Client, at(2_100), &client(true, Opcode::CONTINUATION, b"lo")));
    records.extend(conversation.push(Role::Server, at(3_000), &[0x82, 5, 1, 2]));
    records.extend(conversation.skip(Role::Server, at(4_000), 2));
    records.extend(conversation.push(Role::Server, at(5_000), &[5, 0x88, 5, 3, 0xE8, b'b', b'y', b'e']));
    records.extend(conversation.skip(Role::Client, at(6_000_000), 1448));
    records.extend(conversation.push(Role::Client, at(6_100_000), &[7; 100]));
    records.extend(conversation.finish());
    records
}

#[test]
fn a_connection_is_explained_from_its_handshake_on() {
    is_golden("conversation.txt", conversation());
    let mut lines = Vec::new();
    for record in conversation() {
        render::lines::write(&record, false, &mut lines).unwrap();
    }
    is_kept("lines.txt", &String::from_utf8(lines).unwrap());
}

#[test]
fn a_handshake_that_breaks_rules_says_which() {
    let request = b"POST /\x1b]0;owned\x07 HTTP/1.0\r\nUpgrade: websocket\r\n\r\n".as_slice();
    let bad =
        b"POST / HTTP/1.0\r\nUpgrade: websocket\r\nSec-WebSocket-Key: short\r\nX-Odd: \x9b31m\xff\r\n\r\n".as_slice();
    let answer = b"HTTP/1.1 101 \x80\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: mux\r\n\r\n".as_slice();
    let refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno!".as_slice();
    let mut records = Vec::new();
    for (request, response) in [(request, refused), (bad, answer), (bad, refused)] {
        let mut conversation = Conversation::new();
        records.extend(conversation.push(Role::Client, Duration::ZERO, request));
        records.extend(conversation.push(Role::Client, Duration::ZERO, &client(true, Opcode::TEXT, b"early")));
        records.extend(conversation.push(Role::Server, Duration::ZERO, response));
        records.extend(conversation.finish());
    }
    is_golden("handshake.txt", records);
}
