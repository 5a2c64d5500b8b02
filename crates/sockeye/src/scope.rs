//! Which future is being polled on this thread, if it is one that drives connections.

use core::cell::Cell;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::sync::thread_local;

/// One future that drives connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DriveId(NonZeroU64);

impl DriveId {
    /// One that there was not before.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed)).expect("centuries pass before it wraps"))
    }
}

/// One poll of such a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DrivePoll {
    id: DriveId,
    number: u64,
}

impl DrivePoll {
    pub(crate) const fn new(id: DriveId, number: u64) -> Self {
        Self { id, number }
    }

    pub(crate) const fn id(self) -> DriveId {
        self.id
    }
}

thread_local! {
    static POLLED: Cell<Option<DrivePoll>> = const { Cell::new(None) };
}

/// The poll that is going on.
pub(crate) fn polled() -> Option<DrivePoll> {
    POLLED.with(Cell::get)
}

/// Marks the thread for the length of one poll, which may lie within that of another.
pub(crate) struct Mark {
    outer: Option<DrivePoll>,
}

impl Mark {
    pub(crate) fn set(poll: DrivePoll) -> Self {
        Self { outer: POLLED.with(|polled| polled.replace(Some(poll))) }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        POLLED.with(|polled| polled.set(self.outer));
    }
}
