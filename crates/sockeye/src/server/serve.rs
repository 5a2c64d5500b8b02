//! `serve`: a port where every connection is a WebSocket.

use core::convert::Infallible;
use core::future::{Future, IntoFuture};
use core::pin::Pin;
use core::time::Duration;
use std::io;
#[cfg(feature = "tls")]
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
#[cfg(feature = "tls")]
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::rustls::ServerConfig;
use tracing::{debug, warn};

use super::Upgrader;
use super::drive::HandlerResult;
#[cfg(feature = "tls")]
use crate::tls;
use crate::websocket::WebSocket;

/// Serves WebSockets on a listener: await what this returns, or set something on it first.
///
/// The handler is called for each connection and runs in a task of its own. When it ends the connection closes: with
/// 1000 after `Ok`, with 1011 and a line in the log after an error or a panic. Whatever is no request for a WebSocket is
/// refused with the HTTP status for it.
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
/// # Errors
/// Does not end by itself: a connection that cannot be accepted is logged, and the next one waited for. An error is one
/// that no waiting mends, such as a listener that was closed.
///
/// # Cancel safety
/// Dropping the future stops accepting; connections that are open go on.
pub fn serve<H, F>(listener: TcpListener, handler: H) -> Serve<H>
where
    H: FnOnce(WebSocket) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = HandlerResult> + Send + 'static,
{
    Serve {
        listener,
        handler,
        upgrader: Upgrader::default(),
        #[cfg(feature = "tls")]
        tls: None,
    }
}

/// A server about to run, from [`serve`]. Awaiting it runs it.
#[derive(Debug)]
#[must_use = "nothing is served until it is awaited"]
pub struct Serve<H> {
    listener: TcpListener,
    handler: H,
    upgrader: Upgrader,
    #[cfg(feature = "tls")]
    tls: Option<Arc<ServerConfig>>,
}

impl<H> Serve<H> {
    /// What is decided by when a client connects: origins, subprotocols, limits.
    pub fn upgrader(self, upgrader: Upgrader) -> Self {
        Self { upgrader, ..self }
    }

    /// Serves `wss:` by this certificate and configuration; nothing else is answered on the port then. Where the
    /// configuration names no protocol for ALPN, that is HTTP/1.1.
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
        Self { tls: Some(tls::server_config(config)), ..self }
    }
}

impl<H, F> Serve<H>
where
    H: FnOnce(WebSocket) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = HandlerResult> + Send + 'static,
{
    async fn run(self) -> io::Result<()> {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    // Fails only on a socket that has ended, as reading from it will.
                    let _ = stream.set_nodelay(true);
                    let (handler, upgrader) = (self.handler.clone(), self.upgrader.clone());
                    let time = upgrader.limits_kept().opening_time();
                    #[cfg(feature = "tls")]
                    if let Some(config) = &self.tls {
                        tokio::spawn(in_time(time, open_tls(stream, Arc::clone(config), handler, upgrader)));
                        continue;
                    }
                    tokio::spawn(in_time(time, open(stream, handler, upgrader)));
                }
                Err(error) if is_the_listener_s(&error) => return Err(error),
                Err(error) if is_the_connection_s(&error) => debug!(%error, "a client left before it was accepted"),
                Err(error) => {
                    // No descriptors, no memory: others have to end first, and trying at once would only burn the
                    // processor. Or the network, whose errors accept(2) passes on.
                    warn!(%error, "cannot accept connections for now");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl<H, F> IntoFuture for Serve<H>
where
    H: FnOnce(WebSocket) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = HandlerResult> + Send + 'static,
{
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// One deadline for all of an opening handshake: sending slowly, or not reading the response, does not extend it.
async fn in_time(time: Duration, opening: impl Future<Output = ()>) {
    if tokio::time::timeout(time, opening).await.is_err() {
        debug!("an opening handshake took too long");
    }
}

/// The opening handshake on a port with TLS.
#[cfg(feature = "tls")]
async fn open_tls<H, F>(stream: TcpStream, config: Arc<ServerConfig>, handler: H, upgrader: Upgrader)
where
    H: FnOnce(WebSocket) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = HandlerResult> + Send + 'static,
{
    match tls::accept(stream, config).await {
        Ok(stream) => open(stream, handler, upgrader).await,
        Err(error) => debug!(%error, "a TLS handshake failed"),
    }
}

/// The opening handshake, of which hyper does the HTTP. It ends with the response; the WebSocket has a task of its own.
async fn open<S, H, F>(stream: S, handler: H, upgrader: Upgrader)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: FnOnce(WebSocket) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = HandlerResult> + Send + 'static,
{
    let limits = *upgrader.limits_kept();
    let service = service_fn(|mut request: Request<Incoming>| {
        let response: Response<Full<Bytes>> = match upgrader.upgrade(&mut request) {
            Ok(upgrade) => upgrade.on_upgrade(handler.clone()),
            Err(refusal) => refusal.response(),
        };
        core::future::ready(Ok::<_, Infallible>(response))
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.opening_time())
        .max_buf_size(limits.max_head())
        .max_headers(limits.max_fields())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        debug!(%error, "an opening handshake failed");
    }
}

/// Whether accepting failed because of the one connection that was to be accepted.
fn is_the_connection_s(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Whether accepting can never succeed again: the listener is none, or no longer.
fn is_the_listener_s(error: &io::Error) -> bool {
    // EBADF, EINVAL, ENOTSOCK on Linux, where `ErrorKind` has no names for the first and the last.
    const GONE: [i32; 3] = [9, 22, 88];
    error.raw_os_error().is_some_and(|code| GONE.contains(&code))
}
