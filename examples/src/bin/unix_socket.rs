//! A server and a client on a Unix socket, in one program: the server as it stands behind a proxy on the same machine (nginx:
//! `proxy_pass http://unix:/run/app.sock;`), the client as it reaches a service next door.
//!
//! Run it with `cargo run --bin unix_socket -p sockeye-examples`. Against a server of your own, say
//! `ws+unix:/run/app.sock:/chat` to `hello`.

use std::future::IntoFuture;

use sockeye::{CloseCode, WebSocket};
use tokio::net::UnixListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let path = std::env::temp_dir().join(format!("sockeye-example-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path)?;
    let server = sockeye::serve(listener, |mut ws: WebSocket| async move {
        while let Some(message) = ws.recv().await? {
            ws.send(message).await?;
        }
        Ok(())
    });
    tokio::spawn(server.into_future());

    // The URL says what to ask for, and which Host to name; the same in one is `ws+unix:PATH:/chat`.
    let mut ws = sockeye::connect("ws://localhost/chat").unix(&path).await?;
    ws.send("你好").await?;
    println!("{:?} came back over {}", ws.recv().await?, path.display());
    ws.close(CloseCode::NORMAL, "bye").await?;
    std::fs::remove_file(path)?;
    Ok(())
}
