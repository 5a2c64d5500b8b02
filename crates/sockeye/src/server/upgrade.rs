//! From an HTTP request to a WebSocket, on a connection that hyper serves: by Upgrade over HTTP/1.1 (RFC 6455 §4.2), by
//! extended CONNECT over HTTP/2 (RFC 8441).

use core::fmt;
use core::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Version};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sockeye_proto::deflate::Compression;
use sockeye_proto::handshake::server::{Options, accept_connect, accept_request};
use sockeye_proto::handshake::{Agreed, OriginPolicy, Refusal};
use sockeye_proto::{Limits, Role};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tracing::{debug, field, info_span};

use super::connection::Visit;
use super::drain::Drain;
use super::drive::{HandlerResult, drive};
use super::peer::Peer;
use super::seat::Note;
use super::stream::stream;
#[cfg(feature = "http2")]
use super::version::Begun;
use crate::budget::Budget;
use crate::metrics;
use crate::tap::{Begins, Ends, Tap};
use crate::transport::Transport;
use crate::websocket::WebSocket;

/// Judges a request to open a WebSocket: by the [`Upgrader`] that a layer has put into the request's extensions, if
/// there is one, else by what its [`Server`](super::Server) was built with, elsewhere by the default one.
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
/// The hyper connection must be served `with_upgrades()`; one of HTTP/2 must `enable_connect_protocol()`, and nothing
/// else is to be done for it.
///
/// # Errors
/// The [`Refusal`], which knows the HTTP response that tells the client.
pub fn upgrade<B>(request: &mut Request<B>) -> Result<Upgrade, Refusal> {
    if let Some(upgrader) = request.extensions().get::<Upgrader>().cloned() {
        return upgrader.upgrade(request);
    }
    match request.extensions().get::<Arc<Visit>>().cloned() {
        Some(visit) => visit.server().upgrader.upgrade(request),
        None => Upgrader::default().upgrade(request),
    }
}

/// What a server decides by when it is asked for a WebSocket. The default takes pages of its own host, speaks no
/// subprotocol, and has the default [`Limits`].
#[derive(Clone, Debug, Default)]
pub struct Upgrader {
    options: Options,
    compression: Compression,
    limits: Arc<Limits>,
    budget: Option<Budget>,
    drain: Option<Drain>,
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

    /// Counts the WebSockets in, to be closed when the server stops. On a [`Server`](super::Server), and behind the
    /// layer of a [`Drain`], they are counted in by themselves.
    #[must_use]
    pub fn drain(self, drain: &Drain) -> Self {
        Self { drain: Some(drain.clone()), ..self }
    }

    /// Judges a request to open a WebSocket. What it returns still has to be answered, with
    /// [`on_upgrade`](Upgrade::on_upgrade).
    ///
    /// # Errors
    /// The [`Refusal`], which knows the HTTP response that tells the client.
    pub fn upgrade<B>(&self, request: &mut Request<B>) -> Result<Upgrade, Refusal> {
        self.judge(request).inspect_err(|refusal| {
            metrics::request_refused(refusal);
            debug!(%refusal, path = request.uri().path(), "refused a WebSocket");
        })
    }

    fn judge<B>(&self, request: &mut Request<B>) -> Result<Upgrade, Refusal> {
        let is_stream = request.version() >= Version::HTTP_2;
        let (response, agreed) = if is_stream {
            accept_connect(request, protocol(request), &self.options)?
        } else {
            accept_request(request, &self.options)?
        };
        // A connection of HTTP/2 has to know of its streams: without any it is idle.
        let is_noted = |visit: &&Arc<Visit>| visit.server().takes_note || is_stream;
        let visit = request.extensions().get::<Arc<Visit>>().filter(is_noted).cloned();
        let drain = self.drain.as_ref().or_else(|| Some(&visit.as_ref()?.server().drain)).cloned();
        let drain = drain.or_else(|| request.extensions().get().cloned());
        if drain.as_ref().is_some_and(Drain::has_begun) {
            return Err(Refusal::Draining);
        }
        // A stream is one of many on its connection.
        let permit = match &visit {
            Some(visit) if is_stream => Some(visit.admit().map_err(|_| Refusal::Full)?),
            _ => None,
        };
        let upgraded = hyper::upgrade::on(&mut *request);
        let settings =
            Settings { compression: self.compression, limits: Arc::clone(&self.limits), budget: self.budget.clone() };
        let span = info_span!(
            "websocket",
            peer = request.extensions().get().and_then(Peer::address).map(field::display),
            path = request.uri().path(),
            version = ?request.version(),
            code = field::Empty,
        );
        let note = Note::take(span, visit, permit, drain);
        Ok(Upgrade { response, agreed, upgraded, is_stream, settings, note })
    }
}

/// The `:protocol` of an extended CONNECT.
#[cfg(feature = "http2")]
fn protocol<B>(request: &Request<B>) -> Option<&str> {
    request.extensions().get().map(hyper::ext::Protocol::as_str)
}

#[cfg(not(feature = "http2"))]
fn protocol<B>(_: &Request<B>) -> Option<&str> {
    None
}

/// What a connection goes by.
struct Settings {
    compression: Compression,
    limits: Arc<Limits>,
    budget: Option<Budget>,
}

/// A request that will be a WebSocket once its response is sent.
#[must_use = "the client waits for the response that `on_upgrade` returns"]
pub struct Upgrade {
    response: Response<()>,
    agreed: Agreed,
    upgraded: OnUpgrade,
    /// It will be a stream of HTTP/2.
    is_stream: bool,
    settings: Settings,
    note: Option<Box<Note>>,
}

impl Upgrade {
    /// The subprotocol that was chosen.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.agreed.subprotocol.as_deref()
    }

    /// Has what goes over the WebSocket copied to a watch, from its first frame on: the handshake is over by then, and hyper
    /// has read it. What was agreed on of permessage-deflate is said in the place of what `ends` says on where it begins.
    /// It may be watched by several.
    ///
    /// ```
    /// use sockeye::tap::{Ends, Tap};
    /// use sockeye::{Body, Request, Response, WebSocket};
    ///
    /// fn chat(mut request: Request, tap: &Tap) -> Response {
    ///     match sockeye::upgrade(&mut request) {
    ///         Ok(upgrade) => {
    ///             let ends = Ends { target: Some(request.uri().to_string()), ..Ends::default() };
    ///             upgrade.watched(tap, ends).on_upgrade(async |ws: WebSocket| Ok(ws.send("hello").await?))
    ///         }
    ///         Err(refusal) => refusal.response(),
    ///     }
    /// }
    /// ```
    pub fn watched(mut self, tap: &Tap, ends: Ends) -> Self {
        let begins = Begins::Frames(self.agreed.compression);
        self.note.get_or_insert_with(Note::empty).watch(tap.clone(), Ends { begins, ..ends });
        self
    }

    /// Returns the response to answer with, which is `101 Switching Protocols`, or over HTTP/2 `200 OK`, and runs the
    /// handler in a task of its own once that is sent.
    ///
    /// When the handler ends the connection closes: with 1000 after `Ok`, with 1011 and a line in the log after an
    /// error or a panic. A handler that gives its WebSocket away leaves closing it to the new owner.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn on_upgrade<B, H, F>(self, handler: H) -> Response<B>
    where
        B: Default,
        H: FnOnce(WebSocket) -> F + Send + 'static,
        F: Future<Output = HandlerResult> + Send + 'static,
    {
        let Self { response, agreed, upgraded, is_stream, settings, mut note } = self;
        if let Some(note) = &mut note {
            note.enter();
        }
        tokio::spawn(async move {
            match upgraded.await {
                Ok(upgraded) => {
                    let (transport, early) =
                        if is_stream { (stream(upgraded), Bytes::new()) } else { upgraded_transport(upgraded) };
                    let transport = match &mut note {
                        Some(note) => note.tapped(transport, &early),
                        None => transport,
                    };
                    let along = note.map(|note| note.sit(is_stream, early.len()));
                    let transport = match &along {
                        Some(along) => transport.seated(Arc::clone(along.seat())),
                        None => transport,
                    };
                    let Settings { compression, limits, budget } = settings;
                    let ws = WebSocket::opened((transport, early), Role::Server, limits, budget, &compression, agreed);
                    if let Some(along) = &along {
                        along.is(&ws);
                    }
                    // In a task of its own: this one holds on to all that opening took.
                    tokio::spawn(drive(ws, handler, along));
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
    let upgraded = match take_back::<TcpStream>(upgraded) {
        Ok((stream, early)) => return (Transport::Tcp(stream), early),
        Err(upgraded) => upgraded,
    };
    #[cfg(feature = "tls")]
    let upgraded = match crate::tls::take_back(upgraded) {
        Ok(taken) => return taken,
        Err(upgraded) => upgraded,
    };
    (Transport::of(TokioIo::new(upgraded)), Bytes::new())
}

/// Takes a stream of this type back, also from where its first bytes were looked at for the version of HTTP: by us, or by
/// hyper-util, which axum uses.
pub(crate) fn take_back<S>(upgraded: Upgraded) -> Result<(S, Bytes), Upgraded>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    #[cfg(feature = "http2")]
    let upgraded = match upgraded.downcast::<TokioIo<Begun<S>>>() {
        Ok(parts) => {
            let (stream, rest) = parts.io.into_inner().into_parts();
            let early = if rest.is_empty() { parts.read_buf } else { [parts.read_buf, rest].concat().into() };
            return Ok((stream, early));
        }
        Err(upgraded) => upgraded,
    };
    let upgraded = match upgraded.downcast::<TokioIo<S>>() {
        Ok(parts) => return Ok((parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    #[cfg(feature = "http2")]
    let upgraded = match hyper_util::server::conn::auto::upgrade::downcast::<TokioIo<S>>(upgraded) {
        Ok(parts) => return Ok((parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    Err(upgraded)
}
