//! Our client and our server against Python `websockets` and Node `ws`, each as a process of its own, over TCP.
//!
//! Every test runs once with each of them. What their servers do is explained in `interop/peer.py`, and so is what
//! their clients check.

mod peers;

mod compression;

use core::error::Error;
use core::fmt::Write as _;
use core::net::SocketAddr;

use compression::{
    their_client_gets_each_message_back_from_a_server_that_limits_it,
    their_client_gets_each_offer_granted_and_each_message_back,
    their_server_grants_each_offer_of_ours_and_returns_each_message, their_server_may_limit_us_in_every_way_it_can,
};
use peers::{HaProxy, Peer, over_http2};
use sockeye::{CloseCode, Compression, Limits, Message, Upgrader, WebSocket};
use tokio::net::TcpListener;

/// Each length form of RFC 6455 §5.2 and its edges, one size around our default limit, and the largest asked for.
const SIZES: [usize; 9] = [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20, 5_000_000];

const HELLO: &str = "你好，世界 👋";

/// All that an endpoint may send (§7.4), other than the ones which other tests are about.
const CODES: [u16; 10] = [1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999];

const MAX_MESSAGE: usize = 64 << 20;

type Result<T = ()> = core::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Makes two tests of each function: one with each peer.
macro_rules! with_each_peer {
    ($($name:ident)*) => {
        mod with_python_websockets {
            $(#[tokio::test] async fn $name() -> super::Result { super::$name(super::Peer::PythonWebsockets).await })*
        }
        mod with_node_ws {
            $(#[tokio::test] async fn $name() -> super::Result { super::$name(super::Peer::NodeWs).await })*
        }
    };
}

with_each_peer! {
    their_client_finds_nothing_wrong_with_our_server
    their_client_finds_nothing_wrong_with_our_server_over_http_2
    their_client_finds_nothing_wrong_with_our_server_behind_haproxy
    every_size_comes_back_from_their_server_as_it_went
    chinese_and_emoji_come_back_from_their_server_as_they_went
    a_thousand_messages_sent_without_waiting_come_back_in_order
    answers_in_fragments_of_any_size_are_put_together
    fragments_with_pings_between_them_become_whole_messages
    their_pings_get_their_own_payload_back
    our_pings_reach_them_and_their_pongs_tell_the_round_trip
    their_close_brings_us_its_code_and_reason_and_gets_them_back
    our_close_brings_them_its_code_and_reason_and_gets_them_back
    a_server_that_dies_is_an_error_and_not_the_end_of_the_messages
    their_client_gets_each_offer_granted_and_each_message_back
    their_client_gets_each_message_back_from_a_server_that_limits_it
    their_server_grants_each_offer_of_ours_and_returns_each_message
    their_server_may_limit_us_in_every_way_it_can
}

async fn their_client_finds_nothing_wrong_with_our_server(peer: Peer) -> Result {
    let address = serve_in_a_thread(Compression::OFF)?;
    find_nothing_wrong(peer, &format!("ws://{address}/echo")).await;
    Ok(())
}

/// Every WebSocket of the battery is a stream of one connection.
async fn their_client_finds_nothing_wrong_with_our_server_over_http_2(peer: Peer) -> Result {
    let bridge = over_http2(serve_in_a_thread(Compression::OFF)?).await;
    find_nothing_wrong(peer, &bridge.url("/echo")).await;
    Ok(())
}

/// Over both versions of HTTP between HAProxy and us.
async fn their_client_finds_nothing_wrong_with_our_server_behind_haproxy(peer: Peer) -> Result {
    let server = serve_in_a_thread(Compression::OFF)?;
    for over_http2 in [false, true] {
        let proxy = HaProxy::before(server, over_http2).await;
        find_nothing_wrong(peer, &format!("ws://{}/echo", proxy.address)).await;
    }
    Ok(())
}

async fn find_nothing_wrong(peer: Peer, url: &str) {
    let said = peer.check(&["client", url]).await;
    println!("{said}");
    // Over a thousand checks: a battery that has shrunk to nothing must not pass.
    let checks = said.split(' ').find_map(|word| word.parse().ok());
    assert!(checks.unwrap_or(0) > 1000, "{said}");
}

/// Our echo server, in a thread of its own which nobody waits for: should a bug make it spin, the test still ends, and
/// tells what the other side saw.
fn serve_in_a_thread(compression: Compression) -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).expect("the runtime takes a socket that does not block");
            let limits = Limits::default().message(MAX_MESSAGE);
            let upgrader = Upgrader::default().limits(limits).compression(compression);
            sockeye::serve(listener, echo).upgrader(upgrader).await
        })
    });
    Ok(address)
}

async fn echo(mut ws: WebSocket) -> Result {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

async fn every_size_comes_back_from_their_server_as_it_went(peer: Peer) -> Result {
    let mut server = peer.serve().await;
    let mut ws = connect(&server.url("/echo"), Compression::OFF).await?;
    for size in SIZES {
        for message in [Message::from(text_of(size)), Message::from(binary_of(size))] {
            ws.send(message.clone()).await?;
            let back = ws.recv().await?.ok_or("closed instead of an answer")?;
            assert!(back == message, "{size} bytes: sent {}, got {}", brief(&message), brief(&back));
        }
    }
    ws.close(CloseCode::NORMAL, "").await?;
    assert_eq!(server.line().await, "closed /echo 1000 ");
    Ok(())
}

async fn chinese_and_emoji_come_back_from_their_server_as_they_went(peer: Peer) -> Result {
    let server = peer.serve().await;
    let mut ws = connect(&server.url("/echo"), Compression::OFF).await?;
    for text in [
        HELLO.to_owned(),
        mixed_text(),
        "👨‍👩‍👧‍👦🇨🇳👋🏽".repeat(1000),
        // The first and the last character of each length, and the neighbours of the surrogates.
        "\0\u{7f}\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}".to_owned(),
    ] {
        ws.send(text.clone()).await?;
        assert_eq!(next_text(&mut ws).await?, text);
    }
    Ok(())
}

async fn a_thousand_messages_sent_without_waiting_come_back_in_order(peer: Peer) -> Result {
    let server = peer.serve().await;
    let mut ws = connect(&server.url("/echo"), Compression::OFF).await?;
    let message = |i: usize| {
        if i.is_multiple_of(2) { Message::from(text_of(i)) } else { Message::from(binary_of(i)) }
    };
    for i in 0..1000 {
        ws.send(message(i)).await?;
    }
    for i in 0..1000 {
        assert_eq!(ws.recv().await?, Some(message(i)), "message {i}");
    }
    Ok(())
}

async fn answers_in_fragments_of_any_size_are_put_together(peer: Peer) -> Result {
    let server = peer.serve().await;
    for (fragment, text) in [
        // One byte each: every character is cut wherever it can be.
        (1, HELLO.to_owned()),
        (1, text_of(3000)),
        (125, mixed_text()),
        (126, mixed_text()),
        (65_535, text_of(1 << 20)),
        (65_536, text_of(5_000_000)),
    ] {
        let mut ws = connect(&server.url(&format!("/echo?fragment={fragment}")), Compression::OFF).await?;
        for message in [Message::from(text.clone()), Message::from(text.into_bytes())] {
            ws.send(message.clone()).await?;
            let back = ws.recv().await?.ok_or("closed instead of an answer")?;
            assert!(back == message, "in {fragment}s: sent {}, got {}", brief(&message), brief(&back));
        }
    }
    Ok(())
}

async fn fragments_with_pings_between_them_become_whole_messages(peer: Peer) -> Result {
    let server = peer.serve().await;
    let mut ws = connect(&server.url("/fragments"), Compression::OFF).await?;
    assert_eq!(next_text(&mut ws).await?, HELLO);
    assert!(next_text(&mut ws).await? == mixed_text());
    assert!(ws.recv().await? == Some(Message::from(binary_of(65_536))));
    Ok(())
}

async fn their_pings_get_their_own_payload_back(peer: Peer) -> Result {
    let server = peer.serve().await;
    // The last one is as long as the payload of a Ping can be (§5.5).
    for payload in ["", "x", "乒乓 🏓", &"p".repeat(125)] {
        let mut ws =
            connect(&server.url(&format!("/ping?payload={}", percent_encoded(payload))), Compression::OFF).await?;
        assert_eq!(next_text(&mut ws).await?, "pong ok", "{payload:?}");
    }
    Ok(())
}

async fn our_pings_reach_them_and_their_pongs_tell_the_round_trip(peer: Peer) -> Result {
    let server = peer.serve().await;
    let mut ws = connect(&server.url("/pings"), Compression::OFF).await?;
    for _ in 0..3 {
        // Their Pong answers it, and is none of the application's business.
        let round_trip = ws.ping().await?;
        assert_eq!(ws.latency(), Some(round_trip));
        let told = next_text(&mut ws).await?;
        let payload = told.strip_prefix("ping ").ok_or("they tell of the Ping")?;
        assert_eq!(payload.len(), 16, "eight bytes tell one Ping from another: {told}");
    }
    Ok(())
}

async fn their_close_brings_us_its_code_and_reason_and_gets_them_back(peer: Peer) -> Result {
    let mut server = peer.serve().await;
    for (code, reason) in closes() {
        let query = format!("/close?code={code}&reason={}", percent_encoded(&reason));
        let mut ws = connect(&server.url(&query), Compression::OFF).await?;
        assert_eq!(ws.recv().await?, None, "{code} {reason}");
        let got = ws.close_reason().ok_or("there was a Close, and so a reason")?;
        assert_eq!((got.code().as_u16(), got.reason()), (code, reason.as_str()));
        assert_eq!(server.line().await, format!("closed /close {code} {reason}"));
    }
    Ok(())
}

async fn our_close_brings_them_its_code_and_reason_and_gets_them_back(peer: Peer) -> Result {
    let mut server = peer.serve().await;
    for (code, reason) in closes() {
        let ws = connect(&server.url("/echo"), Compression::OFF).await?;
        ws.close(CloseCode::from(code), reason.as_str()).await?;
        assert_eq!(server.line().await, format!("closed /echo {code} {reason}"));
        let got = ws.close_reason().ok_or("there was a Close, and so a reason")?;
        assert_eq!((got.code().as_u16(), got.reason()), (code, reason.as_str()));
    }
    Ok(())
}

async fn a_server_that_dies_is_an_error_and_not_the_end_of_the_messages(peer: Peer) -> Result {
    let mut server = peer.serve().await;
    let mut ws = connect(&server.url("/echo"), Compression::OFF).await?;
    ws.send(HELLO).await?;
    assert_eq!(next_text(&mut ws).await?, HELLO);
    server.kill().await;
    assert!(ws.recv().await.is_err(), "no Close came (§7.1.5: 1006)");
    Ok(())
}

async fn connect(url: &str, compression: Compression) -> core::result::Result<WebSocket, sockeye::Error> {
    sockeye::connect(url).max_message(MAX_MESSAGE).compression(compression).await
}

async fn next_text(ws: &mut WebSocket) -> Result<String> {
    match ws.recv().await? {
        Some(Message::Text(text)) => Ok(text.as_str().to_owned()),
        Some(binary) => Err(format!("expected a text, got {}", brief(&binary)).into()),
        None => Err("expected a text, got Close".into()),
    }
}

/// Every code, with each kind of reason; the last is as long as one can be: 41 characters of 3 bytes.
fn closes() -> impl Iterator<Item = (u16, String)> {
    let reasons = ["".to_owned(), "bye".to_owned(), "再见，世界 👋".to_owned(), "满".repeat(41)];
    CODES.into_iter().flat_map(move |code| reasons.clone().into_iter().map(move |reason| (code, reason)))
}

/// A text of exactly so many bytes, Chinese as far as it goes.
fn text_of(size: usize) -> String {
    let chinese = (0x4e00..0x9000).cycle().take(size / 3).filter_map(char::from_u32);
    chinese.chain("xx".chars().take(size % 3)).collect()
}

/// The same bytes as `binary` in `interop/session.py`.
fn binary_of(size: usize) -> Vec<u8> {
    let mut state = u32::try_from(size).expect("sizes are small");
    core::iter::repeat_with(|| {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
        state.to_be_bytes()[1]
    })
    .take(size)
    .collect()
}

/// The same 70 KB as `mixed_text` in `interop/session.py`.
fn mixed_text() -> String {
    let mut text = String::new();
    let mut number = 0;
    while text.len() < 70_000 {
        let _ = writeln!(text, "{number}: the frame says 帧说，你好世界 😀");
        number += 1;
    }
    text
}

/// The value of a query, with every byte but letters and digits escaped.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let _ =
            if byte.is_ascii_alphanumeric() { write!(out, "{}", char::from(byte)) } else { write!(out, "%{byte:02X}") };
        out
    })
}

/// A message in a few words, for when it is megabytes.
fn brief(message: &Message) -> String {
    let kind = if message.as_text().is_some() { "text" } else { "binary" };
    let start = &message.as_bytes()[..message.len().min(20)];
    format!("{kind} of {} bytes ({start:02x?}…)", message.len())
}
