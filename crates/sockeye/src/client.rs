//! `connect`: from a URL to a WebSocket (RFC 6455 §4.1).

use core::future::{Future, IntoFuture};
use core::pin::Pin;
use core::time::Duration;
#[cfg(feature = "tls")]
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sockeye_proto::deflate::Compression;
use sockeye_proto::handshake::client::{Offer, Target, request, verify};
use sockeye_proto::handshake::{HandshakeError, Key};
use sockeye_proto::{Limits, Role};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::rustls::ClientConfig;

use crate::budget::Budget;
#[cfg(not(feature = "tls"))]
use crate::error::TlsError;
use crate::error::{Error, Phase};
use crate::random;
use crate::server::upgraded_transport;
#[cfg(feature = "tls")]
use crate::tls;
use crate::websocket::WebSocket;

/// Opens a WebSocket: await what this returns, or set something on it first.
///
/// ```no_run
/// # async fn run() -> Result<(), sockeye::Error> {
/// use sockeye::Limits;
///
/// let mut ws = sockeye::connect("ws://127.0.0.1:8080/chat")
///     .subprotocol("chat.v2")
///     .header("Authorization", "Bearer …")
///     .limits(Limits::default().message(64 << 20))
///     .await?;
/// # Ok(()) }
/// ```
///
/// `wss:` URLs are opened over TLS, by the root certificates of the system (or those that `SSL_CERT_FILE` and
/// `SSL_CERT_DIR` name) unless `.tls(config)` sets others. Without the feature `tls` they are refused.
///
/// # Errors
/// [`Error::Handshake`] for a URL, header or subprotocol that cannot be sent (nothing is), and for an answer that opens
/// no WebSocket; [`Error::Tls`] for a server that is not trusted or speaks no TLS; [`Error::Io`] without a connection;
/// [`Error::Timeout`] after 10 s in all.
///
/// # Cancel safety
/// Dropping the future ends the attempt and its connection.
pub fn connect(url: impl Into<String>) -> Connect {
    Connect {
        url: url.into(),
        headers: HeaderMap::new(),
        invalid_header: None,
        offer: Offer::default(),
        limits: Limits::default(),
        budget: None,
        #[cfg(feature = "tls")]
        tls: None,
    }
}

/// A WebSocket about to be opened, from [`connect`]. Awaiting it opens it.
#[derive(Clone, Debug)]
#[must_use = "nothing is opened until it is awaited"]
pub struct Connect {
    url: String,
    headers: HeaderMap,
    /// The first header that cannot be one; reported when awaited.
    invalid_header: Option<HandshakeError>,
    offer: Offer,
    limits: Limits,
    budget: Option<Budget>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<ClientConfig>>,
}

impl Connect {
    /// Adds a header to the request. Those of the handshake itself (`Connection`, `Upgrade`, `Sec-WebSocket-*`) cannot be
    /// set.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => {
                self.invalid_header.get_or_insert(HandshakeError::InvalidHeader);
            }
        }
        self
    }

    /// Offers a subprotocol; the first offered is the one we like best. [`WebSocket::subprotocol`] has the server's choice.
    pub fn subprotocol(self, name: impl Into<String>) -> Self {
        Self { offer: self.offer.subprotocol(name), ..self }
    }

    /// Offers to compress messages (RFC 7692); off unless set.
    pub fn compression(self, compression: Compression) -> Self {
        Self { offer: self.offer.compression(compression), ..self }
    }

    /// The limits on the connection.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The most bytes a received message may have; short for the one [limit](Self::limits) that is set most.
    pub fn max_message(self, bytes: usize) -> Self {
        Self { limits: self.limits.message(bytes), ..self }
    }

    /// What TLS goes by for a `wss:` URL: roots of your own, a certificate for the client. Where the configuration names no
    /// protocol for ALPN, HTTP/1.1 is offered; a WebSocket needs it to be chosen.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// use std::sync::Arc;
    ///
    /// use sockeye::rustls::pki_types::CertificateDer;
    /// use sockeye::rustls::pki_types::pem::PemObject;
    /// use sockeye::rustls::{ClientConfig, RootCertStore};
    ///
    /// let mut roots = RootCertStore::empty();
    /// roots.add(CertificateDer::from_pem_file("root.pem")?)?;
    /// let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    /// let mut ws = sockeye::connect("wss://localhost:8443/").tls(Arc::new(config)).await?;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(self, config: Arc<ClientConfig>) -> Self {
        Self { tls: Some(tls::client_config(config)), ..self }
    }

    /// How long connecting and the opening handshake may take in all; short for [`Limits::opening`].
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { limits: self.limits.opening(timeout), ..self }
    }

    /// A bound on what all connections that share it hold, besides the limits on each; none unless set.
    pub fn budget(self, budget: &Budget) -> Self {
        Self { budget: Some(budget.clone()), ..self }
    }

    async fn open(self) -> Result<WebSocket, Error> {
        if let Some(error) = self.invalid_header {
            return Err(error.into());
        }
        let target = Target::parse(&self.url)?;
        #[cfg(not(feature = "tls"))]
        if target.secure {
            return Err(TlsError::without_feature(&target.host).into());
        }
        #[cfg(feature = "tls")]
        let client = match target.secure {
            true => Some(tls::Client::new(&target.host, self.tls).await?),
            false => None,
        };
        let key = Key::new(random::bytes());
        let request = request(&target, &key, &self.offer, self.headers)?.map(|()| Empty::<Bytes>::new());

        let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        stream.set_nodelay(true)?;
        #[cfg(feature = "tls")]
        let response = match client {
            Some(client) => exchange(client.connect(stream).await?, request, &self.limits)
                .await
                .map_err(|error| client.http_error(&error).unwrap_or_else(|| http_error(error)))?,
            None => exchange(stream, request, &self.limits).await.map_err(http_error)?,
        };
        #[cfg(not(feature = "tls"))]
        let response = exchange(stream, request, &self.limits).await.map_err(http_error)?;
        let agreed = verify(&response, &key, &self.offer)?;
        let transport = upgraded_transport(hyper::upgrade::on(response).await.map_err(http_error)?);
        let compression = self.offer.compression_offered();
        Ok(WebSocket::opened(transport, Role::Client, self.limits.into(), self.budget, compression, agreed))
    }
}

impl IntoFuture for Connect {
    type Output = Result<WebSocket, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let timeout = self.limits.opening_time();
            tokio::time::timeout(timeout, self.open()).await.unwrap_or(Err(Error::Timeout(Phase::Opening)))
        })
    }
}

/// Sends the request and waits for the response, of which hyper does the HTTP.
async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>, limits: &Limits) -> hyper::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut http, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(limits.max_head())
        .max_headers(limits.max_fields())
        .handshake(TokioIo::new(stream))
        .await?;
    // Ends by itself: with the upgrade, or when `http` and the response are dropped.
    tokio::spawn(connection.with_upgrades());
    http.send_request(request).await
}

fn http_error(error: hyper::Error) -> Error {
    Error::Http(Box::new(error))
}
