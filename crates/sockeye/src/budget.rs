//! A bound on what many connections hold in all.

use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// A bound, in bytes, on what all connections that share it hold: messages that have not arrived whole or have not been
/// taken, and what waits to be sent. Each connection has its own [`Limits`](crate::Limits) besides.
///
/// While more than that is held, a connection whose peer sends more of a message is failed with 1013 ("try again later"),
/// and `send` waits until what its connection has queued is written. What is over the bound at any moment is one read
/// of each connection: 64 KiB at most, 512 KiB of a large message, and of a compressed one what it inflates to.
///
/// ```
/// use sockeye::{Budget, Upgrader};
///
/// let budget = Budget::new(512 << 20); // 512 MiB
/// let upgrader = Upgrader::default().budget(&budget);
/// assert_eq!(budget.used(), 0);
/// # drop(upgrader);
/// ```
#[derive(Clone, Debug)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    /// A budget of so many bytes. Its clones are the same budget.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Inner { limit: bytes, used: AtomicUsize::new(0) }))
    }

    /// The bound.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// The bytes that are held now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.used() > self.limit()
    }
}

/// What one connection takes of a budget; given back when it is dropped.
pub(crate) struct Share {
    budget: Budget,
    taken: usize,
}

impl Share {
    pub(crate) const fn new(budget: Budget) -> Self {
        Self { budget, taken: 0 }
    }

    /// Takes note of what the connection holds now.
    pub(crate) fn set(&mut self, bytes: usize) {
        // No other memory is ordered by it: it is a sum.
        if bytes > self.taken {
            self.budget.0.used.fetch_add(bytes - self.taken, Ordering::Relaxed);
        } else if bytes < self.taken {
            self.budget.0.used.fetch_sub(self.taken - bytes, Ordering::Relaxed);
        }
        self.taken = bytes;
    }

    pub(crate) const fn budget(&self) -> &Budget {
        &self.budget
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}
