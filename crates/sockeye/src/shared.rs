//! What the handles to one connection share, and how each of them takes its turn on it.
//!
//! A [`Turn`] is the connection, locked. It is never held over an await, and when it ends those whose wait is over are
//! woken: nobody who changes something has to know who waits for it.

mod quick;
mod turn;

use core::cell::Cell;
use core::future::poll_fn;
use core::ops::{Deref, DerefMut};
use core::task::{Context, Poll};
use std::sync::{Arc, Weak};

use sockeye_proto::Connection;

use crate::budget::{Budget, Share};
use crate::error::Error;
use crate::scope::{self, DriveId};
use crate::stream::{ANY, Driver, Reading};
use crate::sync::{Mutex, lock, thread_local};
use crate::transport::Transport;
use crate::waiters::{Place, Waiters, Wants};
pub(crate) use quick::Quick;
pub(crate) use turn::Turn;

pub(crate) struct Shared {
    state: Mutex<State>,
    waiters: Arc<Waiters>,
    /// What both ends agreed on.
    subprotocol: Option<Box<str>>,
}

struct State {
    driver: Driver,
    /// Handles that people hold.
    handles: u32,
    /// Nothing is out of the ordinary, and nobody waits but the reader: see `quick.rs`.
    quick: bool,
    /// The reader may be waiting.
    reader_waits: bool,
    /// The reader has asked for a message since the last one was sent.
    was_read: bool,
    /// It waits by the waker of the task that drives the connection, which is not kept a second time.
    task_reads: bool,
    /// A server holds on to the connection until its handler has ended, whatever that drops.
    kept: bool,
    /// The future whose task drives the connection.
    driven: Option<DriveId>,
    /// A task of its own writes what was accepted, as nobody drives the connection.
    draining: bool,
}

thread_local! {
    /// The connections that have been used in a poll for the first time, and what drives them from then on.
    static ADOPTED: Cell<Vec<(DriveId, Weak<Shared>)>> = const { Cell::new(Vec::new()) };
}

/// The connections that this one's future has used for the first time. Those of a future around it stay.
pub(crate) fn take_adopted(id: DriveId) -> Vec<Weak<Shared>> {
    // There is none on a thread that has ended.
    let mut adopted = ADOPTED.try_with(Cell::take).unwrap_or_default();
    if adopted.is_empty() {
        return Vec::new();
    }
    let mine = |&mut (by, _): &mut (DriveId, _)| by == id;
    let taken = adopted.extract_if(.., mine).map(|(_, connection)| connection).collect();
    ADOPTED.with(|others| others.set(adopted));
    taken
}

/// How far one who waits for something else reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// As far as messages may wait.
    Ahead,
    /// Until one message waits: what is behind it must not cut off the answer to it.
    One,
}

/// So much is gathered before it is written in the middle of a poll.
const GATHERED: usize = 64 << 10;

impl Shared {
    /// A connection without a handle.
    pub(crate) fn new(
        transport: Transport,
        connection: Connection,
        early: &[u8],
        budget: Option<Budget>,
        subprotocol: Option<String>,
    ) -> Arc<Self> {
        let waiters = Arc::new(Waiters::default());
        let driver = Driver::new(transport, connection, early, Arc::clone(&waiters), budget.map(Share::new));
        let state = State {
            driver,
            handles: 0,
            quick: false,
            reader_waits: false,
            was_read: false,
            task_reads: false,
            kept: false,
            driven: None,
            draining: false,
        };
        Arc::new(Self { state: Mutex::new(state), waiters, subprotocol: subprotocol.map(String::into_boxed_str) })
    }

    pub(crate) fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Takes a turn.
    pub(crate) fn turn(self: &Arc<Self>) -> Turn<'_> {
        let mut state = lock(&self.state);
        let here = self.adopt(&mut state.driven);
        state.driver.await_room(self.waiters.has_senders());
        Turn { shared: self, state: Some(state), here, myself: None, replaced: None, again: None }
    }

    /// Where it is: nothing else is there for as long as somebody has it.
    #[inline]
    pub(crate) fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    /// Whether the poll that is going on is of the future that drives the connection. One that is driven by none is driven by
    /// that from now on.
    fn adopt(self: &Arc<Self>, driven: &mut Option<DriveId>) -> bool {
        let Some(id) = scope::polled() else {
            return false;
        };
        if driven.is_none() {
            *driven = Some(id);
            ADOPTED.with(|adopted| {
                let mut connections = adopted.take();
                connections.push((id, Arc::downgrade(self)));
                adopted.set(connections);
            });
        }
        *driven == Some(id)
    }

    // --- waiting ---

    /// Waits as the reader.
    pub(crate) fn poll_read<T>(
        self: &Arc<Self>,
        cx: &Context<'_>,
        reading: Reading,
        mut look: impl FnMut(&mut Driver) -> Option<T>,
    ) -> Poll<T> {
        let mut turn = self.turn();
        (turn.state().reader_waits, turn.state().was_read) = (false, true);
        if let Some(found) = look(&mut turn) {
            return Poll::Ready(found);
        }
        turn.read_as(reading);
        // What has been read already needs no waiting.
        while turn.has_unparsed() && turn.parse(1) {
            if let Some(found) = look(&mut turn) {
                return Poll::Ready(found);
            }
        }
        turn.replaced = self.waiters.read(cx.waker());
        let state = turn.state();
        (state.reader_waits, state.task_reads) = (true, false);
        turn.run(cx, 1, look)
    }

    /// Waits for something to be written, answered or ended.
    pub(crate) fn poll_watch<T>(
        self: &Arc<Self>,
        cx: &Context<'_>,
        place: &mut Option<Place>,
        reads: Reads,
        mut look: impl FnMut(&mut Driver) -> Option<T>,
    ) -> Poll<T> {
        let mut turn = self.turn();
        let found = match look(&mut turn) {
            Some(found) => Poll::Ready(found),
            None => {
                turn.wait(place, Wants::Change, cx);
                let goal = match reads {
                    Reads::Ahead => ANY,
                    Reads::One => turn.ahead().max(1),
                };
                turn.run(cx, goal, look)
            }
        };
        drop(turn);
        if found.is_ready() {
            *place = None;
        }
        found
    }

    /// Waits for what is wanted of the queue, and accepts a message in the same turn.
    pub(crate) fn poll_accept<T>(
        self: &Arc<Self>,
        cx: &Context<'_>,
        place: &mut Option<Place>,
        wants: Wants,
        accept: impl FnOnce(&mut Turn<'_>) -> Result<T, Error>,
    ) -> Poll<Result<T, Error>> {
        let mut turn = self.turn();
        let mut room = turn.room_for(place.as_ref(), wants);
        if room.is_none() {
            turn.wait(place, wants, cx);
            let place = place.as_ref();
            let waited = turn.run(cx, ANY, |driver| self.room(driver, place, wants));
            room = match waited {
                Poll::Ready(room) => Some(room),
                Poll::Pending => None,
            };
        }
        let Some(room) = room else {
            return Poll::Pending;
        };
        let accepted = room.and_then(|()| accept(&mut turn));
        drop(turn);
        // The next one's turn.
        *place = None;
        Poll::Ready(accepted)
    }

    /// Whether one in this place may have what it wants of the queue.
    fn room(&self, driver: &Driver, place: Option<&Place>, wants: Wants) -> Option<Result<(), Error>> {
        let in_fragments = driver.connection.in_fragments();
        let (len, may) = match wants {
            Wants::Turn(len) => (len, !in_fragments && self.waiters.is_first(place)),
            Wants::Room(len) => (len, !in_fragments),
            Wants::RoomInMessage(len) => (len, true),
            Wants::Change => (0, true),
        };
        match driver.check_writable() {
            Ok(()) => (may && len <= driver.room()).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        }
    }

    // --- being driven ---

    /// The end of a poll of the future that drives the connection: writes what it has queued, and reads ahead while it
    /// waits for something else. Whether it still drives the connection.
    ///
    /// `is_new`: this is the first poll after which this waker is to be woken.
    pub(crate) fn settle(self: &Arc<Self>, cx: &Context<'_>, id: DriveId, is_new: bool) -> bool {
        let mut turn = self.turn();
        if turn.state().driven != Some(id) {
            return false;
        }
        if is_new {
            turn.replaced = self.waiters.drive(cx.waker());
        }
        turn.deref_mut().settle();
        turn.go_on(cx);
        true
    }

    /// Is driven by this future from now on, if by no other.
    pub(crate) fn drive_by(&self, id: DriveId) {
        lock(&self.state).driven.get_or_insert(id);
    }

    /// This future is gone, and drives the connection no more. What it has accepted is written nonetheless.
    pub(crate) fn release(self: &Arc<Self>, id: DriveId) {
        let mut turn = self.turn();
        if turn.state().driven == Some(id) {
            turn.state().driven = None;
            turn.write();
            turn.drain();
            drop(turn);
            self.waiters.release();
        }
    }

    /// Whether the connection lives on without handles until [`let_go`](Self::let_go).
    pub(crate) fn keep(&self) {
        lock(&self.state).kept = true;
    }

    /// Leaves the connection to whoever holds a handle to its receiving side. Whether there is nobody.
    pub(crate) fn let_go(&self) -> bool {
        let mut state = lock(&self.state);
        state.kept = false;
        state.driver.reading() == Reading::Discard
    }

    /// Writes what was accepted, in a task of its own, until the queue is empty; where nobody can call any more, until the
    /// peer has ended the connection, too, or the closing deadline has passed.
    async fn drain(self: Arc<Self>) {
        let mut place = None;
        poll_fn(|cx| self.poll_watch(cx, &mut place, Reads::One, |driver| (!driver.has_to_drain()).then_some(())))
            .await;
        lock(&self.state).draining = false;
        // What was accepted since found a task at work that had just ended.
        self.turn().drain();
    }
}

/// A handle to a connection that people hold: when the last one is dropped nobody can call any more, and it is closed.
pub(crate) struct Handle(Arc<Shared>);

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        lock(&shared.state).handles += 1;
        Self(shared)
    }
}

impl Deref for Handle {
    type Target = Arc<Shared>;

    fn deref(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut turn = self.0.turn();
        let state = turn.state();
        state.handles -= 1;
        if state.handles == 0 && !state.kept {
            // Whoever drove it on behalf of the handles has nothing to do here any more.
            let was_driven = state.driven.take().is_some();
            turn.abandon();
            turn.drain();
            drop(turn);
            if was_driven {
                self.0.waiters.release();
            }
        }
    }
}
