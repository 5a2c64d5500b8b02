//! `/echo`: what comes in goes out again.

use sockeye::{HandlerResult, WebSocket};

/// Sends every message back until the connection closes.
pub(super) async fn echo(mut ws: WebSocket) -> HandlerResult {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}
