//! The infinite, by property: any bytes, in any cut.

mod support;

use proptest::prelude::*;
use sockeye_dissect::{Dissector, Finding, Receiver, Record, render};
use sockeye_proto::frame::Opcode;
use sockeye_proto::{Connection, Event, Limits, Role};
use support::{any_stream, pieces, records};

/// What a server makes of the same bytes: its messages, and the first rule it finds broken.
fn server(stream: &[u8]) -> (Vec<Vec<u8>>, Option<sockeye_proto::Error>) {
    // A dissector has no limits to fail a connection with.
    let mut connection = Connection::server(Limits::default().message(usize::MAX).fragments(u32::MAX));
    let mut bytes = stream.to_vec();
    let mut rest = bytes.as_mut_slice();
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let received = connection.receive(rest);
        match received.event {
            Some(Event::Message(message)) => messages.push(message.as_bytes().to_vec()),
            Some(Event::Failed(error)) => return (messages, Some(error)),
            _ => {}
        }
        rest = &mut rest[received.consumed..];
    }
    (messages, None)
}

fn text(records: &[Record], all: bool) -> String {
    let mut out = Vec::new();
    for record in records {
        render::text::write(record, render::text::Options { color: false, all }, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn json(records: &[Record]) -> String {
    let mut out = Vec::new();
    for record in records {
        render::json::write(record, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_in_any_cut_give_the_same_records(stream in any_stream(), cuts in prop::collection::vec(0usize..30, 0..40)) {
        let whole = records(&stream);
        let mut rest = stream.as_slice();
        let mut cut = Vec::new();
        for at in cuts {
            let (piece, after) = rest.split_at(at.min(rest.len()));
            cut.push(piece);
            rest = after;
        }
        cut.push(rest);
        prop_assert_eq!(&pieces(Dissector::new(Role::Client), cut), &whole);
        prop_assert_eq!(&pieces(Dissector::new(Role::Client), stream.chunks(1)), &whole);
    }

    #[test]
    fn records_cover_every_byte_exactly_once(stream in any_stream()) {
        let mut covered = Vec::new();
        for record in records(&stream) {
            prop_assert_eq!(record.offset, covered.len() as u64);
            covered.extend_from_slice(&record.header_bytes);
            covered.extend(record.masked_payload().unwrap_or_else(|| record.payload.clone()));
            prop_assert_eq!(record.offset + record.size(), covered.len() as u64);
        }
        prop_assert_eq!(covered, stream);
    }

    #[test]
    fn what_is_shown_fits_a_terminal_and_does_nothing_to_it(stream in any_stream()) {
        let records = records(&stream);
        for line in text(&records, false).lines() {
            // A length of 19 digits may make the summary longer.
            let columns = if line.starts_with("Frame ") { 100 } else { 80 };
            prop_assert!(line.chars().count() <= columns, "{} columns: {}", line.chars().count(), line);
            prop_assert!(!line.chars().any(char::is_control), "{:?}", line);
        }
        prop_assert!(!text(&records, true).chars().any(|character| character.is_control() && character != '\n'));
        let json = json(&records);
        prop_assert_eq!(json.lines().count(), records.len());
        for line in json.lines() {
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert!(serde_json::from_str::<serde_json::Value>(line).is_ok());
        }
    }

    #[test]
    fn a_server_fails_at_the_first_finding_and_takes_the_same_messages_before_it(stream in any_stream()) {
        let (messages, error) = server(&stream);
        let records = records(&stream);
        let failed = records.iter().find(|record| matches!(record.receiver, Receiver::Fails(_)));
        // A finding in a header that is cut off comes before a connection looks: it waits for the header to be whole.
        let failed = failed.filter(|record| record.header.is_some());
        prop_assert_eq!(failed.is_some(), error.is_some(), "{:?} {:?}", failed, error);
        if let Some((record, error)) = failed.zip(error) {
            let code = error.close_code();
            prop_assert_eq!(record.receiver, Receiver::Fails(code));
            let rule = match record.findings[0] {
                Finding::Rule(rule) | Finding::InvalidUtf8 { rule, .. } => rule,
                other => panic!("{other} fails no connection"),
            };
            prop_assert_eq!(error, sockeye_proto::Error::Violation(rule));
        }
        let taken = records.iter().filter(|record| record.receiver == Receiver::Takes);
        let taken: Vec<_> = taken.filter_map(|record| record.message_payload().map(<[u8]>::to_vec)).collect();
        prop_assert_eq!(taken, messages);
    }

    #[test]
    fn a_text_is_the_whole_characters_of_its_frames_and_those_they_share(stream in any_stream()) {
        let mut text = String::new();
        for record in records(&stream) {
            let Some(message) = &record.message else { continue };
            if message.kind != Opcode::TEXT {
                continue;
            }
            if message.fragment == 1 {
                text.clear();
            }
            let shared = record.text_part.as_ref().and_then(|part| part.begins_within.as_ref());
            text.extend(shared.map(|shared| shared.character.unwrap()));
            text += record.text().unwrap_or_default();
            if let Some(whole) = record.message_text() {
                prop_assert_eq!(whole, &text);
            }
        }
    }

    #[test]
    fn what_is_not_kept_is_counted_and_judged_all_the_same(stream in any_stream()) {
        let kept = pieces(Dissector::new(Role::Client).keeping(0), [stream.as_slice()]);
        for (few, all) in kept.iter().zip(records(&stream)) {
            prop_assert!(few.payload.len() <= 125);
            prop_assert_eq!(&few.payload[..], &all.payload[..few.payload.len()]);
            prop_assert_eq!(few.payload.len() as u64 + few.not_kept(), all.arrived);
            prop_assert_eq!(few.missing, all.missing);
            // Only the body of a Close is judged as a whole, and one of more than 125 bytes is bad already.
            if few.opcode() != Some(Opcode::CLOSE) || few.not_kept() == 0 {
                prop_assert_eq!(&few.findings, &all.findings);
            }
        }
    }
}
