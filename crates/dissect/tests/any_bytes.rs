//! The infinite, by property: any bytes, in any cut.

mod support;

use proptest::prelude::*;
use sockeye_dissect::{Deflate, Dissector, Finding, Frame, InflateOutcome, Receiver, render};
use sockeye_proto::frame::Opcode;
use sockeye_proto::{Connection, Event, Limits, Role};
use support::{
    any_compressed_stream, any_stream, client, compression, deflated, frames, in_fragments, inflated_frames, inflating,
    params, pieces,
};

/// A server that has no limits to fail a connection with, as a dissector has none.
fn server() -> Connection {
    Connection::server(Limits::default().message(usize::MAX).fragments(u32::MAX))
}

/// What a server makes of bytes in these pieces: its messages, and the first rule it finds broken.
fn receive<'a>(
    mut connection: Connection,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Vec<u8>>, Option<sockeye_proto::Error>) {
    let mut messages = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut rest = bytes.as_mut_slice();
        while !rest.is_empty() {
            let received = connection.receive(rest);
            match received.event {
                Some(Event::Message(message)) => messages.push(message.as_bytes().to_vec()),
                Some(Event::Failed(error)) => return (messages, Some(error)),
                _ => {}
            }
            rest = &mut rest[received.consumed..];
        }
    }
    (messages, None)
}

/// The server fails where the dissector says it does, for the reason it says first; and before that it has taken the same
/// messages.
fn agree(frames: &[Frame], (messages, error): (Vec<Vec<u8>>, Option<sockeye_proto::Error>)) {
    let failed = frames.iter().find(|frame| matches!(frame.receiver, Receiver::Fails(_)));
    // A finding in a header that is cut off comes before a connection looks: it waits for the header to be whole.
    let failed = failed.filter(|frame| frame.header.is_some());
    assert_eq!(failed.is_some(), error.is_some(), "{failed:?} {error:?}");
    if let Some((frame, error)) = failed.zip(error) {
        let code = error.close_code();
        assert_eq!(frame.receiver, Receiver::Fails(code));
        let rule = match frame.findings[0] {
            Finding::Rule(rule) | Finding::InvalidUtf8 { rule, .. } => rule,
            ref other => panic!("{other} fails no connection"),
        };
        assert_eq!(error, sockeye_proto::Error::Violation(rule));
    }
    let taken = frames.iter().filter(|frame| frame.receiver == Receiver::Takes);
    let taken: Vec<_> = taken.filter_map(|frame| frame.message_payload().map(<[u8]>::to_vec)).collect();
    assert_eq!(taken, messages);
}

/// Records of a stream in these pieces, the last of which is its rest.
fn cut(dissector: Dissector, stream: &[u8], cuts: &[usize]) -> Vec<Frame> {
    let mut rest = stream;
    let mut cut = Vec::new();
    for &at in cuts {
        let (piece, after) = rest.split_at(at.min(rest.len()));
        cut.push(piece);
        rest = after;
    }
    cut.push(rest);
    pieces(dissector, cut)
}

/// What is shown fits a terminal and does nothing to it.
fn is_harmless(frames: &[Frame]) {
    for line in text(frames, false).lines() {
        // A length of 19 digits may make the summary longer.
        let columns = if line.starts_with("Frame ") { 100 } else { 80 };
        assert!(line.chars().count() <= columns, "{} columns: {line}", line.chars().count());
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    assert!(!text(frames, true).chars().any(|character| character.is_control() && character != '\n'));
    let json = json(frames);
    assert_eq!(json.lines().count(), frames.len());
    for line in json.lines() {
        assert!(!line.chars().any(char::is_control));
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok());
    }
}

/// A text is the whole characters of its frames and those they share.
fn texts_are_whole(frames: &[Frame]) {
    let mut text = String::new();
    for frame in frames {
        let Some(message) = &frame.message else { continue };
        if message.kind != Opcode::TEXT {
            continue;
        }
        if message.fragment == 1 {
            text.clear();
        }
        let shared = frame.text_part.as_ref().and_then(|part| part.begins_within.as_ref());
        text.extend(shared.map(|shared| shared.character.unwrap()));
        text += frame.text().unwrap_or_default();
        if let Some(whole) = frame.message_text() {
            assert_eq!(whole, &text);
        }
    }
}

fn text(frames: &[Frame], all: bool) -> String {
    let mut out = Vec::new();
    for frame in frames {
        render::text::write(&frame.clone().into(), render::text::Options { color: false, all }, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn json(frames: &[Frame]) -> String {
    let mut out = Vec::new();
    for frame in frames {
        render::json::write(&frame.clone().into(), &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_in_any_cut_give_the_same_records(stream in any_stream(), cuts in prop::collection::vec(0usize..30, 0..40)) {
        let whole = frames(&stream);
        prop_assert_eq!(&cut(Dissector::new(Role::Client), &stream, &cuts), &whole);
        prop_assert_eq!(&cut(Dissector::new(Role::Client), &stream, &vec![1; stream.len()]), &whole);
    }

    #[test]
    fn compressed_bytes_in_any_cut_give_the_same_records(
        stream in any_compressed_stream(),
        cuts in prop::collection::vec(0usize..30, 0..40),
        joined in any::<bool>(),
        keep in prop_oneof![Just(125), Just(1000), Just(1 << 20)],
    ) {
        let deflate = if joined { Deflate::Joined } else { Deflate::FromStart };
        let dissector = || inflating(deflate).keeping(keep);
        let whole = cut(dissector(), &stream, &[]);
        prop_assert_eq!(&cut(dissector(), &stream, &cuts), &whole);
        prop_assert_eq!(&cut(dissector(), &stream, &vec![1; stream.len()]), &whole);
        for inflated in whole.iter().filter_map(|frame| frame.inflated.as_ref()) {
            prop_assert!(inflated.payload.len() <= keep && inflated.len <= keep as u64);
        }
    }

    #[test]
    fn records_cover_every_byte_exactly_once(stream in any_stream()) {
        let mut covered = Vec::new();
        for frame in frames(&stream) {
            prop_assert_eq!(frame.offset, covered.len() as u64);
            covered.extend_from_slice(&frame.header_bytes);
            covered.extend(frame.masked_payload().unwrap_or_else(|| frame.payload.clone()));
            prop_assert_eq!(frame.offset + frame.size(), covered.len() as u64);
        }
        prop_assert_eq!(covered, stream);
    }

    #[test]
    fn what_is_shown_fits_a_terminal_and_does_nothing_to_it(stream in any_stream()) {
        is_harmless(&frames(&stream));
    }

    #[test]
    fn what_is_inflated_fits_a_terminal_and_does_nothing_to_it(stream in any_compressed_stream()) {
        is_harmless(&inflated_frames(&stream));
        is_harmless(&pieces(inflating(Deflate::Joined).keeping(0), [stream.as_slice()]));
    }

    #[test]
    fn a_server_fails_at_the_first_finding_and_takes_the_same_messages_before_it(stream in any_stream()) {
        agree(&frames(&stream), receive(server(), [stream.as_slice()]));
        // Without a compressed message the setting makes no difference but to RSV1.
        agree(&inflated_frames(&stream), receive(server().with_compression(&compression(), params()), stream.chunks(1)));
    }

    #[test]
    fn a_server_with_compression_does_the_same(stream in any_compressed_stream()) {
        // Byte by byte, as the dissector looks: what is corrupt takes with it what came of the same piece before, and so
        // perhaps the text's bad byte that was the first rule broken.
        let server = server().with_compression(&compression(), params());
        agree(&inflated_frames(&stream), receive(server, stream.chunks(1)));
    }

    #[test]
    fn whether_a_server_with_compression_fails_is_no_matter_of_cuts(stream in any_compressed_stream()) {
        let (messages, error) = receive(server().with_compression(&compression(), params()), [stream.as_slice()]);
        let frames = inflated_frames(&stream);
        let fails = frames.iter().filter(|frame| frame.header.is_some()).find_map(|frame| match frame.receiver {
            Receiver::Fails(code) => Some(code),
            _ => None,
        });
        prop_assert_eq!(fails, error.map(|error| error.close_code()));
        let taken = frames.iter().filter(|frame| frame.receiver == Receiver::Takes);
        prop_assert_eq!(taken.filter(|frame| frame.message_payload().is_some()).count(), messages.len());
    }

    #[test]
    fn joined_midway_a_message_is_what_it_was_or_its_window_is_unknown(
        sent in prop::collection::vec("[a-c你好👋]{0,60}", 1..12),
        skipped in any::<prop::sample::Index>(),
    ) {
        let skipped = skipped.index(sent.len());
        let payloads = deflated(sent.iter().map(String::as_bytes));
        let frames = sent.iter().zip(payloads).skip(skipped).map(|(message, payload)| {
            payload.map_or_else(
                || client(true, Opcode::TEXT, message.as_bytes()),
                |payload| in_fragments(Opcode::TEXT, &payload, &[3]),
            )
        });
        let stream = frames.collect::<Vec<_>>().concat();
        let frames = pieces(inflating(Deflate::Joined), [stream.as_slice()]);
        prop_assert!(frames.iter().all(|frame| frame.findings.is_empty()));
        let ends = frames.iter().filter(|frame| frame.message.as_ref().is_some_and(|message| message.ends));
        let ends: Vec<_> = ends.collect();
        prop_assert_eq!(ends.len(), sent.len() - skipped);
        for (frame, message) in ends.iter().zip(&sent[skipped..]) {
            match frame.inflated.as_ref().map_or(InflateOutcome::Good, |inflated| inflated.outcome) {
                InflateOutcome::Good => prop_assert_eq!(frame.message_text(), Some(message.as_str())),
                outcome => prop_assert_eq!((outcome, frame.message_text()), (InflateOutcome::WindowUnknown, None)),
            }
        }
    }

    #[test]
    fn a_text_is_the_whole_characters_of_its_frames_and_those_they_share(
        stream in any_stream(),
        compressed in any_compressed_stream(),
    ) {
        texts_are_whole(&frames(&stream));
        texts_are_whole(&inflated_frames(&compressed));
    }

    #[test]
    fn what_is_not_kept_is_counted_and_judged_all_the_same(stream in any_stream()) {
        let kept = pieces(Dissector::new(Role::Client).keeping(0), [stream.as_slice()]);
        for (few, all) in kept.iter().zip(frames(&stream)) {
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
