//! `--record`: what goes over the connections, to a file. Whatever becomes of that, the relay goes on.

use core::time::Duration;
use std::fs::File;
use std::io::{self, BufWriter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use sockeye::tap::{Tap, Watch};
use sockeye_traffic::recording::{self, Options};

use super::lines::{Recorder, event};
use crate::stream::words;

/// What waits to be written, in bytes. A relay that is faster than the file waits for it.
const WAITING: usize = 16 << 20;
/// How often it is written.
const GATHER: Duration = Duration::from_millis(50);

/// A recording that is being written.
pub(super) struct Recording {
    path: PathBuf,
    tap: Tap,
    thread: thread::JoinHandle<u64>,
}

/// Begins a recording, in a thread of its own.
///
/// # Errors
/// A line that says why there can be none.
pub(super) fn start(path: &Path, options: Options, started: Instant) -> Result<(Recorder, Recording), String> {
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => format!("cannot record to {}: there is such a file", path.display()),
        _ => format!("cannot record to {}: {}", path.display(), words(&error)),
    };
    let recorder = recording::Recorder::create(path, options).map_err(cannot)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(cannot)?;
    let (tap, watch) = Tap::new(WAITING);
    let is_late = Arc::new(AtomicBool::new(false));
    let (path, late) = (path.to_owned(), Arc::clone(&is_late));
    let name = path.display().to_string();
    let thread = thread::Builder::new().name("record".to_owned()).spawn(move || {
        let mut recorder = recorder;
        let recorded =
            catch_unwind(AssertUnwindSafe(|| runtime.block_on(record(watch, &mut recorder, started, &late))));
        // It is told once, here; the watch is gone, and with it what it would have cost.
        match recorded {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                eprintln!(
                    "sockeye: {name} is full, at {} bytes: nothing more is recorded (--record-limit)",
                    options.limit
                );
            }
            Ok(Err(error)) => eprintln!("sockeye: cannot write to {name}: {}; nothing more is recorded", words(&error)),
            Err(_) => eprintln!("sockeye: the recorder has failed; nothing more is recorded"),
        }
        recorder.written()
    });
    let recording = Recording { path, tap: tap.clone(), thread: thread.map_err(|error| words(&error))? };
    Ok((Recorder { tap, is_late }, recording))
}

/// Records until there is nobody left to record. Whether there was room for all of it.
async fn record(
    mut watch: Watch,
    recorder: &mut recording::Recorder<BufWriter<File>>,
    started: Instant,
    is_late: &AtomicBool,
) -> io::Result<bool> {
    while watch.gather(GATHER).await {
        while let Some(happened) = watch.try_recv() {
            recorder.write(&event(happened, started))?;
        }
        recorder.flush()?;
        if recorder.is_full() {
            return Ok(false);
        }
        is_late.store(false, Ordering::Relaxed);
    }
    Ok(true)
}

impl Recording {
    /// Waits for the end of it, when all connections have ended and all other taps are gone: but not for a disk that hangs.
    /// Says what there is, and what is not.
    pub(super) fn finish(self) {
        const PATIENCE: Duration = Duration::from_secs(5);
        let lost = self.tap.lost();
        drop(self.tap);
        let until = Instant::now() + PATIENCE;
        while !self.thread.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let name = self.path.display();
        if !self.thread.is_finished() {
            eprintln!("sockeye: {name} does not take what is to be written; its end is missing");
            return;
        }
        let written = self.thread.join().unwrap_or_default();
        eprint!("sockeye: recorded {written} bytes to {name}");
        if lost.bytes > 0 || lost.connections > 0 {
            eprint!("; not recorded: {} bytes, {} connections", lost.bytes, lost.connections);
        }
        eprintln!();
    }
}
