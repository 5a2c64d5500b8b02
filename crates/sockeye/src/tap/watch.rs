//! The end of a tap that is told what happens.

use core::fmt;
use core::future::poll_fn;
use core::time::Duration;

use super::channel::{Batch, Entry, Kind, Reader};
use super::event::{Event, What};

/// What happens on the connections of a [`Tap`](super::Tap). Once it is dropped nothing is copied any more.
pub struct Watch {
    reader: Reader,
    /// What was taken from the channel at once, and is told one by one.
    batch: Batch,
}

impl Watch {
    pub(super) fn new(reader: Reader) -> Self {
        Self { reader, batch: Batch::default() }
    }

    /// Waits for the next thing that happens. `None` is the end: the tap, its clones and all its lines were dropped.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<Event> {
        if let Some(event) = self.try_recv() {
            return Some(event);
        }
        poll_fn(|cx| self.reader.poll_ready(false, cx.waker())).await;
        self.try_recv()
    }

    /// The next thing that has happened, if there is one. It does not wait.
    pub fn try_recv(&mut self) -> Option<Event> {
        if self.batch.entries.is_empty() {
            self.reader.take(&mut self.batch);
        }
        let Entry { connection, time, what } = self.batch.entries.pop_front()?;
        let what = match what {
            Kind::Opened(ends) => What::Opened(ends),
            Kind::Bytes(from, len) => What::Bytes { from, bytes: self.batch.bytes.split_to(len).freeze() },
            Kind::Missing(from, bytes) => What::Missing { from, bytes },
            Kind::Ended(ending) => What::Ended(ending),
        };
        Some(Event { connection, time, what })
    }

    /// Waits until something has happened, and then as long as told for more to come, or until there are 512 KiB, or the
    /// channel is half full; [`try_recv`](Self::try_recv) has all of it. Whoever looks only now and then wakes up, and keeps
    /// connections from waking somebody up, only now and then. `false` is the end.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn gather(&mut self, time: Duration) -> bool {
        if !self.batch.entries.is_empty() {
            return true;
        }
        let is_there = poll_fn(|cx| self.reader.poll_ready(false, cx.waker())).await;
        if is_there {
            let _ = tokio::time::timeout(time, poll_fn(|cx| self.reader.poll_ready(true, cx.waker()))).await;
        }
        is_there
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("at_hand", &self.batch.entries.len()).finish_non_exhaustive()
    }
}
