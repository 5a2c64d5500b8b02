//! TLS through rustls: `wss:` for a client, a certificate for a server. What comes of it is one more stream under the same
//! driver.

use core::error::Error as StdError;
use std::borrow::Cow;
use std::io;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::CryptoProvider;
#[cfg(feature = "aws-lc")]
use tokio_rustls::rustls::crypto::aws_lc_rs as built_in;
#[cfg(all(feature = "ring", not(feature = "aws-lc")))]
use tokio_rustls::rustls::crypto::ring as built_in;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, InvalidMessage, RootCertStore, ServerConfig,
};
use tokio_rustls::{Accept, TlsAcceptor, TlsConnector};
use tracing::debug;

use crate::error::{Error, TlsError};
use crate::server;
use crate::transport::{Duplex, Transport};

/// What both ends say they will speak (ALPN, RFC 7301).
const HTTP_1_1: &[u8] = b"http/1.1";

/// A server's configuration that takes the versions of HTTP we speak if it did not say what to take.
pub(crate) fn server_config(mut config: Arc<ServerConfig>) -> Arc<ServerConfig> {
    if config.alpn_protocols.is_empty() {
        let spoken = if cfg!(feature = "http2") { &[b"h2", HTTP_1_1][..] } else { &[HTTP_1_1] };
        Arc::make_mut(&mut config).alpn_protocols = spoken.iter().map(|name| name.to_vec()).collect();
    }
    config
}

/// A client before its handshake: whom it wants to reach, what it goes by, and what it will speak.
pub(crate) struct Client {
    host: String,
    name: ServerName<'static>,
    connector: TlsConnector,
    protocols: &'static [&'static [u8]],
}

impl Client {
    /// By the caller's configuration, or with the roots of the system. A configuration that does not say what to offer by ALPN
    /// offers what will be spoken.
    pub(crate) async fn new(
        host: &str,
        config: Option<Arc<ClientConfig>>,
        protocols: &'static [&'static [u8]],
    ) -> Result<Self, Error> {
        // A name goes into SNI; an address does not, and is looked for among the certificate's addresses.
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| TlsError::new(host, "no certificate can be for such a name", error))?;
        let mut config = match config {
            Some(config) => config,
            None => system(host).await?,
        };
        if config.alpn_protocols.is_empty() {
            Arc::make_mut(&mut config).alpn_protocols = protocols.iter().map(|&protocol| protocol.to_vec()).collect();
        }
        Ok(Self { host: host.to_owned(), name, connector: config.into(), protocols })
    }

    /// Shakes hands. Returns what is to be spoken, too.
    pub(crate) async fn connect(&self, stream: Transport) -> Result<(Transport, &'static [u8]), Error> {
        let stream = self.connector.connect(self.name.clone(), stream).await.map_err(|error| self.error(error))?;
        let chosen = stream.get_ref().1.alpn_protocol();
        // A server without ALPN chooses nothing, and speaks HTTP/1.1.
        let spoken = chosen.unwrap_or(HTTP_1_1);
        match self.protocols.iter().find(|&&protocol| protocol == spoken) {
            Some(spoken) => Ok((Transport::of(stream), spoken)),
            None => {
                let chosen = match chosen {
                    Some(chosen) => format!("it chose {} by ALPN", String::from_utf8_lossy(chosen).escape_debug()),
                    None => "it chose nothing by ALPN".to_owned(),
                };
                Err(TlsError::new(&self.host, self.unspoken(), chosen).into())
            }
        }
    }

    /// What the server will not speak.
    fn unspoken(&self) -> &'static str {
        match self.protocols {
            [only] if *only == HTTP_1_1 => "the server will not speak HTTP/1.1",
            [_] => "the server will not speak HTTP/2",
            _ => "the server will speak neither HTTP/2 nor HTTP/1.1",
        }
    }

    /// What a refusal means here.
    fn refused(&self, refusal: &rustls::Error) -> Error {
        let why = match refusal {
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => self.unspoken().into(),
            refusal => why(refusal),
        };
        TlsError::new(&self.host, why, refusal.clone()).into()
    }

    /// Why the handshake failed.
    fn error(&self, error: io::Error) -> Error {
        match refusal(&error) {
            Some(refusal) => self.refused(refusal),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                TlsError::new(&self.host, "the connection ended during the TLS handshake", error).into()
            }
            None => Error::Io(error),
        }
    }

    /// Why what came behind the handshake failed, which may be for TLS: in TLS 1.3 a client is done before the server has
    /// judged the client's certificate, or the lack of one.
    pub(crate) fn judge(&self, error: Error) -> Error {
        match refusal(&error) {
            Some(refusal) => self.refused(refusal),
            None => error,
        }
    }
}

/// The server's handshake.
pub(crate) fn accept<S: AsyncRead + AsyncWrite + Unpin>(stream: S, config: Arc<ServerConfig>) -> Accept<S> {
    TlsAcceptor::from(config).accept(stream)
}

/// The configuration of clients that have none of their own. It is made once for the process, so that all its connections
/// share the roots and resume each other's sessions.
async fn system(host: &str) -> Result<Arc<ClientConfig>, Error> {
    static SYSTEM: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = SYSTEM.get() {
        return Ok(Arc::clone(config));
    }
    // Reads files, which takes some milliseconds. A failure is not kept: the next connection looks again.
    let found = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await.map_err(io::Error::from)?;
    let mut roots = RootCertStore::empty();
    let (_, unreadable) = roots.add_parsable_certificates(found.certs);
    debug!(roots = roots.len(), unreadable, errors = ?found.errors, "loaded the system's roots");
    if roots.is_empty() {
        let why = "no trusted root certificates are found on this system";
        return Err(match found.errors.into_iter().next() {
            Some(error) => TlsError::new(host, why, error),
            None => TlsError::new(host, why, "SSL_CERT_FILE and SSL_CERT_DIR say where to look"),
        }
        .into());
    }
    // The provider is named: which one is the default is ambiguous once another crate of the program turns on a second.
    let Some(provider) = provider() else {
        let why = "this program has no cryptography for it";
        return Err(TlsError::new(host, why, "the features `ring` and `aws-lc` of sockeye have one each").into());
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::new(host, "the program's cryptography is not enough for it", error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::clone(SYSTEM.get_or_init(|| Arc::new(config))))
}

/// The cryptography of what is configured here: what the program has chosen for itself, else what it was built with.
fn provider() -> Option<Arc<CryptoProvider>> {
    let chosen = CryptoProvider::get_default().cloned();
    #[cfg(any(feature = "aws-lc", feature = "ring"))]
    let chosen = chosen.or_else(|| Some(Arc::new(built_in::default_provider())));
    chosen
}

/// Takes a TLS stream back from hyper as the type it is, rather than in another box around hyper's.
pub(crate) fn take_back(upgraded: Upgraded) -> Result<(Transport, Bytes), Upgraded> {
    fn take<S: Duplex + Unpin + 'static>(upgraded: Upgraded) -> Result<(Transport, Bytes), Upgraded> {
        let (stream, early) = server::take_back::<S>(upgraded)?;
        Ok((Transport::of(stream), early))
    }
    take::<tokio_rustls::server::TlsStream<TcpStream>>(upgraded).or_else(take::<tokio_rustls::TlsStream<TcpStream>>)
}

/// What rustls says inside of an error.
fn refusal<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        // An `io::Error` names as its source not what it holds, but the source of that.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(refusal) = held.and_then(|held| held.downcast_ref()) {
            return Some(refusal);
        }
        next = error.source();
    }
    None
}

/// The reason in plain words, where we have some; rustls' own are the source beneath.
fn why(refusal: &rustls::Error) -> Cow<'static, str> {
    use AlertDescription::{CertificateRequired, UnrecognisedName};
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, Other, Revoked, UnknownIssuer,
    };
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage as Unreadable, PeerIncompatible};

    Cow::Borrowed(match refusal {
        InvalidCertificate(UnknownIssuer) => "its certificate is not trusted: no trusted root has issued it",
        InvalidCertificate(BadSignature) => {
            "its certificate is not trusted: whom it names as its issuer has not signed it"
        }
        InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => "its certificate is for another name",
        InvalidCertificate(Expired | ExpiredContext { .. }) => "its certificate has expired",
        InvalidCertificate(NotValidYet | NotValidYetContext { .. }) => "its certificate is not valid yet",
        InvalidCertificate(Revoked) => "its certificate has been revoked",
        // rustls has no name for this one, and it is what `openssl req -x509` makes unless told otherwise.
        InvalidCertificate(Other(error)) if error.0.to_string() == "CaUsedAsEndEntity" => {
            "its certificate is an authority's (CA:TRUE), and not one for a server"
        }
        InvalidCertificate(error) => return format!("its certificate is not accepted: {error}").into(),
        Unreadable(InvalidMessage::InvalidContentType) => "what answers there does not speak TLS",
        PeerIncompatible(_) => "it and we have no version or cipher suite in common",
        AlertReceived(CertificateRequired) => "the server asks for a certificate of ours",
        AlertReceived(UnrecognisedName) => "the server does not go by this name",
        AlertReceived(alert) => return format!("the server refused us: {alert:?}").into(),
        error => return format!("the TLS handshake failed: {error}").into(),
    })
}
