//! Good streams, bad streams, and good ones gone bad: the verdict is that of zlib, as Python has it.

mod deflate_support;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::BytesMut;
use deflate_support::{Bits, Numbers, TAIL, agree, message, params, receive, receive_one};
use sockeye_proto::deflate::{Compression, Deflater, Inflater};
use sockeye_proto::{Error, Role, Violation};

/// One connection's messages as they come, compressed.
struct Session {
    takeover: bool,
    payloads: Vec<Vec<u8>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Message(Vec<u8>),
    Corrupt,
    TooLong,
}

/// Some of the messages are longer.
const LIMIT: usize = 20_000;

/// The verdicts of zlib on each session, up to its first bad one; none without Python.
fn verdicts_of_zlib(sessions: &[Session]) -> Option<Vec<Vec<Verdict>>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deflate_oracle.py");
    let python = Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut python = match python {
        Ok(python) => python,
        Err(error) => {
            eprintln!("SKIPPED: python3, whose zlib is the other opinion, cannot be started: {error}");
            return None;
        }
    };
    let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut question = number(LIMIT).to_vec();
    for session in sessions {
        question.push(session.takeover.into());
        question.extend(number(session.payloads.len()));
        for payload in &session.payloads {
            question.extend(number(payload.len()));
            question.extend(payload);
        }
    }
    let mut stdin = python.stdin.take().unwrap();
    let asking = std::thread::spawn(move || stdin.write_all(&question));
    let mut answer = Vec::new();
    python.stdout.take().unwrap().read_to_end(&mut answer).unwrap();
    asking.join().unwrap().unwrap();
    assert!(python.wait().unwrap().success());

    let mut answer = &answer[..];
    let mut take = |count: usize| {
        let (taken, rest) = answer.split_at(count);
        answer = rest;
        taken
    };
    let mut all = Vec::new();
    for session in sessions {
        let mut verdicts = Vec::new();
        while verdicts.len() < session.payloads.len() {
            verdicts.push(match take(1)[0] {
                0 => {
                    let len = u32::from_le_bytes(take(4).try_into().unwrap());
                    Verdict::Message(take(usize::try_from(len).unwrap()).to_vec())
                }
                1 => Verdict::Corrupt,
                _ => Verdict::TooLong,
            });
            if !matches!(verdicts.last(), Some(Verdict::Message(_))) {
                break;
            }
        }
        all.push(verdicts);
    }
    assert!(answer.is_empty());
    Some(all)
}

/// Ours, with the payloads cut anywhere.
fn verdicts_of_ours(session: &Session, numbers: &mut Numbers) -> Vec<Verdict> {
    let mut inflater = Inflater::new(params(session.takeover), Role::Client);
    let mut verdicts = Vec::new();
    for payload in &session.payloads {
        let mut rest = &payload[..];
        let mut pieces = Vec::new();
        for _ in 0..numbers.below(4) {
            let (piece, after) = rest.split_at(numbers.below(rest.len() + 1));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        match receive(&mut inflater, &pieces, LIMIT) {
            Ok(message) => verdicts.push(Verdict::Message(message.to_vec())),
            Err(error) => {
                let corrupt = error == Error::Violation(Violation::CorruptDeflate);
                verdicts.push(if corrupt { Verdict::Corrupt } else { Verdict::TooLong });
                break;
            }
        }
    }
    verdicts
}

fn compare(sessions: &[Session]) {
    let Some(expected) = verdicts_of_zlib(sessions) else {
        return;
    };
    let mut numbers = Numbers(99);
    let (mut good, mut corrupt, mut too_long) = (0, 0, 0);
    for (session, expected) in sessions.iter().zip(expected) {
        let ours = verdicts_of_ours(session, &mut numbers);
        if ours != expected {
            let brief = |verdicts: &[Verdict]| -> Vec<String> {
                verdicts
                    .iter()
                    .map(|verdict| match verdict {
                        Verdict::Message(message) => format!("{} bytes", message.len()),
                        other => format!("{other:?}"),
                    })
                    .collect()
            };
            panic!(
                "takeover {}, payloads {:02x?}: ours {:?}, zlib's {:?}",
                session.takeover,
                session.payloads,
                brief(&ours),
                brief(&expected)
            );
        }
        match ours.last() {
            Some(Verdict::Corrupt) => corrupt += 1,
            Some(Verdict::TooLong) => too_long += 1,
            _ => good += 1,
        }
    }
    println!("{} sessions: {good} good to the end, {corrupt} corrupt, {too_long} too long", sessions.len());
}

/// Payloads of a connection that keeps the rules, of any settings.
fn good_session(numbers: &mut Numbers) -> Session {
    let takeover = numbers.below(2) == 1;
    let on = Compression::no_takeover().context_takeover(takeover).peer_context_takeover(takeover);
    let level = u8::try_from(1 + numbers.below(9)).unwrap();
    let bits = u8::try_from(8 + numbers.below(8)).unwrap();
    let compression = on.level(level).window_bits(bits).memory_level(1 + level % 9);
    let mut deflater = Deflater::new(&compression, agree(&compression, &compression), Role::Client);
    let mut payloads = Vec::new();
    for _ in 0..1 + numbers.below(4) {
        let len = [50, 300, 3_000, 30_000][numbers.below(4)];
        let message = message(numbers.byte() % 5, numbers.below(len), numbers.next() % 3);
        let mut payload = BytesMut::new();
        if deflater.compress(&message, &mut payload) {
            payloads.push(payload.to_vec());
        } else {
            // What is plain does not come here; a stored block does, of a sender that takes no such care.
            let len = u16::try_from(message.len()).unwrap();
            let header = [&[0x00][..], &len.to_le_bytes(), &(!len).to_le_bytes()].concat();
            payloads.push([&header[..], &message, &[0x00]].concat());
            deflater.forget();
        }
    }
    Session { takeover, payloads }
}

/// One thing, or several, that should not be.
fn damage(payload: &mut Vec<u8>, numbers: &mut Numbers) {
    for _ in 0..1 + numbers.below(3) {
        let at = numbers.below(payload.len() + 1);
        match numbers.below(8) {
            0 => payload.truncate(at),
            1 => payload.insert(at, numbers.byte()),
            2 => payload.extend_from_slice(&TAIL),
            3 => payload.extend_from_within(at..),
            4 => payload.extend((0..numbers.below(20)).map(|_| numbers.byte()).collect::<Vec<_>>()),
            5 if !payload.is_empty() => {
                payload.remove(at % payload.len());
            }
            // The first block becomes the last, or of another type.
            6 if !payload.is_empty() => payload[0] ^= 1 << numbers.below(3),
            _ if !payload.is_empty() => {
                let at = at % payload.len();
                payload[at] ^= 1 << numbers.below(8);
            }
            _ => {}
        }
    }
}

#[test]
fn good_streams_and_damaged_ones_get_the_verdict_of_zlib() {
    let mut numbers = Numbers(1);
    let mut sessions: Vec<Session> = (0..300).map(|_| good_session(&mut numbers)).collect();
    for _ in 0..4_000 {
        let mut session = good_session(&mut numbers);
        let which = numbers.below(session.payloads.len());
        damage(&mut session.payloads[which], &mut numbers);
        sessions.push(session);
    }
    compare(&sessions);
}

#[test]
fn random_bytes_get_the_verdict_of_zlib() {
    let mut numbers = Numbers(2);
    let mut sessions = Vec::new();
    for _ in 0..4_000 {
        let noise = |numbers: &mut Numbers| -> Vec<u8> { (0..numbers.below(120)).map(|_| numbers.byte()).collect() };
        let payloads = (0..1 + numbers.below(3)).map(|_| noise(&mut numbers)).collect();
        sessions.push(Session { takeover: numbers.below(2) == 1, payloads });
    }
    // And all there are of one and two bytes.
    for first in 0..=255 {
        sessions.push(Session { takeover: true, payloads: vec![vec![first], vec![0x00]] });
        for second in 0..=255 {
            sessions.push(Session { takeover: true, payloads: vec![vec![first, second], vec![0x00]] });
        }
    }
    compare(&sessions);
}

/// The cases that other implementations got wrong, by name.
#[test]
fn each_kind_of_malformed_stream_has_one_answer_and_it_is_that_of_zlib() {
    let fixed = || Bits::default().block(false, 1);
    let far = |len: usize, distance: usize| {
        // A stored block of this many bytes, then a reference.
        let mut bytes = Vec::new();
        let mut rest = len;
        while rest > 0 {
            let part = u16::try_from(rest.min(60_000)).unwrap();
            bytes.extend([&[0x00][..], &part.to_le_bytes(), &(!part).to_le_bytes()].concat());
            bytes.extend(vec![b'.'; part.into()]);
            rest -= usize::from(part);
        }
        bytes.extend(fixed().copy_3(distance).end().payload());
        bytes
    };
    let text = |text: &'static str| Some(text);
    let cases: Vec<(&str, Vec<u8>, Option<&str>)> = vec![
        ("an empty payload", vec![], text("")),
        ("the payload of an empty message", vec![0x00], text("")),
        ("c2 02 03 80 without its header: a final block, empty", vec![0x03, 0x80], text("")),
        ("a block of type 3", vec![0x06], None),
        ("a final block of type 3", vec![0x07], None),
        ("a distance before the start", fixed().literal(b'a').copy_3(2).end().payload(), None),
        ("distance code 30", fixed().literal(b'a').code(1, 7).code(30, 5).end().payload(), None),
        ("literal code 286", fixed().code(0b1100_0110, 8).end().payload(), None),
        ("a stored block whose complement is wrong", vec![0x00, 0x01, 0x00, 0xff, 0xff, b'a', 0x00], None),
        ("a stored block cut off", vec![0x00, 0x09, 0x00, 0xf6, 0xff, b'a'], text("a\0\0\u{fffd}\u{fffd}")),
        ("cut off in a block", fixed().literal(b'a').literal(b'b').bytes(), text("ab")),
        ("a final block, then nothing", Bits::default().block(true, 1).literal(b'a').end().bytes(), text("a")),
        (
            "a final block, then another message's bytes",
            [Bits::default().block(true, 1).literal(b'a').end().bytes(), fixed().literal(b'b').end().payload()]
                .concat(),
            text("ab"),
        ),
        (
            "final blocks in a row",
            [Bits::default().block(true, 1).literal(b'a').end().bytes().repeat(5), vec![0x00]].concat(),
            text("aaaaa"),
        ),
        (
            "a reference from behind a final block to before it",
            [Bits::default().block(true, 1).literal(b'a').end().bytes(), fixed().copy_3(1).end().payload()].concat(),
            None,
        ),
        ("the tail sent along", [fixed().literal(b'a').end().payload(), TAIL.to_vec()].concat(), text("a")),
        (
            "garbage behind the tail",
            [fixed().literal(b'a').end().payload(), TAIL.to_vec(), b"GET / HTTP/1.1".to_vec()].concat(),
            None,
        ),
        ("32,768 back, with just that there", far(32_768, 32_768), Some("…")),
        ("32,768 back, with one byte less there", far(32_767, 32_768), None),
        ("32,768 back, with more there", far(50_000, 32_768), Some("…")),
        ("32,768 back, with as much there as two blocks hold", far(100_000, 32_768), Some("…")),
    ];
    let mut sessions = Vec::new();
    for (name, payload, expected) in &cases {
        let ours = receive_one(payload);
        match expected {
            Some("…") => assert!(ours.is_ok(), "{name}: {ours:?}"),
            Some(text) => assert_eq!(ours.as_deref().map(String::from_utf8_lossy), Ok((*text).into()), "{name}"),
            None => assert_eq!(ours, Err(Error::Violation(Violation::CorruptDeflate)), "{name}"),
        }
        for takeover in [false, true] {
            let good = fixed().literal(b'z').end().payload();
            for payloads in [vec![payload.clone()], vec![payload.clone(), good.clone()], vec![good, payload.clone()]] {
                sessions.push(Session { takeover, payloads });
            }
        }
    }
    compare(&sessions);
}
