//! `Server`: what all connections of a server have in common, and the ways to serve them.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use std::io;
use std::sync::Arc;
#[cfg(feature = "tls")]
use std::sync::{PoisonError, RwLock};

#[cfg(feature = "tls")]
use tokio_rustls::rustls::ServerConfig;

use super::accept;
use super::admission::Admission;
use super::body::{Request, Response};
use super::builder::ServerBuilder;
use super::drain::Drain;
use super::drive::HandlerResult;
use super::listener::Listener;
use super::upgrade::{Upgrader, upgrade};
#[cfg(feature = "tls")]
use crate::tls;
use crate::websocket::WebSocket;

/// A server of WebSockets, and of ordinary HTTP beside them: its limits, its certificate, its end. Clones are the same
/// server, which may serve several listeners.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use std::time::Duration;
///
/// use sockeye::{Server, WebSocket};
///
/// let server = Server::builder().max_connections(10_000).max_connections_per_address(100).build();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// tokio::spawn(server.serve(listener, |mut ws: WebSocket| async move {
///     while let Some(message) = ws.recv().await? {
///         ws.send(message).await?;
///     }
///     Ok(())
/// }));
///
/// // … and when it is time to stop:
/// let left = server.drain().begin().spread(Duration::from_secs(30)).await;
/// # Ok(()) }
/// ```
///
/// | to serve | call |
/// |---|---|
/// | WebSockets and nothing else | [`serve`](Self::serve) |
/// | the same, each of which is asked about before it is opened | [`admit`](Self::admit) |
/// | WebSockets, pages, whatever, by path | [`answer`](Self::answer) |
///
/// HTTP/1.1 and, with the feature `http2`, HTTP/2 are spoken on the same port: over TLS by what the client chooses,
/// without TLS to those who begin with HTTP/2 (RFC 9113 §3.3).
///
/// A connection whose peer is to do something has until a deadline that no trickle of bytes puts off:
/// [`Limits::opening`](crate::Limits::opening) from being accepted to the end of the opening handshake, TLS and all,
/// and [`ServerBuilder::idle`] between one request and the next.
///
/// # Numbers
/// With the feature `metrics` it counts through the facade of that name; a recorder has to be installed before it is
/// built.
///
/// | name | labels | what |
/// |---|---|---|
/// | `sockeye_connections_open` | | as [`connections`](Self::connections) counts them |
/// | `sockeye_connections_refused_total` | `reason`: `address`, `full` | one address's limit; how often accepting stopped |
/// | `sockeye_handshakes_failed_total` | `reason`: `tls`, `http`, `late` | ended before any request could be answered, and not by a drain |
/// | `sockeye_requests_refused_total` | `reason` | requests for a WebSocket that were refused, by [`Refusal`](crate::Refusal) |
/// | `sockeye_websockets_opened_total` | `http`: `1.1`, `2` | |
/// | `sockeye_websockets_open` | | |
/// | `sockeye_websockets_closed_total` | `code` | by the code of the Close frame that began it; 1006 without one |
/// | `sockeye_received_bytes_total`, `sockeye_sent_bytes_total` | | of WebSockets, frames' headers included, without TLS |
#[derive(Clone)]
pub struct Server(Arc<Inner>);

pub(super) struct Inner {
    pub(super) upgrader: Upgrader,
    pub(super) admission: Arc<Admission>,
    pub(super) drain: Drain,
    /// Whether it takes note of each WebSocket: for limits or for a drain.
    pub(super) takes_note: bool,
    pub(super) idle: Duration,
    #[cfg_attr(not(feature = "http2"), expect(dead_code, reason = "HTTP/1.1 has none"))]
    pub(super) streams: u32,
    #[cfg(feature = "tls")]
    pub(super) tls: RwLock<Option<Arc<ServerConfig>>>,
}

/// What answers a request.
pub(super) type Answer = Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Response> + Send>> + Send + Sync>;

impl Inner {
    #[cfg(feature = "tls")]
    pub(super) fn tls_config(&self) -> Option<Arc<ServerConfig>> {
        self.tls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Server {
    /// A server about to be: everything has a default, which is safe.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    pub(super) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Serves WebSockets on a listener: the handler is called for each, in a task of its own. What is no request for a
    /// WebSocket is refused with the HTTP status for it.
    ///
    /// When a handler ends its connection closes: with 1000 after `Ok`, with 1011 and a line in the log after an error
    /// or a panic.
    ///
    /// # Errors
    /// One of the listener that no waiting mends, such as that it was closed. A connection that cannot be accepted is
    /// logged, and the next one waited for. `Ok` once the server [drains](Self::drain); connections may be open still.
    ///
    /// # Cancel safety
    /// Dropping the future stops accepting; connections that are open go on.
    pub fn serve<L, H, F>(
        &self,
        listener: L,
        handler: H,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static + use<L, H, F>
    where
        L: Listener,
        H: FnOnce(WebSocket) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = HandlerResult> + Send + 'static,
    {
        self.answer(listener, move |mut request| {
            core::future::ready(match upgrade(&mut request) {
                Ok(upgrade) => upgrade.on_upgrade(handler.clone()),
                Err(refusal) => refusal.response(),
            })
        })
    }

    /// Serves WebSockets, and asks about each before it is opened, with the request in hand: whether there is a session
    /// to its cookie, say. What is returned is the handler, which may take along what was found out, or the response
    /// that refuses.
    ///
    /// ```no_run
    /// # async fn session(_: Option<&http::HeaderValue>) -> Option<String> { None }
    /// # async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// use http::{StatusCode, header};
    /// use sockeye::{Body, Request, Response, Server, WebSocket};
    ///
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    /// let server = Server::builder().build();
    /// server
    ///     .admit(listener, async |request: Request| {
    ///         let Some(user) = session(request.headers().get(header::COOKIE)).await else {
    ///             let mut refusal = Response::new(Body::from("log in first\n"));
    ///             *refusal.status_mut() = StatusCode::UNAUTHORIZED;
    ///             return Err(refusal);
    ///         };
    ///         let path = request.uri().path().to_owned();
    ///         Ok(async move |ws: WebSocket| Ok(ws.send(format!("hello {user}, this is {path}")).await?))
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// Only requests that may become a WebSocket get this far: origin and handshake are judged before. The deadline of
    /// the opening handshake runs on meanwhile; when it has passed the future is dropped.
    ///
    /// # Errors
    /// As for [`serve`](Self::serve).
    ///
    /// # Cancel safety
    /// As for [`serve`](Self::serve).
    pub fn admit<L, A, R, H, F>(
        &self,
        listener: L,
        admit: A,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static + use<L, A, R, H, F>
    where
        L: Listener,
        A: Fn(Request) -> R + Send + Sync + 'static,
        R: Future<Output = Result<H, Response>> + Send + 'static,
        H: FnOnce(WebSocket) -> F + Send + 'static,
        F: Future<Output = HandlerResult> + Send + 'static,
    {
        let admit = Arc::new(admit);
        self.answer(listener, move |mut request| {
            let admit = Arc::clone(&admit);
            async move {
                match upgrade(&mut request) {
                    Ok(upgrade) => match admit(request).await {
                        Ok(handler) => upgrade.on_upgrade(handler),
                        Err(response) => response,
                    },
                    Err(refusal) => refusal.response(),
                }
            }
        })
    }

    /// Serves HTTP on a listener: each request is answered by a function, in which [`sockeye::upgrade`](crate::upgrade)
    /// makes WebSockets of those that are for one, by what this server was [built](ServerBuilder) with.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// use http::StatusCode;
    /// use sockeye::{Body, Request, Response, Server, WebSocket};
    ///
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    /// let server = Server::builder().build();
    /// server
    ///     .answer(listener, async |mut request: Request| match request.uri().path() {
    ///         "/" => Response::new(Body::from("A WebSocket is at /chat.\n")),
    ///         "/chat" => match sockeye::upgrade(&mut request) {
    ///             Ok(upgrade) => upgrade.on_upgrade(async |ws: WebSocket| Ok(ws.send("hello").await?)),
    ///             Err(refusal) => refusal.response(),
    ///         },
    ///         _ => {
    ///             let mut response = Response::new(Body::from("there is nothing here\n"));
    ///             *response.status_mut() = StatusCode::NOT_FOUND;
    ///             response
    ///         }
    ///     })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`serve`](Self::serve).
    ///
    /// # Cancel safety
    /// As for [`serve`](Self::serve).
    pub fn answer<L, A, F>(
        &self,
        listener: L,
        answer: A,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static + use<L, A, F>
    where
        L: Listener,
        A: Fn(Request) -> F + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        accept::run(Arc::clone(&self.0), listener, Arc::new(move |request| Box::pin(answer(request))))
    }

    /// What ends it: stops accepting, and closes what is open over a time.
    #[must_use]
    pub fn drain(&self) -> &Drain {
        &self.0.drain
    }

    /// How many connections are open: those that are accepted, and each WebSocket on a stream of HTTP/2 besides.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.admission.open()
    }

    /// Goes by another certificate and configuration from the next connection on: after a renewal, say. Those that are
    /// open are not touched.
    #[cfg(feature = "tls")]
    pub fn set_tls(&self, config: Arc<ServerConfig>) {
        *self.0.tls.write().unwrap_or_else(PoisonError::into_inner) = Some(tls::server_config(config));
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { admission, drain, .. } = &*self.0;
        f.debug_struct("Server").field("admission", admission).field("drain", drain).finish_non_exhaustive()
    }
}
