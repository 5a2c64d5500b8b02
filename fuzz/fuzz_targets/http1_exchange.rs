//! Any bytes as what a client sends to the proxy, or as what a server answers through it: however they are cut, the same
//! passes, and nothing that stands behind it.
//!
//! The proxy's HTTP/1.1 needs no socket, and the program has no library to take it from: it is included as it stands there.
//! What may pass, where a body ends and what of a head changes is said here a second time, over the lines (`rfc9112.rs`).
//!
//! ```text
//! byte 0   bit 0: who sends (0: a client, 1: a server)   bit 7: a first field makes the head about as long as one may be
//!          a client: bit 1: another Host   bit 2: another target   bit 3: other fields
//!          a server: bit 1: in answer to HEAD
//! byte 1   how many bytes come at a time; with bit 7 of byte 0 how many times 32
//! byte 2   with bit 7: how long the head is, from 128 bytes below the longest on
//! rest     what is sent
//! ```
#![no_main]

use allocation_counter::measure;
use http::header::{HOST, SEC_WEBSOCKET_KEY, TE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use libfuzzer_sys::fuzz_target;

use crate::http1::{Answer, Body, Change, MAX_HEAD, Request, Response, accepting, head_end};
use crate::rfc9112::{Field, Framing, Then, body, elements, field, fields, framing, is_token, lines, values};

#[expect(dead_code, unused_imports, reason = "the proxy's own responses and what is shown are not tried here")]
#[path = "../../crates/cli/src/http1/mod.rs"]
mod http1;
#[path = "http1_exchange/rfc9112.rs"]
mod rfc9112;

fuzz_target!(|input: &[u8]| {
    let Some((&[options, size, len], sent)) = input.split_first_chunk() else { return };
    let sent = if options & 0x80 == 0 { sent.to_vec() } else { lengthened(sent, MAX_HEAD - 128 + usize::from(len)) };
    let size = usize::from(size).max(1) << if options & 0x80 == 0 { 0 } else { 5 };
    let sizes = [usize::MAX, size];
    if options & 1 == 0 {
        let fields = [
            (SEC_WEBSOCKET_KEY, HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA==")),
            (HeaderName::from_static("x-added"), HeaderValue::from_static("1")),
        ];
        let change = Change {
            host: (options & 2 != 0).then_some(&b"upstream.example"[..]),
            target: (options & 4 != 0).then_some("/another"),
            fields: if options & 8 == 0 { &[] } else { &fields },
        };
        let expected = expected_request(&sent, &change);
        for size in sizes {
            request(&sent, size, &change).is(&expected, size);
        }
    } else {
        let method = if options & 2 == 0 { Method::GET } else { Method::HEAD };
        let expected = expected_answer(&sent, &method);
        for size in sizes {
            answer(&sent, size, &method).is(&expected, size);
        }
    }
});

/// The same with a field behind its first line that makes its head so long.
fn lengthened(sent: &[u8], len: usize) -> Vec<u8> {
    let head = position(sent, b"\r\n\r\n").map_or(sent.len(), |at| at + 4);
    let first = position(sent, b"\r\n").map_or(sent.len(), |at| at + 2);
    let field = [b"x: ", &*vec![b'y'; len.saturating_sub(head + 5)], b"\r\n"].concat();
    [&sent[..first], &field, &sent[first..]].concat()
}

/// What has passed, and whether it goes on.
#[derive(Debug)]
struct Passed {
    bytes: Vec<u8>,
    then: Then,
}

impl Passed {
    /// Where something is refused, the cut decides how much of what stands before it has passed. Otherwise it decides nothing.
    fn is(&self, expected: &Self, size: usize) {
        let same = match expected.then {
            Then::Refused(_) => expected.bytes.starts_with(&self.bytes),
            Then::More | Then::Nothing => self.bytes == expected.bytes,
        };
        let (bytes, whole) = (self.bytes.escape_ascii(), expected.bytes.escape_ascii());
        assert!(same, "{size} bytes at a time:\n{bytes}\nis not, of {:?},\n{whole}", expected.then);
        let is_refused = |then: &Then| matches!(then, Then::Refused(_));
        match (&self.then, &expected.then) {
            // Which rule is told first may depend on more than is said here.
            (Then::Refused(Some(status)), then) if is_refused(then) => {
                assert!([400, 405, 431, 505].contains(&status.as_u16()), "{status}");
            }
            (then, expected) => assert_eq!(is_refused(then), is_refused(expected), "{size} bytes at a time:\n{whole}"),
        }
        assert!(is_refused(&self.then) || self.then == expected.then, "{:?}, not {:?}", self.then, expected.then);
    }
}

/// What of a client's bytes passes: its head, read as `proxy/opening.rs` reads it, then its body.
fn request(sent: &[u8], size: usize, change: &Change<'_>) -> Passed {
    let mut passed = Passed { bytes: Vec::new(), then: Then::More };
    let mut pieces = sent.chunks(size);
    let (mut held, mut looked) = (Vec::new(), 0);
    let end = loop {
        if let Some(end) = head_end(&held, looked) {
            break end;
        }
        if !Request::may_begin(&held) || held.len() > MAX_HEAD {
            passed.then = Then::Refused(None);
            return passed;
        }
        looked = held.len();
        let Some(piece) = pieces.next() else { return passed };
        held.extend_from_slice(piece);
    };
    let behind = held.split_off(end);
    let request = match Request::read(held.clone()) {
        Ok(request) => request,
        Err(refused) => {
            passed.then = Then::Refused(Some(refused.status));
            return passed;
        }
    };
    passed.bytes = request.changed(change);
    if request.asks() {
        assert_eq!(request.changed(&Change::default()), held, "nothing is to change");
    }
    reads_the_same(&request, &passed.bytes, change);
    let mut body = request.into_body();
    for piece in [&*behind].into_iter().chain(pieces) {
        let mut taken = Ok(0);
        let cost = measure(|| taken = body.take(piece));
        assert!(cost.bytes_max <= 32 << 10, "{} bytes are held of a body", cost.bytes_max);
        let Ok(taken) = taken else {
            passed.then = Then::Refused(None);
            return passed;
        };
        passed.bytes.extend_from_slice(&piece[..taken]);
        if body.has_ended() {
            passed.then = Then::Nothing;
            return passed;
        }
        assert_eq!(taken, piece.len(), "a body that goes on has all that came");
    }
    passed
}

/// What of a server's bytes passes.
fn answer(sent: &[u8], size: usize, method: &Method) -> Passed {
    let mut passed = Passed { bytes: Vec::new(), then: Then::More };
    let mut answer = Answer::to(method.clone());
    let mut most = 0;
    for piece in sent.chunks(size) {
        let mut taken = Ok(0);
        most = most.max(measure(|| taken = answer.take(piece)).bytes_max);
        let Ok(taken) = taken else {
            passed.then = Then::Refused(None);
            break;
        };
        passed.bytes.extend_from_slice(&piece[..taken]);
        if answer.has_ended() {
            passed.then = Then::Nothing;
            break;
        }
        assert_eq!(taken, piece.len(), "an answer that goes on has all that came");
    }
    // What is held, as it grows, and the fields of it.
    assert!(most <= 6 * MAX_HEAD as u64, "{most} bytes are held of {}", sent.len());
    passed
}

/// Whoever reads what has passed reads what the client wrote, but for what is changed.
fn reads_the_same(request: &Request, changed: &[u8], change: &Change<'_>) {
    let again = match Request::read(changed.to_vec()) {
        Ok(again) => again,
        // With a field more than there may be.
        Err(refused) => return assert_eq!(refused.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    };
    assert_eq!(again.method(), request.method());
    assert_eq!(again.target(), change.target.unwrap_or(request.target()));
    assert_eq!(again.asks(), request.asks());
}

/// Where a head ends, within what one may have.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    position(bytes, b"\r\n\r\n").map(|at| at + 4).filter(|end| *end <= MAX_HEAD)
}

fn position(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|part| part == what)
}

fn expected_request(sent: &[u8], change: &Change<'_>) -> Passed {
    let nothing = |then| Passed { bytes: Vec::new(), then };
    let Some(end) = end_of_head(sent) else {
        // Whether they may begin one is Request's to say: it only decides how early it is told.
        let may_go_on = Request::may_begin(sent) && sent.len() <= MAX_HEAD;
        return nothing(if may_go_on { Then::More } else { Then::Refused(None) });
    };
    let (head, behind) = sent.split_at(end);
    // What is no head must not pass. Beyond that it is Request's to refuse more than is said here: hosts, for one.
    let is_read = Request::read(head.to_vec()).is_ok();
    let Some((mut bytes, framing)) = expected_head(head, change).filter(|_| is_read) else {
        assert!(!is_read, "a head that is none passes: {}", head.escape_ascii());
        return nothing(Then::Refused(None));
    };
    let (len, then) = body(behind, framing);
    bytes.extend_from_slice(&behind[..len]);
    Passed { bytes, then }
}

/// A request's head as the upstream is to read it, and what follows.
fn expected_head(head: &[u8], change: &Change<'_>) -> Option<(Vec<u8>, Framing)> {
    let lines = lines(head)?;
    let (first, rest) = lines.split_first()?;
    let first = core::str::from_utf8(first).ok()?;
    let [method, target, "HTTP/1.1"] = first.split(' ').collect::<Vec<_>>()[..] else { return None };
    let is_target = method != "CONNECT" && (target.starts_with('/') || (method, target) == ("OPTIONS", "*"));
    let fields = fields(rest)?;
    let framing = framing(&fields, Framing::Length(0))?;
    let asks = elements(&fields, "upgrade").iter().any(|element| element == "websocket");
    let is_whole = is_token(method) && is_target && values(&fields, HOST.as_str()).len() == 1 && fields.len() <= 256;
    if !is_whole || asks && framing != Framing::Length(0) {
        return None;
    }
    let mut expected = format!("{method} {} HTTP/1.1\r\n", change.target.unwrap_or(target)).into_bytes();
    for field in &fields {
        let is_replaced = change.fields.iter().any(|(name, _)| *name == *field.name);
        if is_replaced || !asks && is_of_the_connection(&fields, &field.name) {
            continue;
        }
        match change.host {
            Some(host) if field.name == HOST.as_str() => {
                // Blanks around the value stay.
                let start = field.value.as_ptr() as usize - field.line.as_ptr() as usize;
                let after = &field.line[start + field.value.len()..];
                expected.extend_from_slice(&[&field.line[..start], host, after].concat());
            }
            _ => expected.extend_from_slice(field.line),
        }
        expected.extend_from_slice(b"\r\n");
    }
    if !asks {
        expected.extend_from_slice(b"Connection: close\r\n");
    }
    for (name, value) in change.fields {
        expected.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    expected.extend_from_slice(b"\r\n");
    Some((expected, framing))
}

/// RFC 9110 §7.6.1: what is not for the next one on the way. What a message is framed and routed by always is.
fn is_of_the_connection(fields: &[Field<'_>], name: &str) -> bool {
    let always = ["connection", "keep-alive", "proxy-connection", TE.as_str(), "upgrade"];
    let never = ["host", "content-length", "transfer-encoding", "content-type"];
    always.contains(&name)
        || !never.contains(&name) && elements(fields, "connection").iter().any(|element| element == name)
}

fn expected_answer(sent: &[u8], method: &Method) -> Passed {
    let passed = |len: usize, then| Passed { bytes: sent[..len].to_vec(), then };
    let mut at = 0;
    loop {
        let rest = &sent[at..];
        let Some(end) = end_of_head(rest) else {
            let may_go_on = b"HTTP/1.".starts_with(&rest[..rest.len().min(7)]) && rest.len() < MAX_HEAD;
            return passed(sent.len(), if may_go_on { Then::More } else { Then::Refused(None) });
        };
        let head = &rest[..end];
        at += end;
        let Ok(response) = Response::read(head) else { return passed(at, Then::Refused(None)) };
        assert!(head.starts_with(b"HTTP/1."), "what is no answer passes: {}", head.escape_ascii());
        answers_as_expected(head);
        match (response.status().as_u16(), method == Method::HEAD) {
            (101, _) => return passed(at, Then::Refused(None)),
            (100..200, _) => assert!(response.is_interim()),
            (204 | 304, _) | (_, true) => return passed(at, Then::Nothing),
            _ => {
                assert!(!response.is_interim());
                // Lines that end with LF alone pass in this direction; there is a second reading of all others only.
                let framing = match lines(head) {
                    Some(lines) => fields(&lines[1..]).and_then(|fields| framing(&fields, Framing::UntilEnd)),
                    None => response.body(method).map(|body| match body {
                        Body::Length(len) => Framing::Length(len),
                        Body::Chunks(_) => Framing::Chunked,
                        Body::UntilEnd => Framing::UntilEnd,
                    }),
                };
                let Some(framing) = framing else { return passed(at, Then::Refused(None)) };
                let (len, then) = body(&sent[at..], framing);
                return passed(at + len, then);
            }
        }
    }
}

/// The answer to a key is replaced, and nothing else of a head.
fn answers_as_expected(head: &[u8]) {
    let value = HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let Some(lines) = lines(head) else { return };
    let mut is_replaced = false;
    let mut expected = Vec::new();
    for line in lines {
        match field(line) {
            Some(field) if field.name == "sec-websocket-accept" && !is_replaced => {
                let start = field.value.as_ptr() as usize - line.as_ptr() as usize;
                let after = &line[start + field.value.len()..];
                expected.extend_from_slice(&[&line[..start], value.as_bytes(), after].concat());
                is_replaced = true;
            }
            _ => expected.extend_from_slice(line),
        }
        expected.extend_from_slice(b"\r\n");
    }
    expected.extend_from_slice(b"\r\n");
    assert_eq!(accepting(head, &value).escape_ascii().to_string(), expected.escape_ascii().to_string());
}
