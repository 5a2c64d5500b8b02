//! A page and a WebSocket on one port, in a hyper service, over HTTP/1.1 and HTTP/2.
//!
//! Run it with `cargo run --bin hyper -p sockeye-examples`, open <http://127.0.0.1:9002/>, or connect with
//! `cargo run --bin hello -p sockeye-examples ws://127.0.0.1:9002/chat`.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use sockeye::{HandlerResult, WebSocket};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:9002").await?;
    let mut http = auto::Builder::new(TokioExecutor::new());
    // Without it clients do not ask for WebSockets over HTTP/2 (RFC 8441 §3).
    http.http2().enable_connect_protocol();
    loop {
        let (stream, _) = listener.accept().await?;
        // `with_upgrades` is what lets hyper hand a connection of HTTP/1.1 over.
        let connection = http.serve_connection_with_upgrades(TokioIo::new(stream), service_fn(answer)).into_owned();
        tokio::spawn(connection);
    }
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() != "/chat" {
        return Ok(Response::new(Full::from("A WebSocket is at /chat.\n")));
    }
    Ok(match sockeye::upgrade(&mut request) {
        Ok(upgrade) => upgrade.on_upgrade(chat),
        Err(refusal) => refusal.response(),
    })
}

async fn chat(mut ws: WebSocket) -> HandlerResult {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}
