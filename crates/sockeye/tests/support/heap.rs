//! The heap of one test, counted byte by byte.
//!
//! The counters belong to a thread, and a test with all its tasks runs in one, so that tests do not disturb each other.
#![allow(dead_code, reason = "each test file uses some of it")]
#![allow(unsafe_code, reason = "an allocator that counts is an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::AtomicIsize;
use std::sync::atomic::Ordering::Relaxed;

use tokio::runtime::Builder;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The bytes that this thread has allocated and not freed.
pub(crate) fn held() -> isize {
    HELD.get()
}

/// The most bytes that were held at a time since the last [`forget_peak`].
pub(crate) fn peak() -> isize {
    PEAK.get()
}

/// Looks for the peak anew, from what is held now.
pub(crate) fn forget_peak() {
    PEAK.set(held());
}

/// Tells a story by a clock that waits for nobody, in a runtime and a thread of its own, and says what it came to and how
/// many bytes more than before it were held at its peak. Nothing may be left of it: no task, and, once the thread has
/// ended with the buffers that threads keep for the next connection, not a byte.
///
/// # Panics
/// If something is left.
pub(crate) fn told<T: Send>(what: &str, story: impl Future<Output = T> + Send) -> (T, isize) {
    let (left, here) = (AtomicIsize::new(0), held());
    let output = std::thread::scope(|scope| {
        let teller = scope.spawn(|| {
            // The first value of a thread is dropped last.
            LAST.with(|last| last.0.set(&raw const left));
            let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
            let (output, tasks) = runtime.block_on(async {
                let start = held();
                forget_peak();
                let output = story.await;
                let peak = peak() - start;
                // Tasks that have been told of the end.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                ((output, peak), tokio::runtime::Handle::current().metrics().num_alive_tasks())
            });
            assert_eq!(tasks, 0, "{what}: tasks are left");
            output
        });
        teller.join()
    });
    let output = output.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    // What one of the two threads has made and the other has dropped is in both counts.
    assert_eq!(left.load(Relaxed) + held() - here, 0, "{what}: bytes are left");
    output
}

/// Says at the end of a thread what it holds.
struct Last(Cell<*const AtomicIsize>);

thread_local! {
    static LAST: Last = const { Last(Cell::new(core::ptr::null())) };
}

impl Drop for Last {
    fn drop(&mut self) {
        // SAFETY: it is null, or of a `told` that waits for this thread's end.
        if let Some(left) = unsafe { self.0.get().as_ref() } {
            left.store(held(), Relaxed);
        }
    }
}

struct Counting;

#[global_allocator]
static HEAP: Counting = Counting;

fn count(more: usize, less: usize) {
    let held = HELD.get() + more.cast_signed();
    // What is moved exists twice for a moment.
    PEAK.set(PEAK.get().max(held));
    HELD.set(held - less.cast_signed());
}

// SAFETY: each call is the system allocator's, passed on as it came; the counters are plain cells of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller keeps the promises of `dealloc`, and all memory is from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps the promises of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: the caller keeps the promises of `realloc`, and all memory is from `System`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
