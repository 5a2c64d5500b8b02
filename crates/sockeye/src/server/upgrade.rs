//! From an HTTP request to a WebSocket (RFC 6455 §4.2), on a connection that hyper serves.

use core::fmt;
use core::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sockeye_proto::deflate::Compression;
use sockeye_proto::handshake::server::{Options, accept_request};
use sockeye_proto::handshake::{Agreed, OriginPolicy, Refusal};
use sockeye_proto::{Limits, Role};
use tokio::net::TcpStream;
use tracing::debug;

use super::drive::{HandlerResult, drive};
use crate::budget::Budget;
use crate::transport::Transport;
use crate::websocket::WebSocket;

/// Judges a request to open a WebSocket, by the default [`Upgrader`].
///
/// ```
/// use http_body_util::Full;
/// use hyper::body::{Bytes, Incoming};
/// use hyper::{Request, Response};
/// use sockeye::WebSocket;
///
/// async fn service(mut request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
///     Ok(match sockeye::upgrade(&mut request) {
///         Ok(upgrade) => upgrade.on_upgrade(|mut ws: WebSocket| async move {
///             while let Some(message) = ws.recv().await? {
///                 ws.send(message).await?;
///             }
///             Ok(())
///         }),
///         Err(refusal) => refusal.response(),
///     })
/// }
/// ```
///
/// The hyper connection must be served `with_upgrades()`.
///
/// # Errors
/// The [`Refusal`], which knows the HTTP response that tells the client.
pub fn upgrade<B>(request: &mut Request<B>) -> Result<Upgrade, Refusal> {
    Upgrader::default().upgrade(request)
}

/// What a server decides by when it is asked for a WebSocket. The default takes pages of its own host, speaks no
/// subprotocol, and has the default [`Limits`].
#[derive(Clone, Debug, Default)]
pub struct Upgrader {
    options: Options,
    compression: Compression,
    limits: Arc<Limits>,
    budget: Option<Budget>,
}

impl Upgrader {
    /// Which pages may connect.
    #[must_use]
    pub fn origin(self, origin: OriginPolicy) -> Self {
        Self { options: self.options.origin(origin), ..self }
    }

    /// The subprotocols this server speaks, the ones it likes best first.
    #[must_use]
    pub fn subprotocols<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self { options: self.options.subprotocols(names), ..self }
    }

    /// Whether to compress messages where the client offers it (RFC 7692); off unless set.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        Self { options: self.options.compression(compression), compression, ..self }
    }

    /// The limits on each connection.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits: limits.into(), ..self }
    }

    pub(super) fn limits_kept(&self) -> &Limits {
        &self.limits
    }

    /// A bound on what all connections that share it hold, besides the limits on each; none unless set.
    #[must_use]
    pub fn budget(self, budget: &Budget) -> Self {
        Self { budget: Some(budget.clone()), ..self }
    }

    /// Judges a request to open a WebSocket. What it returns still has to be answered, with
    /// [`on_upgrade`](Upgrade::on_upgrade).
    ///
    /// # Errors
    /// The [`Refusal`], which knows the HTTP response that tells the client.
    pub fn upgrade<B>(&self, request: &mut Request<B>) -> Result<Upgrade, Refusal> {
        let (response, agreed) = accept_request(request, &self.options)?;
        let upgraded = hyper::upgrade::on(request);
        let (compression, limits, budget) = (self.compression, Arc::clone(&self.limits), self.budget.clone());
        Ok(Upgrade { response, agreed, upgraded, compression, limits, budget })
    }
}

/// A request that will be a WebSocket once its response is sent.
#[must_use = "the client waits for the response that `on_upgrade` returns"]
pub struct Upgrade {
    response: Response<()>,
    agreed: Agreed,
    upgraded: OnUpgrade,
    compression: Compression,
    limits: Arc<Limits>,
    budget: Option<Budget>,
}

impl Upgrade {
    /// The subprotocol that was chosen.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.agreed.subprotocol.as_deref()
    }

    /// Returns the `101 Switching Protocols` to answer with, and runs the handler in a task of its own once that is sent.
    ///
    /// When the handler ends the connection closes: with 1000 after `Ok`, with 1011 and a line in the log after an error
    /// or a panic. A handler that gives its WebSocket away leaves closing it to the new owner.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn on_upgrade<B, H, F>(self, handler: H) -> Response<B>
    where
        B: Default,
        H: FnOnce(WebSocket) -> F + Send + 'static,
        F: Future<Output = HandlerResult> + Send + 'static,
    {
        let Self { response, agreed, upgraded, compression, limits, budget } = self;
        tokio::spawn(async move {
            match upgraded.await {
                Ok(upgraded) => {
                    let transport = upgraded_transport(upgraded);
                    let ws = WebSocket::opened(transport, Role::Server, limits, budget, &compression, agreed);
                    // In a task of its own: this one holds on to all that opening took.
                    tokio::spawn(drive(ws, handler));
                }
                Err(error) => debug!(%error, "the client left during the opening handshake"),
            }
        });
        response.map(|()| B::default())
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("response", &self.response).finish_non_exhaustive()
    }
}

/// Takes the stream back from hyper, with the bytes it had already read. A plain TCP stream comes back as such, one of
/// tokio-rustls over TCP in no more than one box.
pub(crate) fn upgraded_transport(upgraded: Upgraded) -> (Transport, Bytes) {
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return (Transport::Tcp(parts.io.into_inner()), parts.read_buf),
        Err(upgraded) => upgraded,
    };
    #[cfg(feature = "tls")]
    let upgraded = match crate::tls::take_back(upgraded) {
        Ok(taken) => return taken,
        Err(upgraded) => upgraded,
    };
    (Transport::of(TokioIo::new(upgraded)), Bytes::new())
}
