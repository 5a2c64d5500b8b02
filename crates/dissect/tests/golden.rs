//! What a reader sees, to the letter. `SOCKEYE_BLESS=1 cargo test -p sockeye-dissect` writes the files anew; look at the
//! difference before you keep it.

mod support;

use std::fs;
use std::path::Path;

use sockeye_dissect::{Deflate, Dissector, Record, render};
use sockeye_proto::Role;
use sockeye_proto::frame::Opcode;
use support::{client, compressed, deflated, in_fragments, inflated_records, inflating, pieces, records};

fn shown(records: &[Record], options: render::text::Options) -> String {
    let mut out = Vec::new();
    for (i, record) in records.iter().enumerate() {
        out.extend_from_slice(if i == 0 { b"" } else { b"\n" });
        render::text::write(record, options, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn is_golden(name: &str, records: &[Record]) {
    let shown = shown(records, render::text::Options::default());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("SOCKEYE_BLESS").is_some() {
        fs::write(&path, &shown).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(shown == golden, "{name} is no longer what is shown:\n{shown}");
}

#[test]
fn the_notes_example_is_explained() {
    is_golden("notes.txt", &records(&[0x84, 0x67, 0x78, 0x83, 0x21, 0x22, 0x12, 0x43, 0x12]));
}

#[test]
fn the_rfcs_masked_hello_is_explained() {
    let hello = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
    is_golden("hello.txt", &pieces(Dissector::assuming_sender(), [hello.as_slice()]));
}

#[test]
fn a_character_shared_by_two_frames_is_explained() {
    let stream = [
        client(false, Opcode::TEXT, &"你好".as_bytes()[..5]),
        client(true, Opcode::PING, b""),
        client(true, Opcode::CONTINUATION, &"你好，世界 👋".as_bytes()[5..]),
    ];
    is_golden("shared.txt", &records(&stream.concat()));
}

#[test]
fn the_three_forms_of_the_length_are_explained() {
    let mut stream = vec![0x82, 3, 1, 2, 3, 0x82, 126, 0x01, 0x00];
    stream.extend((0..=255).collect::<Vec<u8>>());
    stream.extend([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    stream.extend(vec![b'v'; 0x1_0000]);
    is_golden("lengths.txt", &pieces(Dissector::new(Role::Server), [stream.as_slice()]));
}

#[test]
fn a_close_data_after_it_and_a_cut_header_are_explained() {
    let stream = [
        client(true, Opcode::CLOSE, "\u{3}\u{7f}".as_bytes()),
        client(true, Opcode::CLOSE, b"\x03\xE8\x1b[31mbye\xC2\x85"),
        client(true, Opcode::TEXT, b"\x1b]0;owned\x07"),
        vec![0xC9, 0xFE, 0x00],
    ];
    is_golden("close.txt", &records(&stream.concat()));
}

#[test]
fn a_compressed_message_is_explained() {
    let text = "你好，世界，你好，世界，你好 👋".repeat(3);
    let payload = deflated([text.as_bytes()]).remove(0).unwrap();
    is_golden("compressed.txt", &inflated_records(&in_fragments(Opcode::TEXT, &payload, &[12])));
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
    not_inflated.extend(inflated_records(&compressed(true, Opcode::TEXT, &second)));
    is_golden("not-inflated.txt", &not_inflated);
    is_golden("rsv1.txt", &records(&compressed(true, Opcode::BINARY, &second)));
}

#[test]
fn colour_changes_nothing_but_the_colour() {
    let records = records(&[client(true, Opcode::TEXT, "你好".as_bytes()), vec![0x84, 0x67, 1]].concat());
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

#[test]
fn json_has_every_documented_name_and_nothing_else() {
    let mut out = Vec::new();
    let mut records = records(&[client(true, Opcode::TEXT, "你".as_bytes()), vec![0x82, 0xFF]].concat());
    records.extend(inflated_records(&compressed(true, Opcode::TEXT, &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])));
    for record in &records {
        render::json::write(record, &mut out).unwrap();
    }
    let documented: Vec<String> = include_str!("../src/render/json.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `"))
        .flat_map(|line| {
            line.split(" |")
                .next()
                .unwrap_or_default()
                .split(", ")
                .map(|name| name.replace('`', ""))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(documented.len(), 32);
    for line in String::from_utf8(out).unwrap().lines() {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        let mut names: Vec<_> = object.keys().cloned().collect();
        let mut expected = documented.clone();
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected);
        // In the order of the documentation, for who reads it.
        let places: Vec<_> = documented.iter().map(|name| line.find(&format!("\"{name}\":")).unwrap()).collect();
        assert!(places.is_sorted(), "{places:?}");
    }
    // The guide has the same names.
    let guide = include_str!("../../../docs/guide/inspect.md");
    for line in include_str!("../src/render/json.rs").lines().filter(|line| line.starts_with("//! | `")) {
        assert!(guide.contains(&line[4..]), "the guide lacks {line}");
    }
}
