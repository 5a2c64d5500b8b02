//! Messages that are taken in pieces, for whoever cannot or need not hold them whole.
//!
//! ```text
//! want(Pieces { window })   a message begins: its first `window` bytes are held, and no more is taken
//!   want(Whole)             ... it is to be whole: judged by the limit now, then put together as ever
//!   take_piece()            ... it is to come in pieces: what is held is taken, more comes, at the end Event::MessageEnd
//! ```

use bytes::Bytes;

use super::{Connection, Event, Incoming, Wanted};

impl Connection {
    /// Says how messages are wanted from now on, the one that is coming in included; [`Wanted::Whole`] until it is called.
    ///
    /// * [`Wanted::Whole`]: [`Limits::message`](crate::Limits::message) is judged on each frame's header, and on what is
    ///   inflated. A message that has begun, and of which no piece was taken, is judged now, by what its headers have
    ///   claimed and by what is held of it.
    /// * [`Wanted::Pieces`]: no limit is judged on a message's bytes, of which at most `window` are held. Once these are
    ///   there, the connection [is held back](Self::is_held_back), until they are [taken](Self::take_piece) or the message
    ///   is wanted whole. A message that ends before is an [`Event::Message`] as ever, even if it is over the limit: it
    ///   was small enough for the window.
    ///
    /// A message of which a piece was taken goes on in pieces and with the window it has, also when the next one is
    /// wanted whole.
    ///
    /// Returns [`Event::Failed`] if the message that is coming in is over the limit: the same as if that had been noticed
    /// while receiving. After a call that ends holding back, [`receive`](Self::receive) is to be called even without any
    /// more bytes: of a compressed message more may be there already.
    pub fn want(&mut self, wanted: Wanted) -> Option<Event> {
        match self.reader.want(wanted, &self.limits) {
            Err(error) if self.state.reads() => self.settle(Err(error)),
            // What is discarded is not judged.
            _ => None,
        }
    }

    /// Whether messages are [wanted](Self::want) whole.
    #[must_use]
    pub const fn wants_whole(&self) -> bool {
        self.reader.wants_whole()
    }

    /// The message that has begun and has not ended, if there is one.
    #[must_use]
    pub fn incoming(&self) -> Option<Incoming> {
        self.reader.incoming()
    }

    /// Takes what is held of the message that is coming in; there may be nothing.
    ///
    /// From the first call on, even an empty-handed one, the message is taken in pieces: it ends with
    /// [`Event::MessageEnd`], and what was held at its end can be taken after that. Until then the connection [is held
    /// back](Self::is_held_back). The bytes of a text are UTF-8 as far as they go; a piece may end within a character, and
    /// that the message ends with a whole one is known at its end.
    ///
    /// Once it is taken in pieces, only a message's empty frames count toward
    /// [`Limits::fragments`](crate::Limits::fragments).
    ///
    /// Between messages it takes nothing and decides nothing. Then call [`receive`](Self::receive), even without any more
    /// bytes: of a compressed message more may be there already.
    pub fn take_piece(&mut self) -> Bytes {
        self.reader.take_piece()
    }

    /// Whether [`receive`](Self::receive) takes nothing now, because as much is held of a message as the window allows, or
    /// because the rest of one that has ended is not taken.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        self.state.reads() && self.reader.is_held_back()
    }
}
