//! What locks and spawns: the standard library and tokio, or shuttle, under which `tests/model.rs` tries schedules by
//! the thousand on this very code (`RUSTFLAGS="--cfg shuttle"`).

#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard};

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};

/// Runs a future in a task of its own.
#[cfg(not(shuttle))]
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    // Without a runtime nothing can be waited for: what a connection would still write is left to the next call.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(future);
    }
}

#[cfg(shuttle)]
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    drop(shuttle::future::spawn(future));
}

/// Locks, also after a panic: one while it was locked is a transport's, as the protocol has none that a peer can bring
/// about, and what the lock protects is whole between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
