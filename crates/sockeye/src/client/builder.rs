//! What is set about a WebSocket before it is opened.

use core::future::{Future, IntoFuture};
use core::pin::Pin;
use core::time::Duration;
#[cfg(feature = "tls")]
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use sockeye_proto::Limits;
use sockeye_proto::deflate::Compression;
use sockeye_proto::handshake::HandshakeError;
use sockeye_proto::handshake::client::Offer;
#[cfg(feature = "tls")]
use tokio_rustls::rustls::ClientConfig;

use crate::budget::Budget;
use crate::error::{Error, Phase};
#[cfg(feature = "tls")]
use crate::tls;
use crate::websocket::WebSocket;

/// A WebSocket about to be opened, from [`connect`]. Awaiting it opens it.
#[derive(Clone, Debug)]
#[must_use = "nothing is opened until it is awaited"]
pub struct Connect {
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    /// The first header that cannot be one; reported when awaited.
    pub(super) invalid_header: Option<HandshakeError>,
    pub(super) offer: Offer,
    pub(super) limits: Limits,
    pub(super) budget: Option<Budget>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl Connect {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            headers: HeaderMap::new(),
            invalid_header: None,
            offer: Offer::default(),
            limits: Limits::default(),
            budget: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

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
