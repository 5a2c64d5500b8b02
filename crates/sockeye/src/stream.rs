//! The driver: the protocol of `sockeye-proto` over a transport. The only file that touches socket I/O.
//!
//! One function makes progress on a connection, [`Driver::progress`]; whatever is called on a
//! [`WebSocket`](crate::WebSocket) or one of its halves calls that, and returns once what it waits for has come about. So
//! neither direction can starve the other, and there is one place to look when something hangs.

mod reading;
mod taking;
mod writing;
mod quick;
mod ending;

use core::task::{Poll, Waker};
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use sockeye_proto::close::State;
use sockeye_proto::connection::Expired;
use sockeye_proto::{Connection, LimitExceeded};

use crate::ahead::Ahead;
use crate::alarm::Alarm;
use crate::budget::Share;
use crate::error::{Error, Phase, duplicate};
use crate::transport::Transport;
use crate::waiters::{Due, Waiters};
use ending::{Abandoned, Ending};
pub(crate) use taking::{PIECE, Reading};

/// All of a connection: the protocol's state, its transport, and what has been received and not yet taken.
pub(crate) struct Driver {
    pub(crate) connection: Connection,
    transport: Transport,
    /// What the transport and the alarm wake: whoever waits, for as long as the connection lives.
    waiters: Arc<Waiters>,
    /// The same.
    waker: Waker,
    /// Bytes read and not yet handed to the connection: they wait until the message before them is taken, so that its
    /// answer is not cut off by what may be wrong with them.
    unparsed: BytesMut,
    /// Messages that nobody has taken yet.
    ahead: Ahead,
    reading: Reading,
    /// The rest of the message that is arriving is of no interest: its reader was dropped.
    skipping: bool,
    /// The message that is taken in pieces has ended; what is held of it is the rest.
    pieces_ended: bool,
    /// The transport failed: what waits will never be written. Reading goes on until then, for what the peer sent before.
    broken: Option<Box<Broken>>,
    /// What is known of the end, once there is something to know.
    ending: Option<Box<Ending>>,
    /// Nothing more can be read.
    read_ended: bool,
    shutting_down: bool,
    abandoned: Abandoned,
    alarm: Alarm,
    share: Option<Box<Share>>,
    /// Nothing is left to do before the transport or the alarm wakes.
    settled: bool,
    /// The latest run stopped with more to do.
    is_unfinished: bool,
    /// Something was written, answered or has ended since the last turn.
    changed: bool,
    /// There is room to read ahead again.
    has_room_again: bool,
    /// Somebody waits to send.
    is_awaited: bool,
    /// The length of the latest message if it was a large one, as the next is likely to be; else 0.
    large: u32,
    /// Messages are lent: what is left of a read waits in a buffer of the thread's.
    lends: bool,
}

/// How the transport failed, and when.
struct Broken {
    error: io::Error,
    since: Instant,
}

impl Broken {
    fn now(error: io::Error) -> Box<Self> {
        Box::new(Self { error, since: now() })
    }

    fn error(&self) -> Error {
        Error::Io(duplicate(&self.error))
    }
}

/// So many reads that bring nothing the caller waits for before other tasks have their turn.
const TURNS: usize = 32;
/// As many messages as may be read ahead.
pub(crate) const ANY: usize = usize::MAX;

impl Driver {
    /// `early` are bytes that whoever did the opening handshake has read beyond its end.
    pub(crate) fn new(
        transport: Transport,
        connection: Connection,
        early: &[u8],
        waiters: Arc<Waiters>,
        share: Option<Share>,
    ) -> Self {
        Self {
            connection,
            transport,
            waker: Waker::from(Arc::clone(&waiters)),
            waiters,
            // Copied: hyper's buffer of 8 KiB would stay for the sake of a few bytes, or of none.
            unparsed: BytesMut::from(early),
            ahead: Ahead::default(),
            reading: Reading::Nobody,
            skipping: false,
            pieces_ended: false,
            broken: None,
            ending: None,
            read_ended: false,
            shutting_down: false,
            abandoned: Abandoned::No,
            alarm: Alarm::default(),
            share: share.map(Box::new),
            settled: false,
            is_unfinished: false,
            changed: false,
            has_room_again: false,
            is_awaited: false,
            large: 0,
            lends: false,
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.connection.state() == State::Closed
    }

    /// Says whether somebody waits to send.
    pub(crate) const fn await_room(&mut self, is_awaited: bool) {
        self.is_awaited = is_awaited;
    }

    // --- progress ---

    /// Makes progress until there is what the caller looks for. At most `goal` messages are to wait to be taken then.
    ///
    /// Pending and [unfinished](Self::is_unfinished): there is more to do, and other tasks have their turn first.
    pub(crate) fn run<T>(&mut self, goal: usize, mut look: impl FnMut(&mut Self) -> Option<T>) -> Poll<T> {
        for _ in 0..TURNS {
            if let Some(found) = look(self) {
                return Poll::Ready(found);
            }
            let held = self.connection.held();
            if self.progress(goal).is_pending() {
                // What has been written meanwhile may be what is waited for.
                return look(self).map_or(Poll::Pending, Poll::Ready);
            }
            if self.connection.held() > held {
                self.judge_budget();
            }
        }
        // Control frames or discarded messages without end.
        self.is_unfinished = true;
        Poll::Pending
    }

    /// Makes all the progress that can be made without waiting.
    pub(crate) fn settle(&mut self) {
        let _ = self.run(ANY, |driver| driver.has_ended().then_some(()));
    }

    /// Says once that a run has stopped with more to do, so that other tasks have their turn.
    pub(crate) const fn is_unfinished(&mut self) -> bool {
        core::mem::replace(&mut self.is_unfinished, false)
    }

    /// Whether there is room to read ahead again.
    pub(crate) const fn has_room_again(&self) -> bool {
        self.has_room_again
    }

    /// Whether nothing is left to do before the transport or the alarm wakes.
    pub(crate) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Something is left to do.
    pub(crate) const fn unsettle(&mut self) {
        self.settled = false;
    }

    /// The one function that makes progress: takes apart what has been read, writes what waits, reads what has come, and
    /// keeps the deadlines. Ready when something has changed, so that the caller looks again for what it waits for.
    pub(crate) fn progress(&mut self, goal: usize) -> Poll<()> {
        self.settled = false;
        if self.parse(goal) {
            return Poll::Ready(());
        }
        let was_broken = self.is_broken();
        self.write();
        self.notice_end();
        if self.has_ended() || was_broken != self.is_broken() {
            self.changed = true;
            return Poll::Ready(());
        }
        // Before reading: a peer that floods a closing connection must not keep us from looking at the clock.
        let closing = self.is_broken() || self.connection.state() != State::Open;
        if closing && self.poll_timer().is_ready() {
            return Poll::Ready(());
        }
        if !self.read_ended {
            if !self.wants_more(goal) || !self.unparsed.is_empty() || self.connection.is_held_back() {
                // It is we who do not listen.
                self.connection.hold_back(self.is_awaited);
            } else if self.read(goal).is_ready() {
                return Poll::Ready(());
            } else {
                self.settled = true;
            }
        }
        // After reading: a peer is silent only if nothing of it has arrived.
        if closing { Poll::Pending } else { self.poll_timer() }
    }

    /// Keeps the deadlines with one alarm, which is set again only once it has gone off, or would go off too late.
    fn poll_timer(&mut self) -> Poll<()> {
        // A transport that can no longer be written to is closing, too, whatever the protocol says.
        let given_up =
            self.broken.as_ref().and_then(|broken| broken.since.checked_add(self.connection.limits().closing_time()));
        let kept = self.connection.deadline(now);
        let Some(deadline) = given_up.into_iter().chain(kept).min() else {
            return Poll::Pending;
        };
        if self.alarm.goes_off_by(deadline, &self.waiters) {
            return Poll::Pending;
        }
        let now = now();
        if now < deadline {
            self.alarm.set(deadline, &self.waiters);
            return Poll::Pending;
        }
        if given_up.is_some_and(|deadline| deadline <= now) {
            self.end(Some(Error::Timeout(Phase::Closing)));
            return Poll::Ready(());
        }
        match self.connection.expired(now) {
            Some(Expired::Pong) => self.end(Some(Error::Timeout(Phase::Keepalive))),
            Some(_) => self.end(Some(Error::Timeout(Phase::Closing))),
            // A Ping may be due.
            None => {}
        }
        Poll::Ready(())
    }

    /// Takes note of the memory held, where there is a budget.
    pub(crate) fn account(&mut self) {
        if let Some(share) = &mut self.share {
            let received = self.connection.held() + self.unparsed.len() + self.ahead.cost();
            share.set(received + self.connection.queued());
        }
    }

    /// Fails the connection if a budget is exceeded by what its peer sends.
    fn judge_budget(&mut self) {
        self.account();
        let Some(share) = &self.share else {
            return;
        };
        if share.budget().is_exceeded() && self.connection.held() > 0 && self.connection.state().reads() {
            let error = LimitExceeded::Budget { limit: share.budget().limit() }.into();
            self.connection.fail(error);
            self.failed(error);
        }
    }

    /// Whose wait is over.
    pub(crate) fn due(&mut self) -> Due {
        let ended = self.has_ended();
        let reader = match self.reading {
            Reading::Start => self.begun().is_some(),
            Reading::Pieces => self.pieces_ended || self.begun().is_some_and(|begun| begun.held > 0),
            _ => false,
        };
        // Those who wait in vain are to know.
        let room_in_message = if self.is_writable() { self.room() } else { usize::MAX };
        let is_taken = self.is_writable() && self.connection.in_fragments();
        Due {
            reader: ended || reader || !self.ahead.is_empty(),
            task: core::mem::take(&mut self.has_room_again),
            change: core::mem::take(&mut self.changed),
            room: if is_taken { 0 } else { room_in_message },
            room_in_message,
        }
    }
}

/// The time, by tokio's clock, which tests can stop.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
