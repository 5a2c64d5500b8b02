//! Echo servers for the browser test: one for each of 32 sets of parameters of permessage-deflate (RFC 7692), with each
//! kind of takeover for either end, and in each the eight windows of either end.
//!
//! `deflate_servers` prints a line `listening on URL URL …`, where the query of a URL has the parameters of the server's
//! answer to a browser, which lets the server limit its window.

use core::error::Error;
use core::fmt::Write as _;

use sockeye::{Compression, Limits, OriginPolicy, Upgrader, WebSocket};
use tokio::net::TcpListener;

const MAX_MESSAGE: usize = 64 << 20;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut urls = String::new();
    for takeover in [(true, true), (true, false), (false, true), (false, false)] {
        // What one end sends does not depend on the window of the other.
        for bits in 8..=15 {
            write!(urls, " {}", serve(takeover, (bits, 23 - bits)).await?)?;
        }
    }
    println!("listening on{urls}");
    core::future::pending().await
}

/// Starts a server, where the first of each pair is the server's and the second the client's; gives its URL.
async fn serve(takeover: (bool, bool), bits: (u8, u8)) -> Result<String, BoxError> {
    let compression = Compression::takeover()
        .context_takeover(takeover.0)
        .peer_context_takeover(takeover.1)
        .window_bits(bits.0)
        .peer_window_bits(bits.1)
        .threshold(0);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let params = [
        (!takeover.0).then(|| "server_no_context_takeover".to_owned()),
        (!takeover.1).then(|| "client_no_context_takeover".to_owned()),
        // 15 is no limit.
        (bits.0 < 15).then(|| format!("server_max_window_bits={}", bits.0)),
        (bits.1 < 15).then(|| format!("client_max_window_bits={}", bits.1)),
    ];
    let query: Vec<String> = params.into_iter().flatten().collect();
    let url = format!("ws://{}/?{}", listener.local_addr()?, query.join("&"));
    // The page comes from somewhere else.
    let upgrader = Upgrader::default()
        .origin(OriginPolicy::Any)
        .limits(Limits::default().message(MAX_MESSAGE))
        .compression(compression);
    tokio::spawn(async move { sockeye::serve(listener, echo).upgrader(upgrader).await });
    Ok(url)
}

async fn echo(mut ws: WebSocket) -> Result<(), BoxError> {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}
