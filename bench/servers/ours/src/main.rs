//! Sockeye: the plain `serve`, all its limits on; the bound on a message raised to what the peers have.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};

use harness::{MAX_MESSAGE, Mode};
use sockeye::{Compression, HandlerResult, Limits, Prepared, Sender, Upgrader, WebSocket};
use tokio::net::TcpListener;

/// Those who get each message of a broadcast.
type Subscribers = Arc<Mutex<Vec<Sender>>>;

fn main() -> io::Result<()> {
    let mode = harness::mode();
    if mode == Mode::Client {
        return harness::clients(client);
    }
    harness::block_on(|listener| async move {
        match mode {
            Mode::Broadcast => {
                let subscribers = Subscribers::default();
                serve(listener, mode, move |ws| publish(ws, subscribers)).await
            }
            Mode::Stream => serve(listener, mode, stream).await,
            _ if harness::asked_for("borrowed") => serve(listener, mode, echo_borrowed).await,
            _ => serve(listener, mode, echo).await,
        }
    })
}

async fn serve<H, F>(listener: TcpListener, mode: Mode, handler: H) -> io::Result<()>
where
    H: FnOnce(WebSocket) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = HandlerResult> + Send + 'static,
{
    let upgrader = Upgrader::default().limits(limits());
    let upgrader = match mode {
        Mode::Deflate => upgrader.compression(Compression::no_takeover()),
        Mode::DeflateTakeover => upgrader.compression(Compression::takeover()),
        _ => upgrader,
    };
    let serve = sockeye::serve(listener, handler).upgrader(upgrader);
    if harness::asked_for("tls") { serve.tls(harness::tls_config()).await } else { serve.await }
}

fn limits() -> Limits {
    Limits::default().message(MAX_MESSAGE)
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

/// Sends a message back while it arrives: it is never there as a whole.
async fn stream(ws: WebSocket) -> HandlerResult {
    let (sender, mut receiver) = ws.split();
    while let Some(mut incoming) = receiver.recv_stream().await? {
        let mut outgoing = sender.send_stream(incoming.kind());
        while let Some(piece) = incoming.read_piece().await? {
            outgoing.write_piece(piece).await?;
        }
        outgoing.finish().await?;
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

async fn client(port: u16) {
    let Ok(ws) = sockeye::connect(format!("ws://127.0.0.1:{port}/")).limits(limits()).await else { return };
    // Ended by the load generator, which says what was wrong.
    let _ = echo(ws).await;
}
