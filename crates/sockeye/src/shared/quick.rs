//! What most calls come to, without a turn: nothing about the connection is out of the ordinary, and nobody else waits on
//! it. What a [turn](super::Turn) looks after at its end is known beforehand then.

use core::task::{Context, Poll};
use std::sync::Arc;

use sockeye_proto::connection::CannotSend;
use sockeye_proto::{Connection, MessageRef};

use super::{GATHERED, Shared};
use crate::scope;
use crate::sync::lock;

/// What came of a message that was to be sent: smaller than a `Result` with room for every error.
pub(crate) enum Quick {
    /// It has left, or leaves at the end of the poll.
    Sent,
    /// It is accepted, and a [turn](Shared::turn) is to be taken for it to [leave](super::Turn::leave).
    Queued,
    Refused(CannotSend),
}

impl Shared {
    /// The next message as it is `kept`, if that is all there is to do. `None`: a turn is to be taken.
    #[inline]
    pub(crate) fn quick_recv<T>(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        kept: impl FnOnce(MessageRef<'_>) -> T,
    ) -> Option<Poll<T>> {
        let here = scope::is_used(self.address());
        // Dropped when the lock is no longer held.
        let mut _replaced = None;
        let mut state = lock(&self.state);
        let state = &mut *state;
        let is_free = here || (state.driven.is_none() && scope::polled().is_none());
        if !state.quick || !is_free {
            return None;
        }
        let polled = if state.driver.has_unparsed() {
            Poll::Ready(state.driver.quick_unparsed(kept)?)
        } else {
            // Woken with the task that drives the connection, where the two have one waker: then the transport has it, too.
            state.task_reads = here && scope::is_polled_by(cx.waker());
            if !state.task_reads {
                // Before the transport is asked, which may wake at once.
                _replaced = self.waiters.read(cx.waker());
            }
            state.driver.quick_read(state.task_reads.then_some(cx), kept)?
        };
        state.reader_waits = polled.is_pending();
        state.was_read = true;
        state.quick = state.driver.expects_small();
        if here {
            scope::note_used(self.address(), polled.is_pending());
        }
        Some(polled)
    }

    /// Accepts a message of this length, if that is all there is to do, and writes it where it is not to leave at the end of
    /// the poll. `None`: a turn is to be taken, and the message is still to be queued.
    #[inline]
    pub(crate) fn quick_accept(
        self: &Arc<Self>,
        len: usize,
        queue: impl FnOnce(&mut Connection) -> Result<(), CannotSend>,
    ) -> Option<Quick> {
        let here = scope::is_used(self.address());
        let mut state = lock(&self.state);
        let state = &mut *state;
        let driver = &mut state.driver;
        let fits = driver.connection.queued() + len < GATHERED && len <= driver.room();
        if !fits || driver.connection.in_fragments() || !state.quick {
            return None;
        }
        if here {
            let accepted = queue(&mut driver.connection);
            driver.unsettle();
            scope::note_used(self.address(), false);
            return Some(accepted.map_or_else(Quick::Refused, |()| Quick::Sent));
        }
        // One who only ever sends has to read, too, now and then.
        let is_read = state.reader_waits || core::mem::take(&mut state.was_read);
        if !is_read || state.driven.is_some() || scope::polled().is_some() {
            return None;
        }
        if let Err(why) = queue(&mut driver.connection) {
            return Some(Quick::Refused(why));
        }
        driver.write();
        Some(if driver.has_unwritten() || driver.is_broken() { Quick::Queued } else { Quick::Sent })
    }
}
