//! TLS towards the clients: with a certificate that is given, or one made for this run.

use core::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sockeye::rustls::ServerConfig;
use sockeye::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use crate::stream::words;
use crate::tls;

/// What is said of it on the command line.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Serves https and wss with the certificate in this PEM file, its issuers' behind it
    #[arg(long, env = "SOCKEYE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, in a PEM file
    #[arg(long, env = "SOCKEYE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Serves https and wss with a certificate made for this run, for localhost and --listen
    ///
    /// With =FILE it is written there, for clients to trust it; what was in the file is replaced. Its key is kept nowhere.
    #[arg(long, env = "SOCKEYE_TLS_GENERATE", value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[arg(conflicts_with_all = ["tls_cert", "tls_key"])]
    tls_generate: Option<Option<PathBuf>>,
}

/// A certificate and its key, ready for use.
pub(crate) struct Certificate(ServerConfig);

impl Certificate {
    /// The one that is asked for, if TLS is. `at` is the address where clients find us.
    pub(crate) fn of(args: &Args, at: IpAddr) -> Result<Option<Self>, String> {
        let mut config = match (args.tls_cert.as_deref().zip(args.tls_key.as_deref()), &args.tls_generate) {
            (Some((cert, key)), _) => {
                let config = tls::config(cert, key).map_err(|error| error.to_string())?;
                Arc::unwrap_or_clone(config)
            }
            (None, Some(file)) => generate(file.as_deref(), at)?,
            (None, None) => return Ok(None),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Self(config)))
    }

    pub(crate) fn into_acceptor(self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::new(self.0))
    }
}

fn generate(file: Option<&Path>, at: IpAddr) -> Result<ServerConfig, String> {
    let cannot = |why: String| format!("cannot make a certificate: {why}");
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let own = at.to_string();
    if !at.is_unspecified() && !names.contains(&own) {
        names.push(own);
    }
    let made = rcgen::generate_simple_self_signed(names).map_err(|error| cannot(error.to_string()))?;
    if let Some(file) = file {
        let written = std::fs::write(file, made.cert.pem());
        written.map_err(|error| format!("cannot write to {}: {}", file.display(), words(&error)))?;
    }
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth();
    config.with_single_cert(vec![made.cert.into()], key).map_err(|error| cannot(error.to_string()))
}
