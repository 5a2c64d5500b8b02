//! Driving connections: what a handler sends leaves together when it waits, and its connection stays alive meanwhile.

use core::cell::{Cell, RefCell};
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll};
use std::sync::{Arc, Weak};

use crate::shared::Shared;

/// Drives the connections that are first used within a future, for as long as it runs.
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
    Driven::new(future, Vec::new()).await
}

/// One future that drives connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DriveId(u64);

/// A future that drives connections.
pub(crate) struct Driven<F> {
    id: DriveId,
    /// In its own allocation, as it is polled in its place; dropped once it is done.
    future: Option<Pin<Box<F>>>,
    connections: Vec<Weak<Shared>>,
}

thread_local! {
    /// The future that is being polled on this thread, if it drives connections.
    static POLLED: Cell<Option<DriveId>> = const { Cell::new(None) };
    /// The connections that have been used in this poll for the first time.
    static ADOPTED: RefCell<Vec<Weak<Shared>>> = const { RefCell::new(Vec::new()) };
}

/// Whether the connection is driven by the future that is being polled. One that is driven by none is, from now on.
pub(crate) fn adopt(driven: &mut Option<DriveId>, shared: &Arc<Shared>) -> bool {
    let Some(polled) = POLLED.get() else {
        return false;
    };
    if driven.is_none() {
        *driven = Some(polled);
        ADOPTED.with_borrow_mut(|adopted| adopted.push(Arc::downgrade(shared)));
    }
    *driven == Some(polled)
}

impl<F: Future> Driven<F> {
    /// Drives these connections, which nothing else drives yet, and those that the future will use.
    pub(crate) fn new(future: F, connections: Vec<Weak<Shared>>) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let id = DriveId(LAST.fetch_add(1, Ordering::Relaxed));
        for shared in connections.iter().filter_map(Weak::upgrade) {
            shared.drive_by(id);
        }
        Self { id, future: Some(Box::pin(future)), connections }
    }
}

impl<F: Future> Future for Driven<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let polled = {
            let _mark = Mark::set(this.id);
            let future = this.future.as_mut().expect("a future is not polled again once it is ready");
            let polled = future.as_mut().poll(cx);
            if polled.is_ready() {
                // What it still holds is dropped while its connections are driven.
                this.future = None;
            }
            ADOPTED.with_borrow_mut(|adopted| this.connections.append(adopted));
            polled
        };
        this.connections.retain(|connection| match connection.upgrade() {
            Some(shared) => {
                shared.settle(cx);
                true
            }
            None => false,
        });
        polled
    }
}

impl<F> Drop for Driven<F> {
    fn drop(&mut self) {
        self.future = None;
        for shared in self.connections.iter().filter_map(Weak::upgrade) {
            shared.release(self.id);
        }
    }
}

/// Marks the thread for the length of one poll, which may lie within that of another.
struct Mark {
    outer: Option<DriveId>,
    adopted_there: Vec<Weak<Shared>>,
}

impl Mark {
    fn set(id: DriveId) -> Self {
        Self { outer: POLLED.replace(Some(id)), adopted_there: ADOPTED.take() }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        POLLED.set(self.outer);
        ADOPTED.set(core::mem::take(&mut self.adopted_there));
    }
}
