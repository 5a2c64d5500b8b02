//! A server and a client on a Unix socket, in one program.
//!
//! Run it with `cargo run --bin unix_socket -p sockeye-examples`. Against a server of your own, say
//! `ws+unix:/run/app.sock:/chat` to `hello`.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use sockeye::{CloseCode, WebSocket};
use tokio::net::UnixListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let path = std::env::temp_dir().join(format!("sockeye-example-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path)?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).with_upgrades(),
            );
        }
    });

    // The URL says what to ask for, and which Host to name; the same in one is `ws+unix:PATH:/chat`.
    let mut ws = sockeye::connect("ws://localhost/chat").unix(&path).await?;
    ws.send("你好").await?;
    println!("{:?} came back over {}", ws.recv().await?, path.display());
    ws.close(CloseCode::NORMAL, "bye").await?;
    std::fs::remove_file(path)?;
    Ok(())
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match sockeye::upgrade(&mut request) {
        Ok(upgrade) => upgrade.on_upgrade(|mut ws: WebSocket| async move {
            while let Some(message) = ws.recv().await? {
                ws.send(message).await?;
            }
            Ok(())
        }),
        Err(refusal) => refusal.response(),
    })
}
