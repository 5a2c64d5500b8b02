//! Servers that mean harm to a client, and callers who give it what must not go over a wire: each is a typed error, costs next
//! to no memory, and leaves nothing behind.
//!
//! The stories of answers are told over a wire in memory, by a clock that waits for nobody and an allocator that counts.

#[path = "support/heap.rs"]
mod heap;
mod support;

use sockeye::{Connect, Error, ErrorKind, HandshakeError, Message};
use sockeye_proto::frame::Opcode;
use support::{accept_for, read_head, server_frame, switching};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;

/// How an answer comes.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Whole,
    Lines,
    Bytes,
}

const CUTS: [Cut; 3] = [Cut::Whole, Cut::Lines, Cut::Bytes];

/// Reads the request, and writes an answer in pieces; `{accept}` in it stands for the right one. Whether our end has ended the
/// connection by itself when that is done.
async fn answers(mut wire: DuplexStream, answer: &[u8], cut: Cut) -> bool {
    let head = read_head(&mut wire).await;
    let answer = String::from_utf8_lossy(answer).replace("{accept}", &accept_for(&head));
    let pieces: Vec<&[u8]> = match cut {
        Cut::Whole => vec![answer.as_bytes()],
        Cut::Lines => answer.as_bytes().split_inclusive(|&byte| byte == b'\n').collect(),
        Cut::Bytes => answer.as_bytes().chunks(1).collect(),
    };
    for piece in pieces {
        if wire.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    // Half of it stays open: it is the client who has to leave.
    let mut rest = Vec::new();
    wire.read_to_end(&mut rest).await.is_ok_and(|_| rest.is_empty())
}

/// Has a client that offers the subprotocol `chat` given an answer, and judges what it makes of it. The most bytes that it
/// held for that.
fn told_of(answer: &[u8], cut: Cut, judge: impl Fn(&Result<(), Error>) -> bool + Send + Sync) -> isize {
    let ((), peak) = heap::told("a client and an answer", async {
        let (near, far) = tokio::io::duplex(1 << 16);
        let attempt = sockeye::connect("ws://server.example.com/chat").subprotocol("chat").over(near);
        let (opened, has_left) = tokio::join!(async { attempt.await.map(drop) }, answers(far, answer, cut));
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(400)]);
        assert!(judge(&opened), "{shown:?} {cut:?}: {opened:?}");
        assert!(has_left || opened.is_ok(), "{shown:?} {cut:?}: a connection is left");
    });
    peak
}

/// What stays allocated for the process is allocated before anything is counted.
fn warm_up() {
    let right = [SWITCHING, UPGRADE, CONNECTION, ACCEPT, "\r\n"].concat();
    let warming = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            for answer in [&right[..], "HTTP/1.1 400 No\r\n\r\n"] {
                let (near, far) = tokio::io::duplex(1 << 16);
                let attempt = sockeye::connect("ws://a/").over(near);
                drop(tokio::join!(async { attempt.await.map(drop) }, answers(far, answer.as_bytes(), Cut::Whole)));
            }
        });
    });
    warming.join().unwrap();
}

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\n";
const UPGRADE: &str = "Upgrade: websocket\r\n";
const CONNECTION: &str = "Connection: Upgrade\r\n";
const ACCEPT: &str = "Sec-WebSocket-Accept: {accept}\r\n";

#[test]
fn h5_whatever_is_not_the_answer_to_our_request_is_refused_by_name() {
    warm_up();
    type Judge = fn(&Error) -> bool;
    let refused: Judge = |error| matches!(error, Error::Refused(_));
    let http: Judge = |error| matches!(error, Error::Http(_));
    macro_rules! handshake {
        ($pattern:pat) => {
            (|error| matches!(error, Error::Handshake($pattern))) as Judge
        };
    }
    let good = [SWITCHING, UPGRADE, CONNECTION, ACCEPT].concat();
    let with = |line: &str| format!("{good}{line}\r\n\r\n");
    let cases: Vec<(String, Judge)> = vec![
        // Accept: missing, wrong, of another request, in another case, with more, twice.
        ([SWITCHING, UPGRADE, CONNECTION, "\r\n"].concat(), handshake!(HandshakeError::Accept)),
        (
            [SWITCHING, UPGRADE, CONNECTION, "Sec-WebSocket-Accept: \r\n\r\n"].concat(),
            handshake!(HandshakeError::Accept),
        ),
        (
            [SWITCHING, UPGRADE, CONNECTION, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"].concat(),
            handshake!(HandshakeError::Accept),
        ),
        (
            [SWITCHING, UPGRADE, CONNECTION, "Sec-WebSocket-Accept: {accept}=\r\n\r\n"].concat(),
            handshake!(HandshakeError::Accept),
        ),
        (with("Sec-WebSocket-Accept: {accept}"), handshake!(HandshakeError::Accept)),
        // What was not offered.
        (with("Sec-WebSocket-Protocol: unasked"), handshake!(HandshakeError::Subprotocol)),
        (with("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat"), handshake!(HandshakeError::Subprotocol)),
        (with("Sec-WebSocket-Protocol: chat, chat"), handshake!(HandshakeError::Subprotocol)),
        (with("Sec-WebSocket-Protocol: "), handshake!(HandshakeError::Subprotocol)),
        (with("Sec-WebSocket-Extensions: permessage-deflate"), handshake!(HandshakeError::Extension(_))),
        (with("Sec-WebSocket-Extensions: x-unknown; a=1"), handshake!(HandshakeError::Extension(_))),
        (with("Sec-WebSocket-Extensions: ;;;"), handshake!(HandshakeError::Extension(_))),
        // A 101 that is none.
        ([SWITCHING, CONNECTION, ACCEPT, "\r\n"].concat(), handshake!(HandshakeError::Upgrade)),
        ([SWITCHING, UPGRADE, ACCEPT, "\r\n"].concat(), handshake!(HandshakeError::Connection)),
        ([SWITCHING, "Upgrade: h2c\r\n", CONNECTION, ACCEPT, "\r\n"].concat(), handshake!(HandshakeError::Upgrade)),
        ([SWITCHING, "\r\n"].concat(), handshake!(HandshakeError::Upgrade)),
        // Another status, though all else looks like one.
        ([&good.replace("101 Switching Protocols", "200 OK"), "\r\n"].concat(), refused),
        ([&good.replace("101 Switching Protocols", "204 No Content"), "\r\n"].concat(), refused),
        ([&good.replace("101 Switching Protocols", "301 Moved"), "Location: ws://a/\r\n\r\n"].concat(), refused),
        ([&good.replace("101 Switching Protocols", "302 Found"), "Location: \u{1}\r\n\r\n"].concat(), http),
        (
            [&good.replace("101 Switching Protocols", "401 Unauthorized"), "Content-Length: 3\r\n\r\nwhy"].concat(),
            refused,
        ),
        (
            [
                &good.replace("101 Switching Protocols", "500 Oh"),
                "Transfer-Encoding: chunked\r\n\r\n3\r\nwhy\r\n0\r\n\r\n",
            ]
            .concat(),
            refused,
        ),
        // Not HTTP/1.1, or not quite.
        ("".into(), http),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n".into(), http),
        ("HTTP/9.9 101 Switching Protocols\r\n\r\n".into(), http),
        ("HTTP/1.1 9999 Oh\r\n\r\n".into(), http),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), http),
        ("\0\0\0\x04\0\0\0\0\0".into(), http),
        (with("Folded: a\r\n b"), http),
        (with("Bad Name: x"), http),
        (with("Null: a\0b"), http),
        (with(": empty"), http),
    ];
    for (answer, judge) in cases {
        for cut in CUTS {
            let peak = told_of(answer.as_bytes(), cut, |opened| {
                // A server that says nothing more is waited for until the deadline.
                opened
                    .as_ref()
                    .is_err_and(|error| (judge(error) || error.is_timeout()) && error.kind() != ErrorKind::Caller)
            });
            assert!(peak < 64 << 10, "{answer:?}: {peak} bytes");
        }
    }
}

#[test]
fn h5_the_right_answer_is_taken_however_it_is_cut() {
    warm_up();
    for cut in CUTS {
        let answer = [SWITCHING, UPGRADE, CONNECTION, ACCEPT, "Sec-WebSocket-Protocol: chat\r\n\r\n"].concat();
        told_of(answer.as_bytes(), cut, |opened| opened.is_ok());
    }
}

#[test]
fn h5_a_head_without_end_is_cut_short_wherever_it_has_none() {
    warm_up();
    let many = "x-same: y\r\n".repeat(10_000);
    let different: String = (0..10_000).map(|number| format!("x-{number}: y\r\n")).collect();
    let long = "y".repeat(1 << 20);
    for answer in [
        format!("{SWITCHING}{many}\r\n"),
        format!("{SWITCHING}{different}\r\n"),
        format!("{SWITCHING}x: {long}\r\n\r\n"),
        format!("{SWITCHING}{long}: x\r\n\r\n"),
        format!("HTTP/1.1 101 {long}\r\n\r\n"),
        long,
        format!("HTTP/1.1 400 No\r\n{many}\r\n"),
    ] {
        for cut in [Cut::Whole, Cut::Lines] {
            let start = std::time::Instant::now();
            let peak = told_of(answer.as_bytes(), cut, |opened| matches!(opened, Err(Error::Http(_))));
            // Besides our limit of 8 KiB there is what the story itself holds: the answer, in several pieces.
            let story = 3 * answer.len() + answer.lines().count() * 32;
            let most = isize::try_from(story + (192 << 10)).unwrap();
            assert!(peak < most, "{}…: {peak} bytes", &answer[..40]);
            assert!(start.elapsed().as_secs() < 20, "it is not parsed anew for each piece of it");
        }
    }
}

#[test]
fn h5_frames_glued_to_the_101_are_not_lost_however_they_are_cut() {
    warm_up();
    for cut in 0..4 {
        heap::told("frames behind the answer", async {
            let (near, mut far) = tokio::io::duplex(1 << 16);
            let attempt = sockeye::connect("ws://server.example.com/chat").over(near);
            let (ws, far) = tokio::join!(attempt, async {
                let head = read_head(&mut far).await;
                let mut bytes = switching(&head).into_bytes();
                let end = bytes.len();
                bytes.extend(server_frame(true, Opcode::TEXT, "你好".as_bytes()));
                let (now, later) = bytes.split_at(end + cut);
                far.write_all(now).await.unwrap();
                tokio::task::yield_now().await;
                far.write_all(later).await.unwrap();
                far
            });
            let mut ws = ws.unwrap();
            assert_eq!(ws.recv().await.unwrap(), Some(Message::from("你好")));
            drop(far);
            assert!(ws.recv().await.is_err());
        });
    }
}

/// What must not go over a wire, and what a proxy in between would read as something else.
const HARMFUL: [&str; 9] = ["\r", "\n", "\r\n", "\0", " ", "\r\n ", "\u{7f}", "\u{80}", "\t"];

/// The text with something in it, at its beginning, in its middle and at its end.
fn poisoned(text: &str, poison: &str) -> [String; 3] {
    let middle = text.len() / 2;
    [format!("{poison}{text}"), format!("{}{poison}{}", &text[..middle], &text[middle..]), format!("{text}{poison}")]
}

#[tokio::test]
async fn h5_what_the_caller_gives_and_cannot_be_sent_is_refused_before_anything_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let plain = || sockeye::connect(format!("ws://{at}/"));
    let mut attempts: Vec<(String, Connect)> = Vec::new();
    let mut add = |what: &str, poison: &str, attempt: Connect| attempts.push((format!("{what} {poison:?}"), attempt));
    for poison in HARMFUL {
        for (host, path, query, user, name, value) in (0..3).map(|at_| {
            let one = |text| poisoned(text, poison)[at_].clone();
            (one("127.0.0.1"), one("path"), one("a=b"), one("user"), one("x-name"), one("value"))
        }) {
            let port = at.port();
            add("host", poison, sockeye::connect(format!("ws://{host}:{port}/")));
            // What is not ASCII is sent as %XX.
            if poison != "\u{80}" {
                add("path", poison, sockeye::connect(format!("ws://{at}/{path}")));
                add("query", poison, sockeye::connect(format!("ws://{at}/?{query}")));
            }
            add("user", poison, sockeye::connect(format!("ws://{user}:password@{at}/")));
            add("password", poison, sockeye::connect(format!("ws://user:{user}@{at}/")));
            add("subprotocol", poison, plain().subprotocol(user.clone()));
            add("header's name", poison, plain().header(name, "value"));
            // A space or a tab may stand in a header's value.
            if !matches!(poison, " " | "\t" | "\u{80}") {
                add("header's value", poison, plain().header("x-name", value.clone()));
                add("origin", poison, plain().origin(value.clone()));
            }
            if poison != " " && poison != "\u{80}" {
                add("user of basic_auth", poison, plain().basic_auth(user.clone(), "password"));
                add("password of basic_auth", poison, plain().basic_auth("user", user.clone()));
            }
            add("token", poison, plain().bearer_auth(value));
        }
    }
    assert!(attempts.len() > 250);
    for (what, attempt) in attempts {
        let error = attempt.await.expect_err(&what);
        assert_eq!(error.kind(), ErrorKind::Caller, "{what}: {error:?}");
        assert!(matches!(error, Error::Handshake(_)), "{what}: {error:?}");
    }
    let nobody = tokio::time::timeout(std::time::Duration::from_millis(100), listener.accept()).await;
    assert!(nobody.is_err(), "somebody has connected");
}

/// H6: who a server is the URL says, and neither a resolver nor anybody on the way.
#[cfg(feature = "ring")]
#[tokio::test]
async fn h6_a_certificate_is_judged_by_the_url_s_name_whatever_that_resolves_to() {
    use std::sync::Arc;

    use sockeye::rustls::pki_types::PrivatePkcs8KeyDer;
    use sockeye::rustls::{ClientConfig, RootCertStore, ServerConfig};

    let identity =
        rcgen::generate_simple_self_signed(["elsewhere.example".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let certificate = identity.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der()).into();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let client = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    let address = support::start(|listener| sockeye::serve(listener, support::echo).tls(Arc::new(server))).await;
    let attempt = |host: &str| {
        let attempt = sockeye::connect(format!("wss://{host}/")).tls(Arc::clone(&client));
        attempt.resolver(move |_, _| async move { Ok([address]) })
    };
    assert!(attempt("elsewhere.example").await.is_ok());
    let error = attempt("bank.example").await.unwrap_err();
    assert_eq!(error.to_string(), "no TLS with bank.example: its certificate is for another name");
    // Nor does a Host of the caller's choice.
    let error = attempt("bank.example").header("Host", "elsewhere.example").await.unwrap_err();
    assert_eq!(error.to_string(), "no TLS with bank.example: its certificate is for another name");
}
