//! A server that sends everything back.
//!
//! Run it with `cargo run --bin echo -p sockeye-examples`, and `hello` against it.

use sockeye::WebSocket;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = TcpListener::bind("127.0.0.1:9001").await?;
    sockeye::serve(listener, |mut ws: WebSocket| async move {
        while let Some(message) = ws.recv().await? {
            ws.send(message).await?;
        }
        Ok(())
    })
    .await?;
    Ok(())
}
