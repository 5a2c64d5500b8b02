//! Who watches the connections of a proxy: the terminal, a recording. And one connection, as all of them see it.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use sockeye::Role;
use sockeye::tap::{self, Begins, Line, Tap};
use sockeye_traffic as traffic;
use tokio::time::{Sleep, sleep};

/// All who watch.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    /// Those who would rather miss something than have anybody wait.
    pub(super) views: Vec<Tap>,
    /// The one that is to miss nothing.
    pub(super) recorder: Option<Recorder>,
}

/// Where the recorder's bytes go, and whether they are waited for.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    pub(super) tap: Tap,
    /// It has let somebody wait for too long, and has taken nothing since.
    pub(super) is_late: Arc<AtomicBool>,
}

/// So long a relay waits for a recorder that does not keep up, before it goes on without.
const PATIENCE: Duration = Duration::from_secs(1);

/// One connection, on its way to those who watch.
#[derive(Debug)]
pub(super) struct Lines {
    views: Vec<Line>,
    recorder: Option<(Line, Arc<AtomicBool>)>,
    waits: Option<Pin<Box<Sleep>>>,
}

impl Watchers {
    /// A connection that somebody plays by hand: for all who watch, of whom none is waited for.
    pub(super) fn open_by_hand(&self, number: u64, ends: &tap::Ends) -> Vec<Line> {
        let recorder = self.recorder.as_ref().map(|recorder| &recorder.tap);
        self.views.iter().chain(recorder).map(|tap| tap.open_as(number, ends.clone())).collect()
    }

    /// Begins with a connection, which has this number for all.
    pub(super) fn open(&self, number: u64, ends: &tap::Ends) -> Lines {
        let open = |tap: &Tap| tap.open_as(number, ends.clone());
        let recorder = self.recorder.as_ref().map(|recorder| (open(&recorder.tap), Arc::clone(&recorder.is_late)));
        Lines { views: self.views.iter().map(open).collect(), recorder, waits: None }
    }
}

impl Lines {
    /// Whether anybody watches.
    pub(super) const fn are_watched(&self) -> bool {
        self.recorder.is_some() || !self.views.is_empty()
    }

    /// An end has sent bytes.
    pub(super) fn push(&mut self, from: Role, bytes: &[u8]) {
        let recorder = self.recorder.as_mut().map(|(line, _)| line);
        self.views.iter_mut().chain(recorder).for_each(|line| line.push(from, bytes));
    }

    /// Says how it has ended; what was said first counts.
    pub(super) fn end(&mut self, ending: &tap::Ending) {
        let recorder = self.recorder.as_mut().map(|(line, _)| line);
        self.views.iter_mut().chain(recorder).for_each(|line| line.end(ending.clone()));
    }

    /// Ready once the recorder has room for one more read; at the latest when it was waited for long enough.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((line, is_late)) = &self.recorder else { return Poll::Ready(()) };
        if is_late.load(Ordering::Relaxed) || line.poll_room(cx).is_ready() {
            self.waits = None;
            return Poll::Ready(());
        }
        let waits = self.waits.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        if waits.as_mut().poll(cx).is_ready() {
            self.waits = None;
            is_late.store(true, Ordering::Relaxed);
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

/// What a watch is told, as recordings and views have it. Times count from `started`.
pub(super) fn event(event: tap::Event, started: Instant) -> traffic::Event {
    let tap::Event { connection, time, what } = event;
    let what = match what {
        tap::What::Opened(ends) => {
            let tap::Ends { client, server, target, begins } = *ends;
            traffic::What::Opened(traffic::Ends { client, server, target, joined: begins != Begins::Handshake })
        }
        tap::What::Bytes { from, bytes } => traffic::What::Bytes { from, bytes, redacted: false },
        tap::What::Missing { from, bytes } => traffic::What::Missing { from, bytes },
        tap::What::Ended(ending) => traffic::What::Ended(match ending {
            tap::Ending::Closed(by) => traffic::Ending::Closed(by),
            tap::Ending::Reset(by) => traffic::Ending::Reset(Some(by)),
            tap::Ending::Failed(why) => traffic::Ending::Failed(why),
        }),
    };
    traffic::Event { connection, time: time.saturating_duration_since(started), what }
}
