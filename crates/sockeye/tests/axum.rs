//! axum: one route for both versions of HTTP, refusals as responses, a shutdown that waits.

#[path = "support/http2.rs"]
mod http2;
use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{client_frame, echo, exchange, in_time, open, read_close, read_frame, request};
use axum::response::Response;
use axum::routing::any;
use axum::{Extension, Router};
use http::StatusCode;
use http2::{Http2, connect, get};
use sockeye::{CloseCode, Drain, Limits, Message, Upgrade, Upgrader};
use sockeye_proto::frame::Opcode;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

async fn chat(upgrade: Upgrade) -> Response {
    upgrade.on_upgrade(echo)
}

/// A page to those who do not ask for a WebSocket.
async fn either(upgrade: Option<Upgrade>) -> Response {
    match upgrade {
        Some(upgrade) => upgrade.on_upgrade(echo),
        None => Response::new("a page".into()),
    }
}

fn app() -> Router {
    Router::new().route("/chat", any(chat)).route("/either", any(either))
}

async fn run(app: Router, drain: &Drain) -> (SocketAddr, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = axum::serve(listener, app).with_graceful_shutdown(drain.begun());
    (address, tokio::spawn(serve.into_future()))
}

#[tokio::test]
async fn one_route_opens_websockets_over_both_versions_of_http() {
    let (address, _serving) = run(app(), &Drain::new()).await;
    let mut over_1 = open(address).await;
    over_1.write_all(&client_frame(true, Opcode::TEXT, b"over 1.1")).await.unwrap();
    assert_eq!(read_frame(&mut over_1).await.unwrap().2, b"over 1.1");
    let http = Http2::over(TcpStream::connect(address).await.unwrap()).await;
    let mut over_2 = http.websocket(Limits::default()).await;
    over_2.send("over 2").await.unwrap();
    assert_eq!(over_2.recv().await.unwrap(), Some(Message::from("over 2")));
}

#[tokio::test]
async fn a_refusal_is_the_response_and_an_option_is_none() {
    let (address, _serving) = run(app(), &Drain::new()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let bad = request("Sec-WebSocket-Protocol: a, a\r\n");
    assert!(exchange(&mut stream, bad.as_bytes()).await.starts_with("HTTP/1.1 400 "));
    let http = Http2::over(TcpStream::connect(address).await.unwrap()).await;
    assert_eq!(http.fetch(get("/chat")).await.unwrap().0.status(), StatusCode::METHOD_NOT_ALLOWED);
    let (response, body) = http.fetch(get("/either")).await.unwrap();
    assert_eq!((response.status(), &body[..]), (StatusCode::OK, &b"a page"[..]));
    assert!(http.open(connect("/either")).await.is_ok());
}

#[tokio::test]
async fn an_upgrader_in_a_layer_is_what_is_decided_by() {
    let upgrader = Upgrader::default().limits(Limits::default().message(4)).subprotocols(["v1"]);
    let (address, _serving) = run(app().layer(Extension(upgrader)), &Drain::new()).await;
    let mut ws = sockeye::connect(format!("ws://{address}/chat")).subprotocol("v1").await.unwrap();
    assert_eq!(ws.subprotocol(), Some("v1"));
    ws.send("12345").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), None);
    assert_eq!(ws.close_reason().unwrap().code(), CloseCode::MESSAGE_TOO_BIG);
}

#[tokio::test]
async fn a_drain_as_a_layer_closes_the_websockets_of_both_versions_and_the_shutdown_waits_for_them() {
    let drain = Drain::new();
    let (address, serving) = run(app().layer(drain.clone()), &drain).await;
    let http = Http2::over(TcpStream::connect(address).await.unwrap()).await;
    let over_2 = http.websocket(Limits::default()).await;
    let over_1 = sockeye::connect(format!("ws://{address}/chat")).await.unwrap();
    in_time(async {
        while drain.open() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    let clients = [over_1, over_2].map(|mut ws| {
        tokio::spawn(async move {
            assert_eq!(ws.recv().await.unwrap(), None);
            ws.close_reason().unwrap().code()
        })
    });
    assert_eq!(in_time(drain.begin().into_future()).await, 0);
    for client in clients {
        assert_eq!(client.await.unwrap(), CloseCode::GOING_AWAY);
    }
    in_time(serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_close_does_not_keep_axum_from_stopping() {
    let drain = Drain::new();
    let (address, serving) = run(app().layer(drain.clone()), &drain).await;
    let mut stream = open(address).await;
    let left = in_time(drain.begin().patience(Duration::from_millis(200)).into_future()).await;
    assert_eq!(left, 0, "its handler has ended");
    assert_eq!(read_close(&mut stream).await.0, 1001);
    in_time(serving).await.unwrap().unwrap();
}
