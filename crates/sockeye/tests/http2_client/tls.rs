//! Over TLS, where ALPN decides the version.

use std::sync::Arc;

use super::{comes_back, echoing, serve_connection, takes_websockets};
use crate::support::{echo, in_time, read_head, switching};
use h2::server::Builder;
use sockeye::rustls::pki_types::PrivatePkcs8KeyDer;
use sockeye::rustls::{ClientConfig, RootCertStore, ServerConfig};
use sockeye::{Error, HandshakeError, HttpVersion, Limits, Role, WebSocket};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A server's configuration that takes these protocols, and a client's that trusts it.
fn configured(protocols: &[&str]) -> (ServerConfig, Arc<ClientConfig>) {
    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = identity.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der()).into();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    server.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    (server, Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

/// Serves HTTP/2 or, by a hand-written handshake and no more, HTTP/1.1 as ALPN decides; tells which for each connection.
async fn serving_both(
    protocols: &[&str],
    builder: impl Fn() -> Builder + Send + 'static,
) -> (u16, Arc<ClientConfig>, mpsc::UnboundedReceiver<String>) {
    let (server, client) = configured(protocols);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let chosen = stream.get_ref().1.alpn_protocol().unwrap_or(b"none").to_vec();
            let _ = tell.send(String::from_utf8(chosen.clone()).unwrap());
            if chosen == b"h2" {
                let mut requests = serve_connection(stream, builder());
                tokio::spawn(async move {
                    while let Some(asked) = requests.recv().await {
                        assert_eq!(asked.request.uri().scheme_str(), Some("https"));
                        echoing(asked);
                    }
                });
                continue;
            }
            let head = read_head(&mut stream).await;
            stream.write_all(switching(&head).as_bytes()).await.unwrap();
            tokio::spawn(echo(WebSocket::from_stream(stream, Role::Server, Limits::default())));
        }
    });
    (port, client, told)
}

#[tokio::test]
async fn alpn_decides_which_version_is_spoken_and_the_caller_what_is_offered() {
    let both = &["h2", "http/1.1"][..];
    for (version, protocols, takes, expected) in [
        (HttpVersion::H1, both, true, &["http/1.1"][..]),
        (HttpVersion::H2, both, true, &["h2"]),
        (HttpVersion::Auto, both, true, &["h2"]),
        (HttpVersion::Auto, &["http/1.1"], true, &["http/1.1"]),
        (HttpVersion::Auto, &[], true, &["none"]),
        // It has chosen HTTP/2, and takes no WebSockets over it.
        (HttpVersion::Auto, both, false, &["h2", "http/1.1"]),
    ] {
        let builder = if takes { takes_websockets } else { Builder::new };
        let (port, client, mut told) = serving_both(protocols, builder).await;
        let attempt = sockeye::connect(format!("wss://localhost:{port}/")).tls(client).http_version(version);
        let mut ws = in_time(attempt.into_future()).await.unwrap();
        comes_back(&mut ws, "你好").await;
        for expected in expected {
            assert_eq!(told.recv().await.unwrap(), *expected, "{version:?} {protocols:?}");
        }
        assert!(told.try_recv().is_err(), "no further connection");
    }
}

#[tokio::test]
async fn a_server_that_will_not_speak_what_is_asked_for_is_told_by_name() {
    for (version, protocols, said) in [
        (HttpVersion::H2, &["http/1.1"][..], "the server will not speak HTTP/2"),
        (HttpVersion::H2, &[], "the server will not speak HTTP/2"),
        (HttpVersion::H1, &["h2"], "the server will not speak HTTP/1.1"),
        (HttpVersion::Auto, &["spdy/1"], "the server will speak neither HTTP/2 nor HTTP/1.1"),
    ] {
        let (port, client, _told) = serving_both(protocols, takes_websockets).await;
        let attempt = sockeye::connect(format!("wss://localhost:{port}/")).tls(client).http_version(version);
        let error = in_time(attempt.into_future()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("no TLS with localhost: {said}"), "{version:?} {protocols:?}");
    }
    let (port, client, _told) = serving_both(&["h2"], Builder::new).await;
    let attempt = sockeye::connect(format!("wss://localhost:{port}/")).tls(client).http_version(HttpVersion::H2);
    let error = in_time(attempt.into_future()).await.unwrap_err();
    assert!(matches!(error, Error::Handshake(HandshakeError::ExtendedConnect)), "{error:?}");
}

#[tokio::test]
async fn many_share_a_connection_over_tls_as_well() {
    let (port, client, mut told) = serving_both(&["h2"], takes_websockets).await;
    let http2 = sockeye::connect(format!("wss://localhost:{port}/")).tls(client).http2();
    for number in 0..10 {
        comes_back(&mut http2.open("/").await.unwrap(), number.to_string()).await;
    }
    assert_eq!(told.recv().await.unwrap(), "h2");
    assert!(told.try_recv().is_err(), "no further connection");
}

/// Over a stream that is there already no second one can be opened, so what might need one is not offered.
#[tokio::test]
async fn over_a_given_stream_auto_is_http_1_1() {
    let (port, client, mut told) = serving_both(&["h2", "http/1.1"], takes_websockets).await;
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let attempt = sockeye::connect("wss://localhost/").tls(client).http_version(HttpVersion::Auto);
    comes_back(&mut attempt.over(stream).await.unwrap(), "hello").await;
    assert_eq!(told.recv().await.unwrap(), "http/1.1");
}
