//! What can be set about a client's connection before it is opened, and what becomes of an answer that opens none.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{echo, echo_server, in_time, read_head, start};
use bytes::Bytes;
use sockeye::{Connect, Error, ErrorKind, HandshakeError, Limits, Message, Phase, WebSocket};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// The request that an attempt makes, in lower case.
async fn asked(attempt: impl FnOnce(String) -> Connect) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let attempt = tokio::spawn(attempt(address.to_string()).into_future());
    let (mut stream, _) = listener.accept().await.unwrap();
    let head = read_head(&mut stream).await.to_ascii_lowercase();
    attempt.abort();
    head
}

/// A server that answers one request with these bytes, and goes on as told.
async fn answering<F>(answer: Vec<u8>, then: impl FnOnce(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        let _ = stream.write_all(&answer).await;
        then(stream).await;
    });
    url
}

async fn refused(url: &str) -> (http::Response<Bytes>, Error) {
    let error = in_time(sockeye::connect(url).into_future()).await.unwrap_err();
    match &error {
        Error::Refused(answer) => ((**answer).clone(), error),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn credentials_and_origin_go_into_the_request() {
    let basic = "authorization: basic qwxhzgrpbjpvcgvuihnlc2ftzq==\r\n";
    let head = asked(|at| sockeye::connect(format!("ws://Aladdin:open%20sesame@{at}/"))).await;
    assert!(head.contains(basic), "{head}");
    assert!(head.starts_with("get / http/1.1\r\n") && !head.contains('@'), "{head}");
    let head = asked(|at| sockeye::connect(format!("ws://{at}/")).basic_auth("Aladdin", "open sesame")).await;
    assert!(head.contains(basic), "{head}");
    let head = asked(|at| sockeye::connect(format!("ws://{at}/")).bearer_auth("first").bearer_auth("Token")).await;
    assert!(head.contains("authorization: bearer token\r\n") && !head.contains("first"), "{head}");
    let head = asked(|at| sockeye::connect(format!("ws://{at}/")).origin("https://example.com")).await;
    assert!(head.contains("origin: https://example.com\r\n"), "{head}");
    let head = asked(|at| sockeye::connect("ws://nowhere/").url(format!("ws://{at}/other")).header("X-A", "b")).await;
    assert!(head.starts_with("get /other ") && head.contains("x-a: b\r\n"), "{head}");
}

#[tokio::test]
async fn who_is_asking_is_said_once_or_nothing_is_sent() {
    let authorization = || HandshakeError::RepeatedHeader(http::header::AUTHORIZATION);
    let with_user = || sockeye::connect("ws://user:pass@127.0.0.1:9/");
    let without = || sockeye::connect("ws://127.0.0.1:9/");
    for (attempt, expected) in [
        (with_user().bearer_auth("token"), authorization()),
        (with_user().basic_auth("user", "pass"), authorization()),
        (with_user().header("Authorization", "Digest …".replace('…', "x")), authorization()),
        (without().header("Authorization", "a").header("authorization", "b"), authorization()),
        (without().bearer_auth("a").header("Authorization", "b"), authorization()),
        (without().header("Host", "a").header("Host", "b"), HandshakeError::RepeatedHeader(http::header::HOST)),
        (
            without().origin("https://a").header("Origin", "https://b"),
            HandshakeError::RepeatedHeader(http::header::ORIGIN),
        ),
        (without().origin("https://a\r\nX: y"), HandshakeError::InvalidHeader),
    ] {
        match attempt.await {
            Err(Error::Handshake(error)) => assert_eq!(error, expected),
            other => panic!("{other:?}"),
        }
    }
    for attempt in [
        without().bearer_auth(""),
        without().bearer_auth("a\r\nX: y"),
        without().basic_auth("a:b", "c"),
        without().basic_auth("a", "b\n"),
        sockeye::connect("ws://a%0a:b@127.0.0.1:9/"),
    ] {
        let error = attempt.await.unwrap_err();
        assert!(matches!(error, Error::Handshake(HandshakeError::Credentials(_))), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Caller);
    }
}

#[tokio::test]
async fn a_secret_is_not_shown() {
    for url in ["ws://user:s3cret@host/", "user:s3cret@host", "ws://user:s3cret@host?a@b", "ws://us@er:s3cret@host"] {
        let attempt = sockeye::connect(url)
            .header("Cookie", "id=s3cret")
            .header("authorization", "s3cret")
            .header("Proxy-Authorization", "s3cret")
            .header("X-Shown", "shown");
        let shown = format!("{attempt:?}");
        assert!(shown.contains("shown") && shown.contains("@host"), "{shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
        if let Err(error) = attempt.timeout(Duration::from_millis(1)).await {
            assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
        }
    }
    let shown = format!("{:?} {:?}", sockeye::connect("ws://h/").bearer_auth("s3cret"), sockeye::connect("ws://h/a@b"));
    assert!(!shown.contains("s3cret") && shown.contains("ws://h/a@b"), "{shown}");
}

#[tokio::test]
async fn an_answer_that_opens_no_websocket_is_kept_with_its_headers_and_its_body() {
    let answer = b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nWWW-Authenticate: Bearer\r\n\
                   Upgrade: websocket\r\nContent-Length: 29\r\n\r\n{\"error\": \"the token is old\"}";
    let (answer, error) = refused(&answering(answer.to_vec(), |_| async {}).await).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    assert_eq!(answer.body(), r#"{"error": "the token is old"}"#);
    assert_eq!(error.kind(), ErrorKind::Peer);
    let said = r#"the server answered 401 Unauthorized instead of opening a WebSocket: {"error": "the token is old"}"#;
    assert_eq!(error.to_string(), said);

    for status in ["200 OK", "204 No Content", "302 Found", "400 Bad Request", "503 Service Unavailable"] {
        let head = format!("HTTP/1.1 {status}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        let (answer, error) = refused(&answering(head.into_bytes(), |stream| async { drop(stream) }).await).await;
        assert!(status.starts_with(answer.status().as_str()));
        assert!(answer.body().is_empty());
        assert!(error.to_string().ends_with(" instead of opening a WebSocket"), "{error}");
    }
}

#[tokio::test]
async fn only_so_much_of_a_body_is_kept_and_only_so_long_is_it_waited_for() {
    let endless = b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let url = answering(endless.clone(), |mut stream| async move {
        let chunk = [&b"1000\r\n"[..], &[b'x'; 0x1000], b"\r\n"].concat();
        while stream.write_all(&chunk).await.is_ok() {}
    })
    .await;
    let (answer, _) = refused(&url).await;
    assert_eq!(answer.body(), &vec![b'x'; 16 << 10]);

    let (hold, held) = tokio::sync::oneshot::channel::<()>();
    let url = answering([&endless[..], b"3\r\nwhy\r\n"].concat(), |stream| async move {
        let _ = held.await;
        drop(stream);
    })
    .await;
    let (answer, error) = refused(&url).await;
    assert_eq!(answer.body(), "why");
    assert!(error.to_string().ends_with(": why"), "{error}");
    drop(hold);
}

#[tokio::test]
async fn what_a_body_says_is_shown_if_it_is_for_people_and_does_no_harm_to_a_terminal() {
    for (body, shown) in [
        (&b"go away\nsecond line"[..], Some("go away")),
        ("你的令牌已过期".as_bytes(), Some("你的令牌已过期")),
        (b"\x1b[2Jcleared\x07", Some("\u{fffd}[2Jcleared\u{fffd}")),
        ("a\u{202e}b".as_bytes(), Some("a\u{fffd}b")),
        (b"<!doctype html><title>No</title>", None),
        (b"\xff\xfe\x00", None),
        (b"\nfirst line is empty", None),
        (b"", None),
    ] {
        let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n", body.len());
        let url = answering([head.as_bytes(), body].concat(), |_| async {}).await;
        let said = refused(&url).await.1.to_string();
        let expected = "the server answered 403 Forbidden instead of opening a WebSocket".to_owned()
            + &shown.map(|shown| format!(": {shown}")).unwrap_or_default();
        assert_eq!(said, expected);
    }
    let long = "字".repeat(1000);
    let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{long}", long.len());
    let said = refused(&answering(head.into_bytes(), |_| async {}).await).await.1.to_string();
    assert!(said.ends_with(&format!(": {}", "字".repeat(120))) && !said.contains(&"字".repeat(121)), "{said}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_named_by_its_path_or_in_the_url() {
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;

    let folder = std::env::temp_dir().join(format!("sockeye-unix-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("echo.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
                let host = request.headers()["host"].to_str().unwrap().to_owned();
                seen.lock().unwrap().push(format!("{host}{}", request.uri()));
                let response: http::Response<http_body_util::Full<Bytes>> = match sockeye::upgrade(&mut request) {
                    Ok(upgrade) => upgrade.on_upgrade(echo),
                    Err(refusal) => refusal.response(),
                };
                core::future::ready(Ok::<_, core::convert::Infallible>(response))
            });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
        }
    });
    let shown = path.to_str().unwrap();
    for attempt in [
        sockeye::connect("ws://example.com/chat").unix(&path),
        sockeye::connect(format!("ws+unix:{shown}:/chat?room=1")),
        sockeye::connect(format!("ws+unix://{shown}")),
    ] {
        let mut ws = attempt.await.unwrap();
        ws.send("你好").await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from("你好")));
    }
    assert_eq!(*asked.lock().unwrap(), ["example.com/chat", "localhost/chat?room=1", "localhost/"]);

    let error = sockeye::connect("ws+unix:/nowhere/at-all.sock").await.unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.kind() == io::ErrorKind::NotFound), "{error:?}");
    for url in ["ws+unix:", "ws+unix:/a:chat"] {
        assert!(matches!(sockeye::connect(url).await, Err(Error::Handshake(HandshakeError::Url(_)))), "{url}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_resolver_is_asked_for_names_and_all_that_it_names_is_tried() {
    let address = echo_server().await;
    // A port that was just free.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let attempt = sockeye::connect("ws://chat.internal:1234/").resolver(move |host, port| {
        seen.lock().unwrap().push((host, port));
        async move { Ok([closed, "[::1]:9".parse().unwrap(), address]) }
    });
    let mut ws = attempt.clone().await.unwrap();
    ws.send("hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("hello")));
    assert!(attempt.clone().url(format!("ws://{address}/")).await.is_ok());
    assert_eq!(*asked.lock().unwrap(), [("chat.internal".to_owned(), 1234)], "an address needs no looking up");

    let failing =
        attempt.clone().resolver(|_, _| async { Err::<Vec<SocketAddr>, _>(io::Error::other("no such host")) });
    let error = failing.await.unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.to_string() == "no such host"), "{error:?}");
    let error = attempt.resolver(|_, _| async { Ok([]) }).await.unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.to_string() == "the host has no address"), "{error:?}");
}

#[tokio::test]
async fn the_address_to_connect_from_can_be_chosen() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { tell.send(listener.accept().await.unwrap().1) });
    let from = Ipv4Addr::new(127, 0, 0, 7);
    assert!(sockeye::connect(&url).local_address(from).await.is_err(), "this server only looks");
    assert_eq!(told.await.unwrap().ip(), IpAddr::V4(from));
    let error = sockeye::connect(url).local_address([0u8; 16]).await.unwrap_err();
    assert!(matches!(&error, Error::Io(error) if error.to_string() == "the host has no address"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn connecting_may_have_a_deadline_of_its_own() {
    let attempt = sockeye::connect("ws://example.com/")
        .resolver(|_, _| core::future::pending::<io::Result<Vec<SocketAddr>>>())
        .connect_timeout(Duration::from_secs(3));
    let started = tokio::time::Instant::now();
    let error = attempt.clone().await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Phase::Connecting)) && error.is_timeout(), "{error:?}");
    assert_eq!(started.elapsed().as_secs(), 3);
    let started = tokio::time::Instant::now();
    let error = attempt.timeout(Duration::from_secs(2)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Phase::Opening)), "the one for all of it holds, too: {error:?}");
    assert_eq!(started.elapsed().as_secs(), 2);
}

#[tokio::test]
async fn over_a_stream_that_is_there_already_the_url_only_says_what_to_ask() {
    let stream = TcpStream::connect(echo_server().await).await.unwrap();
    let mut ws = sockeye::connect("ws://chat.example/room").over(stream).await.unwrap();
    ws.send("hello").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("hello")));

    let (near, mut far) = tokio::io::duplex(4096);
    let attempt = tokio::spawn(sockeye::connect("ws://user:pass@chat.example/room").over(near));
    let head = read_head(&mut far).await.to_ascii_lowercase();
    assert!(head.starts_with("get /room http/1.1\r\n") && head.contains("host: chat.example\r\n"), "{head}");
    drop(far);
    assert!(attempt.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stream_on_which_nothing_is_answered_is_given_up_in_time() {
    let (near, _far) = tokio::io::duplex(4096);
    let error = sockeye::connect("ws://chat.example/").over(near).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Phase::Opening)), "{error:?}");
}

#[tokio::test]
async fn a_small_limit_on_heads_is_no_panic() {
    let address = start(|listener| sockeye::serve(listener, |_: WebSocket| async { Ok(()) })).await;
    assert!(sockeye::connect(format!("ws://{address}/")).limits(Limits::default().head(100)).await.is_ok());
}
