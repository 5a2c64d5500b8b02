//! A server with TLS and a client that trusts it, in one program, with a certificate made on the spot.
//!
//! Run it with `cargo run --bin tls -p sockeye-examples`.

use std::sync::Arc;

use sockeye::rustls::pki_types::PrivatePkcs8KeyDer;
use sockeye::rustls::{ClientConfig, RootCertStore, ServerConfig};
use sockeye::{CloseCode, WebSocket};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // In earnest these come from an authority, and are read with `CertificateDer::pem_file_iter` and
    // `PrivateKeyDer::from_pem_file`.
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate = identity.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der());

    let config =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key.into())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let server = sockeye::serve(listener, |mut ws: WebSocket| async move {
        while let Some(message) = ws.recv().await? {
            ws.send(message).await?;
        }
        Ok(())
    });
    tokio::spawn(server.tls(Arc::new(config)).into_future());

    let url = format!("wss://localhost:{port}/");
    // The roots of the system do not know this certificate, so nobody is let through who might be somebody else.
    if let Err(error) = sockeye::connect(&url).await {
        println!("without its certificate: {error}");
    }

    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let mut ws = sockeye::connect(&url).tls(Arc::new(config)).await?;
    ws.send("你好，世界 👋").await?;
    println!("with it: {:?}", ws.recv().await?);
    ws.close(CloseCode::NORMAL, "bye").await?;
    Ok(())
}
