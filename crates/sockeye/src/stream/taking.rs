//! How messages are taken: whole, in pieces, or not at all; and how far is read ahead of that.

use bytes::{Bytes, BytesMut};
use sockeye_proto::Message;
use sockeye_proto::connection::{Incoming, Received, Wanted};

use super::Driver;
use crate::ahead::{Ahead, READ_AHEAD};
use crate::buffer;
use crate::error::Error;

/// A piece of a message is at most so long, and as much is held of one that is taken in pieces. Where the network is fast
/// that much is there to be read at once, and a quarter of it would cost four reads, and four frames if it is sent on.
pub(crate) const PIECE: usize = 256 << 10;

/// How the next message will be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Nobody waits for it.
    Nobody,
    /// As a whole.
    Whole,
    /// In pieces, once it has begun.
    Start,
    /// In pieces: it has begun.
    Pieces,
    /// Not at all: messages are discarded.
    Discard,
}

impl Driver {
    /// The next message, or the end, if either has come.
    pub(crate) fn take_message(&mut self) -> Option<Result<Option<Message>, Error>> {
        let was_full = self.is_full();
        if let Some(message) = self.ahead.take() {
            self.has_room_again |= was_full;
            self.settled = false;
            return Some(Ok(Some(message)));
        }
        self.take_end()
    }

    /// The message that has begun to arrive.
    pub(crate) fn begun(&self) -> Option<Incoming> {
        self.connection.incoming().filter(|_| !self.skipping)
    }

    /// The next piece of the message that has begun, or its end.
    pub(crate) fn take_piece(&mut self) -> Option<Result<Option<Bytes>, Error>> {
        loop {
            let piece = self.connection.take_piece();
            if !piece.is_empty() {
                self.settled = false;
                return Some(Ok(Some(piece)));
            }
            if self.pieces_ended {
                self.pieces_ended = false;
                self.reading = Reading::Nobody;
                return Some(Ok(None));
            }
            if !self.inflate_on() && self.connection.incoming().is_none_or(|incoming| incoming.held == 0) {
                return self.has_ended().then(|| Err(self.ended().err().unwrap_or(Error::Aborted)));
            }
        }
    }

    /// Messages are lent from now on.
    pub(crate) const fn lend(&mut self) {
        self.lends = true;
    }

    /// Messages are lent no more: what is left in the thread's buffer is copied, so that the thread has it again.
    pub(crate) fn lend_no_more(&mut self) {
        self.lends = false;
        let rest = BytesMut::from(&self.unparsed[..]);
        buffer::give_back_rest(core::mem::replace(&mut self.unparsed, rest));
    }

    /// Whether bytes have been read that have not been taken apart, or what they inflate to.
    pub(crate) fn has_unparsed(&self) -> bool {
        !self.unparsed.is_empty() || self.connection.held() > 0
    }

    /// How many messages wait to be taken.
    pub(crate) fn ahead(&self) -> usize {
        self.ahead.len()
    }

    pub(crate) const fn reading(&self) -> Reading {
        self.reading
    }

    /// Says how the next message will be taken. What has come of it by now is skipped if it was taken in pieces and will
    /// not be any more.
    pub(crate) fn read_as(&mut self, reading: Reading) {
        if self.reading == reading || self.reading == Reading::Discard {
            return;
        }
        if self.reading == Reading::Pieces {
            self.skipping = !self.pieces_ended;
            self.pieces_ended = false;
            drop(self.connection.take_piece());
        }
        self.reading = reading;
        self.settled = false;
        if reading == Reading::Discard {
            self.ahead = Ahead::default();
            self.has_room_again = true;
        }
    }

    /// Messages are taken again, after they were discarded for a while; from the next one on.
    pub(crate) fn read_again(&mut self) {
        drop(self.connection.take_piece());
        self.skipping = self.connection.incoming().is_some();
        self.reading = Reading::Nobody;
        self.settled = false;
    }

    /// Tells the protocol how the next message is wanted: while nobody waits for it, only a little is held, and nothing is
    /// judged by how large it will be.
    pub(super) fn choose(&mut self) {
        let window = match self.reading {
            Reading::Whole if !self.skipping => None,
            Reading::Nobody if !self.skipping => Some(READ_AHEAD.saturating_sub(self.ahead.cost())),
            Reading::Pieces if !self.skipping => Some(PIECE),
            _ => Some(READ_AHEAD),
        };
        let event = self.connection.want(window.map_or(Wanted::Whole, |window| Wanted::Pieces { window }));
        self.take_event(event);
        if self.skipping || self.reading == Reading::Discard {
            self.drops_pieces();
        }
    }

    /// Whether pieces of the message that is arriving are thrown away; if so, what is held of it is.
    pub(super) fn drops_pieces(&mut self) -> bool {
        let drops = self.skipping || self.reading == Reading::Discard;
        if drops {
            drop(self.connection.take_piece());
        }
        drops
    }

    /// Takes what a compressed message has inflated to beyond what could be held before. Whether that has ended it.
    pub(super) fn inflate_on(&mut self) -> bool {
        if self.connection.incoming().is_none_or(|incoming| !incoming.compressed) {
            return false;
        }
        let Received { event, .. } = self.connection.receive(&mut []);
        let ended = event.is_some();
        self.take_event(event);
        ended
    }

    /// The end of a message that is taken in pieces is one to wait for, too, before what is behind it is looked at.
    pub(super) fn wants_more(&self, goal: usize) -> bool {
        self.ahead.len() + usize::from(self.pieces_ended) < goal && !self.is_full()
    }

    pub(super) const fn is_full(&self) -> bool {
        self.ahead.cost() >= READ_AHEAD
    }
}
