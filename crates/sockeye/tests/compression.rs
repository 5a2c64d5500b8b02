//! permessage-deflate (RFC 7692) on a real socket: what is agreed on, what is compressed, what is refused.

use std::sync::Arc;

use crate::support;
use crate::support::{echo, exchange, open, read_close, read_frame, request, start};
use sockeye::{CloseCode, Compression, Error, Limits, Message, Prepared, Upgrader, Violation, WebSocket};
use sockeye_proto::frame::{Header, Opcode, Parse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

async fn server(compression: Compression) -> std::net::SocketAddr {
    start(|listener| sockeye::serve(listener, echo).upgrader(Upgrader::default().compression(compression))).await
}

/// A client that writes its frames by hand, on a connection with permessage-deflate.
async fn open_compressed(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = exchange(&mut stream, request(OFFER).as_bytes()).await;
    assert!(head.contains("sec-websocket-extensions: permessage-deflate"), "{head}");
    stream
}

/// A masked frame with RSV1.
fn compressed_frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = support::client_frame(fin, opcode, payload);
    bytes[0] |= 0x40;
    bytes
}

/// "Hello" as RFC 7692 §7.2.3.1 has it.
const HELLO: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

#[tokio::test]
async fn the_examples_of_the_rfc_are_understood() {
    let address = server(Compression::takeover()).await;
    let mut stream = open_compressed(address).await;
    for (name, frames) in [
        ("7.2.3.1, whole", compressed_frame(true, Opcode::TEXT, HELLO)),
        (
            "7.2.3.1, in fragments",
            [
                compressed_frame(false, Opcode::TEXT, &HELLO[..3]),
                support::client_frame(true, Opcode::PING, b""),
                support::client_frame(true, Opcode::CONTINUATION, &HELLO[3..]),
            ]
            .concat(),
        ),
        ("7.2.3.2, the window goes on", compressed_frame(true, Opcode::TEXT, &[0xf2, 0x00, 0x11, 0x00, 0x00])),
        (
            "7.2.3.3, a block without compression",
            compressed_frame(true, Opcode::TEXT, b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),
        ),
        (
            "7.2.3.4, a final block",
            compressed_frame(true, Opcode::TEXT, &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]),
        ),
        (
            "7.2.3.5, two blocks",
            compressed_frame(true, Opcode::TEXT, b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"),
        ),
    ] {
        stream.write_all(&frames).await.unwrap();
        let (_, mut opcode, mut payload) = read_frame(&mut stream).await.expect(name);
        if opcode == Opcode::PONG {
            (_, opcode, payload) = read_frame(&mut stream).await.expect(name);
        }
        assert_eq!((opcode, &payload[..]), (Opcode::TEXT, &b"Hello"[..]), "{name}");
    }
    // §7.2.3.6: an empty message.
    stream.write_all(&compressed_frame(true, Opcode::TEXT, &[0x00])).await.unwrap();
    assert_eq!(read_frame(&mut stream).await, Some((true, Opcode::TEXT, vec![])));
}

#[tokio::test]
async fn messages_from_the_threshold_up_leave_compressed_where_that_was_agreed_on() {
    let address = server(Compression::no_takeover()).await;
    let long = "好".repeat(1_000);
    for (offer, text, compressed) in [(OFFER, &long[..], true), (OFFER, "short", false), ("", &long[..], false)] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        exchange(&mut stream, request(offer).as_bytes()).await;
        stream.write_all(&support::client_frame(true, Opcode::TEXT, text.as_bytes())).await.unwrap();
        let mut head = [0; 2];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(head[0], if compressed { 0xC1 } else { 0x81 }, "{offer} {} bytes", text.len());
    }
}

#[tokio::test]
async fn a_client_that_does_not_offer_it_may_not_set_rsv1() {
    for bytes in [compressed_frame(true, Opcode::TEXT, HELLO), compressed_frame(true, Opcode::PING, b"")] {
        let mut stream = open(server(Compression::no_takeover()).await).await;
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(read_close(&mut stream).await.0, 1002);
    }
}

#[tokio::test]
async fn rsv1_means_nothing_on_control_and_continuation_frames() {
    let address = server(Compression::no_takeover()).await;
    for bytes in [
        compressed_frame(true, Opcode::PING, b""),
        compressed_frame(true, Opcode::CLOSE, b"\x03\xE8"),
        [compressed_frame(false, Opcode::TEXT, &HELLO[..3]), compressed_frame(true, Opcode::CONTINUATION, &HELLO[3..])]
            .concat(),
    ] {
        let mut stream = open_compressed(address).await;
        stream.write_all(&bytes).await.unwrap();
        assert_eq!(read_close(&mut stream).await.0, 1002);
    }
}

#[tokio::test]
async fn corrupt_data_is_refused_with_1007_and_bad_utf8_inside_too() {
    let address = server(Compression::no_takeover()).await;
    for (name, payload) in [
        ("a block of type 3", &[0x07][..]),
        ("a reference to before the beginning", &[0x02, 0x03, 0x80]),
        // A stored block: length 1, its complement, and a byte that no UTF-8 text has.
        ("not UTF-8", &[0x00, 0x01, 0x00, 0xfe, 0xff, 0xff, 0x00]),
    ] {
        let mut stream = open_compressed(address).await;
        stream.write_all(&compressed_frame(true, Opcode::TEXT, payload)).await.unwrap();
        assert_eq!(read_close(&mut stream).await.0, 1007, "{name}");
    }
}

/// What one message of zeros deflates to: about a thousandth.
fn bomb(bytes: usize) -> Vec<u8> {
    let (tell, params) = {
        let compression = Compression::no_takeover().window_bits(15).level(9);
        let offered = sockeye_proto::deflate::offer(&compression).unwrap();
        let headers = http::HeaderMap::from_iter([(http::header::SEC_WEBSOCKET_EXTENSIONS, offered)]);
        (compression, sockeye_proto::deflate::accept(&headers, &compression).unwrap().unwrap().1)
    };
    let mut payload = bytes::BytesMut::new();
    let mut deflater = sockeye_proto::deflate::Deflater::new(&tell, params, sockeye::Role::Server);
    assert!(deflater.compress(&vec![0; bytes], &mut payload));
    payload.to_vec()
}

#[tokio::test]
async fn a_bomb_is_refused_with_1009_by_server_and_client() {
    let bomb = bomb(50 << 20);
    assert!(bomb.len() < 100_000);
    let mut stream = open_compressed(server(Compression::no_takeover()).await).await;
    stream.write_all(&compressed_frame(true, Opcode::BINARY, &bomb)).await.unwrap();
    let (code, reason) = read_close(&mut stream).await;
    assert_eq!(code, 1009, "{reason}");
    assert!(reason.contains("1048576"), "{reason}");

    let address = start(move |listener| {
        sockeye::serve(listener, |mut ws: WebSocket| async move {
            ws.send(vec![0; 50 << 20]).await?;
            while ws.recv().await?.is_some() {}
            Ok(())
        })
        .upgrader(Upgrader::default().compression(Compression::no_takeover()))
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).compression(Compression::no_takeover()).await.unwrap();
    let error = ws.recv().await.unwrap_err();
    assert_eq!(error.close_code(), Some(CloseCode::MESSAGE_TOO_BIG));
}

#[tokio::test]
async fn every_combination_of_settings_carries_messages_of_every_size() {
    let settings = [
        Compression::OFF,
        Compression::no_takeover(),
        Compression::takeover(),
        Compression::takeover().window_bits(9).peer_window_bits(9).level(9).threshold(0),
        Compression::no_takeover().window_bits(15).level(1).threshold(0),
    ];
    for of_server in settings {
        let address = start(|listener| {
            let limits = Limits::default().message(8 << 20);
            sockeye::serve(listener, echo).upgrader(Upgrader::default().compression(of_server).limits(limits))
        })
        .await;
        for of_client in settings {
            let connect = sockeye::connect(format!("ws://{address}/")).max_message(8 << 20);
            let mut ws = match connect.compression(of_client).await {
                Ok(ws) => ws,
                Err(error) => panic!("{of_client:?} with {of_server:?}: {error}"),
            };
            for size in [0, 1, 125, 126, 511, 512, 4_096, 65_535, 65_536, 5_000_000] {
                let text: String = "{\"name\":\"你好\",\"n\":17}".chars().cycle().take(size / 2).collect();
                let random: Vec<u8> = (0..size).map(|i: usize| (i.wrapping_mul(i) >> 3).to_le_bytes()[1]).collect();
                for message in [Message::from(text), Message::from(random)] {
                    ws.send(message.clone()).await.unwrap();
                    assert!(ws.recv().await.unwrap() == Some(message), "{size}: {of_client:?} with {of_server:?}");
                }
            }
            ws.close(CloseCode::NORMAL, "").await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_secret_leaves_uncompressed() {
    let address = start(|listener| {
        sockeye::serve(listener, |ws: WebSocket| async move {
            ws.send("x".repeat(1_000)).await?;
            ws.send_uncompressed("x".repeat(1_000)).await?;
            ws.send("x".repeat(1_000)).await?;
            Ok(())
        })
        .upgrader(Upgrader::default().compression(Compression::takeover()))
    })
    .await;
    let mut ws = sockeye::connect(format!("ws://{address}/")).compression(Compression::takeover()).await.unwrap();
    for _ in 0..3 {
        assert!(ws.recv().await.unwrap() == Some(Message::from("x".repeat(1_000))));
    }
    let mut stream = open_compressed(address).await;
    let mut bits = Vec::new();
    let mut bytes = Vec::new();
    while bits.len() < 3 {
        bytes.push(stream.read_u8().await.unwrap());
        if let Parse::Complete(header) = Header::parse(&bytes) {
            bits.push(header.rsv(1));
            let mut payload = vec![0; usize::try_from(header.payload_len()).unwrap()];
            stream.read_exact(&mut payload).await.unwrap();
            bytes.clear();
        }
    }
    assert_eq!(bits, [true, false, true]);
}

#[tokio::test]
async fn a_prepared_message_reaches_connections_of_every_kind() {
    let news = Arc::new(Prepared::from("the same for everybody, ".repeat(100)));
    let expected = news.message().clone();
    for of_server in [Compression::OFF, Compression::no_takeover(), Compression::takeover()] {
        let news = Arc::clone(&news);
        let address = start(|listener| {
            sockeye::serve(listener, move |ws: WebSocket| async move {
                for _ in 0..2 {
                    ws.send("something else between them, ".repeat(50)).await?;
                    ws.send_prepared(&news).await?;
                }
                Ok(())
            })
            .upgrader(Upgrader::default().compression(of_server))
        })
        .await;
        for of_client in [Compression::OFF, Compression::no_takeover(), Compression::takeover()] {
            let mut ws = sockeye::connect(format!("ws://{address}/")).compression(of_client).await.unwrap();
            for _ in 0..2 {
                assert!(ws.recv().await.unwrap().is_some());
                assert_eq!(ws.recv().await.unwrap().as_ref(), Some(&expected), "{of_client:?} with {of_server:?}");
            }
            // A client sends it, too, masked for itself.
            let other = sockeye::connect(format!("ws://{address}/")).compression(of_client).await.unwrap();
            other.send_prepared(&Prepared::new(expected.clone())).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_error_in_a_compressed_message_names_its_rule() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = support::read_head(&mut stream).await;
        let accept = support::accept_for(&head);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Extensions: permessage-deflate; \
             server_no_context_takeover; client_no_context_takeover\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let header = Header::new(true, Opcode::TEXT, 1, None).compressed().encode();
        stream.write_all(&[&header[..], &[0x07]].concat()).await.unwrap();
        while read_frame(&mut stream).await.is_some() {}
    });
    let mut ws = sockeye::connect(url).compression(Compression::no_takeover()).await.unwrap();
    let error = ws.recv().await.unwrap_err();
    assert!(
        matches!(&error, Error::Protocol(sockeye::ProtocolError::Violation(Violation::CorruptDeflate))),
        "{error:?}"
    );
    assert!(error.to_string().contains("RFC 7692"), "{error}");
}
