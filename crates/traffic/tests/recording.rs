//! Recordings: what goes in comes out, what is damaged is told, and credentials stay away.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use sockeye_proto::Role::{self, Client, Server};
use sockeye_traffic::recording::{Options, Reader, Recorder};
use sockeye_traffic::{Ending, Ends, Event, Note, Piece, Source, What};

fn event(connection: u64, micros: u64, what: What) -> Event {
    Event { connection, time: Duration::from_micros(micros), what }
}

fn bytes(from: Role, bytes: &[u8]) -> What {
    What::Bytes { from, bytes: bytes.to_vec().into(), redacted: false }
}

fn ends() -> Ends {
    let address = |port| Some(format!("127.0.0.1:{port}"));
    Ends {
        client: address(50000),
        server: address(9001),
        target: Some("ws://example.com/你".to_owned()),
        joined: false,
    }
}

/// A short recording with one of everything.
fn events() -> Vec<Event> {
    vec![
        event(1, 0, What::Opened(ends())),
        event(1, 10, bytes(Client, b"\x81\x80abcd")),
        event(2, 11, What::Opened(Ends::default())),
        event(1, 12, bytes(Server, b"\x81\x02hi")),
        event(1, 13, What::Missing { from: Server, bytes: 4096 }),
        event(1, 14, bytes(Server, b"\x89\x00")),
        event(2, 15, What::Ended(Ending::Failed("no route to \"host\"\u{1b}".to_owned()))),
        event(1, 16, What::Ended(Ending::Closed(Some(Client)))),
    ]
}

fn record(events: &[Event], options: Options) -> Vec<u8> {
    let mut file = Vec::new();
    let mut recorder =
        Recorder::new(&mut file, UNIX_EPOCH + Duration::from_nanos(1_795_000_000_123_456_789), options).unwrap();
    for event in events {
        recorder.write(event).unwrap();
    }
    assert_eq!(recorder.written(), file.len() as u64);
    file
}

fn read(file: &[u8]) -> Vec<Piece> {
    Reader::new(file).collect()
}

fn read_events(file: &[u8]) -> Vec<Event> {
    let only = |piece| match piece {
        Piece::Event(event) => event,
        other => panic!("{other:?}"),
    };
    read(file).into_iter().map(only).collect()
}

#[test]
fn what_goes_in_comes_out() {
    let file = record(&events(), Options::default());
    assert_eq!(read_events(&file), events());
    let mut reader = Reader::new(file.as_slice());
    reader.by_ref().for_each(drop);
    assert_eq!(reader.started(), Some(UNIX_EPOCH + Duration::from_nanos(1_795_000_000_123_456_789)));
    assert!(matches!(Source::recognise(file.as_slice()), Ok(Some(Source::Recording(_)))));
}

#[test]
fn the_format_stays_what_it_is() {
    let text = String::from_utf8(record(&events()[..2], Options::default())).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines,
        [
            r#"{"event":"recording","version":1,"started":"2026-11-18T11:06:40.123456789Z","crc32":"b378dca8"}"#,
            r#"{"event":"opened","time_ns":0,"connection":1,"client":"127.0.0.1:50000","server":"127.0.0.1:9001","target":"ws://example.com/你","crc32":"f8091890"}"#,
            r#"{"event":"bytes","time_ns":10000,"connection":1,"from":"client","offset":0,"bytes":"gYBhYmNk","crc32":"d6ec5f0b"}"#,
        ]
    );
}

#[test]
fn large_pieces_take_several_lines_of_the_same_time() {
    let large = vec![0xE5; 150_000];
    let file = record(&[event(1, 0, What::Opened(ends())), event(1, 5, bytes(Client, &large))], Options::default());
    let read = read_events(&file);
    let sizes: Vec<_> = read
        .iter()
        .filter_map(|event| if let What::Bytes { bytes, .. } = &event.what { Some(bytes.len()) } else { None })
        .collect();
    assert_eq!(sizes, [65_536, 65_536, 18_928]);
    assert!(read[1..].iter().all(|event| event.time == Duration::from_micros(5)));
}

#[test]
fn cut_anywhere_it_gives_what_is_whole_and_names_where_it_is_not() {
    let file = record(&events(), Options::default());
    for cut in 0..file.len() {
        let whole = file[..cut].iter().filter(|&&byte| byte == b'\n').count();
        let last = cut - file[..cut].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let mut pieces = read(&file[..cut]);
        // At the end of a line nothing of it is missing, and neither without the byte that ends it.
        let is_whole_line = last > 0 && file[cut] == b'\n';
        let events_there = (whole + usize::from(is_whole_line)).saturating_sub(1);
        if (last > 0 && !is_whole_line) || cut == 0 {
            let Some(Piece::Damage(damage)) = pieces.pop() else { panic!("nothing is said of a cut at {cut}") };
            assert_eq!(damage.offset, (cut - last) as u64, "{damage}");
            assert_eq!(damage.line, Some(whole as u64 + 1));
        }
        let expected: Vec<_> = events().into_iter().take(events_there).map(Piece::Event).collect();
        assert_eq!(pieces, expected, "cut at {cut}");
    }
}

#[test]
fn with_any_bit_flipped_the_damage_is_told_and_nothing_else_changes() {
    let file = record(&events(), Options::default());
    let good = events();
    for bit in 0..8 * file.len() {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let pieces = read(&flipped);
        let damage = pieces.iter().filter(|piece| matches!(piece, Piece::Damage(_))).count();
        let last_newline = bit / 8 == file.len() - 1;
        assert!(damage > 0 || last_newline, "bit {bit} is not missed");
        for piece in pieces {
            let Piece::Event(event) = piece else { continue };
            let stands_in = matches!(event.what, What::Missing { .. } | What::Opened(Ends { joined: true, .. }));
            assert!(stands_in || good.contains(&event), "bit {bit}: {event:?}");
        }
    }
}

#[test]
fn a_line_that_is_gone_is_missed_by_the_next_one() {
    let file = record(&events(), Options::default());
    let lines: Vec<_> = file.split_inclusive(|&byte| byte == b'\n').collect();
    let without = |gone: usize| [&lines[..gone], &lines[gone + 1..]].concat().concat();
    // That of "hi" (two bytes of header, two of payload).
    let events_read = read_events(&without(4));
    assert_eq!(events_read[3], event(1, 13, What::Missing { from: Server, bytes: 4 }));
    assert_eq!(events_read[4..], events()[4..]);
    // That which opened it.
    let events_read = read_events(&without(1));
    assert_eq!(events_read[0], event(1, 10, What::Opened(Ends { joined: true, ..Ends::default() })));
    assert_eq!(events_read[1..], events()[1..]);
    // The first one.
    let pieces = read(&without(0));
    assert!(
        matches!(&pieces[0], Piece::Damage(damage) if damage.to_string() == "byte 0 (line 1): the first line, which says what the file is, is missing")
    );
}

#[test]
fn another_version_is_refused_and_another_file_is_none() {
    let sum = |line: &str| format!("{line},\"crc32\":\"{:08x}\"}}\n", crc32fast::hash(line.as_bytes()));
    let newer = sum(r#"{"event":"recording","version":2,"started":"2026-11-18T10:26:40Z""#);
    let more = sum(r#"{"event":"opened","time_ns":0,"connection":1"#);
    let said = |file: &str| -> Vec<String> {
        let damage = |piece| match piece {
            Piece::Damage(damage) => damage.to_string(),
            other => panic!("{other:?}"),
        };
        read(file.as_bytes()).into_iter().map(damage).collect()
    };
    assert_eq!(said(&(newer + &more)), ["byte 0 (line 1): a recording of version 2; this reads version 1"]);
    assert_eq!(said(""), ["byte 0 (line 1): there is nothing in it"]);
    let json = "{\"a\": 1}\n".repeat(100);
    assert_eq!(said(&json)[..1], ["byte 0 (line 1): no line of a recording: it does not end with its checksum"]);
    assert_eq!(said(&json).len(), 3);
    let long = format!("{}\n{{}}\n", "x".repeat(3 << 20));
    assert_eq!(said(&long)[0], "byte 0 (line 1): the line has more than 262144 bytes, no recording's has");
    assert_eq!(said(&long)[1], "byte 3145729 (line 2): no line of a recording: it does not end with its checksum");
    let lines = [
        (
            r#"{"event":"bytes","connection":1,"time_ns":0,"from":"nobody","offset":0,"bytes":"aa==""#,
            "\"from\" is neither client nor server",
        ),
        (
            r#"{"event":"bytes","connection":1,"time_ns":0,"from":"client","offset":0,"bytes":"a""#,
            "\"bytes\" is no base64",
        ),
        (
            r#"{"event":"bytes","connection":1,"time_ns":-1,"from":"client","offset":0,"bytes":"aa==""#,
            "\"time_ns\" is no number, or missing",
        ),
        (r#"{"event":"bytes","connection":1,"time_ns":0,"from":"client","offset":0,"bytes":"""#, "\"bytes\" has none"),
        (r#"{"event":"melted","connection":1,"time_ns":0"#, "\"melted\" is no event of version 1"),
        (
            r#"{"event":"ended","connection":1,"time_ns":0,"how":"\u001b[31m""#,
            "no connection ends like this: \"\\u{1b}[31m\"",
        ),
    ];
    let first = sum(r#"{"event":"recording","version":1,"started":"2026-11-18T10:26:40Z""#);
    for (line, expected) in lines {
        assert_eq!(said(&(first.clone() + &sum(line))), [format!("byte {} (line 2): {expected}", first.len())]);
    }
}

#[test]
fn members_that_are_not_known_are_passed_over() {
    let line = r#"{"event":"opened","time_ns":0,"connection":1,"colour":"red""#;
    let mut file = record(&[], Options::default());
    file.extend(format!("{line},\"crc32\":\"{:08x}\"}}\n", crc32fast::hash(line.as_bytes())).into_bytes());
    assert_eq!(read_events(&file), [event(1, 0, What::Opened(Ends::default()))]);
}

#[test]
fn at_its_limit_a_last_line_says_so() {
    let many: Vec<_> = (0..100).map(|i| event(1, i, bytes(Client, &[0x82; 100]))).collect();
    for limit in [300, 1_000, 5_000, 5_001, 5_002] {
        let file = record(&many, Options { limit, ..Options::default() });
        assert!(file.len() as u64 <= limit, "{} of {limit}", file.len());
        let pieces = read(&file);
        assert_eq!(pieces.last(), Some(&Piece::Note(Note::Full(limit))));
        assert!(pieces.len() > 1 || limit == 300);
    }
}

#[test]
fn a_recording_is_for_its_owner_alone_and_overwrites_nothing() {
    let path = std::env::temp_dir().join(format!("sockeye-recording-{}", std::process::id()));
    let mut recorder = Recorder::create(&path, Options::default()).unwrap();
    recorder.write(&event(1, 0, What::Opened(ends()))).unwrap();
    recorder.flush().unwrap();
    assert!(Recorder::create(&path, Options::default()).is_err());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(read_events(&std::fs::read(&path).unwrap()).len(), 1);
    std::fs::remove_file(&path).unwrap();
}

const REQUEST: &[u8] = b"GET /chat?token=abc HTTP/1.1\r\nHost: a\r\nCookie: id=secret\r\n\r\n";

#[test]
fn credentials_are_recorded_only_where_that_is_asked_for() {
    let opened = |target: &str| event(1, 0, What::Opened(Ends { target: Some(target.to_owned()), ..Ends::default() }));
    let sent = [opened("ws://a/?token=abc"), event(1, 1, bytes(Client, REQUEST))];
    let redacted = read_events(&record(&sent, Options::default()));
    assert_eq!(redacted[0], opened("ws://a/?token=***"));
    let stars = b"GET /chat?token=*** HTTP/1.1\r\nHost: a\r\nCookie: *********\r\n\r\n"[..].into();
    assert_eq!(redacted[1].what, What::Bytes { from: Client, bytes: stars, redacted: true });
    let asked_for = Options { credentials: true, ..Options::default() };
    assert_eq!(read_events(&record(&sent, asked_for)), sent);
}

#[test]
fn a_head_that_is_not_ended_is_recorded_when_its_connection_ends() {
    let cut = &REQUEST[..REQUEST.len() - 8];
    let sent = [
        event(1, 0, What::Opened(ends())),
        event(1, 1, bytes(Client, cut)),
        event(1, 2, What::Ended(Ending::Reset(None))),
    ];
    let all: Vec<u8> = read_events(&record(&sent, Options::default()))
        .into_iter()
        .filter_map(|event| if let What::Bytes { bytes, .. } = event.what { Some(bytes) } else { None })
        .flatten()
        .collect();
    assert_eq!(all.len(), cut.len());
    assert!(String::from_utf8(all).unwrap().starts_with("GET /chat?token=*** HTTP/1.1\r\nHost: a\r\n***"));
}

fn any_event() -> impl Strategy<Value = (u64, What)> {
    let role = prop_oneof![Just(Client), Just(Server)];
    let what = prop_oneof![
        1 => any::<(Option<String>, Option<String>, Option<String>, bool)>().prop_map(|(client, server, target, joined)| {
            What::Opened(Ends { client, server, target, joined })
        }),
        6 => (role.clone(), prop::collection::vec(any::<u8>(), 1..300), any::<bool>())
            .prop_map(|(from, bytes, redacted)| What::Bytes { from, bytes: bytes.into(), redacted }),
        1 => (role.clone(), 1u64..1 << 40).prop_map(|(from, bytes)| What::Missing { from, bytes }),
        1 => prop_oneof![
            prop::option::of(role.clone()).prop_map(Ending::Closed),
            prop::option::of(role).prop_map(Ending::Reset),
            any::<String>().prop_map(Ending::Failed),
            Just(Ending::GivenUp),
        ].prop_map(What::Ended),
    ];
    (0u64..3, what)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_goes_in_comes_out(all in prop::collection::vec((any_event(), 0u64..1 << 50), 0..40)) {
        // As a recorder is used: a connection is opened before anything is sent on it.
        let mut open = [false; 3];
        let mut events = Vec::new();
        for ((connection, what), nanos) in all {
            let is_open = &mut open[usize::try_from(connection).unwrap()];
            if !*is_open && !matches!(what, What::Opened(_)) {
                continue;
            }
            *is_open = !matches!(what, What::Ended(_));
            events.push(Event { connection, time: Duration::from_nanos(nanos), what });
        }
        let file = record(&events, Options { credentials: true, ..Options::default() });
        prop_assert_eq!(read_events(&file), events);
    }

    #[test]
    fn any_bytes_are_read_to_their_end(mut noise in prop::collection::vec(any::<u8>(), 0..2000), lines in any::<bool>()) {
        if lines {
            noise.iter_mut().filter(|byte| **byte < 20).for_each(|byte| *byte = b'\n');
        }
        let damage = read(&noise);
        prop_assert!(damage.iter().all(|piece| matches!(piece, Piece::Damage(_))));
    }
}

#[test]
fn times_before_1970_and_far_ahead_are_no_reason_to_panic() {
    let mut file = Vec::new();
    let ahead = SystemTime::UNIX_EPOCH + Duration::from_secs(200_000_000_000);
    let mut recorder = Recorder::new(&mut file, ahead, Options::default()).unwrap();
    recorder.write(&event(1, u64::MAX, What::Opened(Ends::default()))).unwrap();
    assert_eq!(read_events(&file).len(), 1);
}
