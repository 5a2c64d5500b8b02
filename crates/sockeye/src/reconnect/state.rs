//! What the handles and the task share: messages on their way out, events on their way in.
//!
//! ```text
//! number   0 ......... read ............ begun ............. next
//!          the peer    | uncertain, when | queued: not a byte |
//!          has them    | it breaks now   | has left           |
//! ```

use core::ops::Range;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;

use sockeye_proto::{CloseReason, Message};
use tokio::sync::{Semaphore, watch};

use super::builder::Unsent;
use super::event::{Ended, EndedBy, Event};
use crate::ahead::READ_AHEAD;
use crate::sync::{Mutex, lock};

pub(super) struct Shared {
    state: Mutex<State>,
    /// Bytes that may still be queued. Closed when nothing is accepted any more.
    pub(super) room: Semaphore,
    most: u32,
    unsent: Unsent,
    /// How it has ended, once it has.
    pub(super) ended: watch::Sender<Option<Ended>>,
}

#[derive(Default)]
struct State {
    /// Messages of which not a byte has left. The first has the number `begun`.
    queue: VecDeque<Message>,
    begun: u64,
    /// All before this one have left whole.
    written: u64,
    /// All before this one have been read by the peer, or were reported.
    read: u64,
    /// The number of the first message of this connection.
    first: u64,
    connected: bool,
    closing: Option<CloseReason>,
    /// Nothing is accepted any more.
    over: bool,
    /// What waits to be taken, and what it costs.
    events: VecDeque<Event>,
    cost: usize,
    /// The last event has been taken.
    last_taken: bool,
    /// Nobody will take events any more.
    deaf: bool,
    /// Who waits for an event.
    reader: Option<Waker>,
    /// The task, where it waits for something of this.
    task: Option<Waker>,
}

/// What there is to do on a connection.
pub(super) enum Work {
    /// A message of this length is to be sent.
    Message(usize),
    /// All was sent, and the connection is to be closed.
    Close,
}

/// What a message costs beside its bytes, and an event.
const OVERHEAD: usize = 128;

impl Shared {
    pub(super) fn new(most: usize, unsent: Unsent) -> Self {
        let most = u32::try_from(most.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self {
            state: Mutex::default(),
            room: Semaphore::new(most as usize),
            most,
            unsent,
            ended: watch::Sender::new(None),
        }
    }

    /// What a message of this length takes of the room: one that is larger than all of it goes alone.
    pub(super) fn cost(&self, len: usize) -> u32 {
        u32::try_from(len + OVERHEAD).unwrap_or(u32::MAX).min(self.most)
    }

    // --- messages ---

    /// Queues a message for which there is room. Its number, or `None` where nothing is accepted.
    pub(super) fn accept(&self, message: Message) -> Option<u64> {
        let mut state = lock(&self.state);
        let is_closed = state.closing.is_some() || state.over;
        if is_closed || (self.unsent == Unsent::GiveBack && !state.connected) {
            return None;
        }
        let number = state.begun + state.queue.len() as u64;
        state.queue.push_back(message);
        let task = state.task.take();
        drop(state);
        wake(task);
        Some(number)
    }

    /// Bytes that wait to be sent.
    pub(super) fn queued_bytes(&self) -> usize {
        lock(&self.state).queue.iter().map(Message::len).sum()
    }

    /// What is to be done next on the connection.
    pub(super) fn poll_work(&self, cx: &Context<'_>) -> Poll<Work> {
        let mut state = lock(&self.state);
        if let Some(message) = state.queue.front() {
            return Poll::Ready(Work::Message(message.len()));
        }
        if state.closing.is_some() {
            return Poll::Ready(Work::Close);
        }
        state.task = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Takes the first message, which from now on may be with the network.
    pub(super) fn begin(&self) -> Option<Message> {
        let mut state = lock(&self.state);
        let message = state.queue.pop_front()?;
        state.begun += 1;
        drop(state);
        self.give_room(&message);
        Some(message)
    }

    fn give_room(&self, message: &Message) {
        self.room.add_permits(self.cost(message.len()) as usize);
    }

    /// All that has begun has left whole.
    pub(super) fn all_written(&self) {
        let mut state = lock(&self.state);
        state.written = state.begun;
        let task = state.task.take();
        drop(state);
        wake(task);
    }

    /// The position that the peer has yet to be asked about: all before it have left, and are not known to have been read.
    pub(super) fn poll_unread(&self, cx: &Context<'_>) -> Poll<u64> {
        let mut state = lock(&self.state);
        if state.written > state.read {
            return Poll::Ready(state.written);
        }
        state.task = Some(cx.waker().clone());
        Poll::Pending
    }

    /// What has left whole by now.
    pub(super) fn written(&self) -> u64 {
        lock(&self.state).written
    }

    /// The peer has read all before this one.
    pub(super) fn has_read(&self, number: u64) {
        let mut state = lock(&self.state);
        state.read = state.read.max(number);
    }

    // --- the connection ---

    pub(super) fn connect(&self) {
        let mut state = lock(&self.state);
        state.connected = true;
        state.first = state.begun;
    }

    /// The connection has ended, and the peer has read all of it or not. What was written on it, what of that is uncertain,
    /// and what is given back.
    pub(super) fn disconnect(&self, all_read: bool) -> (Range<u64>, Range<u64>, Vec<(u64, Message)>) {
        let mut state = lock(&self.state);
        state.connected = false;
        if all_read {
            state.read = state.begun;
        }
        let (written, uncertain) = (state.first..state.begun, state.read..state.begun);
        // They are reported now, or were read.
        (state.read, state.written) = (state.begun, state.begun);
        drop(state);
        let unsent = if self.unsent == Unsent::GiveBack { self.take_unsent() } else { Vec::new() };
        (written, uncertain, unsent)
    }

    /// Takes all that is queued. Their numbers are not given to others.
    fn take_unsent(&self) -> Vec<(u64, Message)> {
        let mut state = lock(&self.state);
        let (first, queue) = (state.begun, core::mem::take(&mut state.queue));
        state.begun += queue.len() as u64;
        (state.read, state.written) = (state.begun, state.begun);
        drop(state);
        queue.iter().for_each(|message| self.give_room(message));
        (first..).zip(queue).collect()
    }

    // --- closing ---

    /// Begins closing, unless it has begun.
    pub(super) fn close(&self, reason: CloseReason) {
        let mut state = lock(&self.state);
        state.closing.get_or_insert(reason);
        let task = state.task.take();
        drop(state);
        self.room.close();
        wake(task);
    }

    /// Waits for it to be closed.
    pub(super) fn poll_closing(&self, cx: &Context<'_>) -> Poll<CloseReason> {
        let mut state = lock(&self.state);
        if let Some(reason) = &state.closing {
            return Poll::Ready(reason.clone());
        }
        state.task = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn is_closing(&self) -> bool {
        lock(&self.state).closing.is_some()
    }

    /// The end of all.
    pub(super) fn end(&self, by: EndedBy) -> Ended {
        self.room.close();
        lock(&self.state).over = true;
        // Nothing is accepted from here on.
        let ended = Ended { by, unsent: self.take_unsent() };
        self.tell(Event::Ended(ended.clone()));
        self.ended.send_replace(Some(ended.clone()));
        ended
    }

    pub(super) fn is_connected(&self) -> bool {
        lock(&self.state).connected
    }

    // --- events ---

    /// Puts an event behind the others.
    pub(super) fn tell(&self, event: Event) {
        let mut state = lock(&self.state);
        let is_message = matches!(event, Event::Message(_));
        // Once it is being closed, messages are discarded, as `WebSocket::close` does.
        if state.deaf || (is_message && state.closing.is_some()) {
            return;
        }
        state.cost += cost(&event);
        state.events.push_back(event);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }

    /// Waits for room for an event. There is some as long as nobody takes events, or cares for them.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.state);
        if state.cost < READ_AHEAD || state.closing.is_some() {
            return Poll::Ready(());
        }
        state.task = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The next event; `None` behind the last one.
    pub(super) fn poll_event(&self, cx: &Context<'_>) -> Poll<Option<Event>> {
        let mut state = lock(&self.state);
        let Some(event) = state.events.pop_front() else {
            if state.deaf || state.last_taken {
                return Poll::Ready(None);
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        state.cost -= cost(&event);
        state.last_taken = matches!(event, Event::Ended(_));
        let task = state.task.take();
        drop(state);
        wake(task);
        Poll::Ready(Some(event))
    }

    /// Nobody takes events any more.
    pub(super) fn go_deaf(&self) {
        let mut state = lock(&self.state);
        state.deaf = true;
        let events = core::mem::take(&mut state.events);
        state.cost = 0;
        let task = state.task.take();
        drop(state);
        drop(events);
        wake(task);
    }
}

fn cost(event: &Event) -> usize {
    match event {
        Event::Message(message) => message.len() + OVERHEAD,
        _ => OVERHEAD,
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
