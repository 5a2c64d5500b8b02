//! What a reader sees, to the letter. `SOCKEYE_BLESS=1 cargo test -p sockeye-dissect` writes the files anew; look at the
//! difference before you keep it.

mod support;

use std::fs;
use std::path::Path;

use sockeye_dissect::{Dissector, Record, render};
use sockeye_proto::Role;
use sockeye_proto::frame::Opcode;
use support::{client, pieces, records};

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
    let records = records(&[client(true, Opcode::TEXT, "你".as_bytes()), vec![0x82, 0xFF]].concat());
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
    assert_eq!(documented.len(), 31);
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
}
