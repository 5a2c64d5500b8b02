//! The one server that a proxy relays to, or that a recording is replayed to: how it is reached, and what a request has to
//! say to it.

use core::net::SocketAddr;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::FalseyValueParser;
use http::{HeaderName, HeaderValue};
use sockeye::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use sockeye::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use sockeye::rustls::pki_types::pem::PemObject;
use sockeye::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use sockeye::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, InvalidMessage, RootCertStore, SignatureScheme,
};
use sockeye_proto::handshake::client::Target;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use crate::http1::{Change, Request};
use crate::stream::{Stream, words};

/// How the upstream is reached.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Trusts the root certificates in this PEM file, and no others, for a wss: upstream [default: the system's]
    #[arg(long, env = "SOCKEYE_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,

    /// Trusts ANY certificate of a wss: upstream: whoever is on the way to it can read and change everything
    #[arg(long, env = "SOCKEYE_INSECURE", conflicts_with = "ca", value_parser = FalseyValueParser::new())]
    pub(crate) insecure: bool,

    /// Leaves Host as it is; else it becomes the upstream's
    #[arg(long, env = "SOCKEYE_PRESERVE_HOST", value_parser = FalseyValueParser::new())]
    pub(crate) preserve_host: bool,
}

/// A server, and all that it takes to reach it.
pub(crate) struct Upstream {
    url: String,
    target: Target,
    tls: Option<(ServerName<'static>, TlsConnector)>,
    preserve_host: bool,
}

impl Upstream {
    /// `Err` says what is wrong with what was asked for.
    pub(crate) fn new(url: &str, args: &Args) -> Result<Self, String> {
        let target = parse(url)?;
        if !target.secure && (args.ca.is_some() || args.insecure) {
            return Err(format!("--ca and --insecure are for a wss: URL, and {url} is none"));
        }
        let tls = match target.secure {
            true => {
                let name = ServerName::try_from(target.host.clone());
                let name = name.map_err(|_| format!("no certificate can be for {}", target.host))?;
                Some((name, TlsConnector::from(Arc::new(config(args)?))))
            }
            false => None,
        };
        Ok(Self { url: url.to_owned(), target, tls, preserve_host: args.preserve_host })
    }

    /// The URL, as it was given.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Host and port, as they are shown.
    pub(crate) fn address(&self) -> String {
        let Target { host, port, .. } = &self.target;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// What a request's `Host` is to be.
    pub(crate) fn authority(&self) -> &HeaderValue {
        &self.target.authority
    }

    /// Whether it is who listens at this address: connections would go round in circles.
    pub(crate) async fn is_at(&self, own: SocketAddr) -> bool {
        let found = tokio::net::lookup_host((self.target.host.as_str(), self.target.port)).await;
        let is_own = |address: SocketAddr| {
            let ip = address.ip().to_canonical();
            address.port() == own.port() && (ip == own.ip() || (own.ip().is_unspecified() && ip.is_loopback()))
        };
        found.is_ok_and(|mut found| found.any(is_own))
    }

    /// Connects. `Err` says what did not work, and with whom.
    pub(crate) async fn connect(&self) -> Result<Stream, String> {
        let failed = |why: &str| format!("cannot connect to {}: {why}", self.address());
        let tcp = TcpStream::connect((self.target.host.as_str(), self.target.port)).await;
        let tcp = tcp.map_err(|error| failed(&words(&error)))?;
        let _ = tcp.set_nodelay(true);
        let Some((name, connector)) = &self.tls else { return Ok(Stream::Tcp(tcp)) };
        let tls = connector.connect(name.clone(), tcp).await;
        let tls = tls.map_err(|error| failed(&tls_words(&error)))?;
        Ok(Stream::Tls(Box::new(TlsStream::Client(tls))))
    }

    /// A request's head as this server is to read it: with its own Host, unless that is preserved; with the path and the query
    /// of its URL, where that has them, in place of those that were asked for; and with these
    /// fields.
    pub(crate) fn head_of(&self, request: &Request, fields: &[(HeaderName, HeaderValue)]) -> Vec<u8> {
        let host = (!self.preserve_host).then(|| self.target.authority.as_bytes());
        let target = self.replaces(request.target());
        request.changed(&Change { host, target: target.as_deref(), fields })
    }

    /// What is asked for in place of this.
    pub(crate) fn replaces(&self, asked: &str) -> Option<String> {
        let (path, query) = (self.target.path.path(), self.target.path.query());
        let path = Some(path).filter(|path| *path != "/");
        if (path, query) == (None, None) || asked == "*" {
            return None;
        }
        let (own_path, own_query) = asked.split_once('?').map_or((asked, None), |(path, query)| (path, Some(query)));
        let path = path.unwrap_or(own_path);
        Some(match query.or(own_query) {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        })
    }
}

/// A URL for `--to`, for the parser of options.
pub(crate) fn url(text: &str) -> Result<String, String> {
    parse(text).map(|_| text.to_owned())
}

fn parse(url: &str) -> Result<Target, String> {
    Target::parse(url).map_err(|error| error.to_string())
}

fn config(args: &Args) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = if args.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
    } else {
        builder.with_root_certificates(roots(args)?)
    }
    .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn roots(args: &Args) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = &args.ca else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        return match roots.is_empty() {
            true => {
                Err("no trusted root certificates are found on this system: --ca names a file with some".to_owned())
            }
            false => Ok(roots),
        };
    };
    let wrong = |why: String| format!("cannot use {}: {why}", file.display());
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    for certificate in certificates.map_err(|error| wrong(error.to_string()))? {
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(wrong("there is no certificate in it (a PEM file has BEGIN CERTIFICATE)".to_owned())),
        false => Ok(roots),
    }
}

/// Why a TLS handshake failed, and what may help.
fn tls_words(error: &io::Error) -> String {
    use CertificateError::{Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer};
    use rustls::Error::{InvalidCertificate, InvalidMessage as Unreadable};

    let refusal = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match refusal {
        Some(InvalidCertificate(UnknownIssuer)) => {
            "its certificate is not trusted: no trusted root has issued it (--ca FILE names another)".to_owned()
        }
        Some(InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
            "its certificate is for another name".to_owned()
        }
        Some(InvalidCertificate(Expired | ExpiredContext { .. })) => "its certificate has expired".to_owned(),
        Some(Unreadable(InvalidMessage::InvalidContentType)) => {
            "what answers there does not speak TLS (ws: instead of wss:?)".to_owned()
        }
        Some(refusal) => refusal.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it ended the connection in the TLS handshake".to_owned()
        }
        None => words(error),
    }
}

/// `--insecure`: takes every certificate. What it is signed with is checked all the same, as that costs nothing.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(url: &str) -> Upstream {
        Upstream::new(url, &Args { ca: None, insecure: false, preserve_host: false }).unwrap()
    }

    #[test]
    fn path_and_query_of_the_url_stand_in_place_of_what_is_asked_for() {
        for (url, asked, expected) in [
            ("ws://a", "/chat?x=1", "/chat?x=1"),
            ("ws://a/", "/chat?x=1", "/chat?x=1"),
            ("ws://a/echo", "/", "/echo"),
            ("ws://a/echo", "/chat?x=1", "/echo?x=1"),
            ("ws://a/echo?y=2", "/chat?x=1", "/echo?y=2"),
            ("ws://a?y=2", "/chat", "/chat?y=2"),
            ("ws://a/echo", "*", "*"),
        ] {
            assert_eq!(upstream(url).replaces(asked).as_deref().unwrap_or(asked), expected, "{url} {asked}");
        }
    }

    #[test]
    fn an_address_is_shown_as_it_is_written() {
        assert_eq!(upstream("ws://[::1]:8080").address(), "[::1]:8080");
        assert_eq!(upstream("ws://example.com").address(), "example.com:80");
    }
}
