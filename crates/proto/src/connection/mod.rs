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
//! * before waiting: ask for the [`deadline`](Connection::deadline); when it has passed, or the transport has ended, say
//!   [`transport_ended`](Connection::transport_ended).

mod control;
mod prepared;
mod reader;
mod writer;

use core::fmt;
use std::io::IoSlice;
use std::time::Instant;

use bytes::BytesMut;
use bytes::buf::Limit;

pub use control::ControlPayload;
pub use prepared::Prepared;

use crate::close::{self, Action, CloseReason, State};
use crate::deflate::{Compression, Deflater, Inflater, Params};
use crate::error::Error;
use crate::limits::Limits;
use crate::mask::MaskingKey;
use crate::message::Message;
use crate::role::Role;
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
    /// What they completed. Without an event all bytes were taken.
    pub event: Option<Event>,
}

/// A WebSocket connection after its opening handshake: see the [module](self) for how to use it.
pub struct Connection {
    role: Role,
    limits: Limits,
    state: State,
    reader: Reader,
    writer: Writer,
    /// When closing must have ended; set by the first question for it.
    deadline: Option<Instant>,
    shutdown_taken: bool,
}

impl Connection {
    /// The client's end. Every frame it sends is masked with a key of its own, drawn from `keys`.
    #[must_use]
    pub fn client(limits: Limits, keys: KeySource) -> Self {
        Self::new(Role::Client, limits, Some(keys))
    }

    /// The server's end.
    #[must_use]
    pub fn server(limits: Limits) -> Self {
        Self::new(Role::Server, limits, None)
    }

    fn new(role: Role, limits: Limits, keys: Option<KeySource>) -> Self {
        Self {
            role,
            limits,
            state: State::Open,
            reader: Reader::new(role.peer()),
            writer: Writer::new(keys),
            deadline: None,
            shutdown_taken: false,
        }
    }

    /// Speaks permessage-deflate from now on, as the opening handshake has agreed; `compression` says how hard to try.
    #[must_use]
    pub fn with_compression(mut self, compression: &Compression, params: Params) -> Self {
        self.reader.inflater = Some(Inflater::new(params, self.role.peer()));
        self.writer.deflater = Some(Deflater::new(compression, params, self.role));
        self
    }

    /// Which end this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The bounds it keeps.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
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
    pub fn receive(&mut self, bytes: &mut [u8]) -> Received {
        if !self.state.reads() {
            return Received { consumed: bytes.len(), event: None };
        }
        let (consumed, outcome) = self.reader.receive(bytes, &self.limits);
        Received { consumed, event: self.settle(outcome) }
    }

    /// Room to read more of the current message's payload into directly, where that is worth it: a data frame of which
    /// a lot is still to come. What is read there must be what follows on the wire.
    ///
    /// The room grows with what has arrived, never with what the header claims, and never exceeds the frame.
    pub fn landing(&mut self) -> Option<Limit<&mut BytesMut>> {
        if self.state.reads() { self.reader.landing() } else { None }
    }

    /// Takes what was read into the [`landing`](Self::landing).
    pub fn landed(&mut self) -> Option<Event> {
        let outcome = self.reader.landed();
        self.settle(outcome)
    }

    /// Bytes held of a message that has not ended.
    #[must_use]
    pub fn held(&self) -> usize {
        self.reader.held()
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

    /// Queues a message as one frame, compressed where that was agreed on and makes it smaller. Never waits, and queues
    /// it whole or not at all.
    ///
    /// # Errors
    /// [`Closing`] once a Close has been sent or received: "the application MUST NOT send any more data frames" (§5.5.1).
    pub fn send(&mut self, message: Message) -> Result<(), Closing> {
        self.while_open()?;
        let opcode = message.opcode();
        self.writer.message(opcode, message.into_bytes());
        Ok(())
    }

    /// Queues a message that is never compressed: one that holds a secret beside what others may have chosen, whose size
    /// would tell (RFC 7692 §8).
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_uncompressed(&mut self, message: Message) -> Result<(), Closing> {
        self.while_open()?;
        let opcode = message.opcode();
        self.writer.plain_message(opcode, message.into_bytes());
        Ok(())
    }

    /// Queues a message that many connections send, and that is framed and compressed only once for all servers that
    /// compress alike.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), Closing> {
        self.while_open()?;
        self.writer.prepared(prepared);
        Ok(())
    }

    /// Queues a Ping (§5.5.2). It is written before the messages that wait; where one waits already, it takes its place.
    ///
    /// # Errors
    /// [`Closing`], as for [`send`](Self::send).
    pub fn ping(&mut self, payload: ControlPayload) -> Result<(), Closing> {
        self.while_open()?;
        self.writer.ping(payload);
        Ok(())
    }

    /// Begins the closing handshake (§7.1.2). The Close is written after the messages that wait.
    ///
    /// Does nothing when the connection is closing already.
    pub fn close(&mut self, reason: CloseReason) {
        self.transition(close::Event::CloseCalled, || reason);
    }

    /// Fills `slices` with what is to be written next, in order; returns how many of them. None: nothing waits.
    pub fn outgoing<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        self.writer.outgoing(slices)
    }

    /// Takes note that the transport has taken this many bytes of what was [`outgoing`](Self::outgoing).
    pub fn written(&mut self, bytes: usize) {
        self.writer.written(bytes);
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

    // --- time ---

    /// When closing must have ended, once it has begun. Asks for the time only then, and only once.
    pub fn deadline(&mut self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        match self.state {
            State::Open | State::Closed => None,
            _ => Some(*self.deadline.get_or_insert_with(|| now() + self.limits.closing_time())),
        }
    }

    const fn while_open(&self) -> Result<(), Closing> {
        match self.state {
            State::Open => Ok(()),
            _ => Err(Closing),
        }
    }

    /// What an event of the reader's means for the connection as a whole.
    fn settle(&mut self, outcome: Result<Option<Event>, Error>) -> Option<Event> {
        match outcome {
            Ok(event) => {
                match &event {
                    Some(Event::Ping(payload)) => self.writer.pong(payload.clone()),
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
            Err(error) => {
                self.reader.discard();
                self.transition(close::Event::RuleBroken, || {
                    CloseReason::new(error.close_code(), explanation(error))
                        .expect("our codes may be sent, and it fits")
                });
                Some(Event::Failed(error))
            }
        }
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

/// The reason that goes with the code, cut to what a Close frame holds; all of it is ASCII but the section sign.
fn explanation(error: Error) -> String {
    let mut text = match error {
        Error::Violation(violation) => violation.to_string(),
        Error::Limit(limit) => limit.to_string(),
    };
    let end = (0..=CloseReason::MAX_REASON_LEN.min(text.len())).rev().find(|&i| text.is_char_boundary(i));
    text.truncate(end.unwrap_or(0));
    text
}

/// A Close has been sent or received: nothing more can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closing;

impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closing; no more can be sent")
    }
}

impl core::error::Error for Closing {}
