//! A client that says hello, prints what comes back, and closes.
//!
//! Run `echo`, then `cargo run --bin hello -p sockeye-examples [URL]`.

use sockeye::CloseCode;

#[tokio::main]
async fn main() -> Result<(), sockeye::Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:9001/".to_owned());
    let mut ws = sockeye::connect(url).await?;
    ws.send("你好").await?;
    if let Some(message) = ws.recv().await? {
        println!("{message:?}");
    }
    ws.close(CloseCode::NORMAL, "bye").await
}
