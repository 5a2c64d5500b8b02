//! The client against servers that answer wrong, and against our own.

use std::net::SocketAddr;

use crate::support::{accept_for, client_frame, echo_server, read_close, read_frame, read_head, server_frame, start};
use sockeye::{CloseCode, Error, HandshakeError, Message, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// A server that reads one request, answers with this text, and goes on as told. `{accept}` stands for the right answer
/// to the key.
async fn answering<F>(response: &'static str, then: impl FnOnce(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        let response = response.replace("{accept}", &accept_for(&head));
        stream.write_all(response.as_bytes()).await.unwrap();
        then(stream).await;
    });
    address
}

const GOOD: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: {accept}\r\n\r\n";

async fn opened(then: impl FnOnce(TcpStream) -> futures::Ended + Send + 'static) -> WebSocket {
    let address = answering(GOOD, then).await;
    sockeye::connect(format!("ws://{address}/")).await.unwrap()
}

mod futures {
    pub(crate) type Ended = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
}

#[tokio::test]
async fn a_response_that_does_not_answer_the_request_is_refused_by_name() {
    let cases: [(&str, HandshakeError); 9] = [
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n",
            HandshakeError::Upgrade,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket, h2c\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n",
            HandshakeError::Upgrade,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n",
            HandshakeError::Connection,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            HandshakeError::Accept,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            HandshakeError::Accept,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n",
            HandshakeError::Accept,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: unasked\r\n\r\n",
            HandshakeError::Subprotocol,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: CHAT\r\n\r\n",
            HandshakeError::Subprotocol,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
            HandshakeError::Extension(sockeye_proto::deflate::NegotiationError::NotOffered),
        ),
    ];
    for (response, expected) in cases {
        let address = answering(response, |stream| async { drop(stream) }).await;
        match sockeye::connect(format!("ws://{address}/")).subprotocol("chat").await {
            Err(Error::Handshake(error)) => assert_eq!(error, expected, "{response}"),
            other => panic!("{response}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_no_http_is_an_error_and_a_head_without_end_is_cut_short() {
    for response in ["SSH-2.0-OpenSSH_9.2\r\n", "", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: webs"] {
        let address = answering(response, |stream| async { drop(stream) }).await;
        let error = sockeye::connect(format!("ws://{address}/")).await.unwrap_err();
        assert!(matches!(error, Error::Http(_)), "{error:?}");
    }
    let address = answering("HTTP/1.1 101 Switching Protocols\r\n", |mut stream| async move {
        while stream.write_all(b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").await.is_ok() {}
    })
    .await;
    let error = sockeye::connect(format!("ws://{address}/")).await.unwrap_err();
    assert!(matches!(error, Error::Http(_)), "{error:?}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_anything_is() {
    for url in [
        "http://127.0.0.1/",
        "127.0.0.1:80",
        "ws://",
        "ws://127.0.0.1/#top",
        "ws://user:p%ss@127.0.0.1/",
        "ws://127.0.0.1:99999/",
        "ws://127.0.0.1/a b",
        "ws://127.0.0.1/a\r\nX: y",
    ] {
        let error = sockeye::connect(url).await.unwrap_err();
        assert!(matches!(error, Error::Handshake(HandshakeError::Url(_))), "{url:?}: {error:?}");
    }
    let connect = || sockeye::connect("ws://127.0.0.1:9/");
    for (attempt, expected) in [
        (connect().header("X-Bad", "a\r\nY: z"), HandshakeError::InvalidHeader),
        (connect().header("Bad Name", "x"), HandshakeError::InvalidHeader),
        (
            connect().header("Sec-WebSocket-Key", "mine"),
            HandshakeError::ReservedHeader(http::header::SEC_WEBSOCKET_KEY),
        ),
        (connect().header("Content-Length", "3"), HandshakeError::ReservedHeader(http::header::CONTENT_LENGTH)),
        (connect().subprotocol("a b"), HandshakeError::InvalidSubprotocol("a b".into())),
        (connect().subprotocol("a").subprotocol("a"), HandshakeError::InvalidSubprotocol("a".into())),
    ] {
        match attempt.await {
            Err(Error::Handshake(error)) => assert_eq!(error, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn without_tls_a_wss_url_is_refused_and_the_feature_named() {
    let error = sockeye::connect("wss://example.com/").await.unwrap_err();
    assert!(matches!(error, Error::Tls(_)), "{error:?}");
    let said = "no TLS with example.com: this program is built without the feature `ring` or `aws-lc` of sockeye";
    assert_eq!(error.to_string(), said);
}

#[tokio::test]
async fn a_server_that_nobody_runs_is_an_io_error() {
    // A port that was just free.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(matches!(sockeye::connect(format!("ws://{address}/")).await, Err(Error::Io(_))));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up_after_ten_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let started = tokio::time::Instant::now();
    let error = sockeye::connect(format!("ws://{}/", listener.local_addr().unwrap())).await.unwrap_err();
    assert!(error.is_timeout());
    assert!(started.elapsed().as_secs() >= 10);
}

#[tokio::test]
async fn the_request_says_what_the_caller_wants_and_what_the_rfc_asks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let attempt = sockeye::connect(format!("ws://{address}/chat?room=%E4%BD%A0"))
        .header("Authorization", "Bearer token")
        .subprotocol("v2")
        .subprotocol("v1");
    let attempt = tokio::spawn(attempt.into_future());
    let (mut stream, _) = listener.accept().await.unwrap();
    let head = read_head(&mut stream).await.to_ascii_lowercase();
    attempt.abort();
    assert!(head.starts_with("get /chat?room=%e4%bd%a0 http/1.1\r\n"), "{head}");
    for line in [
        &format!("host: {address}\r\n"),
        "upgrade: websocket\r\n",
        "connection: upgrade\r\n",
        "sec-websocket-version: 13\r\n",
        "sec-websocket-protocol: v2, v1\r\n",
        "authorization: bearer token\r\n",
    ] {
        assert!(head.contains(line), "{line:?} in {head}");
    }
    assert!(!head.contains("sec-websocket-extensions"));
}

#[tokio::test]
async fn frames_glued_to_the_101_are_not_lost() {
    let mut ws = opened(|mut stream| {
        Box::pin(async move {
            stream.write_all(&server_frame(true, Opcode::TEXT, "你好".as_bytes())).await.unwrap();
            read_frame(&mut stream).await;
        })
    })
    .await;
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("你好")));
}

#[tokio::test]
async fn a_masked_frame_from_the_server_is_refused_with_1002() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let mut ws = opened(move |mut stream| {
        Box::pin(async move {
            stream.write_all(&client_frame(true, Opcode::TEXT, b"masked")).await.unwrap();
            tell.send(read_close(&mut stream).await).unwrap();
        })
    })
    .await;
    let error = ws.recv().await.unwrap_err();
    assert_eq!(error.close_code(), Some(CloseCode::PROTOCOL_ERROR));
    assert!(error.to_string().contains("§5.1"), "{error}");
    let (code, reason) = told.await.unwrap();
    assert_eq!(code, 1002);
    assert!(reason.contains("§5.1"), "{reason}");
    assert_eq!(ws.recv().await.unwrap(), None, "an error is reported once");
    assert!(matches!(ws.send("more").await, Err(Error::Closed)));
}

#[tokio::test]
async fn the_client_answers_a_close_and_waits_for_the_server_to_end_the_connection() {
    let mut ws = opened(|mut stream| {
        Box::pin(async move {
            stream.write_all(&server_frame(true, Opcode::CLOSE, b"\x0F\xA1\xE5\x86\x8D")).await.unwrap();
            let (_, opcode, payload) = read_frame(&mut stream).await.unwrap();
            assert_eq!((opcode, &payload[..]), (Opcode::CLOSE, &b"\x0F\xA1\xE5\x86\x8D"[..]));
        })
    })
    .await;
    assert_eq!(ws.recv().await.unwrap(), None);
    assert_eq!(ws.close_reason().unwrap().to_string(), "4001: 再");
}

#[tokio::test]
async fn messages_of_every_length_form_go_there_and_back() {
    let mut ws = sockeye::connect(format!("ws://{}/", echo_server().await)).await.unwrap();
    for size in [0, 1, 125, 126, 127, 4_096, 4_097, 65_535, 65_536, 1 << 20] {
        let text = "好".repeat(size / 3) + &"x".repeat(size % 3);
        ws.send(text.clone()).await.unwrap();
        assert!(ws.recv().await.unwrap() == Some(Message::from(text)), "{size} bytes of text");
        let bytes: Vec<u8> = (0..=255).cycle().take(size).collect();
        ws.send(bytes.clone()).await.unwrap();
        assert!(ws.recv().await.unwrap() == Some(Message::from(bytes)), "{size} bytes");
    }
    assert_eq!(ws.latency(), None);
    let round_trip = ws.ping().await.unwrap();
    assert_eq!(ws.latency(), Some(round_trip));
    assert!(matches!(ws.close(CloseCode::NO_STATUS_RECEIVED, "").await, Err(Error::InvalidClose(_))));
    ws.close(CloseCode::NORMAL, "再见").await.unwrap();
    assert_eq!(ws.close_reason().unwrap().to_string(), "1000 Normal Closure: 再见");
    assert_eq!(ws.recv().await.unwrap(), None);
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_with_1009_and_its_limit_can_be_raised() {
    let address = start(|listener| {
        sockeye::serve(listener, |mut ws: WebSocket| async move {
            ws.send(vec![0; (1 << 20) + 1]).await?;
            while ws.recv().await?.is_some() {}
            Ok(())
        })
    })
    .await;
    let url = format!("ws://{address}/");
    let error = sockeye::connect(&url).await.unwrap().recv().await.unwrap_err();
    assert_eq!(error.close_code(), Some(CloseCode::MESSAGE_TOO_BIG));
    let mut ws = sockeye::connect(&url).max_message(2 << 20).await.unwrap();
    assert_eq!(ws.recv().await.unwrap().unwrap().len(), (1 << 20) + 1);
}
