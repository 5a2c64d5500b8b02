//! How an accepted connection lives: its handler runs, and the connection closes as the handler ended.
//!
//! The one seam between a connection and what runs it: today a tokio task, in time also a reactor of our own.

use core::error::Error;
use core::future::{Future, poll_fn};
use core::panic::AssertUnwindSafe;
use core::pin::pin;
use core::task::Poll;
use std::panic::catch_unwind;
use std::sync::Arc;

use sockeye_proto::CloseCode;
use tracing::{debug, error};

use crate::driven::Driven;
use crate::error::Phase;
use crate::sender::Sender;
use crate::shared::Handle;
use crate::websocket::WebSocket;

/// What a handler ends with: any error, so that `?` takes whatever it meets.
pub type HandlerResult = Result<(), Box<dyn Error + Send + Sync>>;

/// Runs a handler on a connection, which is driven meanwhile, and closes the connection behind it: 1000 after `Ok`, 1011
/// after an error or a panic. A handler that has given its WebSocket, or the receiving half of it, away leaves closing it
/// to the new owner.
pub(super) async fn drive<F>(ws: WebSocket, handler: impl FnOnce(WebSocket) -> F)
where
    F: Future<Output = HandlerResult>,
{
    let connection = Arc::clone(ws.shared());
    connection.keep();
    let driven = vec![Arc::downgrade(&connection)];
    let ended = Driven::new(catch_panic(async { handler(ws).await }), driven).await;
    let kept = Sender::new(Handle::new(connection));
    let code = match ended {
        Some(Ok(())) => CloseCode::NORMAL,
        // This connection's own end, by the peer or the network: nothing of the handler's went wrong.
        Some(Err(error)) if kept.is_closed() && is_an_end(&*error) => {
            debug!(error = &*error, "the connection ended with an error");
            CloseCode::INTERNAL_ERROR
        }
        Some(Err(error)) => {
            error!(error = &*error, "the handler of a WebSocket failed");
            CloseCode::INTERNAL_ERROR
        }
        None => {
            error!("the handler of a WebSocket panicked");
            CloseCode::INTERNAL_ERROR
        }
    };
    if kept.handle.let_go()
        && let Err(error) = kept.close(code, "").await
    {
        debug!(error = &error as &dyn Error, "the connection did not close cleanly");
    }
}

/// Whether an error is one that a connection ends with.
fn is_an_end(error: &(dyn Error + 'static)) -> bool {
    use crate::Error::{Aborted, Closed, Io, Protocol, Timeout};
    matches!(
        error.downcast_ref(),
        Some(Aborted | Closed | Io(_) | Protocol(_) | Timeout(Phase::Closing | Phase::Keepalive))
    )
}

/// The future's output, or `None` if it panicked.
async fn catch_panic<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        polled.map_or(Poll::Ready(None), |polled| polled.map(Some))
    })
    .await
}
