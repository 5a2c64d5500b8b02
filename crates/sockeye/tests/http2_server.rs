//! WebSockets over HTTP/2 (RFC 8441): one port for both versions, many streams on a connection, each held back by
//! itself.

#[path = "support/heap.rs"]
mod heap;
#[path = "support/http2.rs"]
mod http2;
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h2::Reason;
use h2::ext::Protocol;
use http::{HeaderValue, Method, StatusCode};
use http2::{Http2, connect, get};
use sockeye::{
    Body, CloseCode, Compression, Error, HandlerResult, Limits, Message, OriginPolicy, Request, Response, Server,
    ServerBuilder, WebSocket,
};
use sockeye_proto::frame::Opcode;
use support::{Within, client_frame, echo, exchange, in_time, open, read_frame, request};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

async fn answer(mut request: Request) -> Response {
    match request.uri().path() {
        "/chat" => match sockeye::upgrade(&mut request) {
            Ok(upgrade) => upgrade.on_upgrade(echo),
            Err(refusal) => refusal.response(),
        },
        "/deaf" => match sockeye::upgrade(&mut request) {
            Ok(upgrade) => upgrade.on_upgrade(deaf),
            Err(refusal) => refusal.response(),
        },
        "/large" => Response::new(Body::from(vec![b'x'; 1 << 20])),
        _ => Response::new(Body::from(format!("{:?}", request.version()))),
    }
}

/// Keeps the connection and reads nothing of it.
async fn deaf(_ws: WebSocket) -> HandlerResult {
    core::future::pending().await
}

async fn run(builder: ServerBuilder) -> (Server, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = builder.build();
    tokio::spawn(server.answer(listener, answer));
    (server, address)
}

/// A client with prior knowledge (RFC 9113 §3.3).
async fn http2(address: SocketAddr) -> Http2 {
    Http2::over(TcpStream::connect(address).await.unwrap()).await
}

/// The limit that messages of 16 MiB need.
fn large() -> Limits {
    Limits::default().message(16 << 20)
}

// --- one port ---

#[tokio::test]
async fn both_versions_are_served_on_one_port_pages_and_websockets() {
    let (_server, address) = run(Server::builder().limits(large())).await;
    let mut over_1 = open(address).await;
    over_1.write_all(&client_frame(true, Opcode::TEXT, b"over 1.1")).await.unwrap();
    assert_eq!(read_frame(&mut over_1).await.unwrap().2, b"over 1.1");

    let http = http2(address).await;
    let (response, body) = http.fetch(get("/")).await.unwrap();
    assert_eq!((response.status(), &body[..]), (StatusCode::OK, &b"HTTP/2.0"[..]));
    assert_eq!(http.fetch(get("/large")).await.unwrap().1.len(), 1 << 20);
    let mut ws = http.websocket(large()).await;
    let sender = ws.sender();
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 16 << 20] {
        for message in [Message::from("好x".repeat(size / 4)), Message::from(vec![7; size])] {
            let (sent, received) = tokio::join!(sender.send(message.clone()), ws.recv());
            sent.unwrap();
            assert!(received.unwrap() == Some(message), "{size} bytes");
        }
    }
    ws.close(CloseCode::NORMAL, "bye").await.unwrap();
    // The connection goes on.
    assert_eq!(http.fetch(get("/")).await.unwrap().0.status(), StatusCode::OK);
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn with_tls_the_client_chooses_the_version_by_alpn() {
    use sockeye::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
    use sockeye::rustls::{ClientConfig, RootCertStore, ServerConfig};

    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());
    let chain = vec![identity.cert.der().clone()];
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key.into()).unwrap();
    let (_server, address) = run(Server::builder().tls(Arc::new(config))).await;
    let mut roots = RootCertStore::empty();
    roots.add(identity.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    for (offer, version) in [("h2", "HTTP/2.0"), ("http/1.1", "HTTP/1.1")] {
        config.alpn_protocols = vec![offer.as_bytes().to_vec()];
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config.clone()));
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(offer.as_bytes()));
        if offer == "h2" {
            let http = Http2::over(stream).await;
            assert_eq!(http.fetch(get("/")).await.unwrap().1, version.as_bytes());
            let mut ws = http.websocket(large()).await;
            ws.send("over TLS").await.unwrap();
            assert_eq!(ws.recv().await.unwrap(), Some(Message::from("over TLS")));
        } else {
            assert!(exchange(&mut stream, request("").as_bytes()).await.starts_with("HTTP/1.1 101 "));
        }
    }
}

#[tokio::test]
async fn subprotocol_and_compression_are_agreed_on_and_no_key_is_answered() {
    let builder = Server::builder().subprotocols(["v2", "v1"]).compression(Compression::no_takeover());
    let (_server, address) = run(builder).await;
    let mut request = connect("/chat");
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("v1, v2"));
    request.headers_mut().insert("Sec-WebSocket-Extensions", HeaderValue::from_static("permessage-deflate"));
    let (response, _stream) = http2(address).await.open(request).await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("sec-websocket-protocol"), Some("v2"));
    assert!(header("sec-websocket-extensions").unwrap().starts_with("permessage-deflate"));
    for absent in ["sec-websocket-accept", "upgrade", "connection"] {
        assert_eq!(header(absent), None);
    }
}

#[tokio::test]
async fn what_is_refused_over_http_1_1_is_refused_over_http_2() {
    let limits = Limits::default().fields(20);
    let builder = Server::builder().origin(OriginPolicy::List(vec!["https://a.example".into()])).limits(limits);
    let (_server, address) = run(builder).await;
    let http = http2(address).await;
    let with = |name: &'static str, value: &'static str| {
        let mut request = connect("/chat");
        request.headers_mut().insert(name, HeaderValue::from_static(value));
        request
    };
    let mut post = get("/chat");
    *post.method_mut() = Method::POST;
    let mut udp = connect("/chat");
    udp.extensions_mut().insert(Protocol::from_static("connect-udp"));
    let mut unversioned = connect("/chat");
    unversioned.headers_mut().clear();
    let mut many = connect("/chat");
    for _ in 0..20 {
        many.headers_mut().append("x", HeaderValue::from_static("y"));
    }
    for (request, status) in [
        (get("/chat"), 405),
        (post, 405),
        (udp, 501),
        (unversioned, 426),
        (with("sec-websocket-version", "8"), 426),
        (with("sec-websocket-protocol", "a, a"), 400),
        (with("sec-websocket-extensions", ";"), 400),
        (with("host", "elsewhere.example"), 400),
        (with("origin", "https://b.example"), 403),
        (with("origin", "null"), 403),
        (many, 431),
    ] {
        let shown = format!("{request:?}");
        let refused = http.open(request).await.map(|_| ()).unwrap_err();
        assert_eq!(refused.as_u16(), status, "{shown}");
    }
    assert!(http.open(with("origin", "https://a.example")).await.is_ok());
    assert!(http.open(with("sec-websocket-key", "whatever")).await.is_ok(), "nobody asks for a key");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_and_the_connection_goes_on() {
    let (_server, address) = run(Server::builder()).await;
    let http = http2(address).await;
    for size in [7_000, 8_300, 11_000, 20_000] {
        let mut request = connect("/chat");
        request.headers_mut().insert("x", HeaderValue::try_from("x".repeat(size)).unwrap());
        let opened = http.open(request).await.map(|_| ());
        let expected = if size == 7_000 { Ok(()) } else { Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) };
        assert_eq!(opened, expected, "{size}");
    }
}

// --- a stream's end ---

/// A server that tells how each of its WebSockets has ended for its handler.
async fn telling() -> (SocketAddr, mpsc::UnboundedReceiver<Result<Option<Message>, Error>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    let server = sockeye::serve(listener, move |mut ws: WebSocket| async move {
        tell.send(ws.recv().await)?;
        Ok(())
    });
    tokio::spawn(server.into_future());
    (address, told)
}

#[tokio::test]
async fn s5_end_stream_in_the_middle_is_an_end_without_a_closing_handshake_as_fin_is() {
    let (address, mut told) = telling().await;
    let http = http2(address).await;
    for sent in [&b""[..], &client_frame(true, Opcode::TEXT, b"Hello")[..7]] {
        let (_, mut stream) = http.open(connect("/")).await.unwrap();
        stream.write_all(sent).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(matches!(in_time(told.recv()).await, Some(Err(Error::Aborted))));
        assert_eq!(in_time(stream.read_to_end(&mut Vec::new())).await.unwrap(), 0, "it ends in its turn");
    }
}

#[tokio::test]
async fn s5_rst_stream_is_an_end_as_rst_is_and_harms_no_other_stream() {
    let (address, mut told) = telling().await;
    let http = http2(address).await;
    let mut other = http.websocket(large()).await;
    for reason in [Reason::CANCEL, Reason::INTERNAL_ERROR, Reason::PROTOCOL_ERROR] {
        for sent in [&b""[..], &client_frame(true, Opcode::TEXT, b"Hello")[..7]] {
            let (_, mut stream) = http.open(connect("/")).await.unwrap();
            stream.write_all(sent).await.unwrap();
            // So that it is there before the reset is.
            sleep(Duration::from_millis(20)).await;
            stream.reset(reason);
            let ended = in_time(told.recv()).await.unwrap().unwrap_err();
            assert!(matches!(ended, Error::Aborted | Error::Io(_)), "{reason}: {ended:?}");
        }
    }
    other.send("still here").await.unwrap();
    assert_eq!(in_time(told.recv()).await.unwrap().unwrap(), Some(Message::from("still here")));
    assert_eq!(in_time(other.recv()).await.unwrap(), None, "its handler has ended");
    assert_eq!(other.close_reason().unwrap().code(), CloseCode::NORMAL);
}

#[tokio::test]
async fn after_the_closing_handshake_the_stream_ends_and_the_connection_does_not() {
    let (server, address) = run(Server::builder()).await;
    let http = http2(address).await;
    for _ in 0..3 {
        let (_, mut stream) = http.open(connect("/chat")).await.unwrap();
        stream.write_all(&client_frame(true, Opcode::CLOSE, &1000u16.to_be_bytes())).await.unwrap();
        assert_eq!(read_frame(&mut stream).await, Some((true, Opcode::CLOSE, 1000u16.to_be_bytes().to_vec())));
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "END_STREAM");
        stream.shutdown().await.unwrap();
    }
    in_time(async {
        while server.drain().open() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(server.connections(), 1, "that of HTTP/2 itself");
}

// --- flow control ---

/// Of 100 WebSockets on one connection one is not read by the server, and another not by the client. The others go on,
/// and what is held stays within bounds.
#[tokio::test]
async fn of_a_hundred_websockets_on_a_connection_those_that_nobody_reads_hold_back_only_themselves() {
    let (server, address) = run(Server::builder()).await;
    // As on our side, a stream that is not read must not take the window of the whole connection.
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(16 << 20);
    let http = Http2::with(&builder, TcpStream::connect(address).await.unwrap()).await;
    let mut others = Vec::new();
    for _ in 0..98 {
        others.push(http.websocket(Limits::default()).await);
    }
    let (_, mut unread_there) = http.open(connect("/deaf")).await.unwrap();
    let (_, mut unread_here) = http.open(connect("/chat")).await.unwrap();
    assert_eq!(server.drain().open(), 100);
    let before = heap::held();
    heap::forget_peak();

    // The handler takes nothing: only so much can be sent as fits into windows and what is read ahead.
    let message = client_frame(true, Opcode::BINARY, &[7; 60_000]);
    let mut sent_in_vain = 0;
    while let Ok(written) = timeout(Duration::from_millis(500), unread_there.write_all(&message)).await {
        written.unwrap();
        sent_in_vain += message.len();
    }
    assert!(sent_in_vain < 512 << 10, "{sent_in_vain}");
    // The echo is not taken: it stops to read when its answers cannot leave.
    let mut unanswered = 0;
    while let Ok(written) = timeout(Duration::from_millis(500), unread_here.write_all(&message)).await {
        written.unwrap();
        unanswered += message.len();
    }
    assert!(unanswered < 4 << 20, "{unanswered}");

    for round in 0..20 {
        for ws in &others {
            ws.send(vec![round; 30_000]).await.unwrap();
        }
        for ws in &mut others {
            assert!(in_time(ws.recv()).await.unwrap() == Some(Message::from(vec![round; 30_000])));
        }
    }
    let held = heap::peak() - before;
    println!("{sent_in_vain} and {unanswered} bytes were sent in vain, {held} held at the peak");
    // Both ends of all 100 streams are in this process: windows of 64 KiB, and the queue of the one that is not read, 1
    // MiB.
    assert!(held < 16 << 20, "{held} bytes were held at the peak");
    // And those two are as usable as ever.
    let (mut reading, _writing) = tokio::io::split(unread_here);
    let first = in_time(read_frame(&mut reading)).await.unwrap();
    assert_eq!((first.1, first.2.len()), (Opcode::BINARY, 60_000));
}

/// Before hyper 1.11 an upgraded stream took whatever was written, without regard to the peer's window: 165 MB became 8
/// GB within two minutes (hyperium/hyper#4049).
#[tokio::test]
async fn hyper_4049_a_peer_that_does_not_read_holds_back_whoever_sends_to_it() {
    static ACCEPTED: AtomicUsize = AtomicUsize::new(0);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = sockeye::serve(listener, |ws: WebSocket| async move {
        loop {
            ws.send(vec![7; 100_000]).await?;
            ACCEPTED.fetch_add(100_000, Ordering::Relaxed);
        }
    });
    tokio::spawn(server.into_future());
    let (_, stream) = http2(address).await.open(connect("/")).await.unwrap();
    let before = heap::held();
    let mut accepted = 0;
    // Until it has not sent anything for a while, or obviously never will stop.
    while accepted < 64 << 20 {
        sleep(Duration::from_millis(500)).await;
        let now = ACCEPTED.load(Ordering::Relaxed);
        if now == accepted {
            break;
        }
        accepted = now;
    }
    // The queue of 1 MiB, the peer's window of 64 KiB, and what hyper holds on the way.
    assert!((1 << 20..2 << 20).contains(&accepted), "{accepted} bytes were accepted for one who does not read");
    assert!(heap::held() - before < 4 << 20, "{} bytes are held", heap::held() - before);
    drop(stream);
}

// --- limits ---

#[tokio::test]
async fn there_are_as_many_streams_as_may_be_and_further_ones_wait() {
    let (_server, address) = run(Server::builder().max_streams(3)).await;
    let http = http2(address).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(http.websocket(Limits::default()).await);
    }
    let further = http.open(connect("/chat"));
    assert!(timeout(Duration::from_millis(300), further).await.is_err(), "the client keeps to the server's setting");
    open.pop().unwrap().close(CloseCode::NORMAL, "").await.unwrap();
    assert!(in_time(http.open(connect("/chat"))).await.is_ok());
}

#[tokio::test]
async fn a_websocket_on_a_stream_counts_as_a_connection_and_one_too_many_is_503() {
    let in_all = Server::builder().max_connections(3);
    let per_address = Server::builder().max_connections_per_address(3);
    for builder in [in_all, per_address] {
        let (server, address) = run(builder).await;
        let http = http2(address).await;
        let mut first = http.websocket(Limits::default()).await;
        let _second = http.websocket(Limits::default()).await;
        assert_eq!(server.connections(), 3);
        let refused = http.open(connect("/chat")).await.map(|_| ()).unwrap_err();
        assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(http.fetch(get("/")).await.unwrap().0.status(), StatusCode::OK, "a page is none");
        first.close(CloseCode::NORMAL, "").await.unwrap();
        assert_eq!(first.recv().await.unwrap(), None);
        in_time(async {
            while http.open(connect("/chat")).await.is_err() {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

/// CVE-2023-44487: streams that are reset as soon as they are opened.
#[tokio::test]
async fn streams_that_are_reset_at_once_by_the_thousand_leave_nothing_and_harm_nobody() {
    let (server, address) = run(Server::builder()).await;
    let honest = http2(address).await;
    let mut ws = honest.websocket(Limits::default()).await;
    let hostile = http2(address).await;
    let before = heap::held();
    let mut resets = 0;
    for _ in 0..5_000 {
        let Ok((_, mut stream)) = hostile.send(connect("/chat"), false).await else {
            break;
        };
        stream.send_reset(Reason::CANCEL);
        resets += 1;
    }
    ws.send("fine?").await.unwrap();
    assert_eq!(in_time(ws.recv()).await.unwrap(), Some(Message::from("fine?")));
    drop(hostile);
    in_time(async {
        while server.connections() > 2 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let left = heap::held() - before;
    assert!(left < 1 << 20, "{left} bytes are left of {resets} resets");
}

/// CVE-2024-27316: a head that never ends.
#[tokio::test]
async fn a_head_in_continuation_frames_without_end_ends_the_connection() {
    let (_server, address) = run(Server::builder()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let frame = |kind: u8, flags: u8, id: u32, payload: &[u8]| {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags], &id.to_be_bytes(), payload].concat()
    };
    // SETTINGS, then HEADERS without END_HEADERS: `:method GET` and more literals for ever.
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    stream.write_all(&frame(1, 0, 1, &[0x82])).await.unwrap();
    let literal = [&[0x00, 0x01, b'x', 0x7f, 0x81, 0x07][..], &[b'y'; 256]].concat();
    let before = heap::held();
    let mut sent = 0;
    while sent < 64 << 20 {
        let continuation = frame(9, 0, 1, &literal.repeat(60));
        if stream.write_all(&continuation).await.is_err() {
            break;
        }
        sent += continuation.len();
    }
    assert!(sent < 16 << 20, "{sent} bytes were taken");
    assert!(heap::peak() - before < 2 << 20, "{} bytes were held", heap::peak() - before);
}

// --- deadlines, by a clock that waits for nobody ---

/// A connection of HTTP/2 to a server within the process.
fn within(builder: ServerBuilder) -> (Server, mpsc::Sender<DuplexStream>) {
    let (connect, listener) = Within::new();
    let server = builder.build();
    tokio::spawn(server.answer(listener, answer));
    (server, connect)
}

#[tokio::test(start_paused = true)]
async fn one_who_only_says_that_it_speaks_http_2_is_let_go_after_ten_seconds() {
    let (_server, connect) = within(Server::builder());
    let (mut near, far) = tokio::io::duplex(1 << 12);
    connect.send(far).await.unwrap();
    let begun = Instant::now();
    near.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    near.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_streams_is_kept_for_a_minute_and_one_with_a_websocket_for_as_long_as_it_takes() {
    let (server, connect_to) = within(Server::builder());
    let (near, far) = tokio::io::duplex(1 << 16);
    connect_to.send(far).await.unwrap();
    let http = Http2::over(near).await;
    let mut ws = http.websocket(Limits::default()).await;
    let (done, stop) = tokio::sync::oneshot::channel::<()>();
    let reader = tokio::spawn(async move {
        // So that its Pings are answered.
        tokio::select! {
            ended = ws.recv() => panic!("{ended:?}"),
            _ = stop => ws.close(CloseCode::NORMAL, "").await.unwrap(),
        }
    });
    sleep(Duration::from_secs(600)).await;
    assert_eq!(http.fetch(get("/")).await.unwrap().0.status(), StatusCode::OK);
    done.send(()).unwrap();
    reader.await.unwrap();
    sleep(Duration::from_secs(50)).await;
    assert_eq!(http.fetch(get("/")).await.unwrap().0.status(), StatusCode::OK, "a new minute begins");
    sleep(Duration::from_secs(59)).await;
    assert_eq!(server.connections(), 1);
    sleep(Duration::from_secs(12)).await;
    assert_eq!(server.connections(), 0);
    assert!(http.send(connect("/chat"), false).await.is_err(), "it was told (GOAWAY)");
}

#[tokio::test(start_paused = true)]
async fn the_short_form_of_a_server_keeps_a_connection_for_its_websockets_too() {
    let (connect_to, listener) = Within::new();
    tokio::spawn(sockeye::serve(listener, echo).into_future());
    let (near, far) = tokio::io::duplex(1 << 16);
    connect_to.send(far).await.unwrap();
    let mut ws = Http2::over(near).await.websocket(Limits::default()).await;
    for _ in 0..20 {
        // Its Pings are answered meanwhile.
        assert!(timeout(Duration::from_secs(10), ws.recv()).await.is_err());
    }
    ws.send("still here").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("still here")));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_of_http_2_is_let_go() {
    let (server, connect_to) = within(Server::builder().idle(Duration::from_secs(3600)));
    let (mut near, far) = tokio::io::duplex(1 << 16);
    connect_to.send(far).await.unwrap();
    // One request, and then nothing: `GET http://a/`.
    let head = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x06\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01a";
    near.write_all(head).await.unwrap();
    sleep(Duration::from_secs(39)).await;
    assert_eq!(server.connections(), 1);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(server.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_the_websockets_of_a_connection_one_by_one_and_then_the_connection() {
    let (server, connect_to) = within(Server::builder());
    let (near, far) = tokio::io::duplex(1 << 16);
    connect_to.send(far).await.unwrap();
    let http = Http2::over(near).await;
    let begun = Instant::now();
    let mut closed = Vec::new();
    for _ in 0..20 {
        let mut ws = http.websocket(Limits::default()).await;
        closed.push(tokio::spawn(async move {
            assert_eq!(ws.recv().await.unwrap(), None);
            (ws.close_reason().unwrap().code(), begun.elapsed())
        }));
    }
    let left = server.drain().begin().spread(Duration::from_secs(60)).await;
    assert_eq!((left, server.connections()), (0, 0));
    let mut moments = Vec::new();
    for task in closed {
        let (code, moment) = task.await.unwrap();
        assert_eq!(code, CloseCode::GOING_AWAY);
        moments.push(moment);
    }
    let took = *moments.iter().max().unwrap() - *moments.iter().min().unwrap();
    assert!(took > Duration::from_secs(15), "{took:?}");
    assert!(http.send(connect("/chat"), false).await.is_err());
}
