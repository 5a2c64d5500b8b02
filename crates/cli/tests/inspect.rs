//! `sockeye inspect` as its users meet it: what they type, what they see, and the exit status.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const NOTES: [&str; 9] = ["84", "67", "78", "83", "21", "22", "12", "43", "12"];
/// The masked "Hello" of RFC 6455 §5.7.
const HELLO: [u8; 11] = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];

fn inspect(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    command.arg("inspect").args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SOCKEYE_") {
            command.env_remove(name);
        }
    }
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

fn run(arguments: &[&str]) -> (String, String, i32) {
    parts(inspect(arguments).output().unwrap())
}

/// What it says when these bytes come on its standard input.
fn fed(arguments: &[&str], input: &[u8]) -> (String, String, i32) {
    let mut command = inspect(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    parts(child.wait_with_output().unwrap())
}

fn parts(output: Output) -> (String, String, i32) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code().unwrap())
}

/// A file of this test's own, gone when the test ends.
struct File(PathBuf);

impl File {
    fn new(name: &str, content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("sockeye-inspect-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn name(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_notes_example_from_a_client_is_explained_and_exits_with_1() {
    let (out, err, status) = run(&[&NOTES[..], &["--from", "client"]].concat());
    for expected in [
        "0x84 >> 7 = 1",
        "0x84 & 0x0F = 4",
        "0x67 >> 7 = 0",
        "0x67 & 0x7F = 103",
        "✗ opcode 0x4 is reserved (RFC 6455 §5.2)",
        "✗ a client must mask its frames (RFC 6455 §5.1)",
        "needs 96 more bytes",
    ] {
        assert!(out.contains(expected), "{expected} is missing in\n{out}");
    }
    assert_eq!((err.as_str(), status), ("", 1));
    assert!(!out.contains('\x1b'), "no colour but on a terminal");
}

#[test]
fn hex_is_read_however_it_is_written() {
    let plain = run(&["81", "85", "37", "fa", "21", "3d", "7f", "9f", "4d", "51", "58"]);
    assert!(plain.0.contains("0x7f ^ 0x37 = 0x48 H"));
    assert!(plain.0.contains("taken to come from a client, because MASK is 1"));
    assert_eq!(plain.2, 0);
    for arguments in [
        ["818537fa213d7f9f4d5158"].as_slice(),
        &["81 85 37 fa 21 3d 7f 9f 4d 51 58"],
        &["0x81,0x85,0x37,0xFA,0x21,0x3D,0x7F,0x9F,0x4D,0x51,0x58"],
        &["81:85:37:fa:21:3d", "7f9f4d5158"],
    ] {
        assert_eq!(run(arguments), plain, "{arguments:?}");
    }
}

#[test]
fn files_and_standard_input_hold_hex_or_bytes() {
    let expected = run(&["818537fa213d7f9f4d5158"]);
    let binary = File::new("binary", &HELLO);
    let hex = File::new("hex", b"81 85\n37 fa 21 3d\n7f 9f 4d 51 58\n");
    assert_eq!(run(&[binary.name()]), expected);
    assert_eq!(run(&[hex.name()]), expected);
    assert_eq!(run(&["--file", binary.name()]), expected);
    assert_eq!(run(&["--hex", hex.name()]), expected);
    assert_eq!(fed(&["-"], &HELLO), expected);
    assert_eq!(fed(&[], &HELLO), expected);
    assert_eq!(fed(&[], b"818537fa213d7f9f4d5158"), expected);

    // A frame that breaks rules may begin as text: 'A' is 0x41, and "A\0" in hex is two bytes.
    assert!(fed(&["--file", "--format", "json"], b"A\x00").0.contains(r#""header":"4100""#));
    assert!(fed(&["--hex", "--format", "json"], b"8100").0.contains(r#""header":"8100""#));
}

#[test]
fn wrong_usage_is_one_clear_line_and_exits_with_2() {
    let binary = File::new("not-hex", &HELLO);
    for (arguments, expected) in [
        (["84", "6g"].as_slice(), "sockeye: \"6g\" (argument 2) is not hex\n"),
        (&["84", "6"], "sockeye: \"6\" (argument 2) is not whole bytes: two digits make one\n"),
        (&["capture.bin"], "sockeye: \"capture.bin\" (argument 1) is not hex, and there is no such file\n"),
        (&["--file", "/no/such/file"], "sockeye: cannot read \"/no/such/file\": No such file or directory\n"),
        (&["--file", "one", "two"], "sockeye: --file takes one file; \"two\" is one too many\n"),
        (&["--file", "--hex", "84"], "sockeye: --hex and --file exclude one another\n"),
        (&["\x1b[31m"], "sockeye: \"\\u{1b}[31m\" (argument 1) is not hex, and there is no such file\n"),
    ] {
        assert_eq!(run(arguments), (String::new(), expected.to_owned(), 2), "{arguments:?}");
    }
    let (_, err, status) = run(&["--hex", binary.name()]);
    assert!(err.contains("(line 1, column 1) is not hex") && err.lines().count() == 1 && status == 2, "{err}");
    let (_, err, status) = fed(&[], b"81 00\n81 zz\n");
    assert_eq!((err.as_str(), status), ("sockeye: standard input: \"zz\" (line 2, column 4) is not hex\n", 2));
    assert_eq!(run(&["--from", "nobody", "8100"]).2, 2);
}

#[test]
fn the_exit_status_says_whether_all_is_well() {
    assert_eq!(run(&["8100", "--from", "server"]).2, 0);
    assert_eq!(run(&["8100", "--from", "client"]).2, 1);
    assert_eq!(run(&["8102", "68"]).2, 1, "cut off");
    assert_eq!(run(&["8100", "8802", "03e8", "8100"]).2, 1, "data after Close");
    assert_eq!(fed(&[], b"").2, 0, "nothing is wrong with nothing");
}

#[test]
fn json_is_one_object_a_line() {
    let (out, _, status) = run(&["0102e4bd", "8900", "8001a0", "--format", "json"]);
    let frames: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((frames.len(), status), (3, 0));
    assert_eq!(frames[0]["from"], "server");
    assert_eq!(frames[0]["from_assumed"], true);
    assert_eq!(frames[0]["ends_within"]["pieces"][0]["bytes"], "e4bd");
    assert_eq!(frames[1]["within_message"], 1);
    assert_eq!(frames[2]["begins_within"]["character"], "你");
    assert_eq!(frames[2]["message"]["text"], "你");

    let (out, _, _) = run(&["82ff", "7fffffffffffffff", "01020304", "--format", "json"]);
    let frame: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(frame["payload_length"], "9223372036854775807");
    assert_eq!(frame["missing"], "9223372036854775807");
}

/// The "Hello" of RFC 7692 §7.2.3.1, and the second one of §7.2.3.2, which refers to it.
const COMPRESSED: [&str; 2] = ["c107f248cdc9c90700", "c105f200110000"];

#[test]
fn compressed_messages_are_inflated_where_that_was_agreed_on() {
    let (out, _, status) = run(&[COMPRESSED[0], COMPRESSED[1], "--deflate"]);
    assert_eq!(status, 0);
    for expected in ["7 bytes inflated to 5, 140 %", "5 bytes inflated to 5, 100 %", "48 65 6c 6c 6f", "\"Hello\""] {
        assert!(out.contains(expected), "{expected} is missing in\n{out}");
    }
    assert_eq!(run(&[COMPRESSED[0], COMPRESSED[1], "--deflate=start"]).0, out);

    let (out, _, status) = run(&[COMPRESSED[0]]);
    assert!(out.contains("✗ RSV1 is set and no extension gives it a meaning (RFC 6455 §5.2)"), "{out}");
    assert!(out.contains("sockeye inspect --deflate") && status == 1, "{out}");
    assert_eq!(run(&[COMPRESSED[0], "--deflate=off"]).0, out);
}

#[test]
fn joined_midway_the_window_is_unknown_and_from_the_start_the_same_is_corrupt() {
    let (out, _, status) = run(&["--deflate=joined", COMPRESSED[1]]);
    assert!(out.contains("compressed, window unknown") && status == 0, "{out}");
    let (out, _, status) = run(&["--deflate", COMPRESSED[1], "--format", "json"]);
    let frame: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&frame["inflated"]["outcome"], status), (&"corrupt".into(), 1));
    assert_eq!(frame["violations"][0]["rule"], "corrupt-deflate");
    assert_eq!((&frame["violations"][0]["rfc"], &frame["receiver_code"]), (&7692.into(), &1007.into()));

    // The option takes its value with = only: what follows is input.
    let (out, _, _) = run(&["--deflate", COMPRESSED[0], COMPRESSED[1], "--format", "json"]);
    let frames: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let inflated = &frames[1]["inflated"];
    assert_eq!((&inflated["payload"], &inflated["outcome"]), (&"48656c6c6f".into(), &"good".into()));
    assert_eq!((&inflated["length"], &inflated["percent"]), (&5.into(), &100.into()));
}

#[test]
fn a_bomb_ends_where_memory_would() {
    // 66 MiB of zeros by hand: one block with fixed codes (RFC 1951 §3.2.6), a literal and references to it, each of 258
    // bytes.
    let mut bits = vec![false, true, false];
    bits.extend([false, false, true, true, false, false, false, false]); // The literal 0.
    for _ in 0..(66 << 20) / 258 {
        bits.extend([true, true, false, false, false, true, false, true]); // A length of 258 …
        bits.extend([false; 5]); // … from 1 byte back.
    }
    let byte = |bits: &[bool]| bits.iter().rev().fold(0u8, |byte, &bit| byte << 1 | u8::from(bit));
    let payload: Vec<u8> = bits.chunks(8).map(byte).collect();
    let mut stream = vec![0xC2, 127];
    stream.extend((payload.len() as u64).to_be_bytes());
    stream.extend(payload);
    let (out, _, status) = fed(&["--deflate", "--file", "-"], &stream);
    assert!(out.contains("inflates to more than 67108864 bytes, not shown") && status == 0, "{out}");
}

#[test]
fn every_option_is_an_environment_variable_too() {
    let with =
        |name: &str, value: &str, arguments: &[&str]| parts(inspect(arguments).env(name, value).output().unwrap());
    assert_eq!(with("SOCKEYE_FROM", "client", &["8100"]), run(&["8100", "--from", "client"]));
    assert_eq!(with("SOCKEYE_FORMAT", "json", &["8100"]), run(&["8100", "--format", "json"]));
    assert_eq!(with("SOCKEYE_COLOR", "always", &["8100"]), run(&["8100", "--color", "always"]));
    let compressed = COMPRESSED[1];
    assert_eq!(with("SOCKEYE_DEFLATE", "joined", &[compressed]), run(&[compressed, "--deflate=joined"]));
    assert_eq!(with("SOCKEYE_DEFLATE", "1", &[compressed]), run(&[compressed, "--deflate"]));
    assert_eq!(with("SOCKEYE_DEFLATE", "0", &[compressed]), run(&[compressed]));
    let long = format!("827d{}", "ab".repeat(125));
    assert_eq!(with("SOCKEYE_ALL", "1", &[&long]), run(&[&long, "--all"]));
    assert_ne!(run(&[&long]), run(&[&long, "--all"]));
    assert_eq!(with("SOCKEYE_ALL", "0", &[&long]), run(&[&long]));
    let file = File::new("environment", &HELLO);
    assert_eq!(with("SOCKEYE_FILE", "true", &[file.name()]), run(&["--file", file.name()]));
    let file = File::new("environment-hex", b"8100");
    assert_eq!(with("SOCKEYE_HEX", "true", &[file.name()]), run(&["--hex", file.name()]));
}

#[test]
fn colour_is_asked_for_or_left_out() {
    let coloured = |command: &mut Command| parts(command.output().unwrap()).0.contains('\x1b');
    assert!(!coloured(&mut inspect(&["8100"])));
    assert!(coloured(&mut inspect(&["8100", "--color", "always"])));
    assert!(coloured(inspect(&["8100"]).env("CLICOLOR_FORCE", "1")));
    assert!(!coloured(inspect(&["8100"]).env("CLICOLOR_FORCE", "0")));
    assert!(!coloured(inspect(&["8100"]).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1")));
    assert!(!coloured(inspect(&["8100", "--color", "never"]).env("CLICOLOR_FORCE", "1")));
    assert!(coloured(inspect(&["8100", "--color", "always"]).env("NO_COLOR", "1")));
}

#[test]
fn the_first_frame_is_shown_before_the_input_ends() {
    let mut command = inspect(&["-", "--format", "json"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for text in [b"hi", b"yo"] {
        stdin.write_all(&[0x81, 2]).unwrap();
        stdin.write_all(text).unwrap();
        stdin.flush().unwrap();
        // The pipe is still open: had it waited for the end, this would wait for ever.
        let frame: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(frame["text"], std::str::from_utf8(text).unwrap());
    }
    drop(stdin);
    assert!(lines.next().is_none());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_who_has_seen_enough_ends_it_quietly() {
    let frames = File::new("many", &[0x81, 0x00].repeat(50_000));
    let mut command = inspect(&[frames.name()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let (_, err, status) = parts(child.wait_with_output().unwrap());
    assert_eq!((err.as_str(), status), ("", 0));
}

#[test]
fn help_has_examples_and_names_the_environment() {
    let (out, _, status) = run(&["--help"]);
    assert_eq!(status, 0);
    for expected in [
        "sockeye inspect 84 67 78",
        "inspect --deflate c1",
        "SOCKEYE_DEFLATE",
        "SOCKEYE_FROM",
        "SOCKEYE_FORMAT",
        "SOCKEYE_HEX",
        "Exit status",
    ] {
        assert!(out.contains(expected), "{expected} is missing in\n{out}");
    }
}
