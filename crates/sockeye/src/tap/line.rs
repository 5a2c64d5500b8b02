//! One connection, as its watch gets to know it.

use core::fmt;
use core::task::{Context, Poll};
use std::sync::Arc;

use sockeye_proto::Role;

use super::channel::Writers;
use super::event::{Ending, Ends};

/// A connection that is watched, for as long as this is there: for those who carry its bytes themselves, as a relay does.
/// [`Tap::stream`](super::Tap::stream) does it for one that goes over a stream.
pub struct Line {
    writers: Arc<Writers>,
    /// `None`: there was no room for it.
    number: Option<u64>,
    /// Bytes that found no room, since the watch was last told.
    client_missing: u64,
    server_missing: u64,
    ending: Option<Ending>,
}

impl Line {
    pub(super) fn open(writers: &Arc<Writers>, own: Option<u64>, ends: Ends) -> Self {
        let number = writers.open(own, ends);
        Self { writers: Arc::clone(writers), number, client_missing: 0, server_missing: 0, ending: None }
    }

    /// The connection's number among those of the tap; none where the whole of it is left out.
    #[must_use]
    pub const fn number(&self) -> Option<u64> {
        self.number
    }

    /// Copies what an end has sent to the watch. What finds no room there is counted.
    pub fn push(&mut self, from: Role, bytes: &[u8]) {
        let missing = match from {
            Role::Client => &mut self.client_missing,
            Role::Server => &mut self.server_missing,
        };
        let taken = self.number.map_or(0, |number| self.writers.push(number, from, *missing, bytes));
        if taken > 0 {
            *missing = 0;
        }
        let rest = (bytes.len() - taken) as u64;
        if rest > 0 {
            *missing += rest;
            self.writers.lose_bytes(rest);
        }
    }

    /// Ready once what one read brings would find room: so whoever reads only then loses nothing. Ready, too, once there is
    /// no watch any more.
    ///
    /// Several connections may be told of the same room: those on one thread, which read before the next one asks, lose
    /// nothing; those on many threads can, in a channel of less than a few megabytes.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.number.is_some() { self.writers.poll_room(cx.waker()) } else { Poll::Ready(()) }
    }

    /// Says how the connection has ended; what was said first counts. The watch is told when the line is dropped.
    pub fn end(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let missing = [(Role::Client, self.client_missing), (Role::Server, self.server_missing)];
            let ending = self.ending.take().unwrap_or(Ending::Closed(None));
            self.writers.end(number, missing, ending);
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("number", &self.number).finish_non_exhaustive()
    }
}
