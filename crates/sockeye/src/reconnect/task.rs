//! The task of a WebSocket that connects again: one try after the other, and what is done on a connection.

use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;
use std::sync::Arc;

use tokio::time::{Instant, sleep};
use tracing::warn;

use super::builder::Reconnect;
use super::event::{Disconnected, EndedBy, Event};
use super::state::{Shared, Work};
use crate::closed::ClosedBy;
use crate::error::Error;
use crate::receiver::Receiver;
use crate::sender::{Leaving, Sender};
use crate::websocket::WebSocket;

/// So long after a message was written the peer is asked whether it has read it: a burst of them takes one question.
const QUIET: Duration = Duration::from_millis(200);

pub(super) async fn run(plan: Reconnect, shared: Arc<Shared>) {
    let by = keep_trying(&plan, &shared).await;
    let lost = shared.end(by).unsent().len();
    if lost > 0 && Arc::strong_count(&shared) == 1 {
        // There is nobody left to tell.
        warn!(messages = lost, "a reconnecting WebSocket was dropped with messages that were not sent");
    }
}

async fn keep_trying(plan: &Reconnect, shared: &Shared) -> EndedBy {
    let (mut attempt, mut failures) = (0, 0);
    loop {
        // One who takes no events is not given more of them.
        poll_fn(|cx| shared.poll_room(cx)).await;
        attempt += 1;
        shared.tell(Event::Connecting { attempt });
        let event = match unless_closing(shared, plan.open(attempt)).await {
            None => return EndedBy::Us,
            Some(Ok(ws)) => {
                attempt = 0;
                let lost = live(ws, shared).await;
                failures = if plan.backoff.is_stable(lost.lived) { 0 } else { failures + 1 };
                Event::Disconnected(lost)
            }
            Some(Err(error)) => {
                failures += 1;
                Event::Failed { attempt, error }
            }
        };
        let end = match () {
            () if shared.is_closing() => Some(EndedBy::Us),
            () if plan.gives_up(&event) => Some(EndedBy::FinalEvent),
            () if plan.backoff.is_exhausted(failures) => Some(EndedBy::Attempts),
            () => None,
        };
        let delay = plan.backoff.delay(failures).max(event.retry_after().unwrap_or_default());
        shared.tell(event);
        if let Some(by) = end {
            return by;
        }
        shared.tell(Event::Waiting { delay });
        if unless_closing(shared, sleep(delay)).await.is_none() {
            return EndedBy::Us;
        }
    }
}

/// What a future gives, unless it is all to be closed before.
async fn unless_closing<T>(shared: &Shared, future: impl Future<Output = T>) -> Option<T> {
    let closing = async {
        poll_fn(|cx| shared.poll_closing(cx)).await;
        None
    };
    either(closing, async { Some(future.await) }).await
}

/// What is done first.
async fn either<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> T {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending => other.as_mut().poll(cx),
    })
    .await
}

/// A connection, from its beginning to its end.
async fn live(ws: WebSocket, shared: &Shared) -> Disconnected {
    let since = Instant::now();
    shared.connect();
    shared.tell(Event::Connected { subprotocol: ws.subprotocol().map(str::to_owned) });
    let limits = *ws.shared().turn().connection.limits();
    let (sender, mut receiver) = ws.split();
    let error = {
        let mut reading = pin!(read(&mut receiver, shared));
        let mut beside: Vec<Pin<Box<dyn Future<Output = ()> + Send>>> = vec![
            Box::pin(write(&sender, shared, limits.closing_time())),
            // Pings are answered also while nobody takes events.
            Box::pin(async { drop(sender.closed().await) }),
        ];
        if limits.ping_interval().is_some() {
            beside.push(Box::pin(ask(&sender, shared)));
        }
        poll_fn(|cx| {
            beside.retain_mut(|future| future.as_mut().poll(cx).is_pending());
            reading.as_mut().poll(cx)
        })
        .await
    };
    let closed = sender.closed().await;
    // The peer's Close answers ours, which came behind all messages.
    let all_read = closed.is_clean() && closed.by() == ClosedBy::Us;
    let (written, uncertain, unsent) = shared.disconnect(all_read);
    Disconnected { closed, error, lived: since.elapsed(), written, uncertain, unsent }
}

/// Receives until the connection ends. With an error, if it was no closing handshake.
async fn read(receiver: &mut Receiver, shared: &Shared) -> Option<Error> {
    loop {
        poll_fn(|cx| shared.poll_room(cx)).await;
        match receiver.recv().await {
            Ok(Some(message)) => shared.tell(Event::Message(message)),
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

/// Sends what is queued, and closes the connection when it is to be closed: once all is sent, or the time is up.
async fn write(sender: &Sender, shared: &Shared, time: Duration) {
    either(send_all(sender, shared), async {
        poll_fn(|cx| shared.poll_closing(cx)).await;
        sleep(time).await;
    })
    .await;
    let reason = poll_fn(|cx| shared.poll_closing(cx)).await;
    // How it ends the reader learns.
    let _ = sender.close_with(reason).await;
}

/// Sends one message after the other, until the connection is to be closed, or is broken.
///
/// Each is given to the connection only once the one before has left whole: so that one at most has begun and not left when
/// it breaks. It is taken out of the queue in the same turn in which it is accepted, so that it is in one of both at any
/// time, whenever this future is dropped.
async fn send_all(sender: &Sender, shared: &Shared) {
    while let Work::Message(len) = poll_fn(|cx| shared.poll_work(cx)).await {
        let send = |connection: &mut sockeye_proto::Connection| match shared.begin() {
            Some(message) => connection.send(message),
            None => Ok(()),
        };
        if sender.accept(len, send, Leaving::Sent).await.is_err() || sender.flush().await.is_err() {
            return;
        }
        shared.all_written();
    }
}

/// Asks the peer by Pings what it has read.
async fn ask(sender: &Sender, shared: &Shared) {
    loop {
        poll_fn(|cx| shared.poll_unread(cx)).await;
        sleep(QUIET).await;
        let written = shared.written();
        // The first one may join a Ping that was sent before; the second is sent once that is answered.
        for _ in 0..2 {
            if sender.ping().await.is_err() {
                return;
            }
        }
        shared.has_read(written);
    }
}
