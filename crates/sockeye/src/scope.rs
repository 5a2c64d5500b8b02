//! Which future is being polled on this thread, if it is one that drives connections.

use core::cell::Cell;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{RawWakerVTable, Waker};

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

thread_local! {
    static HERE: Here = const { Here::nowhere() };
}

/// The poll that is going on on this thread.
struct Here {
    id: Cell<Option<DriveId>>,
    waker: Cell<WakerId>,
    /// Where the connection is that it drives and that was used last, and whether nothing is left to do on that.
    used: Cell<usize>,
    settled: Cell<bool>,
}

/// What tells a waker from others.
type WakerId = (*const (), *const RawWakerVTable);

impl Here {
    const fn nowhere() -> Self {
        let nobody = (core::ptr::null(), core::ptr::null());
        Self { id: Cell::new(None), waker: Cell::new(nobody), used: Cell::new(0), settled: Cell::new(false) }
    }

    fn swap(&self, other: &Self) {
        self.id.swap(&other.id);
        self.waker.swap(&other.waker);
        self.used.swap(&other.used);
        self.settled.swap(&other.settled);
    }
}

fn identity(waker: &Waker) -> WakerId {
    (waker.data(), core::ptr::from_ref(waker.vtable()))
}

/// Which future's poll is going on.
#[inline]
pub(crate) fn polled() -> Option<DriveId> {
    HERE.with(|here| here.id.get())
}

/// Whether it is by this waker.
#[inline]
pub(crate) fn is_polled_by(waker: &Waker) -> bool {
    HERE.with(|here| here.waker.get() == identity(waker))
}

/// Whether the connection at this address is the one that was used last in the poll that is going on, which drives it.
#[inline]
pub(crate) fn is_used(connection: usize) -> bool {
    HERE.with(|here| here.used.get() == connection)
}

/// The connection at this address is used in the poll that is going on, which drives it; `settled`: nothing is left to do
/// on it.
#[inline]
pub(crate) fn note_used(connection: usize, settled: bool) {
    HERE.with(|here| {
        here.used.set(connection);
        here.settled.set(settled);
    });
}

/// Marks the thread for the length of one poll, which may lie within that of another.
pub(crate) struct Mark {
    outer: Here,
}

impl Mark {
    /// `used`: where the connection is that the future is there for, if it is there for one.
    #[inline]
    pub(crate) fn set(id: DriveId, waker: &Waker, used: usize) -> Self {
        let mark = Here {
            id: Cell::new(Some(id)),
            waker: Cell::new(identity(waker)),
            used: Cell::new(used),
            settled: Cell::new(false),
        };
        HERE.with(|here| here.swap(&mark));
        Self { outer: mark }
    }

    /// The connection that was used last, if nothing is left to do on it.
    #[inline]
    pub(crate) fn settled(&self) -> Option<usize> {
        HERE.with(|here| here.settled.get().then(|| here.used.get()))
    }
}

impl Drop for Mark {
    #[inline]
    fn drop(&mut self) {
        HERE.with(|here| here.swap(&self.outer));
    }
}
