//! Many WebSockets on one HTTP/2 connection (RFC 8441).
//!
//! Run a server that takes WebSockets over HTTP/2, such as `cargo run --release -- serve`, then
//! `cargo run --bin http2_client -p sockeye-examples [URL] [PATH]`. With a `wss:` URL ALPN asks for HTTP/2; with a `ws:` URL the
//! server is taken to speak it.

use sockeye::CloseCode;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let url = args.next().unwrap_or_else(|| "ws://127.0.0.1:8080/".to_owned());
    let path = args.next().unwrap_or_else(|| "/echo".to_owned());

    // What is set here holds for all of them; each can add its own.
    let http2 = sockeye::connect(url).header("User-Agent", "sockeye-examples").http2();
    let all = (0..10).map(|number| {
        let attempt = http2.open(&path);
        tokio::spawn(async move {
            let mut ws = attempt.await?;
            ws.send(format!("你好 from {number}")).await?;
            println!("{:?}", ws.recv().await?);
            ws.close(CloseCode::NORMAL, "bye").await
        })
    });
    for ended in all.collect::<Vec<_>>() {
        ended.await??;
    }
    Ok(())
}
