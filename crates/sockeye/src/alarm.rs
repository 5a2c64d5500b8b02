//! Deadlines: when a connection is woken though nothing has come.
//!
//! A timer of tokio's is an allocation of 112 bytes, and every connection has a Ping to send some time. So one task of each runtime keeps
//! the deadlines of all connections there with one timer, at 24 bytes each. An alarm that is put off is not looked for: it
//! goes off in vain, and is set anew.

use core::cmp::Ordering;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tokio::runtime::{Handle, Id};
use tokio::time::Sleep;

use crate::stream::now;
use crate::waiters::Waiters;

/// When a connection is woken, at the latest.
#[derive(Default)]
pub(crate) struct Alarm {
    set_to: Option<Instant>,
    clock: Option<Arc<Clock>>,
}

impl Alarm {
    /// Whether it will go off by then.
    #[inline]
    pub(crate) fn goes_off_by(&self, at: Instant, waiters: &Waiters) -> bool {
        self.set_to.is_some_and(|set| set <= at) && !waiters.has_rung()
    }

    /// Whether it is set, and has not gone off.
    #[inline]
    pub(crate) fn is_set(&self, waiters: &Waiters) -> bool {
        self.set_to.is_some() && !waiters.has_rung()
    }

    /// Wakes them then, at the latest.
    ///
    /// # Panics
    /// The first time, outside a tokio runtime and in one without a timer.
    pub(crate) fn set(&mut self, at: Instant, waiters: &Arc<Waiters>) {
        waiters.hush();
        let clock = match &mut self.clock {
            Some(clock) if !clock.alarms().is_over => clock,
            // The first time, or in another runtime than that, which has ended.
            none => {
                self.set_to = None;
                none.insert(clock(at))
            }
        };
        // It may be an older one that has rung. The time is asked for after that was heard of, so that what has not come by
        // then rings later.
        let is_set = self.set_to.is_some_and(|set| now() < set && set <= at);
        if !is_set {
            clock.add(Entry { at, waiters: Arc::downgrade(waiters) });
            self.set_to = Some(at);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(clock) = &self.clock {
            clock.leave();
        }
    }
}

/// The clock of the runtime this runs in, joined; where there is none, it begins with this alarm.
fn clock(first: Instant) -> Arc<Clock> {
    static CLOCKS: Mutex<Vec<(Id, Weak<Clock>)>> = Mutex::new(Vec::new());
    let runtime = Handle::current();
    let mut clocks = CLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    let here = clocks.iter().filter(|(id, _)| *id == runtime.id()).filter_map(|(_, clock)| clock.upgrade());
    if let Some(clock) = here.into_iter().find(|clock| clock.join()) {
        return clock;
    }
    // Made here, so that it is the caller who learns that there is no timer.
    let sleep = Box::pin(tokio::time::sleep_until(first.into()));
    let clock = Arc::new(Clock::default());
    clock.join();
    runtime.spawn(keep(Kept(Arc::clone(&clock)), sleep));
    clocks.retain(|(_, clock)| clock.strong_count() > 0);
    clocks.push((runtime.id(), Arc::downgrade(&clock)));
    clock
}

/// Lets the alarms of a runtime go off, for as long as there are connections.
async fn keep(kept: Kept, mut sleep: Pin<Box<Sleep>>) {
    let clock = &kept.0;
    let mut waits = |cx: &mut Context<'_>| match ready!(clock.poll_first(cx)) {
        None => Poll::Ready(false),
        Some(first) => {
            if sleep.deadline() != first.into() {
                sleep.as_mut().reset(first.into());
            }
            sleep.as_mut().poll(cx).map(|()| true)
        }
    };
    while poll_fn(&mut waits).await {
        clock.ring(now());
    }
}

/// Where the runtime ends before its connections all alarms go off, to be set elsewhere.
struct Kept(Arc<Clock>);

impl Drop for Kept {
    fn drop(&mut self) {
        let mut alarms = self.0.alarms();
        alarms.is_over = true;
        let entries = core::mem::take(&mut alarms.entries);
        drop(alarms);
        entries.iter().filter_map(|entry| entry.waiters.upgrade()).for_each(|waiters| waiters.ring());
    }
}

/// The alarms of one runtime.
#[derive(Default)]
struct Clock(Mutex<Alarms>);

#[derive(Default)]
struct Alarms {
    entries: BinaryHeap<Entry>,
    /// With more entries than this, and twice as many as there are connections, it is time to look for those whose
    /// connections are gone.
    most: usize,
    /// Connections that have joined.
    connections: usize,
    /// Its task has ended: whoever comes now begins another.
    is_over: bool,
    /// The task that sleeps until the first entry.
    task: Option<Waker>,
}

/// So many entries may be there of connections that are gone.
const FEW: usize = 64;

impl Clock {
    fn alarms(&self) -> MutexGuard<'_, Alarms> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One connection more, if it is not over.
    fn join(&self) -> bool {
        let mut alarms = self.alarms();
        alarms.connections += usize::from(!alarms.is_over);
        !alarms.is_over
    }

    /// One connection less.
    fn leave(&self) {
        let mut alarms = self.alarms();
        alarms.connections -= 1;
        let task = if alarms.connections == 0 { alarms.task.take() } else { None };
        drop(alarms);
        if let Some(task) = task {
            task.wake();
        }
    }

    fn add(&self, entry: Entry) {
        let mut alarms = self.alarms();
        let is_first = alarms.entries.peek().is_none_or(|first| entry.at < first.at);
        // As often as their number has doubled, so that it costs each next to nothing.
        if alarms.entries.len() >= alarms.most.max(FEW).max(2 * alarms.connections) {
            alarms.entries.retain(|entry| entry.waiters.strong_count() > 0);
            let most = FEW.max(2 * alarms.entries.len());
            alarms.entries.shrink_to(most);
            alarms.most = most;
        }
        alarms.entries.push(entry);
        let task = if is_first { alarms.task.take() } else { None };
        drop(alarms);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// The time of the first one, `None` once there are no connections any more. The task is woken when that changes.
    fn poll_first(&self, cx: &Context<'_>) -> Poll<Option<Instant>> {
        let mut alarms = self.alarms();
        if alarms.connections == 0 {
            alarms.is_over = true;
            return Poll::Ready(None);
        }
        alarms.task = Some(cx.waker().clone());
        match alarms.entries.peek() {
            Some(first) => Poll::Ready(Some(first.at)),
            None => Poll::Pending,
        }
    }

    /// Lets those go off whose time has come.
    fn ring(&self, now: Instant) {
        // Nobody is woken under the lock.
        while let Some(due) = self.take_due(now) {
            if let Some(waiters) = due.waiters.upgrade() {
                waiters.ring();
            }
        }
    }

    fn take_due(&self, now: Instant) -> Option<Entry> {
        self.alarms().entries.peek_mut().filter(|first| first.at <= now).map(PeekMut::pop)
    }
}

struct Entry {
    at: Instant,
    waiters: Weak<Waiters>,
}

/// The earliest is the greatest, as a heap has that on top.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use core::time::Duration;
    use std::task::Wake;

    use super::*;

    /// One connection's waiters, and how often its reader was woken.
    struct Sleeper {
        waiters: Arc<Waiters>,
        woken: Arc<Woken>,
        alarm: Alarm,
    }

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    impl Sleeper {
        fn new() -> Self {
            Self { waiters: Arc::default(), woken: Arc::default(), alarm: Alarm::default() }
        }

        fn sleep_until(&mut self, at: Instant) {
            drop(self.waiters.read(&Waker::from(Arc::clone(&self.woken))));
            if !self.alarm.goes_off_by(at, &self.waiters) {
                self.alarm.set(at, &self.waiters);
            }
        }

        fn woken(&self) -> usize {
            self.woken.0.load(SeqCst)
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    async fn pass(time: Duration) {
        tokio::time::sleep(time + Duration::from_millis(2)).await;
        tokio::task::yield_now().await;
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_woken_at_its_own_time_whatever_the_order_they_come_in() {
        let start = now();
        let (mut late, mut early) = (Sleeper::new(), Sleeper::new());
        late.sleep_until(start + 20 * SECOND);
        tokio::task::yield_now().await;
        early.sleep_until(start + 5 * SECOND);
        pass(5 * SECOND).await;
        assert_eq!((early.woken(), late.woken()), (1, 0));
        pass(15 * SECOND).await;
        assert_eq!((early.woken(), late.woken()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_put_off_goes_off_in_vain_and_is_set_anew() {
        let start = now();
        let mut sleeper = Sleeper::new();
        sleeper.sleep_until(start + 5 * SECOND);
        sleeper.sleep_until(start + 8 * SECOND);
        pass(5 * SECOND).await;
        assert_eq!(sleeper.woken(), 1);
        sleeper.sleep_until(start + 8 * SECOND);
        pass(3 * SECOND).await;
        assert_eq!(sleeper.woken(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_brought_forward_goes_off_then() {
        let start = now();
        let mut sleeper = Sleeper::new();
        sleeper.sleep_until(start + 20 * SECOND);
        sleeper.sleep_until(start + SECOND);
        pass(SECOND).await;
        assert_eq!(sleeper.woken(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_brought_forward_again_and_again_leaves_no_more_behind_than_the_first() {
        let start = now();
        let mut sleeper = Sleeper::new();
        for turn in 0..100 {
            sleeper.sleep_until(start + turn * SECOND + 20 * SECOND);
            sleeper.sleep_until(start + turn * SECOND + SECOND);
            pass(SECOND).await;
        }
        let entries = sleeper.alarm.clock.as_ref().unwrap().alarms().entries.len();
        assert!(entries <= 21, "{entries} entries");
    }

    #[tokio::test]
    async fn those_of_connections_that_are_gone_do_not_pile_up() {
        let at = now() + 3600 * SECOND;
        let mut lasting = Sleeper::new();
        lasting.sleep_until(at);
        for _ in 0..10_000 {
            Sleeper::new().sleep_until(at);
        }
        let clock = lasting.alarm.clock.as_ref().unwrap();
        let entries = &clock.alarms().entries;
        assert!(entries.len() <= FEW + 3, "{} entries", entries.len());
        assert!(entries.iter().any(|entry| entry.waiters.ptr_eq(&Arc::downgrade(&lasting.waiters))));
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_ends_with_the_last_connection_and_begins_again_with_the_next() {
        let tasks = || Handle::current().metrics().num_alive_tasks();
        for _ in 0..3 {
            let mut sleeper = Sleeper::new();
            assert_eq!(tasks(), 0);
            sleeper.sleep_until(now() + SECOND);
            assert_eq!(tasks(), 1);
            pass(SECOND).await;
            assert_eq!((tasks(), sleeper.woken()), (1, 1));
            drop(sleeper);
            tokio::task::yield_now().await;
        }
        // Before the task has seen that the last one was gone.
        for _ in 0..3 {
            let mut sleeper = Sleeper::new();
            sleeper.sleep_until(now() + SECOND);
            pass(SECOND).await;
            assert_eq!((tasks(), sleeper.woken()), (1, 1));
        }
    }

    #[test]
    fn a_runtime_beside_another_on_the_same_thread_has_a_clock_of_its_own() {
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (asleep, awake) = (runtime(), runtime());
        asleep.block_on(async { Sleeper::new().sleep_until(now() + SECOND) });
        awake.block_on(async {
            let mut sleeper = Sleeper::new();
            sleeper.sleep_until(now() + SECOND);
            pass(SECOND).await;
            assert_eq!(sleeper.woken(), 1);
        });
    }

    #[test]
    fn a_connection_that_outlives_its_runtime_is_woken_in_the_next() {
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let mut sleeper = Sleeper::new();
        runtime().block_on(async { sleeper.sleep_until(now() + SECOND) });
        // Its alarms go off with it.
        assert_eq!(sleeper.woken(), 1);
        runtime().block_on(async {
            sleeper.sleep_until(now() + SECOND);
            pass(SECOND).await;
            assert_eq!(sleeper.woken(), 2);
        });
    }

    #[test]
    #[should_panic(expected = "timer")]
    fn a_runtime_without_a_timer_says_so_to_whoever_sets_one() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { Sleeper::new().sleep_until(now() + SECOND) });
    }
}
