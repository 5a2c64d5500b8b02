//! How an accepted connection lives: its handler runs, and the connection closes as the handler ended.
//!
//! The one seam between a connection and what runs it: today a tokio task, in time also a reactor of our own.

use core::error::Error;
use core::future::{Future, poll_fn};
use core::panic::AssertUnwindSafe;
use core::pin::Pin;
use core::task::Poll;
use std::panic::catch_unwind;
use std::sync::Arc;

use sockeye_proto::CloseCode;
use tracing::{debug, error};

use crate::driven::Drive;
use crate::error::Phase;
use crate::sender::Sender;
use crate::shared::{Handle, Shared};
use crate::websocket::WebSocket;

/// What a handler ends with: any error, so that `?` takes whatever it meets.
pub type HandlerResult = Result<(), Box<dyn Error + Send + Sync>>;

/// Runs a handler on a connection, which is driven meanwhile, and closes the connection behind it: 1000 after `Ok`, 1011
/// after an error or a panic. A handler that has given its WebSocket, or the receiving half of it, away leaves closing it
/// to the new owner.
pub(super) fn drive<H, F>(ws: WebSocket, handler: H) -> impl Future<Output = ()> + use<H, F>
where
    H: FnOnce(WebSocket) -> F,
    F: Future<Output = HandlerResult>,
{
    let connection = Arc::clone(ws.shared());
    connection.keep();
    // In an allocation of its own, and nothing beside it: this lives as long as the connection.
    let future = catch_unwind(AssertUnwindSafe(|| Box::pin(handler(ws))));
    run(connection, future.ok())
}

async fn run<F>(connection: Arc<Shared>, mut future: Option<Pin<Box<F>>>)
where
    F: Future<Output = HandlerResult>,
{
    let mut drive = Drive::new(Some(Arc::clone(&connection)));
    // `None`: it panicked.
    let ended = poll_fn(|cx| {
        drive.poll(cx, |cx| {
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().map(|future| future.as_mut().poll(cx))));
            let ended = match polled {
                Ok(Some(Poll::Pending)) => return Poll::Pending,
                Ok(Some(Poll::Ready(result))) => Some(result),
                Ok(None) | Err(_) => None,
            };
            // What it still holds is dropped while its connections are driven.
            future = None;
            Poll::Ready(ended)
        })
    })
    .await;
    drop(drive);
    // Not to keep room for it all the time.
    Box::pin(end(connection, ended)).await;
}

/// Closes the connection as its handler has ended.
async fn end(connection: Arc<Shared>, ended: Option<HandlerResult>) {
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
