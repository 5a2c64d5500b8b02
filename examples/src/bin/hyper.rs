//! A page and a WebSocket on one port, in a hyper service.
//!
//! Run it with `cargo run --bin hyper -p sockeye-examples`, open <http://127.0.0.1:9002/>, or connect with
//! `cargo run --bin hello -p sockeye-examples ws://127.0.0.1:9002/chat`.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sockeye::{HandlerResult, WebSocket};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:9002").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        // `with_upgrades` is what lets hyper hand the connection over.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).with_upgrades());
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
