//! How a connection ends: what is known of it, and what is left to do.

use bytes::BytesMut;
use sockeye_proto::close::State;
use sockeye_proto::{CloseCode, CloseReason};

use super::{Driver, Reading};
use crate::alarm::Alarm;
use crate::closed::{Closed, ClosedBy};
use crate::error::Error;
use crate::transport::Transport;

/// How a connection ends.
#[derive(Default)]
pub(super) struct Ending {
    /// Who began closing, and with what.
    began: Option<(ClosedBy, CloseReason)>,
    /// What the peer's Close frame said.
    peer_reason: Option<CloseReason>,
    closed: Option<Closed>,
    /// What had been written and may not have left: all behind this position.
    pub(super) unflushed: Option<u64>,
    /// Why the connection ended, if not with a closing handshake, and whether the reader has been told.
    failure: Option<Error>,
    told: bool,
}

/// Whether anybody can still call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abandoned {
    No,
    Yes,
    /// Nor is there anything left to write: the writing side is ended.
    Left,
}

impl Driver {
    /// The end, once it has come: why, the first time, if it was no closing handshake.
    pub(super) fn take_end<T>(&mut self) -> Option<Result<Option<T>, Error>> {
        self.has_ended().then(|| match core::mem::replace(&mut self.ending().told, true) {
            false => self.ended().map(|()| None),
            true => Ok(None),
        })
    }

    /// The reader knows of the end, by other ways than `recv`.
    pub(crate) fn tell(&mut self) {
        self.ending().told = true;
    }

    /// Whether the reader knows of the end.
    #[cfg(feature = "futures")]
    pub(crate) fn is_told(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| ending.told)
    }

    /// How the connection has ended, for one who waited for that.
    pub(crate) fn ended(&self) -> Result<(), Error> {
        match self.ending.as_ref().and_then(|ending| ending.failure.as_ref()) {
            Some(error) => Err(error.again()),
            None => Ok(()),
        }
    }

    /// What the peer's Close frame said.
    pub(crate) fn peer_reason(&self) -> Option<CloseReason> {
        self.ending.as_ref()?.peer_reason.clone()
    }

    /// How the connection has ended.
    pub(crate) fn closed(&self) -> Option<Closed> {
        self.ending.as_ref()?.closed.clone()
    }

    pub(super) fn ending(&mut self) -> &mut Ending {
        self.ending.get_or_insert_default()
    }

    /// Begins the closing handshake, unless it has begun.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        if self.connection.state() == State::Open {
            self.ending().began = Some((ClosedBy::Us, reason.clone()));
        }
        self.connection.close(reason);
        self.settled = false;
        // Nobody can send any more: those who wait for it are to know.
        self.changed = true;
    }

    /// The peer's Close has come.
    pub(super) fn peer_closes(&mut self, reason: CloseReason) {
        let ending = self.ending();
        ending.began.get_or_insert_with(|| (ClosedBy::Peer, reason.clone()));
        ending.peer_reason = Some(reason);
        self.changed = true;
    }

    /// The peer broke a rule or a limit, and our Close is on its way.
    pub(super) fn failed(&mut self, error: sockeye_proto::Error) {
        let reason = error.close_reason();
        let ending = self.ending();
        ending.began.get_or_insert((ClosedBy::Us, reason));
        ending.failure = Some(Error::Protocol(error));
        self.changed = true;
    }

    /// Nobody will call again: says Close 1001, and writes what can be written without waiting.
    pub(crate) fn abandon(&mut self) {
        if self.connection.state() == State::Open {
            self.close(CloseReason::new(CloseCode::GOING_AWAY, "").expect("it may be sent"));
        }
        self.abandoned = Abandoned::Yes;
        self.read_as(Reading::Discard);
        self.write();
    }

    /// Whether something is left to do that nobody will ask for. An abandoned connection is listened to until the peer has
    /// ended it, too: to close a socket with unread bytes in it sends a reset, which destroys what the peer has not read.
    pub(crate) fn has_to_drain(&self) -> bool {
        let is_left = self.abandoned == Abandoned::No && !self.has_unwritten();
        !is_left && !self.is_broken() && !self.has_ended()
    }

    /// Says once that the writing side is to be ended, as nobody will write any more.
    pub(super) fn leaves(&mut self) -> bool {
        let leaves = self.abandoned == Abandoned::Yes && !self.has_unwritten();
        if leaves {
            self.abandoned = Abandoned::Left;
        }
        leaves
    }

    /// Ends the connection once nothing more can come and nothing more can be written.
    pub(super) fn notice_end(&mut self) {
        let leaving = self.has_unwritten() || self.shutting_down;
        let writes = self.broken.is_none() && leaving && !self.connection.state().reads();
        if self.read_ended && self.unparsed.is_empty() && !writes {
            self.end(None);
        }
    }

    pub(crate) fn end(&mut self, timeout: Option<Error>) {
        let unflushed = self.transport.unflushed();
        let lost = self.connection.has_unsent_messages() || unflushed.is_some();
        let ended_in = self.connection.transport_ended();
        // Both Close frames went their way, and what was accepted before ours.
        let clean = ended_in == State::Exchanged && !lost;
        let broken = self.broken.as_ref().map(|broken| broken.error());
        let ending = self.ending();
        // A connection that was failed has said why.
        if !clean && ended_in != State::Failed {
            ending.failure = timeout.or(broken).or(Some(Error::Aborted));
        }
        let (by, reason) = ending.began.take().map_or((ClosedBy::Nobody, None), |(by, reason)| (by, Some(reason)));
        ending.closed = Some(Closed::new(by, reason, clean));
        ending.unflushed = unflushed;
        self.transport = Transport::Ended;
        self.alarm = Alarm::default();
        self.unparsed = BytesMut::new();
        self.changed = true;
    }
}
