//! hyper as we set it up: which versions of HTTP are spoken, and within which bounds.

use core::convert::Infallible;
use core::future::Future;
use core::pin::Pin;

use hyper::body::Incoming;
use hyper::server::conn::http1;
#[cfg(feature = "http2")]
use hyper::server::conn::http2;
use hyper::service::Service;
#[cfg(feature = "http2")]
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::{TokioIo, TokioTimer};
use sockeye_proto::Limits;
use tokio::io::{AsyncRead, AsyncWrite};

use super::body::{Outgoing, Request};

/// What is received of a stream before it is taken by whoever it is for: 64 KiB, which is also what the driver reads
/// ahead (and Envoy's advice for clients that are not trusted).
#[cfg(feature = "http2")]
const WINDOW: u32 = 64 << 10;

/// A buffer of hyper's is not smaller than this. A head may have to be: see [`is_too_large`].
const LEAST_BUFFER: usize = 8 << 10;

/// A connection of hyper's, which ends with the upgrade if there is one.
pub(super) trait Connection: Future<Output = hyper::Result<()>> {
    /// Answers what has been asked, and nothing else.
    fn graceful_shutdown(self: Pin<&mut Self>);
}

/// What a request is answered by.
pub(super) trait Responds:
    Service<http::Request<Incoming>, Response = http::Response<Outgoing>, Error = Infallible, Future: Send + 'static>
{
}

impl<A> Responds for A where
    A: Service<
            http::Request<Incoming>,
            Response = http::Response<Outgoing>,
            Error = Infallible,
            Future: Send + 'static,
        >
{
}

/// Serves a connection of HTTP/1.1, for as long as what it returns is polled.
pub(super) fn http1<S, A>(stream: S, limits: &Limits, service: A) -> impl Connection
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Responds,
{
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(limits.max_head().max(LEAST_BUFFER))
        .max_headers(limits.max_fields())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
}

impl<S, A> Connection for http1::UpgradeableConnection<TokioIo<S>, A>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Responds,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        Self::graceful_shutdown(self);
    }
}

/// Serves a connection of HTTP/2, for as long as what it returns is polled.
#[cfg(feature = "http2")]
pub(super) fn http2<S, A>(stream: S, limits: &Limits, streams: u32, service: A) -> impl Connection
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Responds,
{
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(streams)
        // One that nobody reads takes its own window of the connection's and no more, so that it holds up none of the
        // others.
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW.saturating_mul(streams))
        .max_send_buf_size(WINDOW as usize)
        .max_header_list_size(list_size(limits))
        .keep_alive_interval(limits.ping_interval())
        .keep_alive_timeout(limits.pong_time())
        .serve_connection(TokioIo::new(stream), service)
}

#[cfg(feature = "http2")]
impl<S, A> Connection for http2::Connection<TokioIo<S>, A, TokioExecutor>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Responds,
{
    fn graceful_shutdown(self: Pin<&mut Self>) {
        Self::graceful_shutdown(self);
    }
}

/// The bound on a list of fields as HTTP/2 counts it: 32 bytes go with each field (RFC 9113 §6.5.2).
#[cfg(feature = "http2")]
fn list_size(limits: &Limits) -> u32 {
    let bytes = limits.max_head().saturating_add(limits.max_fields().saturating_mul(32));
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Whether a request's head goes over a limit that hyper does not judge alike for both versions. It is measured as
/// HTTP/1.1 writes it.
pub(super) fn is_too_large(request: &Request, limits: &Limits) -> bool {
    let line = request.method().as_str().len() + request.uri().to_string().len() + " HTTP/1.1\r\n ".len();
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + fields.sum::<usize>() + "\r\n".len() > limits.max_head() || request.headers().len() > limits.max_fields()
}
