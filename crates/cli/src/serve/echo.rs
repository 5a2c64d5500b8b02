//! `/echo`: what comes in goes out again.

use sockeye::{CloseCode, HandlerResult, WebSocket};
use tokio_util::sync::CancellationToken;

/// Sends every message back until the connection closes, or the server stops.
pub(super) async fn echo(mut ws: WebSocket, stop: CancellationToken) -> HandlerResult {
    loop {
        let message = tokio::select! {
            message = ws.recv() => message?,
            () = stop.cancelled() => {
                ws.close(CloseCode::GOING_AWAY, "the server shuts down").await?;
                return Ok(());
            }
        };
        match message {
            Some(message) => ws.send(message).await?,
            None => return Ok(()),
        }
    }
}
