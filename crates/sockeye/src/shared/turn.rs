//! A turn: the connection, locked, for as long as nobody waits.

use core::future::{Future, poll_fn};
use core::ops::{Deref, DerefMut};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::Arc;

use tokio::task::unconstrained;

use super::{GATHERED, Shared, State};
use crate::error::Error;
use crate::scope;
use crate::stream::Driver;
use crate::sync::{MutexGuard, spawn};
use crate::waiters::{Due, Place, Wants};

/// The connection, locked. It derefs to the [`Driver`]. When it ends those whose wait is over are woken.
pub(crate) struct Turn<'a> {
    pub(super) shared: &'a Arc<Shared>,
    /// There until it is dropped.
    pub(super) state: Option<MutexGuard<'a, State>>,
    /// Within a poll of the future that drives the connection, at the end of which the queue is written.
    pub(super) here: bool,
    /// The place of the one whose turn it is, who looks for itself.
    pub(super) myself: Option<u64>,
    /// A waker that is to be dropped when the connection is unlocked.
    pub(super) replaced: Option<Waker>,
    /// One that is to be woken then, to go on.
    pub(super) again: Option<Waker>,
}

impl Turn<'_> {
    /// Takes a place, or keeps the one there is.
    pub(super) fn wait(&mut self, place: &mut Option<Place>, wants: Wants, cx: &Context<'_>) {
        if wants != Wants::Change {
            self.await_room(true);
        }
        self.replaced = self.shared.waiters.enter(place, wants, cx.waker());
        self.myself = place.as_ref().map(Place::ticket);
    }

    /// Makes progress until there is what the caller looks for, whose task goes on if that takes too long.
    pub(super) fn run<T>(
        &mut self,
        cx: &Context<'_>,
        goal: usize,
        look: impl FnMut(&mut Driver) -> Option<T>,
    ) -> Poll<T> {
        let found = self.deref_mut().run(goal, look);
        self.go_on(cx);
        found
    }

    pub(super) fn go_on(&mut self, cx: &Context<'_>) {
        if self.is_unfinished() {
            self.again = Some(cx.waker().clone());
        }
    }

    /// Whether one who stands there can have now what it wants of the queue.
    pub(crate) fn room_for(&self, place: Option<&Place>, wants: Wants) -> Option<Result<(), Error>> {
        self.shared.room(self, place, wants)
    }

    /// What was accepted leaves: at the end of the poll where the connection is driven, at once everywhere else. What
    /// the transport does not take now is written by whoever drives the connection, or by a task of its own.
    ///
    /// # Errors
    /// That of the transport, if it has failed.
    pub(crate) fn leave(&mut self) -> Result<(), Error> {
        if self.here {
            return self.gather();
        }
        self.write();
        if self.is_broken() {
            return self.check_writable();
        }
        // One who only ever sends learns of a Close all the same, but not in the middle of a message, which it would cut off.
        // One message more, no further: what is behind it waits until that is taken.
        if !self.connection.in_fragments() {
            let goal = self.ahead() + 1;
            let _ = self.progress(goal);
        }
        self.drain();
        Ok(())
    }

    /// The same for one who does not wait, and so cannot let others have their turn: tokio's budget of operations for a poll
    /// would only leave what a broadcast sends to the task of each subscriber.
    ///
    /// What was accepted is accepted, even if it will not arrive.
    pub(crate) fn leave_at_once(&mut self) {
        let leave = poll_fn(|_| Poll::Ready(self.leave()));
        let _ = pin!(unconstrained(leave)).poll(&mut Context::from_waker(Waker::noop()));
    }

    /// What was accepted stays in the queue until that is long.
    ///
    /// # Errors
    /// As for [`leave`](Self::leave).
    pub(crate) fn gather(&mut self) -> Result<(), Error> {
        self.unsettle();
        if self.connection.queued() >= GATHERED {
            self.write();
        }
        if self.is_broken() { self.check_writable() } else { Ok(()) }
    }

    /// Has what is queued written by a task of its own, if nobody else is there to do it.
    pub(super) fn drain(&mut self) {
        let rest = self.has_to_drain();
        let state = self.state();
        if rest && state.driven.is_none() && !state.draining {
            state.draining = true;
            if !spawn(Arc::clone(self.shared).drain()) {
                self.state().draining = false;
            }
        }
    }

    pub(super) fn state(&mut self) -> &mut State {
        self.state.as_mut().expect("there until it is dropped")
    }
}

impl Deref for Turn<'_> {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        &self.state.as_ref().expect("there until it is dropped").driver
    }
}

impl DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut Driver {
        &mut self.state().driver
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.account();
        let settled = self.is_settled();
        let others = self.shared.waiters.has_others();
        let state = self.state();
        state.quick = !others && state.driver.is_ordinary();
        // Mostly nobody waits whose wait could be over.
        let due = (state.reader_waits || others || state.driver.has_room_again()).then(|| {
            let mut due: Due = state.driver.due();
            due.reader &= state.reader_waits;
            due.task |= due.reader && state.task_reads;
            state.reader_waits &= !due.reader;
            due
        });
        // Nobody is woken, and no waker dropped, under the lock.
        self.state = None;
        if self.here {
            scope::note_used(self.shared.address(), settled);
        }
        self.replaced = None;
        if let Some(again) = self.again.take() {
            again.wake();
        }
        if let Some(due) = due.filter(|due| due.reader || due.task || others) {
            self.shared.waiters.notify(due, self.myself);
        }
    }
}
