//! One connection while it speaks HTTP: TLS, its requests, and what each of them carries along.

use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::net::SocketAddr;
use core::pin::pin;
use core::task::Poll;
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderValue, Method, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use sockeye_proto::handshake::contains_token;
use tokio::io::{AsyncRead, AsyncWrite};
#[cfg(feature = "tls")]
use tokio_rustls::rustls::ServerConfig;
use tracing::debug;

use super::admission::{Permit, Refused};
use super::body::{Body, Outgoing, Request, Response};
#[cfg(any(feature = "tls", feature = "http2"))]
use super::drain::Drain;
use super::drain::Phase;
use super::handle::{Answer, Inner};
use super::http as versions;
use super::pace::{Exchange, Pace};
use super::peer::Peer;
#[cfg(feature = "http2")]
use super::version;
use crate::metrics;
#[cfg(feature = "tls")]
use crate::tls;

/// A connection as its requests know it.
pub(super) struct Connection {
    server: Arc<Inner>,
    peer: Peer,
    pace: Arc<Pace>,
    /// Its place among all connections, which goes to the WebSocket that it becomes.
    permit: Mutex<Option<Permit>>,
}

/// What goes along with a request, from its arrival to the WebSocket that may come of it.
pub(super) struct Visit {
    connection: Arc<Connection>,
    exchange: Mutex<Option<Exchange>>,
}

impl Visit {
    pub(super) fn server(&self) -> &Arc<Inner> {
        &self.connection.server
    }

    /// A place for a WebSocket beside the connection's own.
    pub(super) fn admit(&self) -> Result<Permit, Refused> {
        self.server().admission.admit(self.connection.peer.address())
    }

    /// The connection's own place, for the WebSocket that takes all of it.
    pub(super) fn take_permit(&self) -> Option<Permit> {
        take(&self.connection.permit)
    }

    /// What keeps a connection of many streams from being idle.
    pub(super) fn take_exchange(&self) -> Option<Exchange> {
        take(&self.exchange)
    }
}

fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A connection from its first byte to its end, or to the WebSocket that it becomes.
pub(super) async fn serve<S>(stream: S, address: Option<SocketAddr>, permit: Permit, server: Arc<Inner>, answer: Answer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _counted = server.drain.count();
    let pace = Pace::new(server.upgrader.limits_kept().opening_time(), server.idle);
    let peer = Peer::new(address);
    let permit = Mutex::new(Some(permit));
    let connection = Connection { server, peer, pace, permit };
    #[cfg(feature = "tls")]
    if let Some(config) = connection.server.tls_config() {
        // In a box: the task of a connection without TLS would be twice as large, and is moved about.
        return Box::pin(secured(stream, config, connection, answer)).await;
    }
    http(stream, connection, answer).await;
}

/// The same behind a TLS handshake.
#[cfg(feature = "tls")]
async fn secured<S>(stream: S, config: Arc<ServerConfig>, connection: Connection, answer: Answer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shaken = {
        let shaken = pin!(tls::accept(stream, config));
        unless(&connection.pace, &connection.server.drain, shaken).await
    };
    match shaken {
        Some(Ok(stream)) => {
            let peer = connection.peer.with_tls(stream.get_ref().1);
            http(stream, Connection { peer, ..connection }, answer).await;
        }
        Some(Err(error)) => {
            metrics::handshake_failed("tls");
            debug!(%error, "a TLS handshake failed");
        }
        None => cut_off(&connection),
    }
}

/// Does something that nobody waits for who has been promised anything: not past the deadline, nor once the server
/// stops.
#[cfg(any(feature = "tls", feature = "http2"))]
async fn unless<T>(pace: &Pace, drain: &Drain, future: impl Future<Output = T> + Unpin) -> Option<T> {
    let (mut future, mut passed, mut draining) = (future, pin!(pace.passed()), pin!(drain.phase(Phase::Draining)));
    poll_fn(|cx| match pin!(&mut future).poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if passed.as_mut().poll(cx).is_ready() || draining.as_mut().poll(cx).is_ready() => {
            Poll::Ready(None)
        }
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// The HTTP of a connection, which hyper speaks.
async fn http<S>(stream: S, connection: Connection, answer: Answer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    #[cfg(feature = "http2")]
    let (version, stream) = {
        let read = pin!(version::read(stream));
        match unless(&connection.pace, &connection.server.drain, read).await {
            Some(Ok(begun)) => begun,
            Some(Err(error)) => {
                metrics::handshake_failed("http");
                debug!(%error, "a connection ended with an error");
                return;
            }
            None => return cut_off(&connection),
        }
    };
    let connection = Arc::new(connection);
    let service = {
        let connection = Arc::clone(&connection);
        service_fn(move |request| respond(Arc::clone(&connection), Arc::clone(&answer), request))
    };
    let limits = connection.server.upgrader.limits_kept();
    #[cfg(feature = "http2")]
    if version == Version::HTTP_2 {
        let http = versions::http2(stream, limits, connection.server.streams, service);
        // In a box, too.
        return Box::pin(carry(http, &connection)).await;
    }
    carry(versions::http1(stream, limits, service), &connection).await;
}

/// Has hyper serve a connection, within its time.
async fn carry(http: impl versions::Connection, connection: &Connection) {
    let Connection { server, pace, .. } = connection;
    let mut http = pin!(http);
    let mut passed = pin!(pace.passed());
    let mut draining = pin!(server.drain.phase(Phase::Draining));
    let mut over = pin!(server.drain.phase(Phase::Over));
    let mut is_told = false;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = http.as_mut().poll(cx) {
                if let Err(error) = ended {
                    if pace.is_opening() && !is_told {
                        metrics::handshake_failed("http");
                    }
                    debug!(%error, "a connection ended with an error");
                }
                return Poll::Ready(());
            }
            let late = passed.as_mut().poll(cx).is_ready();
            if over.as_mut().poll(cx).is_ready() || (late && (is_told || !pace.is_multiplexed())) {
                cut_off(connection);
                return Poll::Ready(());
            }
            if late {
                // An idle one with streams is told first, as the peer may be about to open the next.
                passed.set(pace.passed());
                pace.extend();
            } else if is_told || draining.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            is_told = true;
            http.as_mut().graceful_shutdown();
        }
    })
    .await;
}

/// Takes note of one that was not waited for any longer.
fn cut_off(connection: &Connection) {
    if connection.pace.is_opening() && !connection.server.drain.has_begun() {
        metrics::handshake_failed("late");
    }
    debug!("a connection was cut off");
}

/// One request and its response.
async fn respond(
    connection: Arc<Connection>,
    answer: Answer,
    request: http::Request<Incoming>,
) -> Result<http::Response<Outgoing>, Infallible> {
    let mut request: Request = request.map(Body::received);
    let alone = request.version() < Version::HTTP_2;
    // Over HTTP/1.1 a WebSocket is opened within the deadline there is, whoever is slow.
    let opens = alone && contains_token(request.headers(), header::UPGRADE, "websocket");
    let connects = request.method() == Method::CONNECT;
    let begin = || connection.pace.begin(alone);
    let exchange = Mutex::new((!opens).then(begin));
    let visit = Arc::new(Visit { connection: Arc::clone(&connection), exchange });
    let limits = *connection.server.upgrader.limits_kept();
    let mut response = if versions::is_too_large(&request, &limits) {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        response
    } else {
        request.extensions_mut().insert(connection.peer.clone());
        request.extensions_mut().insert(Arc::clone(&visit));
        answer(request).await
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS || (connects && response.status().is_success()) {
        return Ok(response.map(|body| Outgoing::new(body, None)));
    }
    if opens {
        // What follows on this connection might be meant as frames.
        response.headers_mut().append(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let exchange = visit.take_exchange().unwrap_or_else(begin);
    Ok(response.map(|body| Outgoing::new(body, Some(exchange))))
}
