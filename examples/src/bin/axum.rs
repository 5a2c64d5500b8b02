//! A chat room in axum, over HTTP/1.1 and HTTP/2, that closes its WebSockets over a few seconds when it is stopped.
//!
//! Run it with `cargo run --bin axum -p sockeye-examples`, connect with
//! `cargo run --bin hello -p sockeye-examples ws://127.0.0.1:9004/chat`, and press Ctrl-C.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{any, get};
use sockeye::{Drain, HandlerResult, Message, Upgrade, WebSocket};
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, error::RecvError};

type Room = broadcast::Sender<Message>;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let (room, _) = broadcast::channel(64);
    let drain = Drain::new();
    let app = Router::new()
        .route("/", get(|| async { "A WebSocket is at /chat.\n" }))
        // `any`: HTTP/1.1 asks with GET, HTTP/2 with CONNECT.
        .route("/chat", any(chat))
        .with_state(room)
        .layer(drain.clone());
    let listener = TcpListener::bind("127.0.0.1:9004").await?;
    let serving = tokio::spawn(axum::serve(listener, app).with_graceful_shutdown(drain.begun()).into_future());

    tokio::signal::ctrl_c().await?;
    let left = drain.begin().spread(Duration::from_secs(3)).await;
    println!("{left} connections are left");
    serving.await?
}

async fn chat(upgrade: Upgrade, State(room): State<Room>) -> Response {
    upgrade.on_upgrade(|ws| talk(ws, room))
}

async fn talk(mut ws: WebSocket, room: Room) -> HandlerResult {
    let mut news = room.subscribe();
    loop {
        tokio::select! {
            said = ws.recv() => match said? {
                // Nobody there to hear it is no error.
                Some(message) => drop(room.send(message)),
                None => return Ok(()),
            },
            heard = news.recv() => match heard {
                Ok(message) => ws.send(message).await?,
                Err(RecvError::Lagged(missed)) => ws.send(format!("({missed} messages missed)")).await?,
                Err(RecvError::Closed) => return Ok(()),
            },
        }
    }
}
