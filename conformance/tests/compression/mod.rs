//! permessage-deflate (RFC 7692) with every set of parameters that the peers can negotiate, both ways.
//!
//! Each set carries messages of several sizes and some random ones. For each kind of takeover 8 sets, in which the window
//! of either end has each size once, carry all sizes up to 5 MB and a thousand random messages: what one end sends does not
//! depend on the window of the other.

mod source;

use core::net::SocketAddr;

use sockeye::{CloseCode, Compression, Message};
use source::Source;

use crate::peers::{Peer, Server};
use crate::{Result, SIZES, brief, connect, next_text, serve_in_a_thread};

/// For sets that are not tried thoroughly.
const FEW_SIZES: [usize; 4] = [0, 1, 126, 65_536];

const MANY: usize = 1000;
const FEW: usize = 20;

/// Random messages sent before their answers are read: few enough to fit into the buffers on the way.
const AT_ONCE: usize = 16;

/// Grants what a client asks for, asks for nothing itself, and compresses every message that shrinks.
const GENEROUS: Compression = Compression::takeover().window_bits(15).threshold(0);

const SERVER_NO_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_BITS: &str = "server_max_window_bits";
const CLIENT_BITS: &str = "client_max_window_bits";

pub(crate) async fn their_client_gets_each_offer_granted_and_each_message_back(peer: Peer) -> Result {
    let said = peer.check(&["deflate", &url(serve_in_a_thread(GENEROUS)?), "all"]).await;
    println!("{said}");
    // Node ws can make 360 different offers, Python websockets 324.
    let connections = said.split(' ').rev().find_map(|word| word.parse().ok());
    assert!(connections.unwrap_or(0) >= 324, "{said}");
    Ok(())
}

pub(crate) async fn their_client_gets_each_message_back_from_a_server_that_limits_it(peer: Peer) -> Result {
    for compression in [
        Compression::no_takeover(),
        Compression::takeover(),
        GENEROUS.window_bits(8).peer_window_bits(9),
        GENEROUS.context_takeover(false),
        GENEROUS.peer_context_takeover(false),
    ] {
        println!("{}", peer.check(&["deflate", &url(serve_in_a_thread(compression)?), "some"]).await);
    }
    Ok(())
}

pub(crate) async fn their_server_grants_each_offer_of_ours_and_returns_each_message(peer: Peer) -> Result {
    let mut server = peer.serve().await;
    let sizes = fixed();
    for (takeover, peer_takeover) in both_ends([true, false]) {
        for (bits, peer_bits) in both_ends([8, 9, 10, 11, 12, 13, 14, 15]) {
            let compression = GENEROUS
                .context_takeover(takeover)
                .peer_context_takeover(peer_takeover)
                .window_bits(bits)
                .peer_window_bits(peer_bits);
            // A server of Python websockets compresses with zlib, which cannot keep to 8 bits, and declines.
            let granted = !(matches!(peer, Peer::PythonWebsockets) && peer_bits == 8);
            let expected = granted.then(|| Terms {
                server_no_takeover: !peer_takeover,
                client_no_takeover: !takeover,
                server_bits: (peer_bits < 15).then_some(peer_bits),
                // We offer to be limited, and are not.
                client_bits: None,
            });
            let thorough = u16::from(bits) + u16::from(peer_bits) == 8 + 15;
            exchange(&mut server, "/deflate", compression, expected, &sizes, thorough).await?;
        }
    }
    Ok(())
}

pub(crate) async fn their_server_may_limit_us_in_every_way_it_can(peer: Peer) -> Result {
    let mut server = peer.serve().await;
    let sizes = fixed();
    // zlib again.
    let least = if matches!(peer, Peer::PythonWebsockets) { 9 } else { 8 };
    for (server_no_takeover, client_no_takeover) in both_ends([false, true]) {
        for server_bits in [None].into_iter().chain((least..=15).map(Some)) {
            for client_bits in [None].into_iter().chain((8..=15).map(Some)) {
                let terms = Terms { server_no_takeover, client_no_takeover, server_bits, client_bits };
                let path = format!("/deflate?{}", terms.written().join("&"));
                exchange(&mut server, &path, GENEROUS, Some(terms), &sizes, false).await?;
            }
        }
    }
    Ok(())
}

/// Opens a connection, checks what was agreed on, and that all messages come back.
async fn exchange(
    server: &mut Server,
    path: &str,
    compression: Compression,
    expected: Option<Terms>,
    sizes: &[[Message; 2]],
    thorough: bool,
) -> Result {
    let mut ws = connect(&server.url(path), compression).await?;
    let agreed = next_text(&mut ws).await?;
    let mut params: Vec<&str> = agreed.split("; ").collect();
    params.sort_unstable();
    let mut wanted = expected.map_or_else(Vec::new, |terms| terms.written());
    wanted.push(if expected.is_some() { "permessage-deflate".to_owned() } else { String::new() });
    wanted.sort_unstable();
    assert_eq!(params, wanted, "{path} {compression:?}");

    let chosen = sizes.iter().zip(SIZES).filter(|(_, size)| thorough || FEW_SIZES.contains(size));
    let mut sent = 0;
    for message in chosen.flat_map(|(messages, _)| messages) {
        ws.send(message.clone()).await?;
        let back = ws.recv().await?.ok_or("closed instead of an answer")?;
        assert!(back == *message, "sent {}, got {}: {path} {agreed}", brief(message), brief(&back));
        sent += 1;
    }
    let mut source = Source::new(sent);
    for _ in 0..if thorough { MANY } else { FEW }.div_ceil(AT_ONCE) {
        let batch: Vec<Message> = (0..AT_ONCE).map(|_| source.message()).collect();
        for message in &batch {
            ws.send(message.clone()).await?;
        }
        for message in &batch {
            let back = ws.recv().await?.ok_or("closed instead of an answer")?;
            assert!(back == *message, "sent {}, got {}: {path} {agreed}", brief(message), brief(&back));
            sent += 1;
        }
    }
    ws.close(CloseCode::NORMAL, "").await?;

    // Most of the random messages are short, and what does not shrink goes out as it is.
    let line = server.line().await;
    let compressed: u64 = line.strip_prefix("compressed ").ok_or("no count of compressed messages")?.parse()?;
    assert_eq!(compressed > sent / 4, expected.is_some(), "{compressed} of {sent} were compressed: {path} {agreed}");
    assert_eq!(server.line().await, "closed /deflate 1000 ");
    Ok(())
}

/// The parameters in an answer.
#[derive(Clone, Copy)]
struct Terms {
    server_no_takeover: bool,
    client_no_takeover: bool,
    server_bits: Option<u8>,
    client_bits: Option<u8>,
}

impl Terms {
    /// As they stand in the header, and in the query that configures a peer's server.
    fn written(self) -> Vec<String> {
        let flag = |set: bool, name: &str| set.then(|| name.to_owned());
        let bits = |bits: Option<u8>, name: &str| bits.map(|bits| format!("{name}={bits}"));
        let all = [
            flag(self.server_no_takeover, SERVER_NO_TAKEOVER),
            flag(self.client_no_takeover, CLIENT_NO_TAKEOVER),
            bits(self.server_bits, SERVER_BITS),
            bits(self.client_bits, CLIENT_BITS),
        ];
        all.into_iter().flatten().collect()
    }
}

/// A text and binary data of each of the [`SIZES`].
fn fixed() -> Vec<[Message; 2]> {
    let mut source = Source::new(1);
    SIZES.map(|size| [Message::from(source.text(size)), Message::from(source.bytes(size))]).into()
}

fn both_ends<T: Copy, const N: usize>(values: [T; N]) -> impl Iterator<Item = (T, T)> {
    values.into_iter().flat_map(move |one| values.into_iter().map(move |other| (one, other)))
}

fn url(address: SocketAddr) -> String {
    format!("ws://{address}/")
}
