//! The accept loop: there is one, for all that the crate serves.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use tokio::time::{Instant, sleep};
use tracing::{debug, warn};

use super::admission::Refused;
use super::connection;
use super::drain::Phase;
use super::handle::{Answer, Inner};
use super::listener::Listener;
use crate::metrics;

/// Accepts connections until the server stops, or the listener is none any more.
pub(super) async fn run(server: Arc<Inner>, listener: impl Listener, answer: Answer) -> io::Result<()> {
    let mut draining = pin!(server.drain.phase(Phase::Draining));
    let mut accepting = pin!(accept(&server, listener, answer));
    poll_fn(|cx| match draining.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(Ok(())),
        Poll::Pending => accepting.as_mut().poll(cx).map(Err),
    })
    .await
}

/// Returns what no waiting mends.
///
/// When as many connections are open as may be, none is accepted: those who come wait in the system's queue, where they
/// cost us nothing, and the first of them has its turn when somebody leaves.
async fn accept(server: &Arc<Inner>, mut listener: impl Listener, answer: Answer) -> io::Error {
    let mut warned: Option<Instant> = None;
    loop {
        if !server.admission.has_room() {
            metrics::connection_refused("full");
            if warned.is_none_or(|warned| warned.elapsed() >= MINUTE) {
                warn!(open = server.admission.open(), "no more connections are accepted until some have ended");
                warned = Some(Instant::now());
            }
            server.admission.room().await;
        }
        match listener.accept().await {
            Ok((stream, address)) => {
                let admitted = loop {
                    match server.admission.admit(address) {
                        // Another listener of the server was faster.
                        Err(Refused::InAll) => server.admission.room().await,
                        admitted => break admitted,
                    }
                };
                match admitted {
                    Ok(permit) => {
                        let (server, answer) = (Arc::clone(server), Arc::clone(&answer));
                        tokio::spawn(connection::serve(stream, address, permit, server, answer));
                    }
                    // To answer would take as much as to serve: it is what the limit is to save.
                    Err(_) => {
                        metrics::connection_refused("address");
                        debug!(?address, "this address has as many connections as it may have");
                    }
                }
            }
            Err(error) if is_the_listener_s(&error) => return error,
            Err(error) if is_the_connection_s(&error) => debug!(%error, "a client left before it was accepted"),
            Err(error) => {
                // No descriptors, no memory: others have to end first, and trying at once would only burn the
                // processor. Or the network, whose errors accept(2) passes on.
                warn!(%error, "cannot accept connections for now");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A warning that holds on is not repeated sooner.
const MINUTE: Duration = Duration::from_secs(60);

/// Whether accepting failed because of the one connection that was to be accepted.
fn is_the_connection_s(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Whether accepting can never succeed again: the listener is none, or no longer.
fn is_the_listener_s(error: &io::Error) -> bool {
    // EBADF, EINVAL, ENOTSOCK on Linux, where `ErrorKind` has no names for the first and the last.
    const GONE: [i32; 3] = [9, 22, 88];
    error.raw_os_error().is_some_and(|code| GONE.contains(&code))
}
