//! Who waits for something on a connection, and who is woken when.
//!
//! The transport and the alarm know one waker only, that of the [`Waiters`]. It wakes the task that drives the connection,
//! where there is one; else all who wait, as each of them makes progress for everybody. What one of them finds for
//! another it tells with [`notify`](Waiters::notify).
//!
//! ```text
//! transport, alarm --wake--> Waiters --> the driving task | reader + first in line + watchers
//!    a turn's end --notify--> Waiters --> those whose wait is over
//! ```
//! A connection's lock may be held while this one is taken, never the other way round; and nobody is woken under it,
//! nor a waker dropped, as either may run code that waits here itself.

use core::sync::atomic::Ordering;
use core::task::Waker;
use std::sync::Arc;
use std::task::Wake;

use crate::sync::{AtomicBool, Mutex, lock};

/// All who wait on one connection.
#[derive(Default)]
pub(crate) struct Waiters {
    waiting: Mutex<Waiting>,
    /// Whether there are others than the reader and the task. Places are taken under the connection's lock only, so that
    /// whoever holds that sees all of them; one that was left a moment ago may still be seen.
    has_others: AtomicBool,
    /// The alarm has gone off.
    has_rung: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    /// Whoever polls the future that the connection is driven by.
    task: Option<Waker>,
    /// Whoever waits for a message.
    reader: Option<Waker>,
    /// All others; mostly there are none.
    others: Option<Box<Others>>,
}

#[derive(Default)]
struct Others {
    /// In the order in which they came.
    entries: Vec<Entry>,
    last_ticket: u64,
}

struct Entry {
    ticket: u64,
    wants: Wants,
    waker: Waker,
    /// It has been woken since it was polled last: once is enough, also for one who will not come any more.
    called: bool,
}

/// What one waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wants {
    /// To send a message of this length, behind those who came before.
    Turn(usize),
    /// To send so much, past those who stand in line: for one who may stop polling without a word, and must not hold
    /// them up.
    Room(usize),
    /// To go on with a message that has begun, which nobody else may interrupt.
    RoomInMessage(usize),
    /// Something to be written, answered or ended.
    Change,
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
    /// The driving task can read on.
    pub(crate) task: bool,
    /// Something was written, answered or has ended.
    pub(crate) change: bool,
    /// So much can be queued, or nothing any more: then there is no need to wait, either.
    pub(crate) room: usize,
    /// So much can be queued by one who is in the middle of a message.
    pub(crate) room_in_message: usize,
}

impl Waiters {
    /// Waits for a message; there is one reader at most.
    ///
    /// Returns a waker that is to be dropped, under no lock.
    #[must_use = "it is to be dropped under no lock"]
    pub(crate) fn read(&self, waker: &Waker) -> Option<Waker> {
        store(&mut lock(&self.waiting).reader, waker)
    }

    /// Drives the connection from now on. Returns a waker that is to be dropped, under no lock.
    #[must_use = "it is to be dropped under no lock"]
    pub(crate) fn drive(&self, waker: &Waker) -> Option<Waker> {
        store(&mut lock(&self.waiting).task, waker)
    }

    /// Nobody drives the connection any more: those who wait are woken, to do so themselves.
    pub(crate) fn release(&self) {
        let before = lock(&self.waiting).task.take();
        drop(before);
        self.wake_all();
    }

    /// Takes a place, or keeps the one there is. Returns a waker that is to be dropped, under no lock.
    #[must_use = "it is to be dropped under no lock"]
    pub(crate) fn enter(self: &Arc<Self>, place: &mut Option<Place>, wants: Wants, waker: &Waker) -> Option<Waker> {
        let mut waiting = lock(&self.waiting);
        if let Some(place) = place {
            let entry = waiting.find(place.ticket).expect("a place is there until it is dropped");
            (entry.wants, entry.called) = (wants, false);
            let same = entry.waker.will_wake(waker);
            return (!same).then(|| core::mem::replace(&mut entry.waker, waker.clone()));
        }
        let others = waiting.others.get_or_insert_default();
        others.last_ticket += 1;
        let ticket = others.last_ticket;
        others.entries.push(Entry { ticket, wants, waker: waker.clone(), called: false });
        self.has_others.store(true, Ordering::Relaxed);
        *place = Some(Place { waiters: Arc::clone(self), ticket });
        None
    }

    /// Whether nobody is before this place in the line, or before one who has none yet.
    pub(crate) fn is_first(&self, place: Option<&Place>) -> bool {
        if !self.has_others() {
            return true;
        }
        let waiting = lock(&self.waiting);
        waiting.first_in_line().is_none_or(|first| place.is_some_and(|place| place.ticket == first.ticket))
    }

    /// Whether anybody waits besides the reader and the driving task.
    pub(crate) fn has_others(&self) -> bool {
        self.has_others.load(Ordering::Relaxed)
    }

    /// Whether anybody waits to send.
    pub(crate) fn has_senders(&self) -> bool {
        self.has_others() && lock(&self.waiting).others().any(|entry| entry.wants != Wants::Change)
    }

    /// Wakes those whose wait is over, all but the one with this place.
    pub(crate) fn notify(&self, due: Due, but: Option<u64>) {
        let mut waiting = lock(&self.waiting);
        let task = if due.task { waiting.task.clone() } else { None };
        let reader = if due.reader { waiting.reader.take() } else { None };
        let others = waiting.call(|entry, is_first| {
            Some(entry.ticket) != but
                && match entry.wants {
                    Wants::Turn(len) => is_first && len <= due.room,
                    Wants::Room(len) => len <= due.room,
                    Wants::RoomInMessage(len) => len <= due.room_in_message,
                    Wants::Change => due.change,
                }
        });
        drop(waiting);
        wake(task.into_iter().chain(reader).chain(others));
    }

    // --- the alarm ---

    /// The time has come for something.
    pub(crate) fn ring(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        self.wake_by_ref();
    }

    pub(crate) fn has_rung(&self) -> bool {
        self.has_rung.load(Ordering::Relaxed)
    }

    pub(crate) fn hush(&self) {
        // Whoever looks at the clock after this finds what has rung before it to have come.
        self.has_rung.swap(false, Ordering::AcqRel);
    }

    /// All but those who are not the first in line.
    fn wake_all(&self) {
        let mut waiting = lock(&self.waiting);
        let reader = waiting.reader.take();
        let others = waiting.call(|entry, is_first| is_first || !matches!(entry.wants, Wants::Turn(_)));
        drop(waiting);
        wake(reader.into_iter().chain(others));
    }
}

impl Waiting {
    fn others(&self) -> impl Iterator<Item = &Entry> {
        self.others.iter().flat_map(|others| &others.entries)
    }

    fn others_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.others.iter_mut().flat_map(|others| &mut others.entries)
    }

    fn first_in_line(&self) -> Option<&Entry> {
        self.others().find(|entry| matches!(entry.wants, Wants::Turn(_)))
    }

    fn find(&mut self, ticket: u64) -> Option<&mut Entry> {
        self.others_mut().find(|entry| entry.ticket == ticket)
    }

    fn remove(&mut self, ticket: u64) -> Option<Entry> {
        let others = &mut self.others.as_mut()?.entries;
        let at = others.iter().position(|entry| entry.ticket == ticket)?;
        let removed = others.remove(at);
        if others.is_empty() {
            // An idle connection holds no buffer.
            self.others = None;
        }
        Some(removed)
    }

    /// The wakers of those for whom it holds, who are told whether they are the first in line.
    fn call(&mut self, mut holds: impl FnMut(&Entry, bool) -> bool) -> Vec<Waker> {
        let first = self.first_in_line().map(|first| first.ticket);
        let called = self.others_mut().filter(|entry| !entry.called && holds(entry, Some(entry.ticket) == first));
        called
            .map(|entry| {
                entry.called = true;
                entry.waker.clone()
            })
            .collect()
    }
}

/// The transport or the alarm has something for the connection.
impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let task = lock(&self.waiting).task.clone();
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
        let mut waiting = lock(&self.waiters.waiting);
        let was_first = waiting.first_in_line().is_some_and(|first| first.ticket == self.ticket);
        let left = waiting.remove(self.ticket);
        self.waiters.has_others.store(waiting.others.is_some(), Ordering::Relaxed);
        // It may have been woken in vain: its turn must not be lost with it.
        let next = waiting.first_in_line().filter(|_| was_first).map(|next| next.waker.clone());
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
