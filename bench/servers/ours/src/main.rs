//! Sockeye: the plain `serve`, all its limits on; the bound on a message raised to what the peers have.

use std::io;
use std::sync::{Arc, Mutex};

use harness::{MAX_MESSAGE, Mode};
use sockeye::{Compression, HandlerResult, Limits, Prepared, Sender, Upgrader, WebSocket};

/// Those who get each message of a broadcast.
type Subscribers = Arc<Mutex<Vec<Sender>>>;

fn main() -> io::Result<()> {
    let mode = harness::mode();
    let upgrader = Upgrader::default().limits(Limits::default().message(MAX_MESSAGE));
    let upgrader = match mode {
        Mode::Echo | Mode::Broadcast => upgrader,
        Mode::Deflate => upgrader.compression(Compression::no_takeover()),
        Mode::DeflateTakeover => upgrader.compression(Compression::takeover()),
    };
    harness::block_on(|listener| async move {
        if mode == Mode::Broadcast {
            let subscribers = Subscribers::default();
            return sockeye::serve(listener, move |ws| publish(ws, subscribers)).upgrader(upgrader).await;
        }
        if harness::asked_for("borrowed") {
            return sockeye::serve(listener, echo_borrowed).upgrader(upgrader).await;
        }
        let serve = sockeye::serve(listener, echo).upgrader(upgrader);
        if harness::asked_for("tls") { serve.tls(harness::tls_config()).await } else { serve.await }
    })
}

async fn echo(mut ws: WebSocket) -> HandlerResult {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

/// The same by the lower door: messages are lent.
async fn echo_borrowed(mut ws: WebSocket) -> HandlerResult {
    let (mut incoming, mut outgoing) = ws.halves();
    while let Some(message) = incoming.recv().await? {
        outgoing.send(message).await?;
    }
    Ok(())
}

/// Gives what comes to all. One that is gone, or too slow to have room for it, is left out from then on.
async fn publish(mut ws: WebSocket, subscribers: Subscribers) -> HandlerResult {
    subscribers.lock().expect("nobody panics in here").push(ws.sender());
    while let Some(message) = ws.recv().await? {
        let news = Prepared::from(message);
        let mut subscribers = subscribers.lock().expect("nobody panics in here");
        subscribers.retain(|subscriber| subscriber.try_send_prepared(&news).is_ok());
    }
    Ok(())
}
