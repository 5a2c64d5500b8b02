//! A client that connects again: what it tells, what it sends on which connection, and what becomes of every message.

mod end;
mod fates;
mod messages;
mod told;

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{in_time, read_frame, read_head, server_frame, switching};
use sockeye::reconnect::{Backoff, Disconnected, Event, Reconnecting};
use sockeye_proto::frame::Opcode;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Tries at once, and for ever.
fn quick() -> Backoff {
    Backoff::default().first(Duration::from_millis(1)).most(Duration::from_millis(5))
}

/// A server that does this with one connection after the other, by their number; each is an HTTP request that was read.
async fn serving<F>(serve: impl Fn(u32, TcpStream, String) -> F + Send + Sync + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = read_head(&mut stream).await;
            tokio::spawn(serve(number, stream, head));
        }
    });
    address
}

/// Opens the WebSocket that was asked for.
async fn accept(stream: &mut TcpStream, head: &str) {
    stream.write_all(switching(head).as_bytes()).await.unwrap();
}

async fn answer(mut stream: TcpStream, status: &str) {
    stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.unwrap();
}

async fn close(stream: &mut TcpStream, code: u16) {
    let _ = stream.write_all(&server_frame(true, Opcode::CLOSE, &code.to_be_bytes())).await;
    while read_frame(stream).await.is_some_and(|(_, opcode, _)| opcode != Opcode::CLOSE) {}
}

/// Reads frames as a server does, answers Pings and Close, and tells texts.
async fn receive(mut stream: TcpStream, tell: mpsc::UnboundedSender<String>) {
    while let Some((_, opcode, payload)) = read_frame(&mut stream).await {
        match opcode {
            Opcode::PING => stream.write_all(&server_frame(true, Opcode::PONG, &payload)).await.unwrap(),
            Opcode::CLOSE => {
                stream.write_all(&server_frame(true, Opcode::CLOSE, &payload)).await.unwrap();
                return;
            }
            _ => tell.send(String::from_utf8(payload).unwrap()).unwrap(),
        }
    }
}

/// In a few words.
fn brief(event: &Event) -> String {
    match event {
        Event::Connecting { attempt, .. } => format!("connecting {attempt}"),
        Event::Connected { .. } => "connected".into(),
        Event::Message(message) => format!("message {}", message.as_text().unwrap()),
        Event::Disconnected(lost) => format!("disconnected {}", lost.closed().code().as_u16()),
        Event::Failed { attempt, .. } => format!("failed {attempt}"),
        Event::Waiting { .. } => "waiting".into(),
        Event::Ended(ended) => format!("ended {:?}", ended.by()),
        other => panic!("{other:?}"),
    }
}

/// The events up to the end, or as many.
async fn events(ws: &mut Reconnecting, most: usize) -> Vec<String> {
    let mut all = Vec::new();
    while all.len() < most
        && let Some(event) = in_time(ws.recv()).await
    {
        all.push(brief(&event));
    }
    all
}

async fn connected(ws: &mut Reconnecting) {
    while !matches!(in_time(ws.recv()).await.expect("it goes on"), Event::Connected { .. }) {}
}

async fn disconnected(ws: &mut Reconnecting) -> Disconnected {
    loop {
        if let Event::Disconnected(lost) = in_time(ws.recv()).await.expect("it goes on") {
            return lost;
        }
    }
}
