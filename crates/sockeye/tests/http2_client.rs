//! WebSockets over HTTP/2: the client against servers made of the h2 crate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{echo, in_time, read_head, server_frame, switching};
use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use sockeye::rustls::pki_types::PrivatePkcs8KeyDer;
use sockeye::rustls::{ClientConfig, RootCertStore, ServerConfig};
use sockeye::{CloseCode, Compression, Connect, Error, HandshakeError, HttpVersion, Limits, Message, Role, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// So much can come on a stream that is not read.
const WINDOW: usize = 256 << 10;

// --- a server ---

/// One request, and what answers it.
struct Asked {
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
}

impl Asked {
    fn path(&self) -> String {
        self.request.uri().path().to_owned()
    }

    /// Opens the WebSocket: both directions of its stream.
    fn accept(self) -> (SendStream<Bytes>, RecvStream) {
        self.answer(Response::new(()))
    }

    fn answer(mut self, response: Response<()>) -> (SendStream<Bytes>, RecvStream) {
        (self.respond.send_response(response, false).unwrap(), self.request.into_body())
    }

    /// Opens the WebSocket, as a stream of bytes.
    fn stream(self) -> DuplexStream {
        let (sending, receiving) = self.accept();
        bridge(sending, receiving)
    }
}

/// A stream of HTTP/2 as one of bytes, for as long as its tasks run.
fn bridge(mut sending: SendStream<Bytes>, mut receiving: RecvStream) -> DuplexStream {
    let (ours, theirs) = duplex(64 << 10);
    let (mut read, mut write) = tokio::io::split(theirs);
    tokio::spawn(async move {
        while let Some(Ok(data)) = receiving.data().await {
            if write.write_all(&data).await.is_err() {
                return;
            }
            let _ = receiving.flow_control().release_capacity(data.len());
        }
        let _ = write.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match read.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(len) => send_all(&mut sending, &buffer[..len]).await,
            }
        }
        let _ = sending.send_data(Bytes::new(), true);
    });
    ours
}

/// Sends as the client's window allows. Gives how much when the stream ends before.
async fn send_all(sending: &mut SendStream<Bytes>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        sending.reserve_capacity(bytes.len());
        let room = match sending.capacity() {
            0 => match core::future::poll_fn(|cx| sending.poll_capacity(cx)).await {
                Some(Ok(room)) => room,
                _ => return,
            },
            room => room,
        };
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        if sending.send_data(Bytes::copy_from_slice(now), false).is_err() {
            return;
        }
        bytes = later;
    }
}

fn takes_websockets() -> Builder {
    let mut builder = Builder::new();
    builder.enable_connect_protocol();
    builder
}

/// Serves one connection; gives its requests.
fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    builder: Builder,
) -> mpsc::UnboundedReceiver<Asked> {
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
            return;
        };
        while let Some(Ok((request, respond))) = connection.accept().await {
            if tell.send(Asked { request, respond }).is_err() {
                connection.graceful_shutdown();
            }
        }
    });
    told
}

/// Listens for connections without TLS, and answers their requests as told. Counts the connections.
async fn serving(
    builder: impl Fn() -> Builder + Send + 'static,
    answer: impl Fn(Asked) + Clone + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let (mut requests, answer) = (serve_connection(stream, builder()), answer.clone());
            tokio::spawn(async move {
                while let Some(asked) = requests.recv().await {
                    answer(asked);
                }
            });
        }
    });
    (address, connections)
}

/// Serves a WebSocket that sends everything back.
fn echoing(asked: Asked) {
    let limits = Limits::default().message(64 << 20);
    let ws = WebSocket::from_stream(asked.stream(), Role::Server, limits);
    tokio::spawn(async move {
        let _ = echo(ws).await;
    });
}

fn over_http2(address: SocketAddr, path: &str) -> Connect {
    sockeye::connect(format!("ws://{address}{path}")).http_version(HttpVersion::H2).max_message(64 << 20)
}

async fn comes_back(ws: &mut WebSocket, message: impl Into<Message>) {
    let message = message.into();
    ws.send(message.clone()).await.unwrap();
    assert!(in_time(ws.recv()).await.unwrap() == Some(message));
}

// --- opening ---

#[tokio::test]
async fn rfc8441_s5_it_is_asked_for_by_an_extended_connect_without_a_key() {
    let (near, far) = duplex(1 << 16);
    let mut requests = serve_connection(far, takes_websockets());
    let attempt = sockeye::connect("ws://user:pass@chat.example:81/room?id=1")
        .http_version(HttpVersion::H2)
        .subprotocol("v2")
        .subprotocol("v1")
        .compression(Compression::no_takeover())
        .header("X-Own", "mine");
    let (opened, asked) = tokio::join!(attempt.over(near), async {
        let asked = requests.recv().await.unwrap();
        let request = &asked.request;
        assert_eq!(request.method(), "CONNECT");
        assert_eq!(request.extensions().get::<h2::ext::Protocol>().unwrap().as_str(), "websocket");
        assert_eq!(request.uri(), "http://chat.example:81/room?id=1");
        let headers = request.headers();
        let all: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
        for name in ["sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions", "authorization"] {
            assert!(all.contains(&name), "{all:?}");
        }
        assert!(
            all.iter().all(|name| !["sec-websocket-key", "host", "upgrade", "connection"].contains(name)),
            "{all:?}"
        );
        assert_eq!(headers["x-own"], "mine");
        let response = Response::builder().header("Sec-WebSocket-Protocol", "v1").body(()).unwrap();
        asked.answer(response)
    });
    assert_eq!(opened.unwrap().subprotocol(), Some("v1"));
    drop(asked);
}

#[tokio::test]
async fn messages_of_every_length_form_go_there_and_back() {
    let (address, _) = serving(takes_websockets, echoing).await;
    let mut ws = over_http2(address, "/").await.unwrap();
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 5_000_000] {
        comes_back(&mut ws, "好".repeat(size / 3)).await;
        comes_back(&mut ws, vec![7; size]).await;
    }
    for number in 0..1000 {
        ws.send(number.to_string()).await.unwrap();
    }
    for number in 0..1000 {
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from(number.to_string())));
    }
    assert!(in_time(ws.ping()).await.is_ok());
    in_time(ws.close(CloseCode::NORMAL, "再见")).await.unwrap();
    assert_eq!(ws.close_reason().unwrap().to_string(), "1000 Normal Closure: 再见");
}

#[tokio::test]
async fn a_server_that_takes_no_websockets_over_http2_is_told_by_name() {
    let (address, _) = serving(Builder::new, |_| panic!("nothing is asked")).await;
    let error = in_time(over_http2(address, "/").into_future()).await.unwrap_err();
    assert!(matches!(error, Error::Handshake(HandshakeError::ExtendedConnect)), "{error:?}");
}

#[tokio::test]
async fn what_does_not_speak_http2_is_an_error_and_not_a_wait() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"\0\0\0\x04",
        b"\0\0\x06\x04\0\0\0\0\0",
    ] {
        let (near, mut far) = duplex(1 << 10);
        far.write_all(answer).await.unwrap();
        far.shutdown().await.unwrap();
        let attempt = sockeye::connect("ws://a/").http_version(HttpVersion::H2).over(near);
        let error = in_time(attempt).await.unwrap_err();
        assert!(matches!(error, Error::Http(_) | Error::Io(_) | Error::Aborted), "{answer:?}: {error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_settings_or_an_answer_is_given_up_in_time() {
    let (near, _far) = duplex(1 << 10);
    let attempt = sockeye::connect("ws://a/").http_version(HttpVersion::H2);
    let error = attempt.clone().over(near).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(sockeye::Phase::Opening)), "{error:?}");

    let (near, far) = duplex(1 << 16);
    let mut requests = serve_connection(far, takes_websockets());
    let error = attempt.over(near).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(sockeye::Phase::Opening)), "{error:?}");
    // The request that nobody waits for any more is called off.
    let mut asked = requests.recv().await.unwrap();
    let reset = core::future::poll_fn(|cx| asked.respond.poll_reset(cx)).await.unwrap();
    assert_eq!(reset, Reason::CANCEL);
}

#[tokio::test]
async fn an_answer_that_opens_no_websocket_is_kept_with_its_headers_and_its_body() {
    let (address, _) = serving(takes_websockets, |asked| {
        let path = asked.path();
        let status = path[1..].parse::<u16>().unwrap_or(200);
        let mut response = Response::builder().status(status).header("X-Why", "because");
        if path == "/302" {
            response = response.header("Location", "/200");
        }
        if path == "/unasked" {
            response = response.header("Sec-WebSocket-Protocol", "unasked");
        }
        let (mut sending, receiving) = asked.answer(response.body(()).unwrap());
        tokio::spawn(async move {
            send_all(&mut sending, &b"the token is old\n".repeat(10_000)).await;
            let _ = sending.send_data(Bytes::new(), true);
            drop(receiving);
        });
    })
    .await;
    for status in [201, 204, 302, 401, 403, 404, 500] {
        match in_time(over_http2(address, &format!("/{status}")).into_future()).await {
            Err(Error::Refused(answer)) => {
                assert_eq!(
                    (answer.status().as_u16(), &answer.headers()["x-why"]),
                    (status, &"because".parse().unwrap())
                );
                assert_eq!(answer.body(), &b"the token is old\n".repeat(10_000)[..16 << 10]);
                let said = Error::Refused(answer).to_string();
                assert!(status == 302 || said.ends_with(": the token is old"), "{said}");
            }
            other => panic!("{status}: {other:?}"),
        }
    }
    let error = over_http2(address, "/unasked").await.unwrap_err();
    assert!(matches!(error, Error::Handshake(HandshakeError::Subprotocol)), "{error:?}");
    assert!(over_http2(address, "/302").redirects(1).await.is_ok());
}

#[tokio::test]
async fn a_head_without_end_is_cut_short() {
    let (address, _) = serving(takes_websockets, |asked| {
        let mut response = Response::builder().status(200);
        for number in 0..200 {
            response = response.header(format!("x-{number}"), "y".repeat(100));
        }
        drop(asked.answer(response.body(()).unwrap()));
    })
    .await;
    let error = in_time(over_http2(address, "/").into_future()).await.unwrap_err();
    assert!(matches!(error, Error::Http(_)), "{error:?}");
}

// --- the stream ---

#[tokio::test]
async fn a_close_on_both_sides_is_an_end_in_good_order_to_the_server() {
    let (near, far) = duplex(1 << 16);
    let mut requests = serve_connection(far, takes_websockets());
    let attempt = sockeye::connect("ws://a/").http_version(HttpVersion::H2).over(near);
    let (ws, (mut sending, mut receiving)) = tokio::join!(attempt, async { requests.recv().await.unwrap().accept() });
    let ws = ws.unwrap();
    let closing = tokio::spawn(async move { ws.close(CloseCode::NORMAL, "bye").await });
    let frame = receiving.data().await.unwrap().unwrap();
    assert_eq!(frame[0], 0x88, "a Close frame");
    sending.send_data(server_frame(true, Opcode::CLOSE, &1000u16.to_be_bytes()).into(), true).unwrap();
    in_time(closing).await.unwrap().unwrap();
    let end = in_time(receiving.data()).await.map(Result::unwrap);
    assert!(end.is_none_or(|data| data.is_empty()) && receiving.is_end_stream(), "END_STREAM, and no RST_STREAM");
}

#[tokio::test]
async fn whatever_ends_the_stream_without_a_close_is_an_abort_or_an_error() {
    let (address, _) = serving(takes_websockets, move |asked| {
        let path = asked.path();
        let (mut sending, receiving) = asked.accept();
        tokio::spawn(async move {
            let mut receiving = receiving;
            sending.send_data(server_frame(true, Opcode::TEXT, b"hello").into(), false).unwrap();
            // Until it has arrived: a reset takes along what has not left yet.
            receiving.data().await.unwrap().unwrap();
            match &path[1..] {
                "end" => sending.send_data(Bytes::new(), true).unwrap(),
                "error" => sending.send_reset(Reason::INTERNAL_ERROR),
                "cancel" => sending.send_reset(Reason::CANCEL),
                _ => sending.send_reset(Reason::NO_ERROR),
            }
        });
    })
    .await;
    for path in ["/end", "/error", "/cancel", "/no-error"] {
        let mut ws = over_http2(address, path).await.unwrap();
        assert_eq!(in_time(ws.recv()).await.unwrap(), Some(Message::from("hello")), "{path}");
        ws.send("it has").await.unwrap();
        let error = in_time(ws.recv()).await.unwrap_err();
        assert!(matches!(error, Error::Aborted | Error::Io(_)), "{path}: {error:?}");
        assert_eq!(error.close_code(), Some(CloseCode::ABNORMAL_CLOSURE), "{path}");
        assert!(ws.send("more").await.is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_ends_all_its_websockets() {
    let (near, far) = duplex(1 << 16);
    let (mut inner, outer) = duplex(1 << 16);
    let mut requests = serve_connection(outer, takes_websockets());
    let cut = tokio::spawn(async move {
        let mut far = far;
        let _ = tokio::io::copy_bidirectional(&mut far, &mut inner).await;
    });
    let attempt = sockeye::connect("ws://a/").http_version(HttpVersion::H2).over(near);
    let (ws, stream) = tokio::join!(attempt, async { requests.recv().await.unwrap().stream() });
    let mut ws = ws.unwrap();
    cut.abort();
    let error = in_time(ws.recv()).await.unwrap_err();
    assert!(matches!(error, Error::Aborted | Error::Io(_)), "{error:?}");
    drop(stream);
}

/// Sends so many messages, as the client's window allows.
async fn send_messages(sending: &mut SendStream<Bytes>, message: &[u8], count: usize) {
    for _ in 0..count {
        sending.reserve_capacity(message.len());
        while sending.capacity() < message.len() {
            in_time(core::future::poll_fn(|cx| sending.poll_capacity(cx))).await.unwrap().unwrap();
        }
        sending.send_data(Bytes::copy_from_slice(message), false).unwrap();
    }
}

/// Whether no more can be sent, as far as can be told by waiting for a while.
async fn is_full(sending: &mut SendStream<Bytes>, message: &[u8]) -> bool {
    sending.reserve_capacity(message.len());
    let room = async {
        while sending.capacity() < message.len() {
            core::future::poll_fn(|cx| sending.poll_capacity(cx)).await.unwrap().unwrap();
        }
    };
    tokio::time::timeout(Duration::from_millis(100), room).await.is_err()
}

#[tokio::test]
async fn what_is_not_read_makes_the_server_wait_and_what_is_read_makes_room() {
    for len in [10, 1 << 10] {
        let (near, far) = duplex(1 << 16);
        let mut requests = serve_connection(far, takes_websockets());
        let attempt = sockeye::connect("ws://a/").http_version(HttpVersion::H2).over(near);
        let (ws, (mut sending, _receiving)) = tokio::join!(attempt, async { requests.recv().await.unwrap().accept() });
        let (mut ws, payload) = (ws.unwrap(), vec![b'x'; len]);
        let message = server_frame(true, Opcode::BINARY, &payload);
        let all = WINDOW / message.len();
        send_messages(&mut sending, &message, all).await;
        assert!(is_full(&mut sending, &message).await, "messages of {len}");
        for _ in 0..all * 3 / 4 {
            assert_eq!(ws.recv().await.unwrap(), Some(Message::from(payload.clone())));
        }
        send_messages(&mut sending, &message, all / 2).await;
        for _ in all * 3 / 4..all + all / 2 {
            assert_eq!(in_time(ws.recv()).await.unwrap(), Some(Message::from(payload.clone())));
        }
    }
}

#[tokio::test]
async fn a_server_that_takes_nothing_makes_us_wait_and_what_it_takes_makes_room() {
    let (near, far) = duplex(1 << 16);
    let mut requests = serve_connection(far, takes_websockets());
    let attempt = sockeye::connect("ws://a/").http_version(HttpVersion::H2).over(near);
    let (ws, (_sending, mut receiving)) = tokio::join!(attempt, async { requests.recv().await.unwrap().accept() });
    let ws = ws.unwrap();
    // HTTP/2's own first window, what is kept of the stream, and the queue.
    let most = (64 << 10) + WINDOW + Limits::default().max_queue();
    let mut accepted = 0;
    while accepted < Limits::default().max_queue() {
        in_time(ws.send(vec![0; 1000])).await.unwrap();
        accepted += 1000;
    }
    while soon_or_never(ws.send(vec![0; 1000])).await {
        accepted += 1000;
        assert!(accepted <= most + 1000, "the queue has no bound");
    }
    let mut received = 0;
    while received < accepted {
        let data = in_time(receiving.data()).await.unwrap().unwrap();
        received += data.len();
        receiving.flow_control().release_capacity(data.len()).unwrap();
    }
    assert!(in_time(ws.send("more")).await.is_ok());
}

/// Servers count the frames that they hold: h2's own, in its defaults, ends the connection at 130 small ones.
#[tokio::test]
async fn a_burst_of_small_messages_leaves_in_a_few_frames() {
    let (near, far) = duplex(1 << 16);
    let mut requests = serve_connection(far, takes_websockets());
    let attempt = sockeye::connect("ws://a/").http_version(HttpVersion::H2).over(near);
    let (ws, (_sending, mut receiving)) = tokio::join!(attempt, async { requests.recv().await.unwrap().accept() });
    let ws = ws.unwrap();
    for number in 0..5000 {
        ws.send(format!("{number:04}")).await.unwrap();
    }
    let (mut frames, mut bytes) = (0, 0);
    while bytes < 5000 * 10 {
        let data = in_time(receiving.data()).await.unwrap().unwrap();
        frames += 1;
        bytes += data.len();
        receiving.flow_control().release_capacity(data.len()).unwrap();
    }
    assert!(frames <= 20, "{frames} frames");
    ws.send("one more").await.unwrap();
    assert_eq!(in_time(receiving.data()).await.unwrap().unwrap().len(), 14, "what is alone does not wait");
}

/// Whether something comes about, as far as can be told by waiting for a while.
async fn soon_or_never(future: impl Future<Output = Result<(), Error>>) -> bool {
    matches!(tokio::time::timeout(Duration::from_millis(100), future).await, Ok(Ok(())))
}

// --- many on one connection ---

#[tokio::test]
async fn a_hundred_websockets_share_a_connection_and_one_that_does_not_read_holds_up_none() {
    let flooded = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&flooded);
    let (address, connections) = serving(takes_websockets, move |asked| {
        if asked.path() != "/flood" {
            return echoing(asked);
        }
        let (mut sending, receiving) = asked.accept();
        let counted = Arc::clone(&counted);
        tokio::spawn(async move {
            let _receiving = receiving;
            let message = server_frame(true, Opcode::TEXT, b"the news of the day");
            loop {
                sending.reserve_capacity(message.len());
                while sending.capacity() < message.len() {
                    core::future::poll_fn(|cx| sending.poll_capacity(cx)).await.unwrap().unwrap();
                }
                sending.send_data(Bytes::copy_from_slice(&message), false).unwrap();
                counted.fetch_add(message.len(), Ordering::Relaxed);
            }
        });
    })
    .await;
    let http2 = sockeye::connect(format!("ws://{address}/ignored")).http2();
    let unread = http2.open("/flood").await.unwrap();
    let opening = (0..99).map(|number| tokio::spawn(http2.open(format!("/echo?{number}")).into_future()));
    let mut others = Vec::new();
    for opened in opening.collect::<Vec<_>>() {
        others.push(opened.await.unwrap().unwrap());
    }
    for round in 0..5 {
        for (number, ws) in others.iter_mut().enumerate() {
            comes_back(ws, format!("{round}: {number}")).await;
        }
    }
    for ws in others.iter_mut().take(3) {
        comes_back(ws, vec![1; 1 << 20]).await;
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    let flooded = flooded.load(Ordering::Relaxed);
    assert!(flooded > WINDOW / 2 && flooded <= WINDOW, "{flooded} bytes wait to be read");
    assert_eq!(unread.queued_bytes(), 0);
}

#[tokio::test]
async fn seventy_that_do_not_read_small_messages_end_no_connection() {
    let (address, connections) = serving(takes_websockets, |asked| {
        if asked.path() == "/echo" {
            return echoing(asked);
        }
        let (mut sending, receiving) = asked.accept();
        tokio::spawn(async move {
            let _receiving = receiving;
            let message = server_frame(true, Opcode::TEXT, &[b'x'; 32]);
            while sending.send_data(Bytes::copy_from_slice(&message), false).is_ok() {
                sending.reserve_capacity(message.len());
                if sending.capacity() < message.len() {
                    core::future::pending::<()>().await;
                }
            }
        });
    })
    .await;
    let http2 = sockeye::connect(format!("ws://{address}/")).http2();
    let mut unread = Vec::new();
    for _ in 0..70 {
        unread.push(http2.open("/flood").await.unwrap());
    }
    let mut ws = http2.open("/echo").await.unwrap();
    for number in 0..100 {
        comes_back(&mut ws, number.to_string()).await;
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    drop(unread);
}

#[tokio::test]
async fn a_server_s_limit_on_streams_opens_a_further_connection() {
    let builder = || {
        let mut builder = takes_websockets();
        builder.max_concurrent_streams(2);
        builder
    };
    let (address, connections) = serving(builder, echoing).await;
    let http2 = sockeye::connect(format!("ws://{address}/")).http2();
    let mut all = Vec::new();
    for number in 0..5 {
        let mut ws = in_time(http2.open("/").into_future()).await.unwrap();
        comes_back(&mut ws, "hello").await;
        all.push(ws);
        assert_eq!(connections.load(Ordering::Relaxed), number / 2 + 1);
    }
    // Where one has left there is room again.
    let first = all.remove(0);
    in_time(first.close(CloseCode::NORMAL, "")).await.unwrap();
    drop(first);
    all.push(in_time(http2.open("/").into_future()).await.unwrap());
    all.push(in_time(http2.open("/").into_future()).await.unwrap());
    assert_eq!(connections.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_server_that_goes_away_is_connected_with_anew_and_what_is_open_goes_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = takes_websockets().handshake::<_, Bytes>(stream).await.unwrap();
                let mut asked = 0;
                while let Some(Ok((request, respond))) = connection.accept().await {
                    echoing(Asked { request, respond });
                    asked += 1;
                    if asked == 2 {
                        // GOAWAY: no further streams.
                        connection.graceful_shutdown();
                    }
                }
            });
        }
    });
    let http2 = sockeye::connect(format!("ws://{address}/")).http2();
    let mut all = Vec::new();
    for number in 0..6 {
        let mut ws = in_time(http2.open("/").into_future()).await.unwrap();
        comes_back(&mut ws, number.to_string()).await;
        all.push(ws);
    }
    for ws in &mut all {
        comes_back(ws, "still here").await;
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_last_websocket_and_what_could_open_another() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http2 = sockeye::connect(format!("ws://{}/", listener.local_addr().unwrap())).http2();
    let (ended, server) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = takes_websockets().handshake::<_, Bytes>(stream).await.unwrap();
        while let Some(Ok((request, respond))) = connection.accept().await {
            echoing(Asked { request, respond });
        }
        let _ = ended.send(());
    });
    let mut ws = http2.open("/").await.unwrap();
    drop(http2);
    comes_back(&mut ws, "still here").await;
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    drop(ws);
    in_time(server).await.unwrap();
}

#[tokio::test]
async fn what_was_set_holds_for_all_and_each_can_add_to_it() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (address, _) = serving(takes_websockets, move |asked| {
        let headers = asked.request.headers();
        let value = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        tell.send((asked.request.uri().to_string(), value("authorization"), value("x-one"))).unwrap();
        drop(asked.accept());
    })
    .await;
    let http2 = sockeye::connect(format!("ws://{address}/base?x")).bearer_auth("token").http2();
    http2.open("/a?b=c").header("X-One", "1").await.unwrap();
    http2.open("/b").await.unwrap();
    let token = || Some("Bearer token".to_owned());
    assert_eq!(told.recv().await.unwrap(), (format!("http://{address}/a?b=c"), token(), Some("1".into())));
    assert_eq!(told.recv().await.unwrap(), (format!("http://{address}/b"), token(), None));
    for path in ["", "b", "/a b", "/a#b", "//x\r\n", "http://elsewhere/"] {
        let error = http2.open(path).await.unwrap_err();
        assert!(matches!(error, Error::Handshake(HandshakeError::Url(_))), "{path:?}: {error:?}");
    }
    let (near, mut far) = duplex(1 << 16);
    let attempt = tokio::spawn(http2.open("/given").over(near));
    assert!(read_head(&mut far).await.starts_with("GET /given HTTP/1.1\r\n"));
    attempt.abort();
    let error = http2.open("/").header("Sec-WebSocket-Key", "mine").await.unwrap_err();
    assert!(matches!(error, Error::Handshake(HandshakeError::ReservedHeader(_))), "{error:?}");
}

#[tokio::test]
async fn a_redirection_is_followed_on_the_same_connection_and_nowhere_else() {
    let (address, connections) = serving(takes_websockets, |asked| {
        let location = match asked.path().as_str() {
            "/away" => "ws://elsewhere.example/",
            "/here" => "/echo",
            _ => return echoing(asked),
        };
        let response = Response::builder().status(307).header("Location", location).body(()).unwrap();
        drop(asked.answer(response));
    })
    .await;
    let http2 = sockeye::connect(format!("ws://{address}/")).redirects(3).http2();
    comes_back(&mut http2.open("/here").await.unwrap(), "hello").await;
    let error = http2.open("/away").await.unwrap_err();
    assert!(matches!(error, Error::Handshake(HandshakeError::Redirect(_))), "{error:?}");
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

// --- over TLS ---

/// A server's configuration that takes these protocols, and a client's that trusts it.
fn configured(protocols: &[&str]) -> (ServerConfig, Arc<ClientConfig>) {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = identity.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der()).into();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    server.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    (server, Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

/// Serves HTTP/2 or, by a hand-written handshake and no more, HTTP/1.1 as ALPN decides; tells which for each connection.
async fn serving_both(
    protocols: &[&str],
    builder: impl Fn() -> Builder + Send + 'static,
) -> (u16, Arc<ClientConfig>, mpsc::UnboundedReceiver<String>) {
    let (server, client) = configured(protocols);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let chosen = stream.get_ref().1.alpn_protocol().unwrap_or(b"none").to_vec();
            let _ = tell.send(String::from_utf8(chosen.clone()).unwrap());
            if chosen == b"h2" {
                let mut requests = serve_connection(stream, builder());
                tokio::spawn(async move {
                    while let Some(asked) = requests.recv().await {
                        assert_eq!(asked.request.uri().scheme_str(), Some("https"));
                        echoing(asked);
                    }
                });
                continue;
            }
            let head = read_head(&mut stream).await;
            stream.write_all(switching(&head).as_bytes()).await.unwrap();
            tokio::spawn(echo(WebSocket::from_stream(stream, Role::Server, Limits::default())));
        }
    });
    (port, client, told)
}

#[tokio::test]
async fn alpn_decides_which_version_is_spoken_and_the_caller_what_is_offered() {
    let both = &["h2", "http/1.1"][..];
    for (version, protocols, takes, expected) in [
        (HttpVersion::H1, both, true, &["http/1.1"][..]),
        (HttpVersion::H2, both, true, &["h2"]),
        (HttpVersion::Auto, both, true, &["h2"]),
        (HttpVersion::Auto, &["http/1.1"], true, &["http/1.1"]),
        (HttpVersion::Auto, &[], true, &["none"]),
        // It has chosen HTTP/2, and takes no WebSockets over it.
        (HttpVersion::Auto, both, false, &["h2", "http/1.1"]),
    ] {
        let builder = if takes { takes_websockets } else { Builder::new };
        let (port, client, mut told) = serving_both(protocols, builder).await;
        let attempt = sockeye::connect(format!("wss://localhost:{port}/")).tls(client).http_version(version);
        let mut ws = in_time(attempt.into_future()).await.unwrap();
        comes_back(&mut ws, "你好").await;
        for expected in expected {
            assert_eq!(told.recv().await.unwrap(), *expected, "{version:?} {protocols:?}");
        }
        assert!(told.try_recv().is_err(), "no further connection");
    }
}

#[tokio::test]
async fn a_server_that_will_not_speak_what_is_asked_for_is_told_by_name() {
    for (version, protocols, said) in [
        (HttpVersion::H2, &["http/1.1"][..], "the server will not speak HTTP/2"),
        (HttpVersion::H2, &[], "the server will not speak HTTP/2"),
        (HttpVersion::H1, &["h2"], "the server will not speak HTTP/1.1"),
        (HttpVersion::Auto, &["spdy/1"], "the server will speak neither HTTP/2 nor HTTP/1.1"),
    ] {
        let (port, client, _told) = serving_both(protocols, takes_websockets).await;
        let attempt = sockeye::connect(format!("wss://localhost:{port}/")).tls(client).http_version(version);
        let error = in_time(attempt.into_future()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("no TLS with localhost: {said}"), "{version:?} {protocols:?}");
    }
    let (port, client, _told) = serving_both(&["h2"], Builder::new).await;
    let attempt = sockeye::connect(format!("wss://localhost:{port}/")).tls(client).http_version(HttpVersion::H2);
    let error = in_time(attempt.into_future()).await.unwrap_err();
    assert!(matches!(error, Error::Handshake(HandshakeError::ExtendedConnect)), "{error:?}");
}

#[tokio::test]
async fn many_share_a_connection_over_tls_as_well() {
    let (port, client, mut told) = serving_both(&["h2"], takes_websockets).await;
    let http2 = sockeye::connect(format!("wss://localhost:{port}/")).tls(client).http2();
    for number in 0..10 {
        comes_back(&mut http2.open("/").await.unwrap(), number.to_string()).await;
    }
    assert_eq!(told.recv().await.unwrap(), "h2");
    assert!(told.try_recv().is_err(), "no further connection");
}

/// Over a stream that is there already no second one can be opened, so what might need one is not offered.
#[tokio::test]
async fn over_a_given_stream_auto_is_http_1_1() {
    let (port, client, mut told) = serving_both(&["h2", "http/1.1"], takes_websockets).await;
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let attempt = sockeye::connect("wss://localhost/").tls(client).http_version(HttpVersion::Auto);
    comes_back(&mut attempt.over(stream).await.unwrap(), "hello").await;
    assert_eq!(told.recv().await.unwrap(), "http/1.1");
}
