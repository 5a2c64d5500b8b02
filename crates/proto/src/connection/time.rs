//! Deadlines: for closing, and for a sign of life from the peer.

use core::time::Duration;
use std::time::Instant;

use super::keepalive::{self, Verdict};
use super::{CannotSend, Connection, ControlPayload};
use crate::close::State;

/// What has not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expired {
    /// A sign of life: after a Ping of ours nothing has come for [`Limits::pong_time`](crate::Limits::pong_time), or for
    /// as long the Ping could not even be written.
    Pong,
    /// The end of closing, for [`Limits::closing_time`](crate::Limits::closing_time).
    Closing,
}

impl Connection {
    /// The next moment at which [`expired`](Self::expired) is to be asked; it may change with every other call.
    ///
    /// While the connection is open that is the keepalive's: the next Ping, or the end of the wait after one; none if
    /// [`Limits::ping`](crate::Limits::ping) is off and no [probe](Self::probe) is out. Once closing has begun it is the
    /// moment when that must have ended, which nothing extends. Asks for the time only where a wait begins.
    pub fn deadline(&mut self, now: impl FnOnce() -> Instant) -> Option<Instant> {
        match self.state {
            State::Open => self.keepalive.deadline(now, &self.limits),
            State::Closed => None,
            _ => {
                Some(*self.closing_deadline.get_or_insert_with(|| keepalive::later(now(), self.limits.closing_time())))
            }
        }
    }

    /// What the time has run out for. `None`: nothing; go on, write what [waits](Self::has_outgoing), since a Ping may
    /// have been queued, and ask for the [`deadline`](Self::deadline) again.
    ///
    /// May be called at any time, also before the deadline. It changes nothing about an expired connection: give up its
    /// transport and say [`transport_ended`](Self::transport_ended).
    pub fn expired(&mut self, now: Instant) -> Option<Expired> {
        match self.state {
            State::Closed => None,
            State::Open => match self.keepalive.expired(now, &self.limits) {
                Verdict::Wait => None,
                Verdict::Ask(number) => {
                    self.writer.controls().probe(keepalive::payload(number));
                    None
                }
                Verdict::GiveUp => Some(Expired::Pong),
            },
            _ => (self.deadline(|| now)? <= now).then_some(Expired::Closing),
        }
    }

    /// Says that we ourselves are not reading, so that the peer's silence is no evidence: to be said whenever bytes may
    /// have come that were not [received](Self::receive), before [`expired`](Self::expired) is asked.
    ///
    /// `stuck`: the application reads no further because it waits for the peer to take what is queued. Then it is evidence
    /// all the same if the peer takes nothing: two ends that wait for each other would wait for ever.
    pub const fn hold_back(&mut self, stuck: bool) {
        self.keepalive.hold_back(stuck);
    }

    /// Queues a Ping whose answer can be told from others: its payload is 8 bytes, a counter, big-endian. Where one is
    /// out already, the keepalive's for instance, it joins that. Returns the Ping's number, for
    /// [`answered`](Self::answered).
    ///
    /// It neither replaces a [`ping`](Self::ping) that waits nor is replaced by one. If nothing comes for
    /// [`Limits::pong_time`](crate::Limits::pong_time) after it, the connection expires, also where the keepalive is off.
    ///
    /// # Errors
    /// [`CannotSend::Closing`] once a Close has been sent or received; a Ping that still waits then is dropped.
    pub fn probe(&mut self) -> Result<u64, CannotSend> {
        self.while_open()?;
        let (number, is_new) = self.keepalive.probe();
        if is_new {
            self.writer.controls().probe(keepalive::payload(number));
        }
        Ok(number)
    }

    /// Takes note of a Pong. If it answers the [`probe`](Self::probe) or the keepalive's Ping that is out, returns the
    /// time since the last byte of that was written.
    pub fn answer(&mut self, pong: &ControlPayload, now: Instant) -> Option<Duration> {
        self.keepalive.answer(pong, now, &self.limits)
    }

    /// The latest round trip, once the [`probe`](Self::probe) of this number or a later one is answered. A peer that shows
    /// life and leaves a Ping without its answer is asked again, with the next number.
    #[must_use]
    pub const fn answered(&self, probe: u64) -> Option<Duration> {
        self.keepalive.answered(probe)
    }

    /// The latest round trip: from the last byte of a Ping written to its Pong [taken note of](Self::answer).
    #[must_use]
    pub const fn latency(&self) -> Option<Duration> {
        self.keepalive.latency()
    }
}
