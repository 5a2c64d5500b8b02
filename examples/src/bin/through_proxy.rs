//! A client through a proxy.
//!
//! Run `echo`, and a proxy: `ssh -N -D 1080 HOST` is one for SOCKS 5. Then
//! `cargo run --bin through_proxy -p sockeye-examples socks5://127.0.0.1:1080 [URL]`; `http://user:password@127.0.0.1:3128` would
//! be one that is asked by CONNECT. Without a proxy named here the environment would name it: `https_proxy` and the others.

use sockeye::{CloseCode, Error};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut args = std::env::args().skip(1);
    let Some(proxy) = args.next() else {
        println!("usage: through_proxy PROXY [URL]");
        return Ok(());
    };
    // The name in the URL is the proxy's to look up, so this is its own loopback.
    let url = args.next().unwrap_or_else(|| "ws://localhost:9001/".to_owned());
    let mut ws = match sockeye::connect(url).proxy(proxy).await {
        Ok(ws) => ws,
        Err(Error::Proxy(error)) => {
            println!("{error}"); // names the proxy, and what it said; never its password
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    ws.send("你好").await?;
    println!("{:?}", ws.recv().await?);
    ws.close(CloseCode::NORMAL, "bye").await
}
