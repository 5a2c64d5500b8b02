//! How an accepted connection lives: its handler runs, and the connection closes as the handler ended.
//!
//! The one seam between a connection and what runs it, which is a tokio task.

use core::error::Error;
use core::future::Future;
use core::panic::AssertUnwindSafe;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::panic::catch_unwind;
use std::sync::Arc;

use sockeye_proto::CloseCode;
use tracing::{Span, debug, error};

use super::seat::Along;
use crate::driven::Drive;
use crate::error::Phase;
use crate::metrics;
use crate::sender::Sender;
use crate::shared::{Handle, Shared};
use crate::websocket::WebSocket;

/// What a handler ends with: any error, so that `?` takes whatever it meets.
pub type HandlerResult = Result<(), Box<dyn Error + Send + Sync>>;

/// Runs a handler on a connection, which is driven meanwhile, and closes the connection behind it: 1000 after `Ok`, 1011
/// after an error or a panic. A handler that has given its WebSocket, or the receiving half of it, away leaves closing it
/// to the new owner.
///
/// `along` is what goes along with it, until both have ended.
pub(super) fn drive<H, F>(ws: WebSocket, handler: H, along: Option<Box<Along>>) -> Handled<F>
where
    H: FnOnce(WebSocket) -> F,
    F: Future<Output = HandlerResult>,
{
    let connection = Arc::clone(ws.shared());
    connection.keep();
    let begin = || Box::pin(handler(ws));
    // `None`: it panicked.
    let handler = catch_unwind(AssertUnwindSafe(|| match &along {
        Some(along) => along.span().in_scope(begin),
        None => begin(),
    }))
    .ok();
    let stage = Stage::Handles { drive: Drive::new(Some(Arc::clone(&connection))), connection };
    Handled { handler, stage, along }
}

/// A handler at work, and the end of its connection. A future by hand, as it lives as long as the connection, and an `async
/// fn` keeps room for all it ever awaits. The handler is in an allocation of its own: a task's is rounded up to 128 bytes, and
/// leaves holes in the heap that grow with it (1,817 bytes of resident memory a connection, and 1,692 this way).
pub(super) struct Handled<F> {
    handler: Option<Pin<Box<F>>>,
    // Behind the handler, so that what that holds is dropped while its connections are driven.
    stage: Stage,
    along: Option<Box<Along>>,
}

enum Stage {
    Handles { drive: Drive, connection: Arc<Shared> },
    Ends(Pin<Box<dyn Future<Output = ()> + Send>>),
}

impl<F> Future for Handled<F>
where
    F: Future<Output = HandlerResult>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { handler, stage, along } = self.get_mut();
        let _entered = along.as_ref().map(|along| along.span().enter());
        if let Stage::Handles { drive, connection } = stage {
            let ended = ready!(drive.poll(cx, |cx| {
                let polled =
                    catch_unwind(AssertUnwindSafe(|| handler.as_mut().map(|handler| handler.as_mut().poll(cx))));
                let ended = match polled {
                    Ok(Some(Poll::Pending)) => return Poll::Pending,
                    Ok(Some(Poll::Ready(result))) => Some(result),
                    Ok(None) | Err(_) => None,
                };
                // What it still holds is dropped while its connections are driven.
                *handler = None;
                Poll::Ready(ended)
            }));
            *stage = Stage::Ends(Box::pin(end(Arc::clone(connection), ended)));
        }
        let Stage::Ends(end) = stage else {
            unreachable!("the handler has ended");
        };
        end.as_mut().poll(cx)
    }
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
    if !kept.handle.let_go() {
        // It has another owner.
        return;
    }
    if let Err(error) = kept.close(code, "").await {
        debug!(error = &error as &dyn Error, "the connection did not close cleanly");
    }
    let closed = kept.closed().await;
    metrics::closed(closed.code());
    Span::current().record("code", closed.code().as_u16());
    debug!(code = closed.code().as_u16(), reason = closed.reason(), clean = closed.is_clean(), "closed");
}

/// Whether an error is one that a connection ends with.
fn is_an_end(error: &(dyn Error + 'static)) -> bool {
    use crate::Error::{Aborted, Closed, Io, Protocol, Timeout};
    matches!(
        error.downcast_ref(),
        Some(Aborted | Closed | Io(_) | Protocol(_) | Timeout(Phase::Closing | Phase::Keepalive))
    )
}
