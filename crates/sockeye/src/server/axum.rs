//! [`Upgrade`] as an extractor of axum's.

use core::convert::Infallible;

use axum_core::body::Body;
use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::Request;
use http::request::Parts;
use sockeye_proto::handshake::Refusal;

use super::upgrade::{Upgrade, upgrade};

/// With `any`, as HTTP/1.1 asks with GET and HTTP/2 with CONNECT. It is judged by the [`Upgrader`](crate::Upgrader) in
/// the request's extensions, if there is one, else by the default one.
///
/// ```
/// use axum::{Extension, Router, response::Response, routing::any};
/// use sockeye::{Limits, Upgrade, Upgrader, WebSocket};
///
/// async fn chat(upgrade: Upgrade) -> Response {
///     upgrade.on_upgrade(async |mut ws: WebSocket| {
///         while let Some(message) = ws.recv().await? {
///             ws.send(message).await?;
///         }
///         Ok(())
///     })
/// }
///
/// let upgrader = Upgrader::default().limits(Limits::default().message(64 << 20)).subprotocols(["chat.v2"]);
/// let app: Router = Router::new().route("/chat", any(chat)).layer(Extension(upgrader));
/// ```
impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        judge(parts).map_err(Rejection)
    }
}

/// `None` for a request that is not for a WebSocket, or not for one that may be opened.
impl<S: Sync> OptionalFromRequestParts<S> for Upgrade {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(judge(parts).ok())
    }
}

fn judge(parts: &mut Parts) -> Result<Upgrade, Refusal> {
    let (empty, ()) = Request::new(()).into_parts();
    let mut request = Request::from_parts(core::mem::replace(parts, empty), ());
    let judged = upgrade(&mut request);
    (*parts, ()) = request.into_parts();
    judged
}

/// A [`Refusal`] as axum answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection(Refusal);

impl Rejection {
    /// Why there is no WebSocket.
    #[must_use]
    pub const fn refusal(&self) -> &Refusal {
        &self.0
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.0.response::<Body>()
    }
}

impl core::fmt::Display for Rejection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for Rejection {}
