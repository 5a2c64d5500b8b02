//! Closing WebSockets one after the other, so that those who come back do not all come at once.

use core::fmt;
use core::future::{Future, IntoFuture, pending, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sockeye_proto::{CloseCode, CloseReason};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, info};

use crate::error::{self, Error};
use crate::random;
use crate::sender::Sender;
use crate::shared::{Handle, Shared};

/// The WebSockets of a server, to be closed together when it stops. A [`Server`](crate::Server) has one; elsewhere it
/// is given to an [`Upgrader`](crate::Upgrader::drain), or its [layer](crate::Drain) put around an axum router. Clones
/// are the same one.
///
/// From [`begin`](Self::begin) on no WebSocket is opened any more, and each that is open is sent a Close frame at a
/// moment of its own: spread over a time, since clients come back at once, all of them, to those servers that are left.
///
/// ```
/// use std::time::Duration;
///
/// use sockeye::{CloseCode, CloseReason, Drain, Upgrader};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let drain = Drain::new();
/// let upgrader = Upgrader::default().drain(&drain);
/// // … and when it is time to stop:
/// let reason = CloseReason::new(CloseCode::SERVICE_RESTART, "back in a minute").unwrap();
/// let left = drain.begin().reason(reason).spread(Duration::from_secs(30)).await;
/// assert_eq!(left, 0, "everybody has left in time");
/// # drop(upgrader); }
/// ```
#[derive(Clone)]
pub struct Drain(Arc<Inner>);

struct Inner {
    phase: watch::Sender<Phase>,
    members: Mutex<Members>,
    /// The last one has left.
    empty: Notify,
}

/// Where a server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Open,
    /// Nothing new is taken, and what is there comes to its end.
    Draining,
    /// What is still there is cut off.
    Over,
}

#[derive(Default)]
struct Members {
    /// One for each WebSocket, until it and its handler have ended.
    slots: Vec<Option<Weak<Shared>>>,
    /// Those that nobody has.
    free: Vec<usize>,
    websockets: usize,
    /// Connections that speak HTTP.
    others: usize,
    /// What is said to those who come too late.
    closing: Option<CloseReason>,
}

impl Drain {
    /// One without WebSockets.
    #[must_use]
    pub fn new() -> Self {
        let inner = Inner { phase: watch::Sender::new(Phase::Open), members: Mutex::default(), empty: Notify::new() };
        Self(Arc::new(inner))
    }

    /// How many WebSockets are open, or have a handler that has not ended.
    #[must_use]
    pub fn open(&self) -> usize {
        self.members().websockets
    }

    /// Begins to close them, once it is awaited: what it returns says how.
    pub fn begin(&self) -> Draining {
        Draining {
            drain: self.clone(),
            reason: CloseReason::new(CloseCode::GOING_AWAY, "the server shuts down").expect("it may be sent"),
            spread: Duration::ZERO,
            patience: Duration::from_secs(11),
        }
    }

    /// Waits until it has begun: for handlers that have something to say first, and for a server's own shutdown, such
    /// as axum's `with_graceful_shutdown(drain.begun())`.
    pub fn begun(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.phase(Phase::Draining)
    }

    pub(crate) fn has_begun(&self) -> bool {
        *self.0.phase.borrow() >= Phase::Draining
    }

    /// Waits until it has come this far.
    pub(crate) fn phase(&self, phase: Phase) -> impl Future<Output = ()> + Send + 'static + use<> {
        let mut phases = self.0.phase.subscribe();
        async move {
            if phases.wait_for(|reached| *reached >= phase).await.is_err() {
                // Nobody is left who could begin.
                pending::<()>().await;
            }
        }
    }

    /// Comes this far, and never back.
    fn reach(&self, phase: Phase) {
        self.0.phase.send_if_modified(|reached| {
            let is_new = *reached < phase;
            *reached = phase.max(*reached);
            is_new
        });
    }

    /// Counts a connection that speaks HTTP, for as long as what it returns lives.
    pub(super) fn count(&self) -> Counted {
        self.members().others += 1;
        Counted(self.clone())
    }

    /// Takes in a WebSocket, which is closed at once if the others are being closed.
    pub(super) fn enter(&self) -> Member {
        let mut members = self.members();
        members.websockets += 1;
        let slot = members.free.pop().unwrap_or_else(|| {
            members.slots.push(None);
            members.slots.len() - 1
        });
        Member { drain: self.clone(), slot }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.0.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connections there are. `closing`: those who come later are to be closed with this.
    fn connections(&self, closing: &CloseReason) -> Vec<Weak<Shared>> {
        let mut members = self.members();
        members.closing.get_or_insert_with(|| closing.clone());
        members.slots.iter().flatten().cloned().collect()
    }

    /// Waits until all are gone.
    async fn emptied(&self) {
        loop {
            let empty = self.0.empty.notified();
            if self.members().left() == 0 {
                return;
            }
            empty.await;
        }
    }
}

impl Members {
    const fn left(&self) -> usize {
        self.websockets + self.others
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("phase", &*self.0.phase.borrow()).field("open", &self.open()).finish()
    }
}

/// A WebSocket among those that are closed together, until this is dropped.
pub(super) struct Member {
    drain: Drain,
    slot: usize,
}

impl Member {
    /// Says which connection it is. One that comes too late, as the others are being closed, is closed at once.
    pub(super) fn is(&self, connection: &Arc<Shared>) {
        let mut members = self.drain.members();
        members.slots[self.slot] = Some(Arc::downgrade(connection));
        let closing = members.closing.clone();
        drop(members);
        if let Some(reason) = closing {
            close(Arc::clone(connection), reason);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut members = self.drain.members();
        members.slots[self.slot] = None;
        members.free.push(self.slot);
        members.websockets -= 1;
        let is_empty = members.left() == 0;
        drop(members);
        if is_empty {
            self.drain.0.empty.notify_waiters();
        }
    }
}

/// A connection that speaks HTTP, until this is dropped.
pub(super) struct Counted(Drain);

impl Drop for Counted {
    fn drop(&mut self) {
        let mut members = self.0.members();
        members.others -= 1;
        let is_empty = members.left() == 0;
        drop(members);
        if is_empty {
            self.0.0.empty.notify_waiters();
        }
    }
}

/// What closes the WebSockets of a [`Drain`], from [`begin`](Drain::begin). Awaiting it does so, and says how many
/// connections and handlers are left when the time is up: 0 when all have ended.
///
/// # Cancel safety
/// Dropping the future while it runs leaves those open that have not been closed yet; nothing new is taken all the
/// same.
#[derive(Debug)]
#[must_use = "nothing is closed until it is awaited"]
pub struct Draining {
    drain: Drain,
    reason: CloseReason,
    spread: Duration,
    patience: Duration,
}

impl Draining {
    /// What the Close frames say; 1001 ("going away") unless set. Clients that know them come back later after
    /// [1012](CloseCode::SERVICE_RESTART) and [1013](CloseCode::TRY_AGAIN_LATER).
    pub fn reason(self, reason: CloseReason) -> Self {
        Self { reason, ..self }
    }

    /// Over how long a time to spread them. Each connection's moment is drawn at random; all are closed at once unless
    /// this is set.
    pub fn spread(self, spread: Duration) -> Self {
        Self { spread, ..self }
    }

    /// How long to wait after the last one, before what is left is cut off; 11 s unless set, as a closing handshake may
    /// take [10](crate::Limits::closing).
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    async fn run(self) -> usize {
        let Self { drain, reason, spread, patience } = self;
        drain.reach(Phase::Draining);
        let begun = Instant::now();
        info!(websockets = drain.open(), ?spread, "draining");
        let at = |offset: Duration| begun.checked_add(offset).unwrap_or(begun);
        let closing = async {
            let connections = drain.connections(&reason).into_iter();
            let mut queue: Vec<_> = connections.map(|connection| (drawn(spread), connection)).collect();
            queue.sort_unstable_by_key(|(offset, _)| *offset);
            for (offset, connection) in queue {
                sleep_until(at(offset)).await;
                if let Some(connection) = connection.upgrade() {
                    close(connection, reason.clone());
                }
            }
            sleep_until(at(spread.saturating_add(patience))).await;
        };
        let mut closing = pin!(closing);
        let mut emptied = pin!(drain.emptied());
        poll_fn(|cx| match emptied.as_mut().poll(cx) {
            Poll::Pending => closing.as_mut().poll(cx),
            ready => ready,
        })
        .await;
        drain.reach(Phase::Over);
        for connection in drain.connections(&reason).iter().filter_map(Weak::upgrade) {
            let mut turn = connection.turn();
            if !turn.has_ended() {
                turn.end(Some(Error::Timeout(error::Phase::Closing)));
            }
        }
        // Tasks that only had to be told.
        let _ = timeout_at(Instant::now() + BRIEF, drain.emptied()).await;
        let left = drain.members().left();
        debug!(left, "drained");
        left
    }
}

/// So long those have to leave who were cut off: a task's turn.
const BRIEF: Duration = Duration::from_millis(100);

impl IntoFuture for Draining {
    type Output = usize;
    type IntoFuture = Pin<Box<dyn Future<Output = usize> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Closes a connection in a task of its own, which lasts as long as that takes.
fn close(connection: Arc<Shared>, reason: CloseReason) {
    let sender = Sender::new(Handle::new(connection));
    tokio::spawn(async move {
        if let Err(error) = sender.close_with(reason).await {
            debug!(error = &error as &dyn core::error::Error, "a connection did not close cleanly");
        }
    });
}

/// A time up to this, at random.
fn drawn(spread: Duration) -> Duration {
    let fraction = f64::from(u32::from_le_bytes(random::bytes())) / f64::from(u32::MAX);
    spread.mul_f64(fraction)
}
