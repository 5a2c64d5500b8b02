//! Large buffers that go from one message of a thread to the next: what was sent and is held by nobody else is room for
//! what is received. To have the system make such a buffer anew costs more than to fill it: a page fault for each 4 KiB.
//!
//! ```text
//!   take ──> payload ──> Message ──> sent, written ──> give_back ──> kept ──> take ...
//!                           └── held on to, or dropped: the allocator's affair
//! ```
//! A thread keeps buffers of 64 KiB and more, at most 16 of them and 36 MiB in all, and none for which it has had no use
//! while 64 others were given back. They are let go when the thread ends.
//!
//! A [`Connection`](crate::Connection) does all this by itself. Whoever drives one may take a buffer here to read into,
//! have it [adopted](crate::Connection::adopt), and give back what is left of it.

use core::cell::RefCell;

use bytes::{Bytes, BytesMut};

/// Below this, allocators have room of their own that they use again.
const LEAST: usize = 64 << 10;
/// What a thread keeps in all, in bytes: two messages of 16 MiB, and what they have grown from.
const MOST: usize = 36 << 20;
/// So many buffers are kept.
const COUNT: usize = 16;
/// A buffer that was not used while so many were given back is let go.
const AGE: u64 = 64;

#[derive(Default)]
struct Stock {
    /// In the order in which they were given back.
    kept: Vec<Kept>,
    /// Their capacities in all.
    bytes: usize,
    /// Buffers that were taken and not given back, up to [`COUNT`]: only as many are kept. A thread that only sends keeps
    /// none.
    lent: usize,
    /// How many buffers were ever given back.
    given: u64,
}

struct Kept {
    buffer: BytesMut,
    given: u64,
}

thread_local! {
    static STOCK: RefCell<Stock> = RefCell::default();
}

/// An empty buffer with this much room, and less than twice as much: whoever keeps a message keeps all of its buffer.
pub fn take(room: usize) -> BytesMut {
    let kept = if room < LEAST { None } else { with(|stock| stock.take(room)) };
    kept.unwrap_or_else(|| BytesMut::with_capacity(room))
}

/// Takes a buffer back, for the next one who needs it; what is in it is of no use any more. One of which somebody holds a
/// part is not kept.
pub fn give_back(buffer: impl Into<Bytes>) {
    reclaim(buffer.into());
}

fn reclaim(bytes: Bytes) {
    // Apart from the rest: bytes that are somebody's own run that one's code when they are dropped.
    if with(|stock| Some(stock.lent > 0)) == Some(true)
        && let Ok(buffer) = bytes.try_into_mut()
    {
        with(|stock| stock.give_back(buffer));
    }
}

/// Lets go of all that this thread keeps.
pub fn clear() {
    with(|stock| {
        *stock = Stock::default();
        Some(())
    });
}

/// There is none on a thread that is ending.
fn with<T>(work: impl FnOnce(&mut Stock) -> Option<T>) -> Option<T> {
    STOCK.try_with(|stock| work(&mut stock.borrow_mut())).ok().flatten()
}

impl Stock {
    fn take(&mut self, room: usize) -> Option<BytesMut> {
        self.lent = COUNT.min(self.lent + 1);
        let fits = |kept: &Kept| (room..room.saturating_mul(2)).contains(&kept.buffer.capacity());
        let latest = self.kept.iter().rposition(fits)?;
        Some(self.remove(latest))
    }

    fn give_back(&mut self, mut buffer: BytesMut) -> Option<()> {
        buffer.clear();
        // What lies before what is left of it is room again: more is asked for than lies behind.
        let _ = buffer.try_reclaim(buffer.capacity() + 1);
        if !(LEAST..=MOST).contains(&buffer.capacity()) {
            return None;
        }
        self.lent = self.lent.checked_sub(1)?;
        self.given += 1;
        self.bytes += buffer.capacity();
        self.kept.push(Kept { buffer, given: self.given });
        while self.bytes > MOST || self.kept.len() > COUNT || self.kept[0].given + AGE < self.given {
            self.remove(0);
        }
        Some(())
    }

    fn remove(&mut self, index: usize) -> BytesMut {
        let Kept { buffer, .. } = self.kept.remove(index);
        self.bytes -= buffer.capacity();
        buffer
    }
}
