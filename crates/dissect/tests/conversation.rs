//! Who sends what on a connection, and what the records say of it.

mod support;

use core::time::Duration;

use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use sockeye_dissect::{Conversation, Deflate, Finding, Gap, Hint, Item, Opening, Record, Why};
use sockeye_proto::Role::{self, Client, Server};
use sockeye_proto::deflate::{self, Compression};
use sockeye_proto::frame::Opcode;
use support::{any_compressed_stream, any_stream, client, compressed, deflated};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
/// Long enough to be worth compressing.
const AGAIN: &str = "again and again and again and again and again and again";
const HELLO: [u8; 7] = [0x81, 5, b'H', b'e', b'l', b'l', b'o'];

/// All records of a connection on which this was sent, a piece after the other.
fn conversation<B: AsRef<[u8]>>(sent: &[(Role, B)]) -> Vec<Record> {
    follow(Conversation::new(), sent.iter().map(|(role, bytes)| (*role, bytes.as_ref())))
}

fn follow<'a>(mut conversation: Conversation, sent: impl IntoIterator<Item = (Role, &'a [u8])>) -> Vec<Record> {
    let mut records = Vec::new();
    for (role, bytes) in sent {
        records.extend(conversation.push(role, Duration::ZERO, bytes));
    }
    records.extend(conversation.finish());
    records
}

/// The request and response of a handshake with these further fields.
fn handshake(request: &str, response: &str) -> [(Role, Vec<u8>); 2] {
    let head = |start: &str, fields: &str| format!("{start}{fields}\r\n").into_bytes();
    [(Client, head(REQUEST, request)), (Server, head(RESPONSE, response))]
}

/// What a record is, in a word, and what is wrong with it.
fn told(record: &Record) -> String {
    let what = match &record.item {
        Item::Frame(frame) => format!("{} {}", frame.sender.role().unwrap(), frame.opcode().unwrap()),
        Item::Head(head) => format!("{} head", head.sender()),
        Item::Opaque(opaque) => format!("{} {} bytes: {}", opaque.sender, opaque.len, opaque.why.name()),
        Item::Gap(gap) => format!("{} gap of {}", gap.sender, gap.bytes),
        _ => unreachable!(),
    };
    let findings = record.findings().iter().map(|finding| format!(", {}", finding.name()));
    what + &findings.collect::<String>()
}

fn all(records: &[Record]) -> Vec<String> {
    records.iter().map(told).collect()
}

#[test]
fn a_good_handshake_has_no_findings_and_frames_follow_both_ways() {
    let [request, response] = handshake("", "");
    let ping = client(true, Opcode::PING, b"?");
    let records = conversation(&[request, response, (Server, HELLO.to_vec()), (Client, ping)]);
    assert_eq!(all(&records), ["client head", "server head", "server text", "client ping"]);
    assert_eq!(
        records[0].head().unwrap().opening,
        Opening::Asks { accept: Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()) }
    );
    assert!(matches!(&records[1].head().unwrap().opening, Opening::Opens(agreed) if agreed.compression.is_none()));
    assert_eq!(records[2].offset(), records[1].size());
}

#[test]
fn what_the_response_agrees_on_counts_for_the_frames() {
    let [request, response] = handshake(
        "Sec-WebSocket-Protocol: soup, chat\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
    );
    let payloads = deflated([AGAIN.as_bytes(), AGAIN.as_bytes()]);
    let frames =
        payloads.into_iter().map(|payload| compressed(true, Opcode::TEXT, &payload.unwrap())).collect::<Vec<_>>();
    let records = conversation(&[request, response, (Client, frames.concat())]);
    assert_eq!(all(&records), ["client head", "server head", "client text", "client text"]);
    let Opening::Opens(agreed) = &records[1].head().unwrap().opening else { panic!() };
    assert_eq!(agreed.subprotocol.as_deref(), Some("chat"));
    assert!(agreed.compression.unwrap().takeover(Client));
    assert_eq!(records[3].frame().unwrap().message_text(), Some(AGAIN));
}

#[test]
fn without_takeover_a_message_that_refers_to_an_earlier_one_is_corrupt() {
    let extensions = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n";
    let [request, response] = handshake(extensions, extensions);
    let payloads = deflated([AGAIN.as_bytes(), AGAIN.as_bytes()]);
    let frames =
        payloads.into_iter().map(|payload| compressed(true, Opcode::TEXT, &payload.unwrap())).collect::<Vec<_>>();
    let records = conversation(&[request, response, (Client, frames.concat())]);
    assert_eq!(all(&records)[2..], ["client text", "client text, corrupt-deflate"]);
}

#[test]
fn where_the_handshake_is_known_from_elsewhere_frames_are_judged_by_what_it_agreed_on() {
    let payloads = deflated([AGAIN.as_bytes(), AGAIN.as_bytes()]);
    let frames =
        payloads.into_iter().map(|payload| compressed(true, Opcode::TEXT, &payload.unwrap())).collect::<Vec<_>>();
    let extensions = |answer| {
        let headers = HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(answer))]);
        deflate::verify(&headers, &Compression::takeover().window_bits(15)).unwrap()
    };
    for (agreed, expected) in [
        (extensions("permessage-deflate"), ["client text", "client text"]),
        (extensions("permessage-deflate; client_no_context_takeover"), ["client text", "client text, corrupt-deflate"]),
        (None, ["client text, reserved-bit, invalid-utf8-in-text", "client text, reserved-bit, invalid-utf8-in-text"]),
    ] {
        let conversation = Conversation::opened(agreed);
        assert!(conversation.is_websocket());
        let records = follow(conversation, [(Client, &frames.concat()[..])]);
        assert_eq!(all(&records)[..], expected, "{agreed:?}");
    }
}

#[test]
fn every_rule_of_the_request_is_named_and_not_the_first_alone() {
    for (request, expected) in [
        (
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
            vec![],
        ),
        (
            "PUT / HTTP/1.0\r\nUpgrade: websocket\r\n",
            vec![
                "request-method",
                "request-version-of-http",
                "request-host",
                "request-connection",
                "request-version",
                "request-key",
            ],
        ),
        (
            "GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: eA==\r\n",
            vec!["request-host", "request-upgrade", "request-connection", "request-version", "request-key"],
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nContent-Length: 5\r\nSec-WebSocket-Protocol: a, a\r\n\
          Sec-WebSocket-Extensions: ;\r\n",
            vec!["request-body", "request-subprotocol", "request-extensions"],
        ),
    ] {
        let records = conversation(&[(Client, format!("{request}\r\n"))]);
        let names: Vec<_> = records[0].findings().iter().map(Finding::name).collect();
        assert_eq!(names, expected, "{request}");
        for finding in records[0].findings() {
            let cited = format!("(RFC {} §{})", finding.rfc(), finding.section());
            assert!(finding.to_string().ends_with(&cited), "{finding} {cited}");
        }
    }
}

#[test]
fn every_rule_of_the_response_is_named() {
    let deflate = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    for (request, response, expected) in [
        ("", "HTTP/1.1 101 \r\nUpgrade: websocket\r\n", vec!["response-connection", "response-accept"]),
        (
            "",
            "HTTP/1.1 101 \r\nUpgrade: h2c, websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            vec!["response-upgrade"],
        ),
        ("", &format!("{RESPONSE}Sec-WebSocket-Protocol: chat\r\n"), vec!["response-subprotocol"]),
        ("", &format!("{RESPONSE}{deflate}"), vec!["response-extensions"]),
        (deflate, &format!("{RESPONSE}{deflate}"), vec![]),
        (deflate, &format!("{RESPONSE}{deflate}{deflate}"), vec!["response-extensions"]),
        // The client did not say that it could be told to use a smaller window.
        (
            deflate,
            &format!("{RESPONSE}Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10\r\n"),
            vec!["response-extensions"],
        ),
        // The second offer is the one that it answers.
        (
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover, permessage-deflate\r\n",
            &format!("{RESPONSE}{deflate}"),
            vec![],
        ),
    ] {
        let records = conversation(&[(Client, format!("{REQUEST}{request}\r\n")), (Server, format!("{response}\r\n"))]);
        let names: Vec<_> = records[1].findings().iter().map(Finding::name).collect();
        assert_eq!(names, expected, "{response}");
        for finding in records[1].findings() {
            let cited = format!("(RFC {} §{})", finding.rfc(), finding.section());
            assert!(finding.to_string().ends_with(&cited), "{finding} {cited}");
        }
    }
}

#[test]
fn an_extension_that_was_offered_and_is_not_known_is_a_hint() {
    let extensions = "Sec-WebSocket-Extensions: x-webkit-deflate-frame\r\n";
    let records = conversation(&handshake(extensions, extensions));
    assert_eq!(records[1].findings(), []);
    assert_eq!(records[1].hints(), [Hint::UnknownExtension("x-webkit-deflate-frame".to_owned())]);
}

#[test]
fn what_follows_a_response_that_is_no_101_is_opaque() {
    let [request, _] = handshake("", "");
    let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno!".to_vec();
    let records = conversation(&[request, (Server, refusal), (Client, b"GET / HTTP/1.1\r\n\r\n".to_vec())]);
    assert_eq!(all(&records), ["client head", "server head", "client 18 bytes: refused", "server 3 bytes: refused"]);
}

#[test]
fn an_interim_response_comes_before_the_101() {
    let [request, (_, response)] = handshake("", "");
    let both = [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".as_slice(), &response, &HELLO].concat();
    assert_eq!(
        all(&conversation(&[request, (Server, both)])),
        ["client head", "server head", "server head", "server text"]
    );
}

#[test]
fn frames_before_the_response_are_held_until_it_has_come_and_break_a_rule() {
    let [request, response] = handshake("", "");
    let early = client(true, Opcode::TEXT, b"early");
    let late = client(true, Opcode::TEXT, b"late");
    let (first, second) = early.split_at(4);
    let second = [second, &late[..3]].concat();
    let sent = [
        request,
        (Client, first.to_vec()),
        (Client, second),
        response,
        (Client, late[3..].to_vec()),
        (Client, late.clone()),
    ];
    let expected = [
        "client head",
        "server head",
        "client text, frame-before-response",
        "client text, frame-before-response",
        "client text",
    ];
    assert_eq!(all(&conversation(&sent)), expected);
    // More than that is held of nobody.
    let flood = vec![0; 100 << 10];
    let [request, response] = handshake("", "");
    let sent = [request, (Client, flood), response, (Server, HELLO.to_vec())];
    assert_eq!(
        all(&conversation(&sent)),
        ["client head", "server head", "server text", "client 102400 bytes: too-early"]
    );
}

#[test]
fn what_is_no_websocket_says_what_it_is_instead() {
    for (sent, expected) in [
        (b"\x16\x03\x01\x02\x00\x01".as_slice(), "client 6 bytes: tls"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "client 24 bytes: http2"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "client 21 bytes: not-http"),
        (b"\x81\x80\x01\x02\x03\x04", "client 6 bytes: not-http"),
        (b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n", "client 18 bytes: not-http"),
        (b"GET /chat HTTP/1.1\r\nHost: exa", "client 29 bytes: cut-head"),
        (b"GET", "client 3 bytes: cut-head"),
    ] {
        assert_eq!(all(&conversation(&[(Client, sent)])), [expected]);
    }
    let long = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &[b'a'; 70_000]].concat();
    assert_eq!(all(&conversation(&[(Client, long)])), ["client 70019 bytes: long-head"]);
    let plain = conversation(&[(Client, b"GET / HTTP/1.1\r\n\r\n".as_slice()), (Server, b"HTTP/1.1 200 OK\r\n\r\nhi")]);
    assert_eq!(all(&plain), ["client head", "server head", "server 2 bytes: refused"]);
    let odd = conversation(&[(Client, b"GET / HTTP/1.1\r\nb c\r\n\r\n+".as_slice())]);
    assert_eq!(all(&odd), ["client head, malformed-head", "client 1 bytes: bad-head"]);
}

#[test]
fn a_gap_within_a_payload_is_passed_over_and_one_beyond_it_ends_what_can_be_read() {
    let mut conversation = Conversation::joined(None);
    let at = Duration::from_secs;
    assert_eq!(conversation.push(Server, at(0), &[0x81, 10, b'a', b'b']), []);
    let gap = conversation.skip(Server, at(1), 3);
    assert_eq!(gap[0].item, Item::Gap(gap_of(Server, 4, 3, Some(1))));
    let records = conversation.push(Server, at(2), b"fghij\x89\x00\x82\x04...");
    assert_eq!(all(&records), ["server text", "server ping"]);
    let frame = records[0].frame().unwrap();
    assert_eq!((frame.payload.as_slice(), frame.not_kept(), frame.message_text()), (b"ab".as_slice(), 5, None));
    assert_eq!((records[0].time.unwrap().began, records[0].time.unwrap().ended), (at(0), at(2)));

    let records = conversation.skip(Server, at(3), 2);
    assert_eq!(all(&records), ["server gap of 2", "server binary"]);
    assert!(records[1].is_cut_off());
    assert_eq!(conversation.push(Server, at(4), &[0x89, 0]), []);
    // The other direction knows nothing of it.
    assert_eq!(all(&conversation.push(Client, at(5), &client(true, Opcode::PONG, b""))), ["client pong"]);
    assert_eq!(all(&conversation.finish()), ["server 2 bytes: after-gap"]);
}

fn gap_of(sender: Role, offset: u64, bytes: u64, within: Option<u64>) -> Gap {
    let mut conversation = Conversation::without_beginning();
    let Item::Gap(gap) = conversation.skip(sender, Duration::ZERO, bytes).remove(0).item else { unreachable!() };
    let mut same = gap;
    (same.offset, same.within) = (offset, within);
    same
}

#[test]
fn a_gap_in_a_compressed_message_makes_the_window_unknown_and_corrupts_nothing() {
    let payloads = deflated([AGAIN.as_bytes(), AGAIN.as_bytes()]);
    let frames: Vec<_> =
        payloads.into_iter().map(|payload| compressed(true, Opcode::TEXT, &payload.unwrap())).collect();
    let mut conversation = Conversation::joined(Some(Deflate::FromStart));
    conversation.push(Client, Duration::ZERO, &frames[0][..8]);
    let mut records = conversation.skip(Client, Duration::ZERO, (frames[0].len() - 8) as u64);
    records.extend(conversation.push(Client, Duration::ZERO, &frames[1]));
    assert_eq!(
        all(&records),
        [format!("client gap of {}", frames[0].len() - 8), "client text".into(), "client text".into()]
    );
    for frame in records.iter().filter_map(Record::frame) {
        let outcome = frame.inflated.as_ref().unwrap().outcome;
        assert_eq!((outcome, frame.message_text()), (sockeye_dissect::InflateOutcome::WindowUnknown, None));
    }
}

#[test]
fn where_the_request_is_missing_the_response_still_tells_what_is_agreed_on() {
    let mut conversation = Conversation::new();
    conversation.skip(Client, Duration::ZERO, 200);
    let [_, (_, response)] =
        handshake("", "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n");
    let mut records = conversation.push(Server, Duration::ZERO, &[response, HELLO.to_vec()].concat());
    records.extend(conversation.push(Client, Duration::ZERO, &client(true, Opcode::TEXT, b"?")));
    records.extend(conversation.finish());
    assert_eq!(all(&records), ["server head", "server text", "client 7 bytes: after-gap"]);
    let Opening::Opens(agreed) = &records[0].head().unwrap().opening else { panic!() };
    assert!(agreed.compression.is_some());
    assert_eq!((agreed.subprotocol.as_deref(), records[0].findings()), (Some("chat"), [].as_slice()));
}

#[test]
fn hints_say_what_is_allowed_and_perhaps_not_meant() {
    let names = |stream: &[u8]| -> Vec<&str> {
        let records = follow(Conversation::joined(Some(Deflate::FromStart)), [(Client, stream)]);
        assert!(records.iter().all(|record| record.findings().is_empty()));
        records.iter().flat_map(|record| record.hints().iter().map(Hint::name)).collect()
    };
    let with_key = |key: [u8; 4]| [&[0x82, 0x81][..], &key, &[0]].concat();
    assert_eq!(names(&[with_key([1, 2, 3, 4]), with_key([1, 2, 3, 5])].concat()), [""; 0]);
    assert_eq!(names(&[with_key([1, 2, 3, 4]), with_key([1, 2, 3, 4])].concat()), ["repeated-key"]);
    assert_eq!(names(&with_key([0; 4])), ["zero-key"]);
    let fragments = [vec![0x02, 0x80, 1, 1, 1, 1], vec![0x80, 0x81, 2, 2, 2, 2, 3]].concat();
    assert_eq!(names(&fragments), ["empty-fragment", "unneeded-fragments"]);
    // The "Hello" of RFC 7692 §7.2.3.1: seven bytes.
    assert_eq!(names(&compressed(true, Opcode::TEXT, b"\xF2\x48\xCD\xC9\xC9\x07\x00")), ["grown-by-compression"]);
    let payload = deflated([AGAIN.as_bytes()]).remove(0).unwrap();
    assert_eq!(names(&compressed(true, Opcode::TEXT, &payload)), [""; 0]);
}

/// Which end sends the next piece, and how many bytes of what it has left.
fn any_cuts() -> impl Strategy<Value = Vec<(bool, usize)>> {
    prop::collection::vec((any::<bool>(), 1usize..200), 0..60)
}

/// A head that is good or nearly so.
fn any_head(start: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![
        Just("Sec-WebSocket-Extensions: permessage-deflate\r\n".to_owned()),
        Just("Sec-WebSocket-Protocol: chat\r\n".to_owned()),
        Just("Upgrade: websocket\r\n".to_owned()),
        "[A-Za-z-]{1,8}: [ -~é]{0,20}\r\n",
        "[ -~\r\n]{0,6}",
    ];
    let odd = prop::option::weighted(0.2, (any::<prop::sample::Index>(), any::<u8>()));
    (prop::collection::vec(field, 0..4), odd).prop_map(move |(fields, odd)| {
        let mut head = format!("{start}{}\r\n", fields.concat()).into_bytes();
        if let Some((at, byte)) = odd {
            let at = at.index(head.len());
            head[at] = byte;
        }
        head
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_connection_in_any_cut_gives_the_same_records_of_each_end_and_covers_every_byte(
        request in any_head(REQUEST),
        response in any_head(RESPONSE),
        client in prop_oneof![any_stream(), any_compressed_stream()],
        server in any_stream(),
        cuts in any_cuts(),
    ) {
        let [client, server] = [[request.clone(), client].concat(), [response.clone(), server].concat()];
        let whole: Vec<(Role, &[u8])> = vec![
            (Client, &client[..request.len()]), (Server, &server), (Client, &client[request.len()..]),
        ];
        // What comes when may decide what is too early, and nothing else: so the heads come first.
        let mut cut: Vec<(Role, &[u8])> = Vec::new();
        let [mut of_client, mut of_server] = [&client[request.len()..], &server[response.len()..]];
        cut.extend(request.chunks(7).map(|piece| (Client, piece)));
        cut.extend(response.chunks(5).map(|piece| (Server, piece)));
        for (is_client, len) in cuts {
            let (role, rest) = if is_client { (Client, &mut of_client) } else { (Server, &mut of_server) };
            let (piece, after) = rest.split_at(len.min(rest.len()));
            *rest = after;
            cut.push((role, piece));
        }
        cut.extend([(Client, of_client), (Server, of_server)]);
        let whole = follow(Conversation::new(), whole);
        let cut = follow(Conversation::new(), cut);
        for role in [Client, Server] {
            let of = |records: &[Record]| -> Vec<Record> {
                records.iter().filter(|record| record.sender().role() == Some(role)).cloned().collect()
            };
            prop_assert_eq!(of(&cut), of(&whole));
            let mut offset = 0;
            for record in of(&whole) {
                prop_assert_eq!(record.offset(), offset);
                offset += record.size();
            }
            prop_assert_eq!(offset, if role == Client { client.len() } else { server.len() } as u64);
        }
    }

    #[test]
    fn with_gaps_anywhere_every_byte_is_covered_and_nothing_panics(
        stream in any_compressed_stream(),
        cuts in prop::collection::vec((0usize..30, 0usize..40), 0..20),
    ) {
        let mut conversation = Conversation::joined(Some(Deflate::FromStart));
        let (mut rest, mut sent, mut records) = (stream.as_slice(), 0, Vec::new());
        for (len, gap) in cuts {
            let (piece, after) = rest.split_at(len.min(rest.len()));
            records.extend(conversation.push(Client, Duration::ZERO, piece));
            // Mostly as many bytes as are really left out.
            let lost = gap.min(after.len());
            rest = &after[lost..];
            sent += (piece.len() + gap) as u64;
            if gap > 0 {
                records.extend(conversation.skip(Client, Duration::ZERO, gap as u64));
            }
        }
        records.extend(conversation.finish());
        // A gap within a payload stands there twice: by itself, and in its frame.
        let within = |record: &&Record| matches!(&record.item, Item::Gap(gap) if gap.within.is_some());
        let twice: u64 = records.iter().filter(within).map(Record::size).sum();
        let covered: u64 = records.iter().map(Record::size).sum();
        // So it does in what is not taken apart.
        let opaque = records.iter().find(|record| matches!(&record.item, Item::Opaque(_)));
        let behind = opaque.map_or(0, |opaque| {
            let gaps = records.iter().filter(|record| matches!(record.item, Item::Gap(_)) && record.offset() >= opaque.offset());
            gaps.map(Record::size).sum()
        });
        prop_assert_eq!(covered - twice - behind, sent);
    }
}

#[test]
fn nothing_of_a_connection_without_beginning_is_taken_apart() {
    let records = follow(Conversation::without_beginning(), [(Client, HELLO.as_slice()), (Server, &HELLO)]);
    assert_eq!(all(&records), ["client 7 bytes: no-beginning", "server 7 bytes: no-beginning"]);
    assert!(
        records.iter().all(|record| matches!(&record.item, Item::Opaque(opaque) if opaque.why == Why::NoBeginning))
    );
}
