//! The heap of one test, counted byte by byte. It is the whole process's, and cargo nextest gives each test one of its own;
//! `cargo test` needs `--test-threads 1` for the tests that count.
#![allow(dead_code, reason = "most test programs use some of it, and some all: nothing to expect")]

use peak_alloc::PeakAlloc;
use tokio::runtime::Builder;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// The bytes that are allocated and not freed, without the large buffers that this thread keeps for whoever needs one.
pub(crate) fn held() -> isize {
    await_harness();
    sockeye_proto::stock::clear();
    HEAP.current_usage().cast_signed()
}

/// The most bytes that were held at a time since the last [`forget_peak`].
pub(crate) fn peak() -> isize {
    HEAP.peak_usage().cast_signed()
}

/// Looks for the peak anew, from what is held now.
pub(crate) fn forget_peak() {
    HEAP.reset_peak_usage();
}

/// Tells a story by a clock that waits for nobody, in a runtime and a thread of its own, and says what it came to and how
/// many bytes more than before it were held at its peak. Nothing may be left of it: no task, and, once the thread has
/// ended with the buffers that threads keep for the next connection, not a byte.
///
/// # Panics
/// If something is left.
pub(crate) fn told<T: Send>(what: &str, story: impl Future<Output = T> + Send) -> (T, isize) {
    let before = held();
    let output = std::thread::scope(|scope| {
        let teller = scope.spawn(|| {
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
    assert_eq!(held() - before, 0, "{what}: bytes are left");
    output
}

/// The test runner's own thread notes what it runs when that runs already: waits until it sleeps.
fn await_harness() {
    let stat = format!("/proc/self/task/{}/stat", std::process::id());
    // Where that tells nothing, the tests that count want a quiet machine.
    let is_asleep = |stat: String| stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('S'));
    while !std::fs::read_to_string(&stat).map_or(true, is_asleep) {
        std::thread::yield_now();
    }
}
