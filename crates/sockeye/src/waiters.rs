//! Who waits for something on a connection, and who is woken when.
//!
//! The transport and the timer know one waker only, that of the [`Waiters`]. It wakes the task that drives the connection,
//! where there is one; else all who wait, as each of them makes progress for everybody. What one of them finds for
//! another it tells with [`notify`](Waiters::notify).
//!
//! ```text
//! transport, timer --wake--> Waiters --> the driving task | reader + first in line + watchers
//!    a turn's end --notify--> Waiters --> those whose wait is over
//! ```
//! A connection's lock may be held while this one is taken, never the other way round; and nobody is woken under it,
//! nor a waker dropped, as either may run code that waits here itself.

use core::task::Waker;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Wake;

use crate::sync::{Mutex, lock};

/// All who wait on one connection.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// Whoever polls the future that the connection is driven by.
    task: Option<Waker>,
    /// Whoever waits for a message.
    reader: Option<Waker>,
    /// Those who wait to send, in the order in which they came.
    line: VecDeque<Entry>,
    /// Those who wait for something to be written, answered or ended.
    watchers: Vec<Entry>,
    last_ticket: u64,
}

struct Entry {
    ticket: u64,
    /// Whether it is in the middle of a message, which nobody else may interrupt.
    in_message: bool,
    waker: Waker,
}

/// Where one waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// To send, behind others.
    Line,
    /// To go on with a message that has begun: before all others.
    Front,
    /// For something to be written, answered or ended.
    Watchers,
}

/// A place among those who wait. Dropping it leaves it, and lets the next one in line have its turn.
pub(crate) struct Place {
    waiters: Arc<Waiters>,
    ticket: u64,
}

/// Whose wait is over, after a turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Due {
    /// There is a message, or none will come any more.
    pub(crate) reader: bool,
    /// There is room for one who is in the middle of a message.
    pub(crate) in_message: bool,
    /// There is room for a message.
    pub(crate) line: bool,
    /// Something was written, answered or has ended.
    pub(crate) watchers: bool,
    /// The driving task can read on.
    pub(crate) task: bool,
}

impl Waiters {
    /// Waits for a message; there is one reader at most.
    pub(crate) fn read(&self, waker: &Waker) {
        let before = store(&mut lock(&self.0).reader, waker);
        drop(before);
    }

    /// Drives the connection from now on, or does not any more. Then the others are woken, to do so themselves.
    pub(crate) fn drive(&self, waker: Option<&Waker>) {
        match waker {
            Some(waker) => {
                let before = store(&mut lock(&self.0).task, waker);
                drop(before);
            }
            None => {
                let before = lock(&self.0).task.take();
                drop(before);
                self.wake_all();
            }
        }
    }

    /// Takes a place, or keeps the one there is.
    pub(crate) fn enter(self: &Arc<Self>, place: &mut Option<Place>, queue: Queue, waker: &Waker) {
        let mut waiting = lock(&self.0);
        if let Some(place) = place {
            let entry = waiting.find(place.ticket).expect("a place is there until it is dropped");
            let before = (!entry.waker.will_wake(waker)).then(|| core::mem::replace(&mut entry.waker, waker.clone()));
            drop(waiting);
            drop(before);
            return;
        }
        waiting.last_ticket += 1;
        let ticket = waiting.last_ticket;
        let entry = Entry { ticket, in_message: queue == Queue::Front, waker: waker.clone() };
        match queue {
            Queue::Line => waiting.line.push_back(entry),
            Queue::Front => waiting.line.push_front(entry),
            Queue::Watchers => waiting.watchers.push(entry),
        }
        *place = Some(Place { waiters: Arc::clone(self), ticket });
    }

    /// Whether nobody is before this place in the line, or before one who has none yet.
    pub(crate) fn is_first(&self, place: Option<&Place>) -> bool {
        let waiting = lock(&self.0);
        waiting.line.front().is_none_or(|first| place.is_some_and(|place| place.ticket == first.ticket))
    }

    /// Wakes those whose wait is over, all but the one with this place.
    pub(crate) fn notify(&self, due: Due, but: Option<u64>) {
        let mut waiting = lock(&self.0);
        let task = waiting.task.clone().filter(|_| due.task);
        let reader = if due.reader { waiting.reader.take() } else { None };
        let first = waiting
            .line
            .front()
            .filter(|first| Some(first.ticket) != but && if first.in_message { due.in_message } else { due.line });
        let first = first.map(|first| first.waker.clone());
        let watchers = if due.watchers { waiting.watchers(but) } else { Vec::new() };
        drop(waiting);
        wake(task.into_iter().chain(reader).chain(first).chain(watchers));
    }

    fn wake_all(&self) {
        let mut waiting = lock(&self.0);
        let reader = waiting.reader.take();
        let first = waiting.line.front().map(|first| first.waker.clone());
        let watchers = waiting.watchers(None);
        drop(waiting);
        wake(reader.into_iter().chain(first).chain(watchers));
    }
}

impl Waiting {
    fn find(&mut self, ticket: u64) -> Option<&mut Entry> {
        self.line.iter_mut().chain(&mut self.watchers).find(|entry| entry.ticket == ticket)
    }

    fn remove(&mut self, ticket: u64) -> Option<Entry> {
        if let Some(at) = self.line.iter().position(|entry| entry.ticket == ticket) {
            return self.line.remove(at);
        }
        let at = self.watchers.iter().position(|entry| entry.ticket == ticket)?;
        Some(self.watchers.swap_remove(at))
    }

    fn watchers(&self, but: Option<u64>) -> Vec<Waker> {
        self.watchers.iter().filter(|entry| Some(entry.ticket) != but).map(|entry| entry.waker.clone()).collect()
    }
}

/// The transport or the timer has something for the connection.
impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = lock(&self.0).task.clone();
        match task {
            Some(task) => task.wake(),
            None => self.wake_all(),
        }
    }
}

impl Place {
    pub(crate) const fn ticket(&self) -> u64 {
        self.ticket
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = lock(&self.waiters.0);
        let was_first = waiting.line.front().is_some_and(|first| first.ticket == self.ticket);
        let left = waiting.remove(self.ticket);
        if waiting.line.is_empty() {
            // An idle connection holds no buffer.
            waiting.line = VecDeque::new();
        }
        // It may have been woken in vain: its turn must not be lost with it.
        let next = waiting.line.front().filter(|_| was_first).map(|next| next.waker.clone());
        drop(waiting);
        drop(left);
        wake(next.into_iter());
    }
}

/// Keeps a waker; returns the one it replaces.
fn store(slot: &mut Option<Waker>, waker: &Waker) -> Option<Waker> {
    match slot {
        Some(stored) if stored.will_wake(waker) => None,
        _ => slot.replace(waker.clone()),
    }
}

fn wake(wakers: impl Iterator<Item = Waker>) {
    wakers.for_each(Waker::wake);
}
