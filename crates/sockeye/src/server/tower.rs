//! [`Drain`] as a layer: the WebSockets opened behind it are counted in.

use core::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::drain::Drain;

/// Counts in the WebSockets that are opened by the services within.
///
/// ```no_run
/// # #[cfg(feature = "axum")]
/// # async fn run() -> std::io::Result<()> {
/// use std::time::Duration;
///
/// use axum::{Router, response::Response, routing::any};
/// use sockeye::{Drain, Upgrade, WebSocket};
///
/// async fn chat(upgrade: Upgrade) -> Response {
///     upgrade.on_upgrade(async |ws: WebSocket| Ok(ws.send("hello").await?))
/// }
///
/// let drain = Drain::new();
/// let app = Router::new().route("/chat", any(chat)).layer(drain.clone());
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// // axum's own shutdown does not wait for WebSockets over HTTP/1.1.
/// let serving = tokio::spawn(axum::serve(listener, app).with_graceful_shutdown(drain.begun()).into_future());
/// # async fn sigterm() {}
/// sigterm().await;
/// let left = drain.begin().spread(Duration::from_secs(30)).await;
/// serving.await?
/// # }
/// ```
impl<S> Layer<S> for Drain {
    type Service = WithDrain<S>;

    fn layer(&self, inner: S) -> WithDrain<S> {
        WithDrain { inner, drain: self.clone() }
    }
}

/// A service whose WebSockets are counted in a [`Drain`], which is its layer.
#[derive(Clone, Debug)]
pub struct WithDrain<S> {
    inner: S,
    drain: Drain,
}

impl<S, B> Service<Request<B>> for WithDrain<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.drain.clone());
        self.inner.call(request)
    }
}
