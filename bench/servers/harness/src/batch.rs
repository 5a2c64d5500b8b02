//! The loop of servers that are a `Stream` and a `Sink`: all that has arrived is answered, then written at once.

use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};

/// The most messages that wait for one write.
const BATCH: usize = 32;

/// Reads what there is, at least one message. `None` at the end and after an error.
async fn batch<W, M, E>(ws: &mut W, messages: &mut Vec<M>) -> Option<()>
where
    W: Stream<Item = Result<M, E>> + Unpin,
{
    messages.push(ws.next().await?.ok()?);
    while messages.len() < BATCH {
        match ws.next().now_or_never() {
            None => break,
            Some(message) => messages.push(message?.ok()?),
        }
    }
    Some(())
}

/// Answers each message with itself.
pub async fn echo<W, M, E>(mut ws: W, is_data: impl Fn(&M) -> bool) -> Option<()>
where
    W: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
{
    let mut messages = Vec::new();
    loop {
        batch(&mut ws, &mut messages).await?;
        for message in messages.drain(..).filter(&is_data) {
            ws.feed(message).await.ok()?;
        }
        ws.flush().await.ok()?;
    }
}
