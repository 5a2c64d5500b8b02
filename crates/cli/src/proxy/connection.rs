//! One connection of a client: its request, the upstream's answer to it, and what comes behind.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use sockeye::Role;
use sockeye::tap::Ending;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsStream;
use tracing::debug;

use super::lines::Lines;
use super::opening::{Next, Opening, Stop};
use super::relay::{exchange, relay};
use super::{Proxy, Stopped};
use crate::http1::refusal;
use crate::stream::{Stream, words};

/// So long a client has to take the last word.
const TAKING_LEAVE: Duration = Duration::from_secs(2);

/// Serves a client from being accepted to its end.
pub(super) async fn serve(stream: TcpStream, address: SocketAddr, number: u64, proxy: Arc<Proxy>, mut stop: Stopped) {
    let ends = proxy.ends(Some(address.to_string()));
    let lines = &mut proxy.watchers.open(number, &ends);
    let ending = tokio::select! {
        ending = carry(stream, &proxy, lines) => ending,
        // The other end of it is dropped, or says so.
        _ = stop.changed() => Ending::Failed("the proxy was stopped".to_owned()),
    };
    debug!(connection = number, ?ending, "a connection has ended");
    lines.end(&ending);
}

async fn carry(stream: TcpStream, proxy: &Proxy, lines: &mut Lines) -> Ending {
    let _ = stream.set_nodelay(true);
    let deadline = Instant::now() + proxy.timeout;
    let mut client = match &proxy.tls {
        None => Stream::Tcp(stream),
        Some(acceptor) => match timeout_at(deadline, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Stream::Tls(Box::new(TlsStream::Server(stream))),
            Ok(Err(error)) => return Ending::Failed(format!("the TLS handshake failed: {}", words(&error))),
            Err(_) => return Ending::Failed("the client took too long for the TLS handshake".to_owned()),
        },
    };
    let mut opening = Opening::default();
    let opened = timeout_at(deadline, opening.go(&mut client, &proxy.upstream, lines)).await;
    let opened = opened.unwrap_or_else(|_| Err(opening.too_late(&proxy.upstream, proxy.timeout)));
    let answered = opening.is_answered();
    let stop = match opened {
        Ok(Next::WebSocket(mut upstream, held)) => {
            let ending = relay(&mut client, &mut upstream, held, lines).await;
            return ended(ending, client, upstream);
        }
        Ok(Next::Exchange(mut upstream, held, body, answer)) => {
            match exchange(&mut client, &mut upstream, held, (body, answer), lines).await {
                Ok((ending, true)) => return ended(ending, client, upstream),
                // It may still be sending, and would be reset, and lose the answer, if it were dropped for that.
                Ok((ending, false)) => {
                    let _ = timeout(TAKING_LEAVE, take_leave(&mut client, b"")).await;
                    return ended(ending, client, upstream);
                }
                Err(refused) => Stop::Refuse(refused),
            }
        }
        Err(stop) => stop,
    };
    match stop {
        Stop::Refuse(refused) => {
            let bytes = refusal(refused.status, &refused.why);
            // What the upstream has answered is what there is to see.
            if !answered {
                lines.push(Role::Server, &bytes);
            }
            let ending = Ending::Failed(refused.why.into_owned());
            // It counts from here on, whether or not there is time to take leave.
            lines.end(&ending);
            let _ = timeout(TAKING_LEAVE, take_leave(&mut client, &bytes)).await;
            ending
        }
        Stop::End(ending) => ending,
    }
}

/// Ends both connections as one of them has ended.
fn ended(ending: Ending, client: Stream, upstream: Stream) -> Ending {
    if !matches!(ending, Ending::Closed(_)) {
        client.reset();
        upstream.reset();
    }
    ending
}

/// Says the last word, and waits until the client has it: it may be sending, and a connection that is dropped with bytes that
/// nobody has read is reset, which takes back what was said.
async fn take_leave(client: &mut Stream, last: &[u8]) -> std::io::Result<()> {
    client.write_all(last).await?;
    client.shutdown().await?;
    let mut dropped = [0; 4096];
    while client.read(&mut dropped).await? > 0 {}
    Ok(())
}
