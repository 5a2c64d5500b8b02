//! A `Server`: ordinary requests beside WebSockets, asking before the 101, limits on connections, deadlines.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::support;
use crate::support::{Within, echo, exchange, in_time, open, read_frame, read_head, request};
use http::{Method, StatusCode, header};
use sockeye::{Body, Message, Peer, Refusal, Request, Response, Server, ServerBuilder, WebSocket};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// What a page and an echo beside it answer.
async fn answer(mut request: Request) -> Response {
    match request.uri().path() {
        "/chat" => match sockeye::upgrade(&mut request) {
            Ok(upgrade) => upgrade.on_upgrade(echo),
            Err(refusal) => refusal.response(),
        },
        "/whoami" => {
            let peer = request.extensions().get::<Peer>().and_then(Peer::address);
            Response::new(Body::from(format!("{peer:?} {:?}", request.version())))
        }
        "/upload" => match request.into_body().bytes(1000).await {
            Ok(bytes) => Response::new(Body::from(format!("{} bytes", bytes.len()))),
            Err(error) => {
                let mut response = Response::new(Body::from(error.to_string()));
                *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
                response
            }
        },
        "/stream" => Response::new(Body::from_reader(std::io::Cursor::new(vec![b'x'; 100_000]))),
        "/never" => core::future::pending().await,
        _ => Response::new(Body::from("a page\n")),
    }
}

async fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Runs a server for as long as the test runs.
async fn run(builder: ServerBuilder) -> (Server, SocketAddr) {
    let (listener, address) = listening().await;
    let server = builder.build();
    tokio::spawn(server.answer(listener, answer));
    (server, address)
}

/// Sends a request and reads the response with all of its body, by its length or its chunks.
async fn fetch(stream: &mut TcpStream, request: &str) -> (String, Vec<u8>) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = read_head(stream).await;
    let lower = head.to_ascii_lowercase();
    let mut body = Vec::new();
    if let Some(length) = lower.lines().find_map(|line| line.strip_prefix("content-length: ")) {
        body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut body).await.unwrap();
    } else if lower.contains("transfer-encoding: chunked") {
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(stream.read_u8().await.unwrap());
            }
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).await.unwrap();
            if size == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }
    (head, body)
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: server.example.com\r\n\r\n")
}

#[tokio::test]
async fn pages_uploads_and_a_websocket_share_a_port_and_even_a_connection() {
    let (server, address) = run(Server::builder()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (head, body) = fetch(&mut stream, &get("/")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, b"a page\n");
    let (_, body) = fetch(&mut stream, &get("/whoami")).await;
    assert_eq!(String::from_utf8(body).unwrap(), format!("{:?} HTTP/1.1", Some(stream.local_addr().unwrap())));
    let (_, body) = fetch(&mut stream, &get("/stream")).await;
    assert_eq!(body, vec![b'x'; 100_000]);
    let upload = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n".to_owned() + &"x".repeat(1000);
    assert_eq!(fetch(&mut stream, &upload).await.1, b"1000 bytes");

    assert_eq!(server.connections(), 1);
    assert!(exchange(&mut stream, request("").as_bytes()).await.starts_with("HTTP/1.1 101 "));
    assert_eq!(server.connections(), 1, "it is the same connection");
    assert_eq!(server.drain().open(), 1);
    drop(stream);
    in_time(async {
        while server.connections() + server.drain().open() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_when_it_says_so_or_when_it_turns_out() {
    let (_server, address) = run(Server::builder()).await;
    for request in [
        "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n".to_owned(),
        "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n".to_owned() + &"x".repeat(1001),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let (head, body) = fetch(&mut stream, &request).await;
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
        assert_eq!(body, b"a body of more than 1000 bytes");
    }
}

#[tokio::test]
async fn a_request_that_is_refused_a_websocket_ends_its_connection() {
    let (_server, address) = run(Server::builder()).await;
    // What is behind it might be meant as frames, or be another request: nobody reads it.
    let smuggled = request("Sec-WebSocket-Version: 8\r\n") + &get("/whoami");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(smuggled.as_bytes()).await.unwrap();
    let mut all = String::new();
    let _ = stream.read_to_string(&mut all).await;
    assert!(all.starts_with("HTTP/1.1 426 "), "{all}");
    assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{all}");
    assert!(all.contains("connection: Upgrade, close\r\n"), "{all}");
}

#[tokio::test]
async fn who_is_admitted_gets_a_handler_that_knows_what_was_found_out_and_others_the_response() {
    let (listener, address) = listening().await;
    let server = Server::builder().subprotocols(["v1"]).build();
    tokio::spawn(server.admit(listener, async |request: Request| {
        // As a look into a database would take.
        tokio::task::yield_now().await;
        let Some(user) = request.headers().get("x-user").map(|user| user.to_str().unwrap().to_owned()) else {
            let mut refusal = Response::new(Body::from("who are you?\n"));
            *refusal.status_mut() = StatusCode::UNAUTHORIZED;
            return Err(refusal);
        };
        let path = request.uri().path_and_query().unwrap().to_string();
        Ok(async move |ws: WebSocket| {
            ws.send(format!("{user} at {path} speaks {:?}", ws.subprotocol())).await?;
            Ok(())
        })
    }));
    let url = format!("ws://{address}/room?id=7");
    let mut ws = sockeye::connect(&url).header("X-User", "anna").subprotocol("v1").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("anna at /room?id=7 speaks Some(\"v1\")")));
    let error = sockeye::connect(&url).await.unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
    // What is no request for a WebSocket is refused before anybody is asked.
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert!(fetch(&mut stream, &get("/room")).await.0.starts_with("HTTP/1.1 426 "));
}

#[tokio::test]
async fn a_unix_socket_serves_as_tcp_does() {
    let path = std::env::temp_dir().join(format!("sockeye-service-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let server = Server::builder().max_connections_per_address(1).build();
    tokio::spawn(server.answer(UnixListener::bind(&path).unwrap(), answer));
    // No address, and so no limit on it.
    for _ in 0..2 {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        assert!(exchange(&mut stream, request("").as_bytes()).await.starts_with("HTTP/1.1 101 "));
        stream.write_all(&support::client_frame(true, sockeye_proto::frame::Opcode::TEXT, b"unix")).await.unwrap();
        assert_eq!(read_frame(&mut stream).await.unwrap().2, b"unix");
    }
    std::fs::remove_file(&path).unwrap();
}

/// A server whose connections come from within the process.
fn within(builder: ServerBuilder) -> mpsc::Sender<DuplexStream> {
    let (connect, listener) = Within::new();
    tokio::spawn(builder.build().answer(listener, answer));
    connect
}

// --- limits ---

#[tokio::test]
async fn at_the_limit_the_next_one_waits_until_somebody_leaves() {
    let (server, address) = run(Server::builder().max_connections(2)).await;
    let first = open(address).await;
    let _second = open(address).await;
    let mut third = TcpStream::connect(address).await.expect("the system takes it");
    third.write_all(request("").as_bytes()).await.unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(300), third.readable()).await;
    assert!(waits.is_err(), "nobody answers");
    assert_eq!(server.connections(), 2);
    drop(first);
    assert!(in_time(read_head(&mut third)).await.starts_with("HTTP/1.1 101 "));
}

#[tokio::test]
async fn one_too_many_from_an_address_is_closed_and_others_come_in() {
    let (server, address) = run(Server::builder().max_connections_per_address(2)).await;
    let first = open(address).await;
    let _second = open(address).await;
    let mut third = TcpStream::connect(address).await.unwrap();
    let _ = third.write_all(request("").as_bytes()).await;
    assert!(!matches!(in_time(third.read(&mut [0; 1])).await, Ok(1)), "it is not answered");
    // From another address of the loopback network.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut elsewhere = socket.connect(address).await.unwrap();
    assert!(exchange(&mut elsewhere, request("").as_bytes()).await.starts_with("HTTP/1.1 101 "));
    drop(first);
    in_time(async {
        while server.connections() > 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    open(address).await;
}

#[tokio::test]
async fn a_thousand_connections_that_say_nothing_do_not_keep_anybody_from_connecting() {
    let (_server, address) = run(Server::builder().max_connections(1_100)).await;
    let mut silent = Vec::new();
    for _ in 0..1_000 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    in_time(open(address)).await;
}

// --- deadlines ---

#[tokio::test(start_paused = true)]
async fn from_being_accepted_to_its_101_a_client_has_ten_seconds_whatever_trickles_in() {
    let connect = within(Server::builder());
    let begun = Instant::now();
    for request in ["", &request("")[..70]] {
        let (mut near, far) = tokio::io::duplex(1 << 10);
        connect.send(far).await.unwrap();
        let connected = Instant::now();
        for byte in request.bytes() {
            near.write_all(&[byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(near.read(&mut [0; 100]).await.unwrap(), 0);
        let took = connected.elapsed();
        assert!((10..=11).contains(&took.as_secs()), "{took:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(25));
}

#[tokio::test(start_paused = true)]
async fn one_who_asks_for_a_websocket_and_does_not_take_the_answer_is_let_go_after_ten_seconds() {
    let connect = within(Server::builder());
    // Too narrow for the response.
    let (mut near, far) = tokio::io::duplex(64);
    connect.send(far).await.unwrap();
    let begun = Instant::now();
    near.write_all(request("").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    let closed = near.write_all(&[0; 1 << 10]).await;
    assert!(closed.is_err() || begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
    let mut rest = Vec::new();
    near.read_to_end(&mut rest).await.unwrap();
    assert!(begun.elapsed() <= Duration::from_secs(11), "{:?}", begun.elapsed());
    assert!(rest.len() <= 64, "all that had gone was what there was room for");
}

#[tokio::test(start_paused = true)]
async fn between_requests_a_connection_is_kept_for_a_minute_and_while_we_work_for_as_long_as_it_takes() {
    let connect = within(Server::builder());
    let (mut near, far) = tokio::io::duplex(1 << 14);
    connect.send(far).await.unwrap();
    for _ in 0..2 {
        exchange(&mut near, get("/").as_bytes()).await;
        near.read_exact(&mut [0; 7]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(59)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 0, "idle for 61 s");

    let (mut near, far) = tokio::io::duplex(1 << 14);
    connect.send(far).await.unwrap();
    near.write_all(get("/never").as_bytes()).await.unwrap();
    let answered = tokio::time::timeout(Duration::from_secs(3600), near.read(&mut [0; 1])).await;
    assert!(answered.is_err(), "{answered:?}");
}

#[tokio::test(start_paused = true)]
async fn one_who_does_not_take_a_response_is_let_go_after_ten_seconds() {
    let connect = within(Server::builder());
    let (mut near, far) = tokio::io::duplex(1 << 10);
    connect.send(far).await.unwrap();
    near.write_all(get("/stream").as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(11)).await;
    let mut taken = Vec::new();
    near.read_to_end(&mut taken).await.unwrap();
    assert_eq!(taken.len(), 1 << 10, "nothing has followed");
}

#[tokio::test]
async fn a_head_is_bounded_below_eight_kibibytes_too() {
    let limits = sockeye::Limits::default().head(1_000).fields(10);
    let (_server, address) = run(Server::builder().limits(limits)).await;
    let fields = |count: usize| "X: y\r\n".repeat(count);
    for (more, status) in [
        (format!("X: {}\r\n", "x".repeat(700)), "101"),
        (format!("X: {}\r\n", "x".repeat(1_000)), "431"),
        (format!("X: {}\r\n", "x".repeat(9_000)), "431"),
        (fields(5), "101"),
        (fields(6), "431"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = exchange(&mut stream, request(&more).as_bytes()).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
}

#[tokio::test]
async fn a_service_that_panics_harms_nobody_else() {
    let (listener, address) = listening().await;
    let server = Server::builder().build();
    tokio::spawn(server.answer(listener, async |request: Request| {
        assert_ne!(request.uri().path(), "/panic", "a test's panic, which the server survives");
        Response::new(Body::from("fine"))
    }));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(get("/panic").as_bytes()).await.unwrap();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    let mut stream = TcpStream::connect(address).await.unwrap();
    assert_eq!(fetch(&mut stream, &get("/")).await.1, b"fine");
    in_time(async {
        while server.connections() > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

// --- the whole matrix of requests (RFC 6455 §4.2.1) ---

/// All methods, versions, and forms of each header, one deviation from the good request at a time and two at once: what
/// is not in the set of §4.2.1 is not answered with 101, and ends the connection or leaves it in order.
#[tokio::test]
async fn exactly_the_requests_of_the_rfc_are_answered_with_101() {
    /// What may stand in a line's place, and whether that is as good.
    type Line = (&'static [&'static str], bool);
    const LINES: [&[Line]; 7] = [
        &[
            (&["GET /chat HTTP/1.1"], true),
            (&["POST /chat HTTP/1.1"], false),
            (&["CONNECT /chat HTTP/1.1"], false),
            (&["get /chat HTTP/1.1"], false),
            (&["GET /chat HTTP/1.0"], false),
            (&["GET http://server.example.com/chat HTTP/1.1"], true),
        ],
        &[
            (&["Host: server.example.com"], true),
            (&["hOST: [::1]:80"], true),
            (&[], false),
            (&["Host: "], false),
            (&["Host: a b"], false),
            (&["Host: me@server.example.com"], false),
            (&["Host: a", "Host: a"], false),
        ],
        &[
            (&["Upgrade: websocket"], true),
            (&["upgrade: WebSocket"], true),
            (&["Upgrade: h2c, websocket"], true),
            (&["Upgrade: h2c", "Upgrade: websocket"], true),
            (&[], false),
            (&["Upgrade: websockets"], false),
        ],
        &[
            (&["Connection: Upgrade"], true),
            (&["connection: keep-alive, uPGRADE"], true),
            (&["Connection: keep-alive", "Connection: Upgrade"], true),
            (&[], false),
            (&["Connection: keep-alive"], false),
            (&["Connection: not-upgrade"], false),
        ],
        &[
            (&["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="], true),
            (&[], false),
            (&["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"], false),
            (&["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE="], false),
            (&["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="], false),
            (&["Sec-WebSocket-Key: ?GhlIHNhbXBsZSBub25jZQ=="], false),
            (&["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="], false),
        ],
        &[
            (&["Sec-WebSocket-Version: 13"], true),
            (&[], false),
            (&["Sec-WebSocket-Version: 0"], false),
            (&["Sec-WebSocket-Version: 8"], false),
            (&["Sec-WebSocket-Version: 14"], false),
            (&["Sec-WebSocket-Version: 13, 8"], false),
            (&["Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 13"], false),
        ],
        &[
            (&[], true),
            (&["Content-Length: 0"], true),
            (&["Content-Length: 5"], false),
            (&["Content-Length: 5", "Content-Length: 0"], false),
            (&["Transfer-Encoding: chunked"], false),
            (&["Content-Length: 0", "Transfer-Encoding: chunked"], false),
        ],
    ];
    let (_server, address) = run(Server::builder()).await;
    let deviations: Vec<(usize, usize)> =
        LINES.iter().enumerate().flat_map(|(line, forms)| (0..forms.len()).map(move |form| (line, form))).collect();
    let mut requests = Vec::new();
    for one in &deviations {
        for other in &deviations {
            let form = |line| [one, other].into_iter().find(|(at, _)| *at == line).map_or(0, |&(_, form)| form);
            requests.push(LINES.iter().enumerate().map(|(line, forms)| forms[form(line)]).collect::<Vec<Line>>());
        }
    }
    assert!(requests.len() > 1_000);
    for lines in requests {
        let good = lines.iter().all(|(_, good)| *good);
        let text: Vec<_> = lines.iter().flat_map(|(lines, _)| lines.iter().copied()).collect();
        // A request behind it, which must not be answered as one unless this one was an ordinary request to its end.
        let bytes = text.join("\r\n") + "\r\n\r\n";
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let head = in_time(read_head(&mut stream)).await;
        let status = head.split(' ').nth(1).unwrap_or("none");
        if good {
            assert_eq!(status, "101", "{text:?}");
        } else {
            assert!(matches!(status, "400" | "404" | "405" | "426" | "none"), "{text:?}: {head}");
        }
    }
}

/// A method of any name reaches the service, and HEAD is answered without a body.
#[tokio::test]
async fn other_methods_are_the_service_s_to_judge() {
    let (_server, address) = run(Server::builder()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(get("/").replace("GET", Method::HEAD.as_str()).as_bytes()).await.unwrap();
    let head = read_head(&mut stream).await;
    assert!(head.to_ascii_lowercase().contains(header::CONTENT_LENGTH.as_str()), "{head}");
    assert!(fetch(&mut stream, &get("/")).await.0.starts_with("HTTP/1.1 200 "), "nothing was between them");
}

/// What a handler is told when a refusal is made a response of ours.
#[test]
fn a_refusal_is_a_response() {
    let response: Response = Refusal::Full.response();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// A reader that fails half-way.
struct Fails(u8);

impl AsyncRead for Fails {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        self.0 += 1;
        buf.put_slice(b"half");
        std::task::Poll::Ready(if self.0 > 2 { Err(std::io::ErrorKind::Other.into()) } else { Ok(()) })
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_on_cuts_the_response_off() {
    let (listener, address) = listening().await;
    let server = Arc::new(Server::builder().build());
    tokio::spawn(server.answer(listener, async |_: Request| Response::new(Body::from_reader(Fails(0)))));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(get("/").as_bytes()).await.unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    assert!(!all.ends_with(b"0\r\n\r\n"), "it does not look whole");
}
