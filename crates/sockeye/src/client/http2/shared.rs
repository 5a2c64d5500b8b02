//! Many WebSockets on one connection.

use core::fmt;
use core::future::poll_fn;
use core::task::Poll;
use std::sync::Arc;

use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use sockeye_proto::handshake::Agreed;
use sockeye_proto::handshake::client::{Target, extended_connect};
use tokio::sync::Mutex;

use super::super::Connect;
use super::ask;
use crate::error::Error;
use crate::transport::Transport;

/// WebSockets that share HTTP/2 connections with one server (RFC 8441), made by [`Connect::http2`].
///
/// The first WebSocket that is [opened](Self::open) opens a connection; further ones go over the same, each as a stream of
/// its own, as many as the server allows. A further connection is opened only where there is none, the server has ended it,
/// or it has no room. A connection ends with the last WebSocket on it and the last clone of this.
///
/// The streams do not hold each other up: of one that is not read the server can send 256 KiB, and then waits. That is what it
/// costs at most, besides its [`Limits`](crate::Limits) and 128 KiB of what is to be sent.
///
/// ```no_run
/// # async fn run() -> Result<(), sockeye::Error> {
/// let http2 = sockeye::connect("wss://example.com/").bearer_auth("token").http2();
/// let mut chat = http2.open("/chat").subprotocol("v2").await?;
/// let mut news = http2.open("/news?lang=zh").await?; // on the same connection
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Http2 {
    /// What all of them have in common.
    template: Arc<Connect>,
    connections: Arc<Mutex<Vec<Shared>>>,
}

struct Shared {
    requests: SendRequest<Bytes>,
    /// As many clones as there are WebSockets on it.
    slot: Slot,
}

/// A place on a connection.
pub(super) type Slot = Arc<()>;

impl Http2 {
    pub(in super::super) fn new(template: Connect) -> Self {
        Self { template: Arc::new(template), connections: Arc::default() }
    }

    /// Opens a WebSocket: await what this returns, or set something on it first. What was set on the [`Connect`] that this
    /// was made from holds here, too; how the server is reached stands fast.
    ///
    /// `path` is what to ask for, from its `/` on, with a query if there is one.
    pub fn open(&self, path: impl Into<String>) -> Connect {
        Connect { shared: Some((self.clone(), path.into())), ..(*self.template).clone() }
    }

    /// Where the server is.
    pub(in super::super) fn template(&self) -> &Connect {
        &self.template
    }

    /// Asks for a WebSocket, over a connection that there is or a new one.
    pub(in super::super) async fn ask(&self, connect: &Connect, target: &Target) -> Result<(Transport, Agreed), Error> {
        let request = extended_connect(target, &connect.offer, connect.headers.clone())?;
        let (requests, slot) = self.place(target).await?;
        match ask(requests, request.clone(), &connect.offer, Some(slot)).await {
            // A server that is about to end the connection has not looked at it: it may be asked anew (RFC 9113 §8.7).
            Err(error) if is_unprocessed(&error) => {
                let (requests, slot) = self.place(target).await?;
                ask(requests, request, &connect.offer, Some(slot)).await
            }
            asked => asked,
        }
    }

    /// A place on a connection. One who opens a connection is waited for by those who want a place.
    async fn place(&self, target: &Target) -> Result<(SendRequest<Bytes>, Slot), Error> {
        let mut connections = self.connections.lock().await;
        let mut kept = Vec::new();
        for mut connection in connections.drain(..) {
            // One without room whose streams are all gone will never have any.
            if connection.is_open().await && (connection.has_room() || Arc::strong_count(&connection.slot) > 1) {
                kept.push(connection);
            }
        }
        *connections = kept;
        let place = match connections.iter().position(Shared::has_room) {
            Some(place) => place,
            None => {
                let requests = self.template.http2_connection(target).await?;
                connections.push(Shared { requests, slot: Slot::default() });
                connections.len() - 1
            }
        };
        let Shared { requests, slot } = &connections[place];
        Ok((requests.clone(), Arc::clone(slot)))
    }
}

impl Shared {
    /// Whether streams can be opened on it, as far as is known.
    async fn is_open(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(!matches!(self.requests.poll_ready(cx), Poll::Ready(Err(_))))).await
    }

    fn has_room(&self) -> bool {
        Arc::strong_count(&self.slot) <= self.requests.current_max_send_streams()
    }
}

/// Whether a server has said that it has not looked at a request.
fn is_unprocessed(error: &Error) -> bool {
    let Error::Http(error) = error else {
        return false;
    };
    let error = error.downcast_ref::<h2::Error>();
    error.is_some_and(|error| {
        error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
    })
}

impl fmt::Debug for Http2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2").field("template", &self.template).finish_non_exhaustive()
    }
}
