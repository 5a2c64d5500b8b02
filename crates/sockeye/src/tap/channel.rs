//! What lies between connections and a watch: a queue that is bounded in bytes, and never makes a writer wait.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::task::{Poll, Waker};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use sockeye_proto::Role;

use super::event::{Ending, Ends, Lost};
use crate::sync::{Mutex, lock};

/// What the writers of a channel hold in common: that one of them is there.
pub(super) struct Writers(Arc<Channel>);

/// The end that reads; without it nothing is taken any more.
pub(super) struct Reader(Arc<Channel>);

struct Channel {
    capacity: usize,
    is_closed: AtomicBool,
    connections: AtomicU64,
    lost_connections: AtomicU64,
    lost_bytes: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    batch: Batch,
    /// Bytes of the capacity that connections will need to say how they ended.
    reserved: usize,
    /// The reader is to be woken once so much is there.
    wakes_at: usize,
    reader: Option<Waker>,
    /// Those who wait for room.
    waiting: Vec<Waker>,
    /// No writer is left.
    has_ended: bool,
}

/// Entries in their order, and the bytes of all of them.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) entries: VecDeque<Entry>,
    pub(super) bytes: BytesMut,
}

pub(super) struct Entry {
    pub(super) connection: u64,
    pub(super) time: Instant,
    pub(super) what: Kind,
}

pub(super) enum Kind {
    Opened(Box<Ends>),
    /// So many of the batch's bytes are its.
    Bytes(Role, usize),
    Missing(Role, u64),
    Ended(Ending),
}

/// What an entry takes of the capacity beside its bytes.
const ENTRY: usize = size_of::<Entry>();
/// What is kept of it for a connection's end: bytes that are missing, twice, and the end.
const LAST: usize = 3 * ENTRY;
/// The bytes of one entry: a read takes no more into a buffer that is shared. Larger reads and writes are several entries.
pub(super) const PIECE: usize = 64 << 10;
/// What a reader that gathers is woken up for: it takes what a processor's cache still has.
const PLENTY: usize = 8 * PIECE;

pub(super) fn channel(capacity: usize) -> (Arc<Writers>, Reader) {
    let channel = Arc::new(Channel {
        capacity: capacity.max(PIECE),
        is_closed: AtomicBool::new(false),
        connections: AtomicU64::new(0),
        lost_connections: AtomicU64::new(0),
        lost_bytes: AtomicU64::new(0),
        state: Mutex::default(),
    });
    (Arc::new(Writers(Arc::clone(&channel))), Reader(channel))
}

impl Batch {
    fn used(&self) -> usize {
        self.bytes.len() + self.entries.len() * ENTRY
    }
}

impl State {
    fn put(&mut self, connection: u64, time: Instant, what: Kind) {
        self.batch.entries.push_back(Entry { connection, time, what });
    }

    /// Whom to wake, if what is there is what the reader waits for.
    fn due(&mut self) -> Option<Waker> {
        (self.batch.used() >= self.wakes_at).then(|| self.reader.take()).flatten()
    }
}

impl Channel {
    fn has_room(&self, state: &State, bytes: usize) -> bool {
        state.batch.used() + state.reserved + bytes <= self.capacity
    }
}

impl Writers {
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed.load(Ordering::Relaxed)
    }

    pub(super) fn lost(&self) -> Lost {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Lost { connections: count(&self.0.lost_connections), bytes: count(&self.0.lost_bytes) }
    }

    pub(super) fn lose_bytes(&self, bytes: u64) {
        self.0.lost_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The number of a connection that begins now, its own or the next one; none where there is no room for it.
    pub(super) fn open(&self, own: Option<u64>, ends: Ends) -> Option<u64> {
        let mut due = None;
        let number = (!self.is_closed()).then(|| {
            let mut state = lock(&self.0.state);
            self.0.has_room(&state, ENTRY + LAST).then(|| {
                let number = own.unwrap_or_else(|| self.0.connections.fetch_add(1, Ordering::Relaxed) + 1);
                state.reserved += LAST;
                state.put(number, Instant::now(), Kind::Opened(Box::new(ends)));
                due = state.due();
                number
            })
        });
        wake(due);
        let number = number.flatten();
        if number.is_none() {
            self.0.lost_connections.fetch_add(1, Ordering::Relaxed);
        }
        number
    }

    /// Takes bytes, behind a word on how many are missing before them. How many it took: the rest finds no room.
    pub(super) fn push(&self, connection: u64, from: Role, missing: u64, bytes: &[u8]) -> usize {
        if self.is_closed() {
            return 0;
        }
        let mut taken = 0;
        let time = Instant::now();
        let mut state = lock(&self.0.state);
        for piece in bytes.chunks(PIECE) {
            let tells = missing > 0 && taken == 0;
            if !self.0.has_room(&state, piece.len() + ENTRY * (1 + usize::from(tells))) {
                break;
            }
            if tells {
                state.put(connection, time, Kind::Missing(from, missing));
            }
            state.batch.bytes.extend_from_slice(piece);
            state.put(connection, time, Kind::Bytes(from, piece.len()));
            taken += piece.len();
        }
        let due = state.due();
        drop(state);
        wake(due);
        taken
    }

    /// A connection has ended. There is room for that.
    pub(super) fn end(&self, connection: u64, missing: [(Role, u64); 2], ending: Ending) {
        let time = Instant::now();
        let mut state = lock(&self.0.state);
        state.reserved -= LAST;
        for (from, missing) in missing.into_iter().filter(|(_, missing)| *missing > 0) {
            state.put(connection, time, Kind::Missing(from, missing));
        }
        state.put(connection, time, Kind::Ended(ending));
        let due = state.due();
        drop(state);
        wake(due);
    }

    /// Ready once there is room for as much as one read brings, or nobody to make room.
    pub(super) fn poll_room(&self, waker: &Waker) -> Poll<()> {
        if self.is_closed() {
            return Poll::Ready(());
        }
        let mut state = lock(&self.0.state);
        // A quarter is for those on other threads who are told of the same room.
        let wanted = (PIECE + 2 * ENTRY).max(self.0.capacity / 4).min(self.0.capacity / 2);
        if self.0.has_room(&state, wanted) || state.batch.entries.is_empty() || self.is_closed() {
            return Poll::Ready(());
        }
        if !state.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
        // Whoever waits for more to come would wait for those who wait here.
        state.wakes_at = 0;
        let due = state.due();
        drop(state);
        wake(due);
        Poll::Pending
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.has_ended = true;
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }
}

impl Reader {
    /// Waits until something is there, or [`PLENTY`], at most half of what the channel holds, if it is to be that. Ready with
    /// `false`: nothing is, and nothing will be.
    pub(super) fn poll_ready(&self, plenty: bool, waker: &Waker) -> Poll<bool> {
        let mut state = lock(&self.0.state);
        state.wakes_at = if plenty && state.waiting.is_empty() { PLENTY.min(self.0.capacity / 2) } else { 1 };
        let used = state.batch.used();
        if used >= state.wakes_at || state.has_ended {
            return Poll::Ready(used > 0);
        }
        state.reader = Some(waker.clone());
        Poll::Pending
    }

    /// Takes all that is there, in place of a batch that was used up, and makes room by it. The memory of that one is used for
    /// what comes, unless somebody keeps a part of it.
    pub(super) fn take(&self, batch: &mut Batch) {
        let mut state = lock(&self.0.state);
        core::mem::swap(&mut state.batch, batch);
        let waiting = core::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::Relaxed);
        let mut state = lock(&self.0.state);
        state.batch = Batch::default();
        let waiting = core::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
