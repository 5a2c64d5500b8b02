//! One connection, both halves of it, without I/O.
//!
//! The grammar of its use:
//!
//! * bytes have come: [`receive`](Connection::receive) them until they are used up, and take the [`Event`]s; for a large
//!   payload read the rest straight into its [`landing`](Connection::landing) and say [`landed`](Connection::landed);
//! * the application wants something: [`send`](Connection::send), [`ping`](Connection::ping),
//!   [`close`](Connection::close);
//! * after either: write what is [`outgoing`](Connection::outgoing), say how much was [`written`](Connection::written),
//!   and once [`wants_shutdown`](Connection::wants_shutdown) end the writing side of the transport;
//! * before waiting: ask for the [`deadline`](Connection::deadline); when it has passed, ask what has
//!   [`expired`](Connection::expired); if something has, or the transport has ended, say
//!   [`transport_ended`](Connection::transport_ended).
//!
//! A message of any size is received [in pieces](Connection::want), and sent in
//! [fragments](Connection::send_fragment).

mod control;
mod controls;
mod encode;
mod reader;
mod pieces;
mod sending;
mod cannot_send;
mod prepared;
mod writer;
mod queue;
mod keepalive;
mod time;

use core::fmt;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use bytes::buf::Limit;

pub use cannot_send::CannotSend;
pub use control::ControlPayload;
pub use prepared::Prepared;
pub use time::Expired;

pub use crate::assembler::{Incoming, Wanted};

use crate::close::{self, Action, CloseReason, State};
use crate::deflate::{Compression, Deflater, Inflater, Params};
use crate::error::Error;
use crate::limits::Limits;
use crate::mask::MaskingKey;
use crate::message::Message;
use crate::message_ref::MessageRef;
use crate::role::Role;
use keepalive::Keepalive;
use reader::Reader;
use writer::Writer;

/// Draws a masking key for each frame a client sends. It must be unpredictable (§5.3, §10.3): a cryptographically
/// secure generator.
pub type KeySource = fn() -> MaskingKey;

/// Something the peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A whole message.
    Message(Message),
    /// The end of a message that is [taken in pieces](Connection::take_piece), the last of which may still be held.
    MessageEnd,
    /// A Ping; its Pong is already queued.
    Ping(ControlPayload),
    /// A Pong.
    Pong(ControlPayload),
    /// The peer's Close. The answer is already queued, if we had not closed before.
    Close(CloseReason),
    /// The peer broke a rule or a limit: the Close that says so is already queued, unless we had closed before, and what
    /// follows is discarded.
    Failed(Error),
}

/// What [`Connection::receive`] made of the bytes it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// How many bytes were taken, from the start. The rest is to be given again.
    pub consumed: usize,
    /// What they completed. Without an event all bytes were taken, unless the connection
    /// [is held back](Connection::is_held_back).
    pub event: Option<Event>,
}

/// A WebSocket connection after its opening handshake: see the [module](self) for how to use it.
pub struct Connection {
    role: Role,
    limits: Arc<Limits>,
    state: State,
    reader: Reader,
    writer: Writer,
    keepalive: Keepalive,
    /// Whether a message is being sent in fragments.
    in_fragments: bool,
    /// When closing must have ended; set by the first question for it.
    closing_deadline: Option<Instant>,
    shutdown_taken: bool,
}

impl Connection {
    /// The client's end. Every frame it sends is masked with a key of its own, drawn from `keys`.
    #[must_use]
    pub fn client(limits: impl Into<Arc<Limits>>, keys: KeySource) -> Self {
        Self::new(Role::Client, limits.into(), Some(keys))
    }

    /// The server's end.
    #[must_use]
    pub fn server(limits: impl Into<Arc<Limits>>) -> Self {
        Self::new(Role::Server, limits.into(), None)
    }

    fn new(role: Role, limits: Arc<Limits>, keys: Option<KeySource>) -> Self {
        Self {
            role,
            limits,
            state: State::Open,
            reader: Reader::new(role.peer()),
            writer: Writer::new(keys),
            keepalive: Keepalive::new(),
            in_fragments: false,
            closing_deadline: None,
            shutdown_taken: false,
        }
    }

    /// Speaks permessage-deflate from now on, as the opening handshake has agreed; `compression` says how hard to try.
    #[must_use]
    pub fn with_compression(mut self, compression: &Compression, params: Params) -> Self {
        self.reader.inflater = Some(Box::new(Inflater::new(params, self.role.peer())));
        self.writer.deflater = Some(Box::new(Deflater::new(compression, params, self.role)));
        self
    }

    /// Which end this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The bounds it keeps.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Where the connection stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    // --- in ---

    /// Takes received bytes up to the end of the first thing they complete. The payload is unmasked in place.
    ///
    /// After a Close from either side's fault or wish, further bytes are taken and discarded (§5.5.1, §7.1.7).
    ///
    /// In one case bytes are left without an event: when the connection [is held back](Self::is_held_back), because a
    /// message is to come [in pieces](Self::want) and enough of it is held. They are to be given again, as they are, once
    /// that is over. Of a compressed message more may come then even without bytes, of an empty slice.
    #[inline]
    pub fn receive(&mut self, bytes: &mut [u8]) -> Received {
        match self.receive_borrowed(bytes) {
            Some((consumed, Ok(message))) => Received { consumed, event: Some(Event::Message(message.to_message())) },
            Some((consumed, Err(failed))) => Received { consumed, event: Some(failed) },
            None => self.receive_any(bytes),
        }
    }

    /// Takes the next message if it is what the bytes begin with, lies whole in one frame and is not compressed, and lends
    /// it where it lies: what [`receive`](Self::receive) does first, and copies. Nothing is allocated.
    ///
    /// Says how many bytes were taken, too. `None`: it is no such message, or over the limit, or, where
    /// [pieces are wanted](Self::want), as long as the window. Nothing was taken then, and `receive` is to be asked.
    ///
    /// The error is the [`Event::Failed`] that `receive` would give: it is a text that is not UTF-8.
    ///
    /// ```
    /// # use sockeye_proto::{Connection, Limits};
    /// let mut frame = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    /// let (consumed, message) = Connection::server(Limits::default()).receive_borrowed(&mut frame).unwrap();
    /// assert_eq!((consumed, message.unwrap().as_text()), (11, Some("Hello")));
    /// assert_eq!(frame[6..], *b"Hello");
    /// ```
    #[inline(always)]
    pub fn receive_borrowed<'a>(&mut self, bytes: &'a mut [u8]) -> Option<(usize, Result<MessageRef<'a>, Event>)> {
        if !self.state.reads() {
            return None;
        }
        let (consumed, outcome) = self.reader.receive_borrowed(bytes, &self.limits)?;
        self.keepalive.hear(consumed);
        Some((consumed, outcome.map_err(|error| self.failed(error))))
    }

    #[inline(never)]
    fn receive_any(&mut self, bytes: &mut [u8]) -> Received {
        if !self.state.reads() {
            return Received { consumed: bytes.len(), event: None };
        }
        let (consumed, outcome) = self.reader.receive(bytes, &self.limits);
        // Bytes that are given again are no sign of life.
        self.keepalive.hear(consumed);
        Received { consumed, event: self.settle(outcome) }
    }

    /// Room to read more of the current message's payload into directly, where that is worth it: a data frame of which
    /// a lot is still to come. What is read there must be what follows on the wire.
    ///
    /// The room grows with what has arrived, never with what the header claims, and never exceeds the frame, nor what
    /// may be held of a message that comes [in pieces](Self::want).
    pub fn landing(&mut self) -> Option<Limit<&mut BytesMut>> {
        if self.state.reads() { self.reader.landing() } else { None }
    }

    /// Takes what was read into the [`landing`](Self::landing).
    pub fn landed(&mut self) -> Option<Event> {
        self.keepalive.hear(1);
        let outcome = self.reader.landed();
        self.settle(outcome)
    }

    /// Takes a large message that begins where this buffer does without copying it: the buffer becomes the payload's own,
    /// and what is behind the message is left in it. Takes nothing if there is no such message: what is in the buffer then,
    /// as what is left, is to be [received](Self::receive).
    ///
    /// A buffer that is much too large for the message, or for what has arrived of it, is not taken.
    pub fn adopt(&mut self, buffer: &mut BytesMut) -> Option<Event> {
        if !self.state.reads() {
            return None;
        }
        let outcome = self.reader.adopt(buffer, &self.limits)?;
        self.keepalive.hear(1);
        self.settle(outcome)
    }

    /// Bytes held of a message that has not ended, or that has ended in pieces of which the last is not taken.
    #[must_use]
    pub fn held(&self) -> usize {
        self.reader.held()
    }

    /// Fails the connection (§7.1.7), as when the peer breaks a rule: for a limit that whoever drives the connection
    /// keeps. Queues the Close that says why, unless one was sent or received; what has begun and what follows is
    /// discarded.
    pub fn fail(&mut self, error: Error) {
        self.reader.discard();
        self.transition(close::Event::RuleBroken, || error.close_reason());
    }

    /// The transport ended, failed, or was given up because the [`deadline`](Self::deadline) has passed.
    ///
    /// Returns the state it ended in: anything but [`State::Exchanged`] was no clean close (§7.1.4), nor is that while
    /// there [are messages](Self::has_unsent_messages) that were accepted and not written.
    pub fn transport_ended(&mut self) -> State {
        let ended_in = self.state;
        self.transition(close::Event::TransportEnded, || CloseReason::EMPTY);
        ended_in
    }

    // --- out ---

    /// Begins the closing handshake (§7.1.2). The Close is written after the messages that wait.
    ///
    /// Does nothing when the connection is closing already.
    pub fn close(&mut self, reason: CloseReason) {
        self.transition(close::Event::CloseCalled, || reason);
    }

    /// All that waits to be written, if it is one piece, as small frames are. `None`: it is several, or nothing.
    pub fn outgoing_piece(&mut self) -> Option<&[u8]> {
        self.writer.outgoing_piece()
    }

    /// Fills `slices` with what is to be written next, in order; returns how many of them. None: nothing waits.
    pub fn outgoing<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        self.writer.outgoing(slices)
    }

    /// Takes note that the transport has taken this many bytes of what was [`outgoing`](Self::outgoing). Asks for the time
    /// only when the last byte of a Ping left with them whose round trip is measured.
    pub fn written(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        if bytes > 0 {
            self.keepalive.write();
        }
        if self.writer.written(bytes) {
            self.keepalive.ping_written(now());
        }
    }

    /// A position in what is sent: the bytes of all data and Close frames that were ever queued. Pings and Pongs are not
    /// counted, apart from those that were put before our Close when that was queued.
    #[must_use]
    pub const fn accepted(&self) -> u64 {
        self.writer.accepted()
    }

    /// The position up to which everything that was [`accepted`](Self::accepted) has been handed to the transport.
    #[must_use]
    pub fn written_to(&self) -> u64 {
        self.writer.data_written()
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.writer.queued()
    }

    /// Whether a message that was accepted is not written yet, or not whole.
    #[must_use]
    pub fn has_unsent_messages(&self) -> bool {
        self.writer.has_messages()
    }

    /// Whether anything waits to be written, a Pong included.
    #[must_use]
    pub fn has_outgoing(&self) -> bool {
        self.writer.has_outgoing()
    }

    /// Says once that the writing side of the transport is to be ended now.
    ///
    /// After a completed closing handshake "the server MUST close the connection immediately, whereas the client SHOULD
    /// wait for the server" (§7.1.1); after a failed connection both do (§7.1.7). Ending only the writing side, and
    /// reading on until the peer has ended its own, keeps the Close frame from being lost to a reset.
    pub fn wants_shutdown(&mut self) -> bool {
        let last = match (self.state, self.role) {
            (State::Exchanged, Role::Server) | (State::Failed, _) => true,
            _ => return false,
        };
        let wants = last && !self.shutdown_taken && !self.writer.has_outgoing();
        self.shutdown_taken |= wants;
        wants
    }

    /// What an event of the reader's means for the connection as a whole.
    fn settle(&mut self, outcome: Result<Option<Event>, Error>) -> Option<Event> {
        match outcome {
            Ok(event) => {
                match &event {
                    Some(Event::Ping(payload)) => self.writer.controls().pong(payload.clone()),
                    Some(Event::Close(reason)) => {
                        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
                        //# When sending a Close frame in response, the endpoint typically echos the status code it
                        //# received.
                        let reason = reason.clone();
                        self.transition(close::Event::CloseArrived, || reason);
                    }
                    _ => {}
                }
                event
            }
            Err(error) => Some(self.failed(error)),
        }
    }

    #[cold]
    fn failed(&mut self, error: Error) -> Event {
        self.fail(error);
        Event::Failed(error)
    }

    fn transition(&mut self, event: close::Event, reason: impl FnOnce() -> CloseReason) {
        let (next, action) = self.state.on(event);
        self.state = next;
        match action {
            Action::SendClose => self.writer.close(&reason()),
            Action::Nothing => {}
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .field("state", &self.state)
            .field("held", &self.held())
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
