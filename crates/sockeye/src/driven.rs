//! Driving connections: what a handler sends leaves together when it waits, and its connection stays alive meanwhile.

use core::future::{Future, poll_fn};
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, Weak};

use crate::scope::{DriveId, Mark};
use crate::shared::{self, Shared};

/// Drives the connections that are used within a future and that nothing else drives, for as long as it runs.
///
/// A handler in [`serve`](crate::serve) or [`on_upgrade`](crate::Upgrade::on_upgrade) is driven already; this is for
/// clients. In a driven future
///
/// * `send` queues, and what is queued is written when the future waits for anything, when `recv` has no message left and
///   goes to the network, at 64 KiB, and when the future ends: the answers to a batch leave in one write;
/// * a connection reads ahead, at most 64 KiB, while the future waits for something else, so that Pings are answered and
///   a Close is noticed.
///
/// Tasks that are spawned from within are not driven: there `send` writes at once, as it does everywhere else.
///
/// ```no_run
/// # async fn run() -> Result<(), sockeye::Error> {
/// sockeye::drive(async {
///     let mut ws = sockeye::connect("ws://127.0.0.1:8080/echo").await?;
///     for number in 0..100 {
///         ws.send(format!("message {number}")).await?;
///     }
///     tokio::time::sleep(std::time::Duration::from_secs(60)).await; // Pings are answered meanwhile
///     ws.recv().await.map(drop)
/// })
/// .await
/// # }
/// ```
///
/// # Cancel safety
/// Dropping it drops the future, and leaves the connections as they are, to be used without being driven.
pub async fn drive<F: Future>(future: F) -> F::Output {
    // Dropped after the future, whose connections are driven to its end.
    let mut drive = Drive::new(None);
    let mut future = Box::pin(future);
    poll_fn(|cx| drive.poll(cx, |cx| future.as_mut().poll(cx))).await
}

/// What drives connections, for as long as its future is polled through it.
pub(crate) struct Drive {
    id: DriveId,
    /// The connection that a handler is for.
    own: Option<Arc<Shared>>,
    /// Those that were used on the way.
    adopted: Vec<Weak<Shared>>,
    /// What the connections wake.
    waker: Option<Waker>,
}

impl Drive {
    /// Drives this connection, which nothing else drives yet, and those that the future will use.
    pub(crate) fn new(own: Option<Arc<Shared>>) -> Self {
        let id = DriveId::new();
        if let Some(shared) = &own {
            shared.drive_by(id);
        }
        Self { id, own, adopted: Vec::new(), waker: None }
    }

    /// Polls the future, and does for its connections what is to be done then.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        future: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // The connection that is likely to be used.
        let first = self.own.as_ref().map(Shared::address);
        let first = first.or_else(|| self.adopted.first().map(|adopted| adopted.as_ptr().addr()));
        let mark = Mark::set(self.id, cx.waker(), first.unwrap_or_default());
        let polled = future(cx);
        let adopted = shared::take_adopted(self.id);
        let settled = mark.settled();
        drop(mark);
        let is_new = self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker()));
        if is_new {
            self.waker = Some(cx.waker().clone());
        }
        // What was settled with this waker needs no second look.
        let settled = settled.filter(|_| !is_new);
        if settled.is_some() && settled == first && self.has_one() && adopted.is_empty() {
            return polled;
        }
        if let Some(own) = self.own.as_ref().filter(|own| settled != Some(own.address())) {
            own.settle(cx, self.id, is_new);
        }
        let live = |connection: &Weak<Shared>, is_new| {
            settled == Some(connection.as_ptr().addr())
                || connection.upgrade().is_some_and(|shared| shared.settle(cx, self.id, is_new))
        };
        self.adopted.retain(|connection| live(connection, is_new));
        self.adopted.extend(adopted.into_iter().filter(|connection| live(connection, true)));
        polled
    }
}

impl Drive {
    /// Whether it drives one connection.
    fn has_one(&self) -> bool {
        usize::from(self.own.is_some()) + self.adopted.len() == 1
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        // Those of a poll that has panicked, too.
        self.adopted.append(&mut shared::take_adopted(self.id));
        for shared in self.own.take().into_iter().chain(self.adopted.iter().filter_map(Weak::upgrade)) {
            shared.release(self.id);
        }
    }
}
