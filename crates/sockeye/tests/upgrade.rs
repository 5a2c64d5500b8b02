//! `upgrade` in a hyper service: pages and WebSockets on one port.

use std::convert::Infallible;

use crate::support;
use crate::support::{echo, exchange, open, read_frame, request};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sockeye::{Limits, Message, OriginPolicy, Upgrader};
use tokio::net::{TcpListener, TcpStream};

async fn service(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match request.uri().path() {
        "/chat" => match sockeye::upgrade(&mut request) {
            Ok(upgrade) => upgrade.on_upgrade(echo),
            Err(refusal) => refusal.response(),
        },
        "/small" => {
            let upgrader =
                Upgrader::default().limits(Limits::default().message(4)).origin(OriginPolicy::Any).subprotocols(["v1"]);
            match upgrader.upgrade(&mut request) {
                Ok(upgrade) => {
                    let chosen = upgrade.subprotocol().map(str::to_owned);
                    assert_eq!(chosen.as_deref(), Some("v1"));
                    upgrade.on_upgrade(echo)
                }
                Err(refusal) => refusal.response(),
            }
        }
        _ => Response::new(Full::from("a page")),
    })
}

async fn hyper_server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(service))
                .with_upgrades();
            tokio::spawn(connection);
        }
    });
    address
}

#[tokio::test]
async fn a_page_and_a_websocket_share_a_port_and_even_a_connection() {
    let address = hyper_server().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let page = exchange(&mut stream, b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await;
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    let mut body = [0; 6];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut body).await.unwrap();
    assert_eq!(&body, b"a page");
    let answer = exchange(&mut stream, request("").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let mut ws = sockeye::connect(format!("ws://{address}/chat")).await.unwrap();
    ws.send("你好").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("你好")));
}

#[tokio::test]
async fn a_refusal_says_why_and_leaves_the_connection_to_http() {
    let mut stream = TcpStream::connect(hyper_server().await).await.unwrap();
    let answer = exchange(&mut stream, b"GET /chat HTTP/1.1\r\nHost: here\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
}

#[tokio::test]
async fn an_upgrader_sets_limits_origins_and_subprotocols() {
    let address = hyper_server().await;
    let connect = || {
        sockeye::connect(format!("ws://{address}/small"))
            .subprotocol("v1")
            .header("Origin", "https://elsewhere.example")
    };
    let mut ws = connect().await.unwrap();
    assert_eq!(ws.subprotocol(), Some("v1"));
    ws.send("fits").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("fits")));
    ws.send("fits not").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), None);
    assert_eq!(ws.close_reason().unwrap().code().as_u16(), 1009);
}

#[tokio::test]
async fn an_upgraded_connection_over_something_else_than_tcp_works_the_same() {
    let (near, far) = tokio::io::duplex(64);
    tokio::spawn(
        hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(far), service_fn(service))
            .with_upgrades(),
    );
    // The request by hand, as the client knows only TCP.
    let (mut reading, mut writing) = tokio::io::split(near);
    tokio::io::AsyncWriteExt::write_all(&mut writing, request("").as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tokio::io::AsyncReadExt::read_u8(&mut reading).await.unwrap());
    }
    let frame = support::client_frame(true, sockeye_proto::frame::Opcode::TEXT, &[b'x'; 1000]);
    let (written, answer) =
        tokio::join!(tokio::io::AsyncWriteExt::write_all(&mut writing, &frame), read_frame(&mut reading));
    written.unwrap();
    assert_eq!(answer.unwrap().2, [b'x'; 1000]);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_101_does_no_harm() {
    let address = hyper_server().await;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, request("").as_bytes()).await.unwrap();
        drop(stream);
    }
    drop(open(address).await);
}
