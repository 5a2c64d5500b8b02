//! `sockeye replay` as the ends of connections meet it: what it says, when, and what it makes of the answers.

#[expect(dead_code, reason = "each test uses a part of it")]
mod running;

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use http::HeaderValue;
use running::{Running, bytes, head, listen, rest, sockeye};
use serde_json::Value;
use sockeye::{Compression, Message};
use sockeye_proto::Role::{self, Client, Server};
use sockeye_proto::handshake::{Key, accept as accept_of};
use sockeye_traffic::recording::{Options, Recorder};
use sockeye_traffic::{Ending, Ends, Event, What};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

const REQUEST: &str = "GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nCookie: session=secret\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const HELLO: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
const ANSWER: &[u8] = b"\x81\x05Hello";

/// A file of this test's own that is not there yet.
fn file(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("replay-{name}"));
    let _ = std::fs::remove_file(&path);
    path
}

/// Something that was recorded: when, in milliseconds, on which connection, who, and what; with nothing to say it ended.
type Said<'a> = (u64, u64, Role, &'a [u8]);

fn recorded(name: &str, all: &[Said<'_>]) -> PathBuf {
    let path = file(name);
    let mut recorder = Recorder::create(&path, Options::default()).unwrap();
    let mut open = Vec::new();
    for &(at, connection, from, bytes) in all {
        let time = Duration::from_millis(at);
        if !open.contains(&connection) {
            open.push(connection);
            recorder.write(&Event { connection, time, what: What::Opened(Ends::default()) }).unwrap();
        }
        let what = match bytes {
            b"" => What::Ended(Ending::Closed(Some(from))),
            bytes => What::Bytes { from, bytes: bytes.to_vec().into(), redacted: false },
        };
        recorder.write(&Event { connection, time, what }).unwrap();
    }
    recorder.flush().unwrap();
    path
}

fn replay(file: &Path, to: &str, arguments: &[&str]) -> Child {
    let mut command = sockeye();
    command.arg("replay").arg(file).arg("--to").arg(format!("ws://{to}")).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits for its end: exit status, standard output, standard error.
async fn ended(child: Child) -> (i32, String, String) {
    let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    let Output { status, stdout, stderr } = output;
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Takes a client, reads its request, and opens its WebSocket.
async fn accept(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let request = head(&mut stream).await;
    stream.write_all(RESPONSE.as_bytes()).await.unwrap();
    (stream, request)
}

#[tokio::test]
async fn what_went_through_the_proxy_is_replayed_without_a_difference() {
    let server = Running::start(&["serve", "--compression"]);
    let path = file("echo.jsonl");
    let to = format!("ws://{}/echo", server.address);
    let proxy = Running::start(&["proxy", "--quiet", "--to", &to, "--record", path.to_str().unwrap()]);
    for compression in [Compression::OFF, Compression::default()] {
        let url = format!("ws://{}/", proxy.address);
        let mut ws = sockeye::connect(url).compression(compression).max_message(1 << 20).await.unwrap();
        for message in [Message::from("你好".repeat(1000)), vec![7; 200_000].into(), "".into()] {
            ws.send(message.clone()).await.unwrap();
            assert_eq!(ws.recv().await.unwrap(), Some(message));
        }
        ws.close(sockeye::CloseCode::NORMAL, "bye").await.unwrap();
    }
    assert_eq!(proxy.stop().0, Some(0));
    for arguments in [&[][..], &["--as-fast-as-possible"], &["--speed", "3", "--exact"]] {
        let to = format!("{}/echo", server.address);
        let (code, out, errors) = ended(replay(&path, &to, arguments)).await;
        // Two heads, two times three messages and a Close.
        assert_eq!(out, "connections replayed: 2, frames compared: 10, no difference\n", "{errors}");
        assert_eq!((code, errors.as_str()), (0, ""));
    }
}

#[tokio::test]
async fn bytes_are_sent_as_they_were_with_the_hosts_name_and_fields_of_ones_own() {
    let (listener, to) = listen().await;
    let said = [REQUEST.as_bytes(), HELLO].concat();
    let path =
        recorded("bytes.jsonl", &[(0, 1, Client, &said), (0, 1, Server, RESPONSE.as_bytes()), (0, 1, Client, b"")]);
    let child = replay(&path, &to, &["--header", "Cookie: session=mine"]);
    let (mut server, request) = accept(&listener).await;
    let expected = REQUEST.replace("example.com", &to).replace("Cookie: session=secret\r\n", "");
    assert_eq!(request, expected.replace("==\r\n", "==\r\ncookie: session=mine\r\n"));
    assert_eq!(rest(&mut server).await, HELLO);
    let (code, _, errors) = ended(child).await;
    assert!(code == 0 && errors.contains("--header"), "{errors}");
}

#[tokio::test]
async fn the_first_difference_is_shown() {
    let (listener, to) = listen().await;
    let said: &[Said<'_>] = &[
        (0, 1, Client, REQUEST.as_bytes()),
        (1, 1, Server, RESPONSE.as_bytes()),
        (2, 1, Client, HELLO),
        (3, 1, Server, b"\x8a\x01a\x8a\x01b"),
        (3, 1, Server, ANSWER),
        (4, 1, Server, b""),
    ];
    let path = recorded("differs.jsonl", said);
    for (answer, why) in [
        (&b"\x8a\x01b\x81\x05Hello"[..], ""),
        (b"\x81\x05Hello\x8a\x01a\x89\x00\x8a\x01b", ""),
        (b"\x81\x05HelLo\x8a\x01b", "the payload differs from byte 3 on"),
        (b"\x81\x04Hell\x8a\x01b", "the payload had 5 bytes, and has 4"),
        (b"\x82\x05Hello\x8a\x01b", "the opcode differs"),
        (b"\x01\x05Hello\x8a\x01b", "FIN differs"),
        (b"\xc1\x05Hello\x8a\x01b", "RSV1 differs"),
        (b"\x81\x85\0\0\0\0Hello\x8a\x01b", "MASK differs"),
        (b"\x8a\x01b\x81\x05Hello\x81\x00", "something came behind all that was recorded"),
        (b"\x81\x05Hello\x8a\x01a", "the server has ended the connection"),
        (b"\x8a\x01a\x8a\x01b", "the server has ended the connection"),
    ] {
        let child = replay(&path, &to, &["--as-fast-as-possible", "--format", "json"]);
        let (mut server, _) = accept(&listener).await;
        assert_eq!(bytes(&mut server, HELLO.len()).await, HELLO);
        server.write_all(answer).await.unwrap();
        server.shutdown().await.unwrap();
        let (code, out, errors) = ended(child).await;
        let records: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let said = format!("{answer:?}: {out}{errors}");
        assert_eq!(records.last().unwrap()["differences"], i32::from(!why.is_empty()), "{said}");
        assert_eq!(code, i32::from(!why.is_empty()), "{said}");
        if !why.is_empty() {
            assert_eq!(records[0]["message"], why, "{said}");
        }
    }
    let child = replay(&path, &to, &["--timeout", "1"]);
    let (server, _) = accept(&listener).await;
    let (code, out, _) = ended(child).await;
    let expected = "connection 1 differs: nothing came for 1s\n recorded: ";
    assert!(
        code == 1 && out.starts_with(expected) && out.contains("\"Hello\"") && out.contains("came: nothing"),
        "{out}"
    );
    drop(server);
    let child = replay(&path, &to, &[]);
    let (mut server, _) = listener.accept().await.unwrap();
    head(&mut server).await;
    server.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
    let (code, out, _) = ended(child).await;
    assert!(code == 1 && out.contains("the status was 101, and is 403"), "{out}");
    drop(listener);
    let (code, out, _) = ended(replay(&path, &to, &[])).await;
    assert!(code == 1 && out.contains("connection refused"), "{out}");
}

#[tokio::test]
async fn times_are_kept_or_divided_or_left_out() {
    let (listener, to) = listen().await;
    let said: &[Said<'_>] = &[
        // Nobody waits for the first one.
        (3_600_000, 1, Client, REQUEST.as_bytes()),
        (3_600_001, 1, Server, RESPONSE.as_bytes()),
        (3_600_600, 1, Client, HELLO),
    ];
    let path = recorded("times.jsonl", said);
    let slow = recorded("slow.jsonl", &[said[0], said[1], (2_000_000_000, 1, Client, HELLO)]);
    for (path, arguments, least) in [
        (&path, &[][..], 590),
        (&path, &["--speed", "3"], 190),
        (&path, &["--speed", "0.5"], 1190),
        (&slow, &["--as-fast-as-possible"], 0),
        (&slow, &["--speed", "1000000"], 1900),
    ] {
        // Before it has sent anything, as whoever looks later sees less of it.
        let began = Instant::now();
        let child = replay(path, &to, arguments);
        let (mut stream, _) = accept(&listener).await;
        assert_eq!(bytes(&mut stream, HELLO.len()).await, HELLO);
        // How much longer it takes depends on the machine.
        assert!(began.elapsed() >= Duration::from_millis(least), "{arguments:?}: {:?}", began.elapsed());
        drop(stream);
        assert_eq!(ended(child).await.0, 0);
    }
}

#[tokio::test]
async fn nothing_is_said_before_what_had_been_said_before_on_whichever_connection() {
    let (listener, to) = listen().await;
    let said: &[Said<'_>] = &[
        (0, 1, Client, REQUEST.as_bytes()),
        (0, 1, Server, RESPONSE.as_bytes()),
        (0, 2, Client, REQUEST.as_bytes()),
        (0, 2, Server, RESPONSE.as_bytes()),
        (0, 2, Server, ANSWER),
        (0, 1, Client, HELLO),
        (0, 1, Client, b""),
        (0, 2, Client, b""),
    ];
    let path = recorded("order.jsonl", said);
    let child = replay(&path, &to, &["--as-fast-as-possible"]);
    let (mut one, _) = accept(&listener).await;
    let (mut two, _) = accept(&listener).await;
    let early = tokio::time::timeout(Duration::from_millis(200), bytes(&mut one, 1)).await;
    assert!(early.is_err(), "it must never come");
    two.write_all(ANSWER).await.unwrap();
    assert_eq!(rest(&mut one).await, HELLO);
    assert_eq!(rest(&mut two).await, b"");
    let (code, out, _) = ended(child).await;
    assert!(code == 0 && out.starts_with("connections replayed: 2, frames compared: 3, no difference"), "{out}");
}

#[tokio::test]
async fn the_servers_part_is_played_for_clients_that_connect() {
    let said: &[Said<'_>] = &[
        (0, 1, Client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (0, 1, Server, b"HTTP/1.1 200 OK\r\n\r\n"),
        (0, 1, Server, b""),
        (5, 2, Client, REQUEST.as_bytes()),
        (6, 2, Server, RESPONSE.as_bytes()),
        (6, 2, Server, b"\x89\x00"),
        (7, 2, Client, b"\x8a\x80\0\0\0\0"),
        (8, 2, Client, HELLO),
        (9, 2, Server, ANSWER),
        (10, 2, Client, b"\x88\x80\0\0\0\0"),
        (11, 2, Server, b"\x88\x00"),
        (12, 2, Server, b""),
    ];
    let recording = recorded("server.jsonl", said);
    let key = Key::parse(&HeaderValue::from_static("AQIDBAUGBwgJCgsMDQ4PEA==")).unwrap();
    let accepted = accept_of(&key).to_str().unwrap().to_owned();
    for (letter, path, difference) in [
        (b'e', "/chat", None),
        (b'a', "/chat", Some("the payload differs from byte 1 on")),
        (b'e', "/other", Some("the request was GET /chat, and is GET /other")),
    ] {
        let replay = Running::start(&["replay", recording.to_str().unwrap()]);
        let mut client = replay.connect().await;
        let request = REQUEST.replace("dGhlIHNhbXBsZSBub25jZQ==", "AQIDBAUGBwgJCgsMDQ4PEA==").replace("/chat", path);
        client.write_all(request.as_bytes()).await.unwrap();
        if path == "/chat" {
            let expected = RESPONSE.replace("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", &accepted);
            assert_eq!(head(&mut client).await, expected);
            assert_eq!(bytes(&mut client, 2).await, b"\x89\x00");
            // Another mask than the recorded one is no difference.
            let hello = [b"\x8a\x80\x09\x09\x09\x09\x81\x85\0\0\0\0H", &[letter][..], b"llo"].concat();
            client.write_all(&hello).await.unwrap();
        }
        if difference.is_none() {
            assert_eq!(bytes(&mut client, ANSWER.len()).await, ANSWER);
            client.write_all(b"\x88\x80\0\0\0\0").await.unwrap();
            assert_eq!(rest(&mut client).await, b"\x88\x00");
        } else {
            assert_eq!(rest(&mut client).await, b"");
        }
        drop(client);
        let (code, out, errors) = replay.ended();
        assert_eq!(code, Some(i32::from(difference.is_some())), "{out}");
        assert!(
            out.contains(difference.unwrap_or("connections replayed: 1, frames compared: 4, no difference")),
            "{out}"
        );
        assert!(errors.contains("ask for no WebSocket, and are not replayed: 1"), "{errors}");
    }
}

#[tokio::test]
async fn what_cannot_be_replayed_is_told() {
    let run = |arguments: &[&str]| {
        let output = sockeye().arg("replay").args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let to = ["--to", "ws://127.0.0.1:9"];
    let empty = recorded("empty.jsonl", &[]);
    let other = file("other.txt");
    std::fs::write(&other, "hello").unwrap();
    let cut = recorded("cut.jsonl", &[(0, 1, Client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), (0, 1, Server, b"x")]);
    let text = std::fs::read_to_string(&cut).unwrap();
    std::fs::write(&cut, &text[..text.len() - 10]).unwrap();
    for (file, code, part) in [
        ("/nowhere", 2, "no such file"),
        (other.to_str().unwrap(), 2, "no recording and no capture"),
        (empty.to_str().unwrap(), 1, "nothing in it to replay"),
        (cut.to_str().unwrap(), 1, "line 4"),
    ] {
        let (status, said) = run(&[&[file], &to[..]].concat());
        assert!(status == code && said.contains(part), "{file}: {status} {said}");
    }
    for arguments in
        [&["x.jsonl"][..], &["x.jsonl", "--to", "ws://a", "--listen", "127.0.0.1:0"], &["x", "--speed", "0"]]
    {
        assert_eq!(run(arguments).0, 2);
    }
}
