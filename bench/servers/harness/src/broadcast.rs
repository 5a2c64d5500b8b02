//! The loop of servers that are a `Stream` and a `Sink`, when one's message goes to all.

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::select;
use tokio::sync::broadcast::Sender;

/// The broadcasts that may wait for a slow subscriber.
pub const BACKLOG: usize = 64;

/// Publishes what comes, and sends what is published.
pub async fn broadcast<W, M, E>(mut ws: W, news: Sender<M>, is_data: impl Fn(&M) -> bool) -> Option<()>
where
    W: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
    M: Clone,
{
    let mut subscription = news.subscribe();
    loop {
        select! {
            message = ws.next() => {
                let message = message?.ok()?;
                if is_data(&message) {
                    news.send(message).ok()?;
                }
            }
            message = subscription.recv() => {
                ws.feed(message.ok()?).await.ok()?;
                while let Ok(message) = subscription.try_recv() {
                    ws.feed(message).await.ok()?;
                }
                ws.flush().await.ok()?;
            }
        }
    }
}
