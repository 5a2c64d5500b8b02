//! `/inspect/feed`: one page that watches.

use sockeye::{HandlerResult, WebSocket};

use super::history::Feed;

/// Sends a page what it is to be told, until it goes. It has nothing to say.
pub(super) async fn run(mut ws: WebSocket, mut feed: Feed) -> HandlerResult {
    loop {
        tokio::select! {
            lines = feed.next() => ws.send(lines).await?,
            said = ws.recv() => {
                if said?.is_none() {
                    return Ok(());
                }
            }
        }
    }
}
