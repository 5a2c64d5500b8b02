//! The server on a real socket: what a client sends byte by byte, and what comes back.

use std::time::Duration;

use crate::support;
use crate::support::{
    KEY, client_frame, echo, echo_server, exchange, open, read_close, read_frame, read_head, request, start,
};
use sockeye::{CloseCode, Limits, OriginPolicy, Upgrader, WebSocket};
use sockeye_proto::frame::{Header, Opcode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const WORDS: &str = "你好，世界 👋";

#[tokio::test]
async fn a_client_that_writes_one_byte_at_a_time_gets_its_message_back() {
    let mut stream = TcpStream::connect(echo_server().await).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in request("").bytes() {
        stream.write_all(&[byte]).await.unwrap();
    }
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101 "));
    for byte in client_frame(true, Opcode::TEXT, WORDS.as_bytes()) {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(read_frame(&mut stream).await, Some((true, Opcode::TEXT, WORDS.into())));
}

#[tokio::test]
async fn a_client_that_fragments_at_every_byte_with_pings_between_gets_pongs_and_its_text_back() {
    let mut stream = open(echo_server().await).await;
    for cut in 0..=WORDS.len() {
        let (first, second) = WORDS.as_bytes().split_at(cut);
        stream.write_all(&client_frame(false, Opcode::TEXT, first)).await.unwrap();
        stream.write_all(&client_frame(true, Opcode::PING, &[cut.to_le_bytes()[0]])).await.unwrap();
        assert_eq!(read_frame(&mut stream).await, Some((true, Opcode::PONG, vec![cut.to_le_bytes()[0]])));
        stream.write_all(&client_frame(true, Opcode::CONTINUATION, second)).await.unwrap();
        assert_eq!(read_frame(&mut stream).await, Some((true, Opcode::TEXT, WORDS.into())));
    }
    // Every byte in a frame of its own.
    let last = WORDS.len() - 1;
    for (i, byte) in WORDS.bytes().enumerate() {
        let opcode = if i == 0 { Opcode::TEXT } else { Opcode::CONTINUATION };
        stream.write_all(&client_frame(i == last, opcode, &[byte])).await.unwrap();
    }
    assert_eq!(read_frame(&mut stream).await, Some((true, Opcode::TEXT, WORDS.into())));
}

#[tokio::test]
async fn frames_that_come_with_the_request_are_not_lost() {
    let mut stream = TcpStream::connect(echo_server().await).await.unwrap();
    let early = [request("").into_bytes(), client_frame(true, Opcode::TEXT, b"early")].concat();
    assert!(exchange(&mut stream, &early).await.starts_with("HTTP/1.1 101 "));
    assert_eq!(read_frame(&mut stream).await, Some((true, Opcode::TEXT, b"early".to_vec())));
}

#[tokio::test]
async fn all_three_length_forms_come_back_as_they_went() {
    let address = start(|listener| {
        sockeye::serve(listener, echo).upgrader(Upgrader::default().limits(Limits::default().message(1 << 24)))
    })
    .await;
    let mut stream = open(address).await;
    for size in [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20, 1 << 24] {
        let payload: Vec<u8> = (0..size).map(|i: u32| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
        let (mut reading, mut writing) = stream.split();
        let bytes = client_frame(true, Opcode::BINARY, &payload);
        let (written, frame) = tokio::join!(writing.write_all(&bytes), read_frame(&mut reading));
        written.unwrap();
        assert!(frame == Some((true, Opcode::BINARY, payload)), "{size} bytes");
    }
}

/// Every kind of bad frame ends the connection with the code the RFC names, and with a reason that names the section.
#[tokio::test]
async fn a_broken_rule_is_answered_with_its_code_before_the_connection_ends() {
    let cases: [(&str, Vec<u8>, u16, &str); 9] = [
        ("unmasked", support::server_frame(true, Opcode::TEXT, b"Hello"), 1002, "§5.1"),
        ("RSV2", vec![0xA1, 0x80, 0, 0, 0, 0], 1002, "§5.2"),
        ("reserved opcode", client_frame(true, Opcode::from_bits(4), b""), 1002, "§5.2"),
        ("non-minimal length", vec![0x82, 0xFE, 0, 5, 0, 0, 0, 0], 1002, "§5.2"),
        ("lone continuation", client_frame(true, Opcode::CONTINUATION, b""), 1002, "§5.4"),
        ("fragmented Ping", client_frame(false, Opcode::PING, b""), 1002, "§5.5"),
        ("close code 1005", client_frame(true, Opcode::CLOSE, &1005u16.to_be_bytes()), 1002, "§7.4"),
        ("bad UTF-8", client_frame(true, Opcode::TEXT, &[0xFF]), 1007, "§8.1"),
        ("2 MiB", Header::new(true, Opcode::BINARY, 2 << 20, Some(KEY)).encode().to_vec(), 1009, "1048576"),
    ];
    let address = echo_server().await;
    for (name, bytes, code, reason) in cases {
        let mut stream = open(address).await;
        stream.write_all(&bytes).await.unwrap();
        let (sent_code, sent_reason) = read_close(&mut stream).await;
        assert_eq!(sent_code, code, "{name}");
        assert!(sent_reason.contains(reason), "{name}: {sent_reason}");
    }
}

#[tokio::test]
async fn the_answer_to_a_good_message_precedes_the_close_for_a_bad_one_that_came_with_it() {
    let mut stream = open(echo_server().await).await;
    let bytes = [client_frame(true, Opcode::TEXT, b"good"), client_frame(true, Opcode::from_bits(3), b"")].concat();
    stream.write_all(&bytes).await.unwrap();
    assert_eq!(read_frame(&mut stream).await, Some((true, Opcode::TEXT, b"good".to_vec())));
    assert_eq!(read_close(&mut stream).await.0, 1002);
}

#[tokio::test]
async fn a_close_is_echoed_and_the_server_ends_the_connection() {
    for (payload, expected) in [
        (&b""[..], &b""[..]),
        (b"\x03\xE8", b"\x03\xE8"),
        (b"\x0F\xA0\xE5\x86\x8D\xE8\xA7\x81", b"\x0F\xA0\xE5\x86\x8D\xE8\xA7\x81"),
    ] {
        let mut stream = open(echo_server().await).await;
        stream.write_all(&client_frame(true, Opcode::CLOSE, payload)).await.unwrap();
        stream.write_all(&client_frame(true, Opcode::TEXT, b"discarded")).await.unwrap();
        assert_eq!(read_frame(&mut stream).await, Some((true, Opcode::CLOSE, expected.to_vec())));
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0, "the server ends the connection first (s7.1.1)");
    }
}

#[tokio::test]
async fn the_end_of_a_handler_closes_with_1000_an_error_or_a_panic_with_1011() {
    let address = start(|listener| {
        sockeye::serve(listener, |mut ws: WebSocket| async move {
            match ws.recv().await?.as_ref().and_then(|message| message.as_text()) {
                Some("error") => Err("something went wrong".into()),
                Some("panic") => panic!("a test's panic, which the server survives"),
                _ => Ok(()),
            }
        })
    })
    .await;
    for (say, code) in [("end", 1000), ("error", 1011), ("panic", 1011), ("end", 1000)] {
        let mut stream = open(address).await;
        stream.write_all(&client_frame(true, Opcode::TEXT, say.as_bytes())).await.unwrap();
        let (_, opcode, payload) = read_frame(&mut stream).await.unwrap();
        assert_eq!(opcode, Opcode::CLOSE);
        assert_eq!(payload, u16::to_be_bytes(code), "{say}");
        stream.write_all(&client_frame(true, Opcode::CLOSE, &payload)).await.unwrap();
        assert!(read_frame(&mut stream).await.is_none());
    }
}

#[tokio::test]
async fn a_websocket_that_its_handler_gave_away_stays_open() {
    let (give, mut given) = tokio::sync::mpsc::unbounded_channel();
    let address = start(|listener| {
        sockeye::serve(listener, move |ws: WebSocket| {
            let give = give;
            async move { give.send(ws).map_err(|_| "nobody takes it".into()) }
        })
    })
    .await;
    let mut stream = open(address).await;
    let ws = given.recv().await.unwrap();
    ws.send("from elsewhere").await.unwrap();
    assert_eq!(read_frame(&mut stream).await, Some((true, Opcode::TEXT, b"from elsewhere".to_vec())));
    // Dropped while open, it says that it goes away.
    drop(ws);
    assert_eq!(read_close(&mut stream).await, (1001, String::new()));
}

#[tokio::test]
async fn a_client_that_vanishes_is_an_error_for_the_handler_not_an_end() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let address = start(|listener| {
        sockeye::serve(listener, move |mut ws: WebSocket| {
            let tell = tell;
            async move {
                let ended = ws.recv().await;
                tell.send((ended, ws.close_reason())).unwrap();
                Ok(())
            }
        })
    })
    .await;
    drop(open(address).await);
    let (ended, reason) = told.recv().await.unwrap();
    assert!(matches!(ended, Err(sockeye::Error::Aborted)), "{ended:?}");
    assert_eq!(ended.unwrap_err().close_code(), Some(CloseCode::ABNORMAL_CLOSURE));
    assert_eq!(reason, None);
}

#[tokio::test]
async fn what_is_no_request_for_a_websocket_is_refused_with_its_status() {
    let without = |line: &str| request("").replace(line, "");
    let cases = [
        ("POST", request("").replace("GET", "POST"), "405"),
        ("HTTP/1.0", request("").replace("HTTP/1.1", "HTTP/1.0"), "400"),
        ("no Host", without("Host: server.example.com\r\n"), "400"),
        ("no Upgrade", without("Upgrade: websocket\r\n"), "426"),
        ("Upgrade: h2c", request("").replace("Upgrade: websocket", "Upgrade: h2c"), "426"),
        ("no Connection", without("Connection: Upgrade\r\n"), "400"),
        ("Connection: not-upgrade", request("").replace("Connection: Upgrade", "Connection: not-upgrade"), "400"),
        ("no version", without("Sec-WebSocket-Version: 13\r\n"), "426"),
        ("version 8", request("").replace("Version: 13", "Version: 8"), "426"),
        ("versions 13 and 8", request("Sec-WebSocket-Version: 8\r\n"), "426"),
        ("no key", without("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "400"),
        ("two keys", request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "400"),
        ("key of 15 bytes", request("").replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"), "400"),
        ("key not base64", request("").replace("dGhlIHNhbXBsZSBub25jZQ==", "??????????????????????=="), "400"),
        ("a body", request("Content-Length: 5\r\n") + "Hello", "400"),
        ("a chunked body", request("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n", "400"),
        ("another page", request("Origin: https://evil.example.org\r\n"), "403"),
        ("subprotocol twice", request("Sec-WebSocket-Protocol: chat, chat\r\n"), "400"),
        ("no HTTP at all", "\x16\x03\x01\x02\r\n\r\n".to_owned(), "400"),
        ("a long head", request(&format!("X: {}\r\n", "x".repeat(9_000))), "431"),
        ("many headers", request(&"X: y\r\n".repeat(200)), "431"),
    ];
    let address = echo_server().await;
    for (name, request, status) in cases {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = exchange(&mut stream, request.as_bytes()).await;
        assert!(head.contains(&format!(" {status} ")), "{name}: {head}");
        if status == "426" {
            assert!(head.to_ascii_lowercase().contains("sec-websocket-version: 13\r\n"), "{name}: {head}");
        }
    }
}

#[tokio::test]
async fn requests_in_other_words_are_accepted() {
    let cases = [
        ("lists", request("").replace("Connection: Upgrade", "Connection: keep-alive, Upgrade")),
        ("letter case", request("").replace("Upgrade: websocket", "UPGRADE: WebSocket")),
        ("the same host", request("Origin: http://server.example.com\r\n")),
        ("an empty body", request("Content-Length: 0\r\n")),
        ("an extension we do not have", request("Sec-WebSocket-Extensions: permessage-deflate\r\n")),
    ];
    let address = echo_server().await;
    for (name, request) in cases {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = exchange(&mut stream, request.as_bytes()).await.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{name}: {head}");
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{name}: {head}");
        assert!(head.contains("connection: upgrade\r\n"), "{name}: {head}");
        assert!(!head.contains("sec-websocket-extensions"), "{name}: {head}");
    }
}

#[tokio::test]
async fn the_server_s_favourite_subprotocol_is_chosen_and_none_that_was_not_offered() {
    let upgrader = Upgrader::default().subprotocols(["v2", "v1"]).origin(OriginPolicy::Any);
    let address = start(|listener| {
        sockeye::serve(listener, |ws: WebSocket| async move {
            let chosen = ws.subprotocol().unwrap_or("none").to_owned();
            Ok(ws.send(chosen).await?)
        })
        .upgrader(upgrader)
    })
    .await;
    for (offer, chosen) in [("v1, v2, v3", Some("v2")), ("v1", Some("v1")), ("v3", None), ("V2", None)] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = exchange(&mut stream, request(&format!("Sec-WebSocket-Protocol: {offer}\r\n")).as_bytes()).await;
        let header = head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(header, chosen, "{head}");
        let (_, _, said) = read_frame(&mut stream).await.unwrap();
        assert_eq!(said, chosen.unwrap_or("none").as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_finish_its_request_is_let_go_after_ten_seconds() {
    let address = echo_server().await;
    let started = tokio::time::Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut request = request("").into_bytes();
    request.truncate(60);
    stream.write_all(&request).await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(10), "{:?}", started.elapsed());
}
