//! `serve`: a port where every connection is a WebSocket, in one call.

use core::future::{Future, IntoFuture};
use core::pin::Pin;
use std::io;
#[cfg(feature = "tls")]
use std::sync::Arc;

use tokio::net::TcpListener;
#[cfg(feature = "tls")]
use tokio_rustls::rustls::ServerConfig;

use super::drive::HandlerResult;
use super::listener::Listener;
use super::upgrade::Upgrader;
use super::{Server, ServerBuilder};
use crate::websocket::WebSocket;

/// Serves WebSockets on a listener: await what this returns, or set something on it first.
///
/// The handler is called for each connection and runs in a task of its own. When it ends the connection closes: with
/// 1000 after `Ok`, with 1011 and a line in the log after an error or a panic. Whatever is no request for a WebSocket
/// is refused with the HTTP status for it.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use sockeye::{Limits, Upgrader, WebSocket};
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// sockeye::serve(listener, |mut ws: WebSocket| async move {
///     while let Some(message) = ws.recv().await? {
///         ws.send(message).await?;
///     }
///     Ok(())
/// })
/// .upgrader(Upgrader::default().limits(Limits::default().message(64 << 20)))
/// .await?;
/// # Ok(()) }
/// ```
///
/// It is short for a [`Server`] with defaults. That one has limits on connections, ends in good order, and serves more
/// than WebSockets.
///
/// # Errors
/// Does not end by itself: a connection that cannot be accepted is logged, and the next one waited for. An error is one
/// that no waiting mends, such as a listener that was closed.
///
/// # Cancel safety
/// Dropping the future stops accepting; connections that are open go on.
pub fn serve<L, H, F>(listener: L, handler: H) -> Serve<H, L>
where
    L: Listener,
    H: FnOnce(WebSocket) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = HandlerResult> + Send + 'static,
{
    Serve { listener, handler, builder: Server::builder() }
}

/// A server about to run, from [`serve`]. Awaiting it runs it.
#[derive(Debug)]
#[must_use = "nothing is served until it is awaited"]
pub struct Serve<H, L = TcpListener> {
    listener: L,
    handler: H,
    builder: ServerBuilder,
}

impl<H, L> Serve<H, L> {
    /// What is decided by when a client connects: origins, subprotocols, limits.
    pub fn upgrader(self, upgrader: Upgrader) -> Self {
        Self { builder: self.builder.upgrader(upgrader), ..self }
    }

    /// Serves `wss:` by this certificate and configuration; nothing else is answered on the port then. Where the
    /// configuration names no protocol for ALPN, those are HTTP/2 (with the feature `http2`) and HTTP/1.1.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// use std::sync::Arc;
    ///
    /// use sockeye::WebSocket;
    /// use sockeye::rustls::ServerConfig;
    /// use sockeye::rustls::pki_types::pem::PemObject;
    /// use sockeye::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    ///
    /// let chain = CertificateDer::pem_file_iter("cert.pem")?.collect::<Result<_, _>>()?;
    /// let key = PrivateKeyDer::from_pem_file("key.pem")?;
    /// let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8443").await?;
    /// sockeye::serve(listener, |mut ws: WebSocket| async move { Ok(ws.send("hello").await?) })
    ///     .tls(Arc::new(config))
    ///     .await?;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(self, config: Arc<ServerConfig>) -> Self {
        Self { builder: self.builder.tls(config), ..self }
    }
}

impl<H, L, F> IntoFuture for Serve<H, L>
where
    L: Listener,
    H: FnOnce(WebSocket) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = HandlerResult> + Send + 'static,
{
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        // Nobody has a handle to this server, so nobody asks what is open.
        Box::pin(self.builder.make(false).serve(self.listener, self.handler))
    }
}
