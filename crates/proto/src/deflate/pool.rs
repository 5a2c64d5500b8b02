//! States that are lent for the length of one message, from a small store of each thread.
//!
//! What is lent again was reset before: nothing of the message before can be referred to. What is not given back because
//! something went wrong is simply gone.

use core::cell::RefCell;

use zlib_rs::{Deflate, Inflate};

use super::{STEP, Settings};

/// So many states of a kind wait for the next message; one more is freed. A thread deflates one message at a time, so more
/// than one state for it waits only where connections agreed on different windows.
const KEPT: usize = 4;

#[expect(clippy::vec_box, reason = "a connection holds a pointer only, and states change hands without being moved")]
struct Pool {
    inflates: Vec<Box<Inflate>>,
    /// The one used last at the end.
    deflates: Vec<(Settings, Box<Deflate>)>,
    scratch: Option<Box<[u8]>>,
}

thread_local! {
    static POOL: RefCell<Pool> =
        const { RefCell::new(Pool { inflates: Vec::new(), deflates: Vec::new(), scratch: None }) };
}

/// Runs with the pool, never with anything of a caller's inside; gives nothing while the thread ends.
fn with<T>(work: impl FnOnce(&mut Pool) -> T) -> Option<T> {
    POOL.try_with(|pool| work(&mut pool.borrow_mut())).ok()
}

/// A state to inflate a message with that refers to nothing before it.
pub(super) fn inflate() -> Box<Inflate> {
    match with(|pool| pool.inflates.pop()).flatten() {
        Some(mut inflate) => {
            inflate.reset(false);
            inflate
        }
        None => Box::new(Inflate::new(false, 15)),
    }
}

pub(super) fn return_inflate(inflate: Box<Inflate>) {
    with(|pool| {
        if pool.inflates.len() < KEPT {
            pool.inflates.push(inflate);
        }
    });
}

/// A state to deflate a message with that refers to nothing before it.
pub(super) fn deflate(settings: Settings) -> Box<Deflate> {
    let kept = with(|pool| {
        let index = pool.deflates.iter().rposition(|(of, _)| *of == settings)?;
        Some(pool.deflates.remove(index).1)
    });
    match kept.flatten() {
        Some(mut deflate) => {
            deflate.reset();
            deflate
        }
        None => Box::new(settings.start()),
    }
}

pub(super) fn return_deflate(settings: Settings, deflate: Box<Deflate>) {
    with(|pool| {
        if pool.deflates.len() == KEPT {
            pool.deflates.remove(0);
        }
        pool.deflates.push((settings, deflate));
    });
}

/// Lends [`STEP`] bytes to write to. What they hold is of no meaning.
pub(super) fn with_scratch<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    // Taken out for the time, so that `work` may come here again.
    let kept = with(|pool| pool.scratch.take()).flatten();
    let mut scratch = kept.unwrap_or_else(|| vec![0; STEP].into_boxed_slice());
    let result = work(&mut scratch);
    with(|pool| pool.scratch = Some(scratch));
    result
}
