//! `sockeye proxy` as the ends of connections meet it, and whoever watches.

mod running;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use running::{Running, bytes, head, listen, rest, say, sockeye};
use serde_json::Value;
use sockeye::rustls::pki_types::CertificateDer;
use sockeye::rustls::pki_types::pem::PemObject;
use sockeye::rustls::{ClientConfig, RootCertStore};
use sockeye_proto::Role::{self, Client, Server};
use sockeye_traffic::{Ending, Event, Piece, Source, What};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const OPENING: &str = "GET /chat?x=1 HTTP/1.1\r\nhost:  Proxy.example:8081 \r\nX-Odd:  a  b\t\r\nUPGRADE: WebSocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nCookie: session=secret\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nEmpty:\r\n\r\n";
const OPENED: &str = "HTTP/1.1 101 As you like\r\nupgrade: WebSocket\r\nConnection:upgrade\r\nX-Odd:   c\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// Fragments with a Ping between them, one that is empty, RSV bits, an opcode that is reserved, a length in its longest form,
/// a missing mask, a Close, and bytes behind it that are no frame.
const CLIENT: &[u8] = b"\x01\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x89\x80\x01\x02\x03\x04\x00\x80\0\0\0\0\x80\x81\x37\xfa\x21\x3d\x16\
    \xf2\x82\0\0\0\0\xff\xfe\x83\xff\0\0\0\0\0\0\0\x01\x01\x02\x03\x04\xaa\x82\x01\x07\x88\x82\0\0\0\0\x03\xe8GET / HTTP/1.1";
const SERVER: &[u8] =
    b"\x81\x05Hello\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\x82\x81\x01\x02\x03\x04\x05\x8a\x00\x88\x7e\x00\x02\x03\xe8";

fn proxy(to: &str, arguments: &[&str]) -> Running {
    let to = format!("ws://{to}");
    Running::start(&[&["proxy", "--to", &to], arguments].concat())
}

/// Opens a WebSocket through the proxy: the ends of it, and what the server has been asked.
async fn open(proxy: &Running, listener: &TcpListener) -> (TcpStream, TcpStream, String) {
    let mut client = proxy.connect().await;
    client.write_all(OPENING.as_bytes()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let asked = head(&mut server).await;
    server.write_all(OPENED.as_bytes()).await.unwrap();
    assert_eq!(head(&mut client).await, OPENED);
    (client, server, asked)
}

/// A file of this test's own that is not there yet.
fn file(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("proxy-{name}"));
    let _ = std::fs::remove_file(&path);
    path
}

fn events(path: &Path) -> Vec<Event> {
    let source = Source::recognise(std::fs::File::open(path).unwrap()).unwrap().unwrap();
    let event = |piece| match piece {
        Piece::Event(event) => event,
        other => panic!("{other:?}"),
    };
    source.map(event).collect()
}

/// All that an end has sent on a connection of a recording.
fn sent(events: &[Event], number: u64, role: Role) -> Vec<u8> {
    let mut all = Vec::new();
    for event in events.iter().filter(|event| event.connection == number) {
        match &event.what {
            What::Bytes { from, bytes, .. } if *from == role => all.extend_from_slice(bytes),
            What::Missing { .. } => panic!("{event:?}"),
            _ => {}
        }
    }
    all
}

#[tokio::test]
async fn every_byte_arrives_as_it_was_sent_however_it_is_cut_and_is_recorded_so() {
    let (listener, to) = listen().await;
    let record = file("bytes.jsonl");
    let proxy = proxy(&to, &["--record", record.to_str().unwrap(), "--record-credentials"]);
    let steps: Vec<usize> = (1..CLIENT.len()).chain([usize::MAX]).collect();
    for &step in &steps {
        let (mut client, mut server, asked) = open(&proxy, &listener).await;
        assert_eq!(asked, OPENING.replace("Proxy.example:8081", &to));
        tokio::join!(say(&mut client, CLIENT, step), say(&mut server, SERVER, step));
        assert_eq!(bytes(&mut server, CLIENT.len()).await, CLIENT, "in pieces of {step}");
        assert_eq!(bytes(&mut client, SERVER.len()).await, SERVER, "in pieces of {step}");
        server.shutdown().await.unwrap();
        assert_eq!(rest(&mut client).await, b"");
        drop(client);
        assert_eq!(rest(&mut server).await, b"");
    }
    assert_eq!(proxy.stop().0, Some(0));

    assert_eq!(std::fs::metadata(&record).unwrap().permissions().mode() & 0o777, 0o600);
    let events = events(&record);
    for number in 1..=steps.len() as u64 {
        assert_eq!(sent(&events, number, Client), [OPENING.as_bytes(), CLIENT].concat());
        assert_eq!(sent(&events, number, Server), [OPENED.as_bytes(), SERVER].concat());
    }
    let endings = events.iter().filter(|event| event.what == What::Ended(Ending::Closed(Some(Server))));
    assert_eq!(endings.count(), steps.len());
}

#[tokio::test]
async fn host_becomes_the_servers_unless_it_is_preserved_and_a_path_in_the_url_replaces_the_one_asked_for() {
    let (listener, to) = listen().await;
    let target = format!("{to}/echo");
    for (to, arguments, expected) in [
        (&to, &["--preserve-host"][..], OPENING.to_owned()),
        (&target, &[], OPENING.replace("Proxy.example:8081", &to).replace("/chat?", "/echo?")),
    ] {
        let proxy = proxy(to, arguments);
        assert_eq!(open(&proxy, &listener).await.2, expected);
    }
}

#[tokio::test]
async fn what_comes_behind_the_request_waits_for_a_valid_101() {
    let (listener, to) = listen().await;
    let proxy = proxy(&to, &[]);
    let mut client = proxy.connect().await;
    client.write_all(&[OPENING.as_bytes(), CLIENT].concat()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    head(&mut server).await;
    // What must not come never does, however long one waits.
    let early = tokio::time::timeout(Duration::from_millis(200), server.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    server.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await.unwrap();
    assert_eq!(head(&mut client).await, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    client.write_all(b"more").await.unwrap();
    server.write_all(&[OPENED.as_bytes(), SERVER].concat()).await.unwrap();
    assert_eq!(bytes(&mut server, CLIENT.len() + 4).await, [CLIENT, b"more"].concat());
    assert_eq!(head(&mut client).await, OPENED);
    assert_eq!(bytes(&mut client, SERVER.len()).await, SERVER);
}

#[tokio::test]
async fn a_101_that_is_none_opens_nothing_and_the_client_is_told_why() {
    let (listener, to) = listen().await;
    let proxy = proxy(&to, &[]);
    for (answer, why) in [
        (OPENED.replace("s3pP", "S3pP"), "Sec-WebSocket-Accept"),
        (OPENED.replace("Sec-WebSocket-Accept", "X"), "Sec-WebSocket-Accept"),
        (OPENED.replace("upgrade: WebSocket", "upgrade: h2c"), "Upgrade"),
        (OPENED.replace("Connection:upgrade", "Connection: close"), "Connection"),
        (OPENED.replace("HTTP/1.1 101", "HTTP/2 101"), "HTTP/1.1"),
        ("SSH-2.0-OpenSSH_10.0\r\n".to_owned(), "HTTP/1.1"),
        (OPENED.replace("X-Odd:   c", "X Odd:   c"), "is none"),
        ("HTTP/1.1 101 X\r\nA: ".to_owned() + &"b".repeat(100_000), "bytes"),
        (String::new(), "in place of an answer"),
    ] {
        let mut client = proxy.connect().await;
        client.write_all(&[OPENING.as_bytes(), CLIENT].concat()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        head(&mut server).await;
        let _ = server.write_all(answer.as_bytes()).await;
        server.shutdown().await.unwrap();
        assert_eq!(rest(&mut server).await, b"", "{answer}");
        let told = String::from_utf8(rest(&mut client).await).unwrap();
        assert!(told.starts_with("HTTP/1.1 502 Bad Gateway\r\n") && told.contains(why), "{answer}: {told}");
    }
}

#[tokio::test]
async fn a_refusal_passes_with_its_body_and_no_byte_behind_the_request_does() {
    let (listener, to) = listen().await;
    let proxy = proxy(&to, &[]);
    let mut client = proxy.connect().await;
    client.write_all(&[OPENING.as_bytes(), b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"].concat()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    head(&mut server).await;
    let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno";
    server.write_all(format!("{answer}HTTP/1.1 200 OK\r\n\r\n").as_bytes()).await.unwrap();
    assert_eq!(String::from_utf8(rest(&mut client).await).unwrap(), answer);
    assert_eq!(rest(&mut server).await, b"");
}

#[tokio::test]
async fn ordinary_requests_and_answers_pass_with_their_bodies() {
    let (listener, to) = listen().await;
    let proxy = proxy(&to, &[]);
    let mut client = proxy.connect().await;
    let request = "POST /form HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nExpect: 100-continue\r\n\
        Transfer-Encoding: chunked\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let expected = format!(
        "POST /form HTTP/1.1\r\nHost: {to}\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\
         Connection: close\r\n\r\n"
    );
    assert_eq!(head(&mut server).await, expected);
    server.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    assert_eq!(head(&mut client).await, "HTTP/1.1 100 Continue\r\n\r\n");
    let body = b"5\r\nhello\r\n0\r\n\r\n";
    client.write_all(&[body, &b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"[..]].concat()).await.unwrap();
    assert_eq!(bytes(&mut server, body.len()).await, body);
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    server.write_all(answer).await.unwrap();
    assert_eq!(rest(&mut client).await, answer);
    assert_eq!(rest(&mut server).await, b"", "one request for each connection");
}

#[tokio::test]
async fn it_leads_nowhere_but_to_its_server() {
    let (listener, to) = listen().await;
    let proxy = proxy(&to, &[]);
    for (request, status) in [
        ("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n", "405"),
        ("GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
        ("\x16\x03\x01\x02\x00", "400"),
        (&("GET / HTTP/1.1\r\nHost: ".to_owned() + &"a".repeat(100_000)), "431"),
    ] {
        let mut client = proxy.connect().await;
        client.write_all(request.as_bytes()).await.unwrap();
        let told = String::from_utf8(rest(&mut client).await).unwrap();
        assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{:?}: {told}", request.get(..80));
    }
    drop(listener);
    let mut client = proxy.connect().await;
    client.write_all(OPENING.as_bytes()).await.unwrap();
    let told = String::from_utf8(rest(&mut client).await).unwrap();
    assert!(told.starts_with("HTTP/1.1 502 ") && told.contains("connection refused"), "{told}");
    let (code, lines, _) = proxy.stop();
    assert!(lines.contains(&format!("failed: cannot connect to {to}: connection refused")), "{lines}");
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn an_end_that_breaks_off_breaks_off_the_other_one() {
    let (listener, to) = listen().await;
    let proxy = proxy(&to, &[]);
    let (mut client, server, _) = open(&proxy, &listener).await;
    server.set_zero_linger().unwrap();
    drop(server);
    assert_eq!(client.read_u8().await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let (client, mut server, _) = open(&proxy, &listener).await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(server.read_u8().await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let (_, lines, _) = proxy.stop();
    assert!(lines.contains("reset by the server") && lines.contains("reset by the client"), "{lines}");
}

#[tokio::test]
async fn an_end_that_sends_no_more_may_still_be_answered() {
    let (listener, to) = listen().await;
    let proxy = proxy(&to, &[]);
    let (mut client, mut server, _) = open(&proxy, &listener).await;
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut server).await, b"");
    server.write_all(SERVER).await.unwrap();
    drop(server);
    assert_eq!(rest(&mut client).await, SERVER);
}

/// Bytes of memory that a process has had at most.
fn peak(id: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// One end writes 96 MiB, the other one begins to read once no more is taken from it.
async fn flood(proxy: &Running, writer: TcpStream, mut reader: TcpStream) {
    const ALL: usize = 96 << 20;
    const MOST: usize = 64 << 20;
    let written = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&written);
    let writing = tokio::spawn(async move {
        let mut writer = writer;
        let frame = [&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xf6][..], &vec![7; 0xfff6]].concat();
        while counted.load(Ordering::Relaxed) < ALL {
            writer.write_all(&frame).await.unwrap();
            counted.fetch_add(frame.len(), Ordering::Relaxed);
        }
    });
    let mut before = usize::MAX;
    while written.load(Ordering::Relaxed) != before {
        before = written.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(!writing.is_finished(), "nobody has read, and all of it is gone");
    let held = peak(proxy.id());
    assert!(held < MOST, "{held} bytes");
    let mut buffer = vec![0; 1 << 20];
    let mut read = 0;
    while read < ALL {
        read += reader.read(&mut buffer).await.unwrap();
    }
    writing.await.unwrap();
    let held = peak(proxy.id());
    assert!(held < MOST, "{held} bytes");
}

#[tokio::test]
async fn a_peer_that_stops_reading_stops_its_sender_and_memory_stays_bounded() {
    let (listener, to) = listen().await;
    for arguments in [&[][..], &["--quiet"]] {
        let proxy = proxy(&to, arguments);
        let (client, server, _) = open(&proxy, &listener).await;
        flood(&proxy, server, client).await;
        let (client, server, _) = open(&proxy, &listener).await;
        flood(&proxy, client, server).await;
    }
}

/// What stands at a place of a long stream: not the same at any distance at which buffers may be mixed up.
fn stream(len: usize) -> Vec<u8> {
    (0..len as u64).map(|place| (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[tokio::test]
async fn much_at_once_arrives_as_it_was_sent_both_ways_and_ends_as_it_ended() {
    const ALL: usize = 24 << 20;
    let (listener, to) = listen().await;
    for arguments in [&[][..], &["--quiet"]] {
        let proxy = proxy(&to, arguments);
        let (client, server, _) = open(&proxy, &listener).await;
        let sent = Arc::new(stream(ALL));
        let mut ends = Vec::new();
        for stream in [client, server] {
            let (mut reader, mut writer) = stream.into_split();
            let (write, read) = (Arc::clone(&sent), Arc::clone(&sent));
            ends.push(tokio::spawn(async move {
                // Of all sizes, small ones between large ones.
                let (mut rest, mut size) = (&write[..], 1);
                while !rest.is_empty() {
                    let (now, later) = rest.split_at(size.min(rest.len()));
                    writer.write_all(now).await.unwrap();
                    (rest, size) = (later, size * 7 % 1_000_003);
                }
                writer.shutdown().await.unwrap();
            }));
            ends.push(tokio::spawn(async move {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).await.unwrap();
                assert!(all == *read, "{} of {ALL} bytes, or others", all.len());
            }));
        }
        for end in ends {
            end.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_terminal_that_takes_nothing_holds_nobody_up() {
    let (listener, to) = listen().await;
    let proxy = Running::start_unread(&["proxy", "--to", &format!("ws://{to}")]);
    let (mut client, server, _) = open(&proxy, &listener).await;
    let writing = tokio::spawn(async move {
        let mut server = server;
        for _ in 0..1_000_000 / 100 {
            server.write_all(&b"\x81\x02hi".repeat(100)).await.unwrap();
        }
    });
    let mut buffer = vec![0; 1 << 20];
    let mut read = 0;
    while read < 4_000_000 {
        read += client.read(&mut buffer).await.unwrap();
    }
    writing.await.unwrap();
    let (code, _, _) = proxy.stop();
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn the_terminal_shows_one_line_for_each_frame_or_its_figure_or_json_and_only_what_matches() {
    let (listener, to) = listen().await;
    let shown = async |arguments: &[&str]| {
        let proxy = proxy(&to, arguments);
        let (mut client, mut server, _) = open(&proxy, &listener).await;
        client.write_all(CLIENT).await.unwrap();
        bytes(&mut server, CLIENT.len()).await;
        server.write_all(SERVER).await.unwrap();
        bytes(&mut client, SERVER.len()).await;
        drop(server);
        rest(&mut client).await;
        drop(client);
        let (code, out, errors) = proxy.stop();
        assert_eq!((code, errors.as_str()), (Some(0), ""));
        out
    };
    let lines = shown(&[]).await;
    for part in ["127.0.0.1:", "GET /chat?x=1", "101 As you like", "\"Hello\"", "✗", "ping"] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    assert!(!lines.contains('\u{1b}'), "no colours where there is no terminal: {lines}");
    let bits = shown(&["--bits", "--filter", "ping"]).await;
    assert!(bits.contains("|F|R|R|R| opcode|M|"), "{bits}");
    assert!(!bits.contains("Hello"), "{bits}");
    let json = shown(&["--format", "json", "--filter", "server frame"]).await;
    let records: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let frames = records.iter().filter(|record| record["record"] == "frame");
    assert_eq!(frames.clone().count(), 5, "{json}");
    assert!(frames.clone().all(|frame| frame["from"] == "server"), "{json}");
    assert_eq!(shown(&["--quiet"]).await, "");
}

#[tokio::test]
async fn credentials_are_not_recorded_and_a_full_recording_stops_nobody() {
    let (listener, to) = listen().await;
    let record = file("secret.jsonl");
    let name = record.to_str().unwrap().to_owned();
    let proxy = proxy(&to, &["--record", &name, "--record-limit", "20000"]);
    let (mut client, mut server, asked) = open(&proxy, &listener).await;
    assert!(asked.contains("session=secret"));
    let frame = [&[0x82, 126, 0x10, 0][..], &[7; 4096]].concat();
    for _ in 0..20 {
        server.write_all(&frame).await.unwrap();
        assert_eq!(bytes(&mut client, frame.len()).await, frame);
    }
    let (code, _, errors) = proxy.stop();
    assert_eq!(code, Some(0));
    assert!(errors.contains("is full, at 20000 bytes"), "{errors}");
    let text = std::fs::read_to_string(&record).unwrap();
    assert!(text.len() <= 20_000 && text.contains("\"event\":\"full\""));
    let output = sockeye().args(["inspect", &name, "--format", "lines"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(shown.contains("GET /chat?x=1") && shown.contains("credentials were replaced"), "{shown}");
    let output = sockeye().args(["inspect", &name, "--format", "json"]).output().unwrap();
    assert!(!String::from_utf8(output.stdout).unwrap().contains("secret"));

    // Nobody's recording is written over.
    let again = ["proxy", "--listen", "127.0.0.1:0", "--to", "ws://127.0.0.1:9", "--record", &name];
    let output = sockeye().args(again).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("there is such a file"));
    assert_eq!(std::fs::read_to_string(&record).unwrap(), text);
}

/// Trusts the certificate in this file.
fn trusting(file: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
    Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

#[tokio::test]
async fn tls_is_spoken_on_either_side() {
    let [cert, key, own] = ["cert.pem", "key.pem", "own.pem"].map(file);
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&cert, identity.cert.pem()).unwrap();
    std::fs::write(&key, identity.signing_key.serialize_pem()).unwrap();
    let [cert_name, key_name] = [&cert, &key].map(|path| path.to_str().unwrap());
    let server = Running::start(&["serve", "--tls-cert", cert_name, "--tls-key", key_name]);
    let to = format!("wss://{}/echo", server.address);
    let generate = format!("--tls-generate={}", own.display());

    let generated = Running::start(&["proxy", "--to", &to, "--ca", cert_name, &generate]);
    let given = Running::start(&["proxy", "--to", &to, "--insecure", "--tls-cert", cert_name, "--tls-key", key_name]);
    for (proxy, trusted) in [(&generated, &own), (&given, &cert)] {
        let url = format!("wss://{}/", proxy.address);
        let mut ws = sockeye::connect(&url).tls(trusting(trusted)).max_message(2 << 20).await.unwrap();
        for len in [0, 1, 1 << 20] {
            ws.send(vec![7; len]).await.unwrap();
            assert_eq!(ws.recv().await.unwrap(), Some(vec![7; len].into()));
        }
        ws.close(sockeye::CloseCode::NORMAL, "").await.unwrap();
        assert!(sockeye::connect(&url).await.is_err(), "nobody trusts it unasked");
    }
    let lines = generated.stop().1;
    assert!(lines.contains("binary"), "{lines}");

    // A certificate that nobody has issued.
    let untrusting = Running::start(&["proxy", "--to", &to]);
    let mut client = untrusting.connect().await;
    client.write_all(OPENING.as_bytes()).await.unwrap();
    let told = String::from_utf8(rest(&mut client).await).unwrap();
    assert!(told.starts_with("HTTP/1.1 502 ") && told.contains("--ca"), "{told}");
}

#[tokio::test]
async fn a_client_that_says_nothing_or_too_little_is_let_go() {
    let (_listener, to) = listen().await;
    let proxy = proxy(&to, &["--timeout", "1"]);
    let (mut silent, mut slow, mut asking) = (proxy.connect().await, proxy.connect().await, proxy.connect().await);
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    asking.write_all(OPENING.as_bytes()).await.unwrap();
    assert_eq!(rest(&mut silent).await, b"");
    assert!(rest(&mut slow).await.starts_with(b"HTTP/1.1 408 "));
    assert!(rest(&mut asking).await.starts_with(b"HTTP/1.1 504 "));
}

#[tokio::test]
async fn when_it_stops_its_connections_end_and_all_of_them_are_recorded() {
    let (listener, to) = listen().await;
    let record = file("stop.jsonl");
    let proxy = proxy(&to, &["--record", record.to_str().unwrap()]);
    let (mut client, mut server, _) = open(&proxy, &listener).await;
    server.write_all(SERVER).await.unwrap();
    bytes(&mut client, SERVER.len()).await;
    assert_eq!(proxy.stop().0, Some(0));
    assert_eq!((rest(&mut client).await, rest(&mut server).await), (vec![], vec![]));
    let events = events(&record);
    assert_eq!(sent(&events, 1, Server), [OPENED.as_bytes(), SERVER].concat());
    let why = "the proxy was stopped".to_owned();
    assert_eq!(events.last().unwrap().what, What::Ended(Ending::Failed(why)));
}

#[tokio::test]
async fn wrong_usage_is_told_in_a_line() {
    let ended = |arguments: &[&str]| {
        let output = sockeye().arg("proxy").args(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        (output.status.code(), text)
    };
    for (arguments, part) in [
        (&[][..], "--to"),
        (&["--to", "http//x"], "--to"),
        (&["--to", "ws://a", "--ca", "b.pem"], "wss:"),
        (&["--to", "ws://a", "--tls-cert", "b.pem"], "--tls-key"),
        (&["--to", "ws://a", "--filter", "pong ("], "column"),
        (&["--to", "ws://a", "--quiet", "--bits"], "--bits"),
        (&["--to", "wss://a", "--ca", "/nowhere.pem"], "/nowhere.pem"),
    ] {
        let (code, text) = ended(arguments);
        assert!(code == Some(2) && text.contains(part), "{arguments:?}: {code:?} {text}");
    }
    let (listener, own) = listen().await;
    drop(listener);
    let (code, text) = ended(&["--listen", &own, "--to", &format!("ws://{own}")]);
    assert!(code == Some(1) && text.contains("back to the proxy itself"), "{text}");
}
