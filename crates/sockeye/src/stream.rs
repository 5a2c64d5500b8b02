//! The driver: the protocol of `sockeye-proto` over a transport. The only file that touches socket I/O.
//!
//! One function makes progress on a connection, [`Driver::progress`]; whatever is called on a
//! [`WebSocket`](crate::WebSocket) or one of its halves calls that, and returns once what it waits for has come about. So
//! neither direction can starve the other, and there is one place to look when something hangs.

mod ending;
mod reading;

use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker, ready};
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BufMut, BytesMut};
use sockeye_proto::close::State;
use sockeye_proto::connection::{Expired, Received};
use sockeye_proto::{Connection, Event, LimitExceeded, Message, stock};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::ahead::Ahead;
use crate::alarm::Alarm;
use crate::budget::Share;
use crate::buffer;
use crate::error::{Error, Phase, duplicate};
use crate::transport::Transport;
use crate::waiters::{Due, Waiters};
use ending::{Abandoned, Ending};
pub(crate) use reading::Reading;

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
    /// The transport has taken bytes that it may still hold: TLS and other layers buffer, TCP does not.
    unflushed: bool,
    /// The position up to which what was accepted is with the system's network stack.
    flushed_to: u64,
    /// Nothing more can be read.
    read_ended: bool,
    shutting_down: bool,
    abandoned: Abandoned,
    alarm: Alarm,
    share: Option<Share>,
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
    large: usize,
    /// Messages are lent: what is read stays in its buffer, which they can share.
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
/// A message of this length is large: copying it out costs more than a buffer of its own.
const LARGE: usize = 32 << 10;
/// The most room that is made for one before anything of it has come.
const LARGEST: usize = 1 << 20;
/// Room beside the payload: for its header, and so that a read that does not fill it shows that nothing else is there.
const BESIDE: usize = 1 << 10;
/// So much is read first: whatever it turns out to be, it is not much more than any other read brings.
const FIRST: usize = (64 << 10) + BESIDE;
/// So many pieces go into one system call.
const SLICES: usize = 16;
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
            unflushed: false,
            flushed_to: 0,
            read_ended: false,
            shutting_down: false,
            abandoned: Abandoned::No,
            alarm: Alarm::default(),
            share,
            settled: false,
            is_unfinished: false,
            changed: false,
            has_room_again: false,
            is_awaited: false,
            large: 0,
            lends: false,
        }
    }

    // --- what callers wait for ---

    /// How long a message may be to be queued now. One that is larger than the queue goes alone.
    pub(crate) fn room(&self) -> usize {
        let queued = self.connection.queued();
        if queued == 0 {
            return usize::MAX;
        }
        let exceeded = self.share.as_ref().is_some_and(|share| share.budget().is_exceeded());
        if exceeded { 0 } else { self.connection.limits().max_queue().saturating_sub(queued) }
    }

    /// Whether all that was accepted up to a position is with the system's network stack, or never will be.
    pub(crate) fn flushed(&self, position: u64) -> Option<Result<(), Error>> {
        if self.flushed_to >= position {
            return Some(Ok(()));
        }
        match &self.broken {
            Some(broken) => Some(Err(broken.error())),
            None => self.has_ended().then_some(Err(Error::Closed)),
        }
    }

    /// Whether anything of ours has not left yet.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.connection.has_outgoing() || self.unflushed
    }

    /// Whether writing has failed.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.connection.state() == State::Closed
    }

    fn is_writable(&self) -> bool {
        self.broken.is_none() && self.connection.state() == State::Open
    }

    /// An error for the caller who wants something sent that never will be.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        match &self.broken {
            Some(broken) => Err(broken.error()),
            None if self.connection.state() != State::Open => Err(Error::Closed),
            None => Ok(()),
        }
    }

    // --- what callers want ---

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
        let (was_unwritten, was_broken) = (self.has_unwritten(), self.is_broken());
        self.write();
        self.notice_end();
        self.changed |= was_unwritten != self.has_unwritten();
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

    /// Writes until nothing waits or the transport takes no more; then ends the writing side, if it is time to.
    pub(crate) fn write(&mut self) {
        let mut cx = Context::from_waker(&self.waker);
        while self.broken.is_none() && self.connection.has_outgoing() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.connection.outgoing(&mut slices);
            let transport = Pin::new(&mut self.transport);
            let written = match &slices[..count] {
                // The plain call is the cheaper one for the system, too.
                [slice] => transport.poll_write(&mut cx, slice),
                slices => transport.poll_write_vectored(&mut cx, slices),
            };
            match written {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => self.broken = Some(Broken::now(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.connection.written(written, now);
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => self.broken = Some(Broken::now(error)),
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.transport).poll_flush(&mut cx) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) => {
                    self.unflushed = false;
                    self.flushed_to = self.connection.written_to();
                    self.changed = true;
                }
                Poll::Ready(Err(error)) => {
                    self.broken.get_or_insert_with(|| Broken::now(error));
                }
            }
        }
        self.shutting_down |= self.connection.wants_shutdown() || self.leaves();
        let mut cx = Context::from_waker(&self.waker);
        if self.shutting_down && Pin::new(&mut self.transport).poll_shutdown(&mut cx).is_ready() {
            self.shutting_down = false;
        }
    }

    /// Takes apart what has been read before. Whether that has changed anything.
    pub(crate) fn parse(&mut self, goal: usize) -> bool {
        self.choose();
        if !self.wants_more(goal) {
            return false;
        }
        if self.unparsed.is_empty() {
            return self.inflate_on();
        }
        let mut has_changed = false;
        while !self.unparsed.is_empty() && self.wants_more(goal) {
            let Received { consumed, event, .. } = self.connection.receive(&mut self.unparsed);
            self.unparsed.advance(consumed);
            let held_back = consumed == 0 && event.is_none();
            self.take_event(event);
            if held_back && !self.drops_pieces() {
                break;
            }
            has_changed = true;
        }
        if self.unparsed.is_empty() {
            // An idle connection holds no buffer.
            buffer::give_back(core::mem::take(&mut self.unparsed));
        }
        has_changed
    }

    /// Reads once, and takes what came apart.
    fn read(&mut self, goal: usize) -> Poll<()> {
        if let Some(mut landing) = self.connection.landing() {
            // A large payload: what is left of it is read to where it will stay.
            let mut cx = Context::from_waker(&self.waker);
            let read = ready!(pin!(self.transport.read_buf(&mut landing)).poll(&mut cx));
            if self.took(read) {
                let event = self.connection.landed();
                self.take_event(event);
            }
            return Poll::Ready(());
        }
        if self.large > 0 {
            return self.read_large(goal);
        }
        if self.lends {
            return self.read_to_lend();
        }
        buffer::lend(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            let mut cx = Context::from_waker(&self.waker);
            let read = ready!(Pin::new(&mut self.transport).poll_read(&mut cx, &mut buffer));
            let bytes = buffer.filled_mut();
            if self.took(read.map(|()| bytes.len())) {
                let parsed = self.receive(bytes, goal);
                self.unparsed.extend_from_slice(&bytes[parsed..]);
            }
            Poll::Ready(())
        })
    }

    /// Reads what is likely to be a large message into a buffer that becomes its own if it is one.
    fn read_large(&mut self, goal: usize) -> Poll<()> {
        let mut buffer = stock::take(self.large + BESIDE);
        let mut cx = Context::from_waker(&self.waker);
        let read = pin!(self.transport.read_buf(&mut (&mut buffer).limit(FIRST))).poll(&mut cx);
        let is_ready = read.is_ready();
        if let Poll::Ready(read) = read
            && self.took(read)
        {
            let event = self.connection.adopt(&mut buffer);
            self.take_event(event);
            let parsed = self.receive(&mut buffer, goal);
            self.unparsed.extend_from_slice(&buffer[parsed..]);
        }
        stock::give_back(buffer);
        if is_ready { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Reads once, into a buffer that stays here until all in it is taken apart.
    fn read_to_lend(&mut self) -> Poll<()> {
        let mut lent = buffer::take();
        let mut cx = Context::from_waker(&self.waker);
        let read = pin!(self.transport.read_buf(&mut (&mut lent).limit(buffer::SIZE))).poll(&mut cx);
        let polled = read.map(|read| self.took(read));
        if polled == Poll::Ready(true) {
            self.unparsed = lent;
        } else {
            buffer::give_back(lent);
        }
        polled.map(drop)
    }

    /// Whether a read brought bytes; if it did not, nothing more will come.
    fn took(&mut self, read: io::Result<usize>) -> bool {
        match read {
            Ok(0) => self.read_ended = true,
            Ok(_) => return true,
            Err(error) => {
                self.read_ended = true;
                // A reset after the closing handshake is one way to end; `notice_end` knows.
                self.broken.get_or_insert_with(|| Broken::now(error));
            }
        }
        false
    }

    /// Hands bytes to the protocol as long as messages are wanted. Returns how many it took.
    fn receive(&mut self, bytes: &mut [u8], goal: usize) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && self.wants_more(goal) {
            let Received { consumed, event, .. } = self.connection.receive(&mut bytes[taken..]);
            taken += consumed;
            let held_back = consumed == 0 && event.is_none();
            self.take_event(event);
            if held_back && !self.drops_pieces() {
                break;
            }
        }
        taken
    }

    #[inline]
    fn take_event(&mut self, event: Option<Event>) {
        match event {
            None => {}
            Some(Event::Message(message)) if self.reading != Reading::Discard => {
                self.note_size(&message);
                self.ahead.push(message);
            }
            Some(event) => self.take_other(event),
        }
    }

    /// The next message is likely to be as large as this one.
    #[inline]
    fn note_size(&mut self, message: &Message) {
        let len = message.len();
        self.large = if len < LARGE { 0 } else { len.min(LARGEST) };
    }

    /// What is no message, and rare.
    fn take_other(&mut self, event: Event) {
        match event {
            Event::MessageEnd => {
                self.pieces_ended = true;
                if self.drops_pieces() {
                    self.pieces_ended = false;
                    self.skipping = false;
                }
            }
            Event::Close(reason) => self.peer_closes(reason),
            Event::Failed(error) => self.failed(error),
            Event::Pong(payload) => self.changed |= self.connection.answer(&payload, now()).is_some(),
            _ => {}
        }
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
