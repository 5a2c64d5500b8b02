//! `--tls-cert` and `--tls-key`: from two PEM files to a server's TLS.

use std::io;
use std::path::Path;
use std::sync::Arc;

use sockeye::rustls::pki_types::pem::{self, PemObject};
use sockeye::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sockeye::rustls::{Error, ServerConfig};

/// Reads a certificate, with those of its issuers behind it, and its key.
pub(crate) fn config(cert: &Path, key: &Path) -> io::Result<Arc<ServerConfig>> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
    let chain = chain.map_err(|error| unreadable(cert, &error))?;
    if chain.is_empty() {
        return Err(wrong(cert, "there is no certificate in it (a PEM file has BEGIN CERTIFICATE)"));
    }
    let parsed = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        pem::Error::NoItemsFound => wrong(key, "there is no private key in it (unencrypted, in a PEM file)"),
        error => unreadable(key, &error),
    })?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, parsed);
    let config = config.map_err(|error| match error {
        Error::InconsistentKeys(_) => {
            wrong(key, format_args!("it is not the key of the certificate in {}", cert.display()))
        }
        Error::InvalidCertificate(error) => wrong(cert, format_args!("the certificate cannot be used: {error}")),
        // What is left is about the key: a kind that is not supported, or bytes that are none.
        Error::General(why) => wrong(key, why),
        error => wrong(key, error),
    })?;
    Ok(Arc::new(config))
}

fn unreadable(file: &Path, error: &pem::Error) -> io::Error {
    match error {
        pem::Error::Io(error) if error.kind() == io::ErrorKind::NotFound => wrong(file, "there is no such file"),
        pem::Error::Io(error) => wrong(file, error),
        pem::Error::MissingSectionEnd { .. } => wrong(file, "it is cut off: a BEGIN has no END"),
        // The older form of an encrypted key has lines that are no base64 in it.
        pem::Error::Base64Decode(_) => wrong(file, "it is no PEM file, or encrypted"),
        error => wrong(file, format_args!("it cannot be read as PEM: {error}")),
    }
}

fn wrong(file: &Path, why: impl core::fmt::Display) -> io::Error {
    io::Error::other(format!("cannot use {}: {why}", file.display()))
}
