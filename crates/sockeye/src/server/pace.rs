//! How long a connection waits for its peer while it speaks HTTP: there is a deadline whenever it is the peer's turn,
//! and none while it is ours.
//!
//! ```text
//! accepted --opening--> the first request's head, and a WebSocket's handshake to its end
//! a response's bytes --opening--> are taken        (HTTP/1.1, where nothing else goes on)
//! nothing goes on --idle--> the next request
//! ```
//! A deadline is absolute: bytes that trickle in do not put it off.

use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tokio::time::timeout_at;

use crate::stream::now;

/// The deadline of one connection, shared with all that goes on over it.
#[derive(Debug)]
pub(super) struct Pace {
    state: Mutex<State>,
    changed: Notify,
    opening: Duration,
    idle: Duration,
}

#[derive(Debug)]
struct State {
    deadline: Option<Instant>,
    /// Requests that are being answered, and WebSockets on streams of the connection.
    busy: usize,
    /// There has been one of many.
    multiplexed: bool,
    /// No request has come yet.
    opening: bool,
}

impl Pace {
    /// That of a connection that has just been accepted.
    pub(super) fn new(opening: Duration, idle: Duration) -> Arc<Self> {
        let state = State { deadline: now().checked_add(opening), busy: 0, multiplexed: false, opening: true };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new(), opening, idle })
    }

    /// A request is to be answered. `alone`: nothing else goes on meanwhile, as over HTTP/1.1.
    pub(super) fn begin(self: &Arc<Self>, alone: bool) -> Exchange {
        self.change(|state| {
            *state = State { deadline: None, busy: state.busy + 1, multiplexed: !alone, opening: false };
        });
        Exchange { pace: Arc::clone(self), alone }
    }

    /// Whether it has got no further than that.
    pub(super) fn is_opening(&self) -> bool {
        self.state().opening
    }

    /// Whether there are streams.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.state().multiplexed
    }

    /// Waits once more, for one who was told that the connection ends.
    pub(super) fn extend(&self) {
        let deadline = now().checked_add(self.opening);
        self.change(|state| state.deadline = deadline);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_one();
    }

    /// Waits until the deadline has passed, wherever it moves meanwhile.
    pub(super) async fn passed(&self) {
        loop {
            let changed = self.changed.notified();
            let deadline = self.state().deadline;
            match deadline {
                None => changed.await,
                Some(deadline) => {
                    let over = timeout_at(deadline.into(), changed).await.is_err();
                    if over && self.state().deadline.is_some_and(|deadline| deadline <= now()) {
                        return;
                    }
                }
            }
        }
    }
}

/// A request that is being answered, or the WebSocket that has come of it: the connection is not idle.
#[derive(Debug)]
pub(super) struct Exchange {
    pace: Arc<Pace>,
    alone: bool,
}

impl Exchange {
    /// Whether it is the peer's turn: to take what it was sent. One of many streams waits by itself, at the cost of its
    /// window.
    pub(super) fn waits_for_peer(&self, waits: bool) {
        if self.alone {
            let deadline = waits.then(|| now().checked_add(self.pace.opening)).flatten();
            self.pace.change(|state| state.deadline = deadline);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let idle = now().checked_add(self.pace.idle);
        self.pace.change(|state| {
            state.busy -= 1;
            if state.busy == 0 {
                state.deadline = idle;
            }
        });
    }
}
