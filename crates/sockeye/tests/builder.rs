//! A WebSocket over a stream on which somebody else has done the handshake.

use crate::support::client_frame;
use bytes::Bytes;
use http::Request;
use sockeye::{Budget, CloseCode, Compression, Limits, Message, Role, WebSocket};
use sockeye_proto::frame::Opcode;
use sockeye_proto::handshake::client::{self, Offer, Target};
use sockeye_proto::handshake::server::{Options, accept_request};
use sockeye_proto::handshake::{Agreed, Key};
use tokio::io::duplex;
use tokio::net::{TcpListener, TcpStream};

/// What both ends have agreed on who offer and accept this.
fn agreed(compression: Compression) -> (Agreed, Agreed) {
    let (key, offer) = (Key::new([7; 16]), Offer::default().subprotocol("chat").compression(compression));
    let request: Request<()> =
        client::request(&Target::parse("ws://a/").unwrap(), &key, &offer, http::HeaderMap::new()).unwrap();
    let options = Options::default().subprotocols(["chat"]).compression(compression);
    let (response, by_server) = accept_request(&request, &options).unwrap();
    (client::verify(&response, &key, &offer).unwrap(), by_server)
}

#[tokio::test]
async fn what_was_agreed_on_is_spoken() {
    let compression = Compression::takeover();
    let (by_client, by_server) = agreed(compression);
    let (near, far) = duplex(1 << 20);
    let client = WebSocket::builder(Role::Client).agreed(by_client).compression(compression).over(near);
    let mut server = WebSocket::builder(Role::Server).agreed(by_server.clone()).compression(compression).over(far);
    assert_eq!((client.subprotocol(), server.subprotocol()), (Some("chat"), Some("chat")));
    client.send("很长".repeat(10_000)).await.unwrap();
    assert_eq!(server.recv().await.unwrap(), Some(Message::from("很长".repeat(10_000))));

    // One who speaks it to one who does not is refused: so it was compressed.
    let (near, far) = duplex(1 << 20);
    let client = WebSocket::builder(Role::Client).agreed(by_server).compression(compression).over(near);
    let mut server = WebSocket::builder(Role::Server).subprotocol("other").compression(compression).over(far);
    assert_eq!(server.subprotocol(), Some("other"));
    client.send("很长".repeat(10_000)).await.unwrap();
    let (received, _) = tokio::join!(server.recv(), client.closed());
    assert_eq!(received.unwrap_err().close_code(), Some(CloseCode::PROTOCOL_ERROR));
}

#[tokio::test]
async fn early_bytes_come_before_what_the_stream_brings() {
    let frames =
        [client_frame(true, Opcode::TEXT, "你好".as_bytes()), client_frame(true, Opcode::BINARY, b"x")].concat();
    for cut in 0..=frames.len() {
        let (near, far) = duplex(1 << 10);
        let mut server = WebSocket::builder(Role::Server).early(Bytes::copy_from_slice(&frames[..cut])).over(far);
        tokio::io::AsyncWriteExt::write_all(&mut { near }, &frames[cut..]).await.unwrap();
        assert_eq!(server.recv().await.unwrap(), Some(Message::from("你好")), "{cut}");
        assert_eq!(server.recv().await.unwrap(), Some(Message::from(&b"x"[..])), "{cut}");
    }
}

#[tokio::test]
async fn limits_and_a_budget_hold() {
    let budget = Budget::new(1 << 20);
    let (near, far) = duplex(1 << 20);
    let client = WebSocket::from_stream(near, Role::Client, Limits::default());
    let limits = Limits::default().message(64 << 10);
    let mut server = WebSocket::builder(Role::Server).limits(limits).budget(&budget).over(far);
    server.feed(vec![0; 100]).await.unwrap();
    assert!(budget.used() >= 100, "{budget:?}");
    server.flush().await.unwrap();
    assert_eq!(budget.used(), 0);
    client.send(vec![0; (64 << 10) + 1]).await.unwrap();
    let (received, _) = tokio::join!(server.recv(), client.closed());
    assert_eq!(received.unwrap_err().close_code(), Some(CloseCode::MESSAGE_TOO_BIG));
}

#[tokio::test]
async fn plain_tcp_is_a_stream_like_any_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let client = WebSocket::builder(Role::Client).over(near);
    let mut server = WebSocket::from_stream(listener.accept().await.unwrap().0, Role::Server, Limits::default());
    client.send("hello").await.unwrap();
    assert_eq!(server.recv().await.unwrap(), Some(Message::from("hello")));
    let closing = tokio::join!(client.close(CloseCode::NORMAL, "bye"), server.recv());
    assert!(closing.0.is_ok() && closing.1.unwrap().is_none());
}
