//! The receiving half of a connection.

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use sockeye_proto::{CloseReason, Message};

use crate::error::Error;
use crate::recv_stream::{Begun, RecvStream};
use crate::shared::{Handle, Shared};
use crate::stream::Reading;

/// Receives from a connection, made by [`WebSocket::split`](crate::WebSocket::split).
///
/// Dropping it leaves the connection open as long as there is a [`Sender`](crate::Sender); messages that arrive from then
/// on are discarded, so that Pings are still answered and a Close is noticed.
pub struct Receiver {
    pub(crate) handle: Handle,
}

impl Receiver {
    /// Waits for the next message.
    ///
    /// `None` is the end: the closing handshake is done; [`close_reason`](Self::close_reason) has what the peer said, and
    /// [`Sender::closed`](crate::Sender::closed) how it came about.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the peer broke a rule or a limit; [`Error::Aborted`], [`Error::Io`] or [`Error::Timeout`]
    /// when the connection ended without a closing handshake. Messages that came before it are given first; after it
    /// comes `None`.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: what was received stays for the next call.
    pub fn recv(&mut self) -> impl Future<Output = Result<Option<Message>, Error>> + Send + use<'_> {
        Recv { handle: &self.handle, waits: false }
    }

    /// Waits for the next message to begin, and gives it as a stream, whatever its size: see [`RecvStream`]. `None` is
    /// the end, as for [`recv`](Self::recv).
    ///
    /// # Errors
    /// As for [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing. Dropping the stream skips what is left of its message.
    pub async fn recv_stream(&mut self) -> Result<Option<RecvStream<'_>>, Error> {
        let waits = Waits { handle: &self.handle };
        let begun = poll_fn(|cx| {
            waits.handle.poll_read(cx, Reading::Start, |driver| match driver.take_message() {
                Some(Ok(Some(message))) => Some(Ok(Some(Begun::Whole(message)))),
                Some(Ok(None)) => Some(Ok(None)),
                Some(Err(error)) => Some(Err(error)),
                None => driver.begun().map(|begun| {
                    driver.read_as(Reading::Pieces);
                    // From here on it is taken in pieces, whoever receives the rest of it.
                    Ok(Some(Begun::Arriving(begun.kind, driver.connection.take_piece())))
                }),
            })
        })
        .await;
        waits.over();
        Ok(begun?.map(|begun| RecvStream::new(&self.handle, begun)))
    }

    /// What the peer's Close frame said, once it has come.
    /// [`CloseCode::NO_STATUS_RECEIVED`](crate::CloseCode::NO_STATUS_RECEIVED) if it said nothing.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.handle.turn().peer_reason()
    }
}

impl Shared {
    pub(crate) fn poll_recv(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        if let Some(polled) = self.quick_recv(cx, |message| message.to_message()) {
            return polled.map(|message| Ok(Some(message)));
        }
        self.poll_recv_in_turn(cx)
    }

    /// The same where there is more to do.
    pub(crate) fn poll_recv_in_turn(self: &Arc<Self>, cx: &Context<'_>) -> Poll<Result<Option<Message>, Error>> {
        self.poll_read(cx, Reading::Whole, |driver| {
            let message = driver.take_message()?;
            driver.read_as(Reading::Nobody);
            Some(message)
        })
    }
}

/// A wait for the next whole message. A future by hand: it lies in every connection's handler, and is small.
struct Recv<'a> {
    handle: &'a Handle,
    waits: bool,
}

impl Future for Recv<'_> {
    type Output = Result<Option<Message>, Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let received = self.handle.poll_recv(cx);
        self.waits = received.is_pending();
        received
    }
}

impl Drop for Recv<'_> {
    fn drop(&mut self) {
        if self.waits {
            self.handle.turn().read_as(Reading::Nobody);
        }
    }
}

/// Somebody waits for a message; when that is given up, nobody has chosen how the next one will be taken.
pub(crate) struct Waits<'a> {
    pub(crate) handle: &'a Handle,
}

impl Waits<'_> {
    /// The wait is over, with what it was for.
    pub(crate) fn over(self) {
        core::mem::forget(self);
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.handle.turn().read_as(Reading::Nobody);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.handle.turn().read_as(Reading::Discard);
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("connection", &self.handle.turn().connection).finish_non_exhaustive()
    }
}
