//! `connect`: from a URL to a WebSocket (RFC 6455 §4.1).

mod builder;
mod opening;
#[cfg(unix)]
mod unix;
mod dial;
mod addresses;
#[cfg(feature = "proxy")]
mod proxy;
mod version;
mod http1;
#[cfg(feature = "http2")]
mod http2;
mod refused;

pub use builder::Connect;
#[cfg(feature = "http2")]
pub use http2::Http2;
#[cfg(feature = "http2")]
pub use version::HttpVersion;

/// Opens a WebSocket: await what this returns, or set something on it first.
///
/// ```no_run
/// # async fn run() -> Result<(), sockeye::Error> {
/// use sockeye::Limits;
///
/// let mut ws = sockeye::connect("ws://127.0.0.1:8080/chat")
///     .subprotocol("chat.v2")
///     .bearer_auth("token")
///     .limits(Limits::default().message(64 << 20))
///     .await?;
/// # Ok(()) }
/// ```
///
/// * `wss:` URLs are opened over TLS, by the root certificates of the system (or those that `SSL_CERT_FILE` and
///   `SSL_CERT_DIR` name) unless `.tls(config)` sets others. Without the feature `tls` they are refused.
/// * A user name and password in the URL, `ws://user:password@host/`, are what [`Connect::basic_auth`] sends.
/// * `ws+unix:/run/app.sock:/chat` is a Unix socket and what to ask for over it; [`Connect::unix`] is the longer form.
/// * Of a host with several addresses all are tried, each a quarter of a second after the one before (RFC 8305).
///
/// # Errors
/// * [`Error::Handshake`](crate::Error::Handshake) for a URL, header or subprotocol that cannot be sent (nothing is), and for
///   an answer that is not the one to our request;
/// * [`Error::Refused`](crate::Error::Refused) with the server's answer, if that opens no WebSocket;
/// * [`Error::Tls`](crate::Error::Tls) for a server that is not trusted or speaks no TLS;
/// * [`Error::Io`](crate::Error::Io) without a connection;
/// * [`Error::Timeout`](crate::Error::Timeout) after 10 s in all.
///
/// # Cancel safety
/// Dropping the future ends the attempt and its connection.
pub fn connect(url: impl Into<String>) -> Connect {
    Connect::new(url.into())
}
