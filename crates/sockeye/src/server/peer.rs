//! Who a request is from.

use core::net::SocketAddr;
#[cfg(feature = "tls")]
use std::sync::Arc;

#[cfg(feature = "tls")]
use tokio_rustls::rustls::ServerConnection;
#[cfg(feature = "tls")]
use tokio_rustls::rustls::pki_types::CertificateDer;

/// Who a [`Request`](crate::Request) is from, and how they are connected. One of the request's extensions:
///
/// ```
/// use sockeye::{Body, Peer, Request, Response};
///
/// fn whoami(request: &Request) -> Response {
///     let peer = request.extensions().get::<Peer>().and_then(Peer::address);
///     Response::new(Body::from(format!("{peer:?} over {:?}\n", request.version())))
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Peer {
    address: Option<SocketAddr>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<Tls>>,
}

/// What a TLS handshake has told of the client.
#[cfg(feature = "tls")]
#[derive(Debug)]
struct Tls {
    server_name: Option<String>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Peer {
    pub(super) fn new(address: Option<SocketAddr>) -> Self {
        Self {
            address,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    #[cfg(feature = "tls")]
    pub(super) fn with_tls(self, connection: &ServerConnection) -> Self {
        let server_name = connection.server_name().map(str::to_owned);
        let certificates = connection.peer_certificates().unwrap_or_default();
        let certificates = certificates.iter().map(|certificate| certificate.clone().into_owned()).collect();
        Self { tls: Some(Arc::new(Tls { server_name, certificates })), ..self }
    }

    /// Its address and port, or that of a proxy in front; none on a Unix socket.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Whether the connection is encrypted.
    #[cfg(feature = "tls")]
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// The name the client has asked for in its TLS handshake (SNI).
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.tls.as_ref()?.server_name.as_deref()
    }

    /// The client's certificate with its issuers' behind it, where the server has asked for one; it was verified then.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        self.tls.as_ref().map_or(&[], |tls| &tls.certificates)
    }
}
