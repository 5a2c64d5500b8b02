//! What locks, spawns and belongs to a thread: the standard library and tokio, or shuttle, under which `tests/model.rs`
//! tries schedules by the thousand on this very code (`RUSTFLAGS="--cfg shuttle"`).

#[cfg(not(shuttle))]
pub(crate) use core::sync::atomic::AtomicBool;
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard};
#[cfg(not(shuttle))]
pub(crate) use std::thread_local;

#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic::AtomicBool;
#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(shuttle)]
pub(crate) use shuttle::thread_local;

/// Runs a future in a task of its own. Whether it does: without a runtime nothing can be waited for.
#[cfg(not(shuttle))]
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> bool {
    tokio::runtime::Handle::try_current().map(|runtime| runtime.spawn(future)).is_ok()
}

#[cfg(shuttle)]
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> bool {
    // Not detached, as dropping its handle would do: each of them has to come to its end.
    core::mem::forget(shuttle::future::spawn(future));
    true
}

/// Locks, also after a panic: one while it was locked is a transport's, as the protocol has none that a peer can bring
/// about, and what the lock protects is whole between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
