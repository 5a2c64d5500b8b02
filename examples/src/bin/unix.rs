//! An echo on a Unix socket, as behind a proxy on the same machine (nginx: `proxy_pass http://unix:/tmp/sockeye.sock;`).
//!
//! Run it with `cargo run --bin unix -p sockeye-examples`, and look at its answer with
//!
//! ```sh
//! curl -iN --max-time 1 --unix-socket /tmp/sockeye.sock -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
//!     -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' http://localhost/
//! ```

use sockeye::WebSocket;
use tokio::net::UnixListener;

const PATH: &str = "/tmp/sockeye.sock";

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // One that an earlier run has left.
    let _ = std::fs::remove_file(PATH);
    let listener = UnixListener::bind(PATH)?;
    println!("listening on {PATH}");
    sockeye::serve(listener, |mut ws: WebSocket| async move {
        while let Some(message) = ws.recv().await? {
            ws.send(message).await?;
        }
        Ok(())
    })
    .await
}
