//! WebSockets over TLS: who is trusted, what is agreed on, and what the end of the stream means.

use core::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::support;
use crate::support::{client_frame, echo, exchange, read_frame, read_head, request, server_frame, start};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use sockeye::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use sockeye::rustls::server::WebPkiClientVerifier;
use sockeye::rustls::{self, AlertDescription, ClientConfig, RootCertStore, ServerConfig};
use sockeye::{CloseCode, Connect, Error, Message, TlsError, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, TlsConnector, client, server};

/// A certificate that a server shows, and that a client trusts if it is told to.
struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
    pem: String,
}

impl Identity {
    fn of(names: &[&str]) -> Self {
        Self::with(names, |_| ())
    }

    fn with(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, names.join(" "));
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), certificate: certificate.into(), key }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        Arc::new(roots)
    }

    /// A client that trusts nobody else.
    fn client(&self) -> ClientConfig {
        ClientConfig::builder().with_root_certificates(self.roots()).with_no_client_auth()
    }

    fn server(&self) -> ServerConfig {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der()).into();
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![self.certificate.clone()], key).unwrap()
    }
}

fn localhost() -> Identity {
    Identity::of(&["localhost", "127.0.0.1"])
}

async fn echo_server(config: ServerConfig) -> SocketAddr {
    start(|listener| sockeye::serve(listener, echo).tls(Arc::new(config))).await
}

fn connect(address: SocketAddr, config: ClientConfig) -> Connect {
    sockeye::connect(format!("wss://{address}/")).tls(Arc::new(config))
}

/// The error of an attempt that TLS has to end.
async fn refused(attempt: Connect) -> TlsError {
    match attempt.await {
        Err(Error::Tls(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// What rustls has to say beneath an error.
fn beneath(error: &TlsError) -> &rustls::Error {
    error.source().expect("an error of TLS has a source").downcast_ref().expect("it is of rustls")
}

/// A server of one connection: it shakes hands, and goes on as told.
async fn serving<F>(
    config: ServerConfig,
    then: impl FnOnce(server::TlsStream<TcpStream>) -> F + Send + 'static,
) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        then(TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap()).await;
    });
    address
}

/// Reads a request on the server's side; returns the 101 to answer with.
async fn switching(stream: &mut server::TlsStream<TcpStream>) -> Vec<u8> {
    support::switching(&read_head(stream).await).into_bytes()
}

/// A client that writes its frames by hand.
async fn open(address: SocketAddr, config: ClientConfig) -> client::TlsStream<TcpStream> {
    let mut stream = shake_hands(address, config).await.unwrap();
    let head = exchange(&mut stream, request("").as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream
}

async fn shake_hands(address: SocketAddr, config: ClientConfig) -> std::io::Result<client::TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

#[tokio::test]
async fn text_and_a_megabyte_come_back_by_name_and_by_address_in_both_versions() {
    let localhost = localhost();
    let address = echo_server(localhost.server()).await;
    let megabyte: Vec<u8> = (0..1 << 20).map(|i: u32| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = ClientConfig::builder_with_protocol_versions(&[version]);
        let config = Arc::new(config.with_root_certificates(localhost.roots()).with_no_client_auth());
        for host in ["localhost", "127.0.0.1"] {
            let url = format!("wss://{host}:{}/", address.port());
            let mut ws = sockeye::connect(url).tls(Arc::clone(&config)).await.unwrap();
            for message in [Message::from("你好，世界 👋"), Message::from(megabyte.clone()), Message::from("")] {
                ws.send(message.clone()).await.unwrap();
                assert!(ws.recv().await.unwrap() == Some(message), "{version:?} {host}");
            }
            ws.close(CloseCode::NORMAL, "bye").await.unwrap();
            assert_eq!(ws.close_reason().unwrap().code(), CloseCode::NORMAL);
        }
    }
}

#[tokio::test]
async fn the_client_names_the_host_and_offers_http_1_1_alone() {
    let localhost = localhost();
    for (host, named) in [("localhost", Some("localhost")), ("127.0.0.1", None)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("wss://{host}:{}/", listener.local_addr().unwrap().port());
        let attempt = tokio::spawn(sockeye::connect(url).tls(Arc::new(localhost.client())).into_future());
        let (stream, _) = listener.accept().await.unwrap();
        let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await.unwrap();
        assert_eq!(hello.client_hello().server_name(), named, "an address is no name (RFC 6066 §3)");
        let offered: Vec<&[u8]> = hello.client_hello().alpn().unwrap().collect();
        assert_eq!(offered, [b"http/1.1"]);
        attempt.abort();
    }
}

#[tokio::test]
async fn the_server_agrees_on_a_version_of_http_and_refuses_a_client_that_offers_none() {
    let localhost = localhost();
    let address = echo_server(localhost.server()).await;
    let mut config = localhost.client();
    let h2 = if cfg!(feature = "http2") { "h2" } else { "http/1.1" };
    let offers: [(&[&str], _); 3] = [(&[], None), (&["http/1.1"], Some("http/1.1")), (&["http/1.1", "h2"], Some(h2))];
    for (offer, chosen) in offers {
        config.alpn_protocols = offer.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = shake_hands(address, config.clone()).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen.map(str::as_bytes), "{offer:?}");
    }
    config.alpn_protocols = vec![b"spdy/3".to_vec()];
    let error = shake_hands(address, config.clone()).await.unwrap_err();
    let alert = rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol);
    assert_eq!(error.get_ref().unwrap().downcast_ref(), Some(&alert));
    // The same for one of ours, and it says so.
    let error = refused(connect(address, config)).await;
    assert_eq!(error.to_string(), "no TLS with 127.0.0.1: the server will not speak HTTP/1.1");
    assert_eq!(beneath(&error), &alert);
}

#[tokio::test]
async fn a_server_that_chooses_http_2_when_the_caller_offers_it_is_left() {
    let localhost = localhost();
    let (mut server, mut client) = (localhost.server(), localhost.client());
    server.alpn_protocols = vec![b"h2".to_vec()];
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let address = serving(server, |mut stream| async move { assert_eq!(read_head(&mut stream).await, "") }).await;
    let error = refused(connect(address, client)).await;
    assert_eq!(error.to_string(), "no TLS with 127.0.0.1: the server will not speak HTTP/1.1");
    assert_eq!(error.source().unwrap().to_string(), "it chose h2 by ALPN");
}

#[tokio::test]
async fn a_certificate_that_nobody_trusted_has_issued_is_refused_by_name() {
    let (ours, theirs) = (Identity::of(&["127.0.0.1"]), localhost());
    let address = echo_server(theirs.server()).await;
    let error = Error::from(refused(connect(address, ours.client())).await);
    let said = "no TLS with 127.0.0.1: its certificate is not trusted: no trusted root has issued it";
    assert_eq!(error.to_string(), said);
    assert_eq!(error.close_code(), Some(CloseCode::TLS_HANDSHAKE));
    assert!(!error.is_timeout());
    let beneath = error.source().unwrap().downcast_ref::<rustls::Error>().unwrap();
    assert!(matches!(beneath, rustls::Error::InvalidCertificate(_)), "{beneath:?}");
    // Another key of the same name is not the same issuer.
    let error = refused(connect(address, localhost().client())).await;
    assert!(error.to_string().contains("whom it names as its issuer has not signed it"), "{error}");
    // The server goes on.
    assert!(connect(address, theirs.client()).await.is_ok());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let other = Identity::of(&["other.example", "127.0.0.2"]);
    let port = echo_server(other.server()).await.port();
    for host in ["localhost", "127.0.0.1"] {
        let error = refused(sockeye::connect(format!("wss://{host}:{port}/")).tls(Arc::new(other.client()))).await;
        assert_eq!(error.to_string(), format!("no TLS with {host}: its certificate is for another name"));
        assert_eq!(error.host(), host);
        assert!(error.source().unwrap().to_string().contains("other.example"), "{error:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_now_or_not_a_server_s_is_refused_for_that() {
    type Change = fn(&mut CertificateParams);
    let cases: [(Change, &str); 3] = [
        (|params| params.not_after = date_time_ymd(2020, 1, 1), "has expired"),
        (|params| params.not_before = date_time_ymd(3020, 1, 1), "is not valid yet"),
        (
            |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            "is an authority's (CA:TRUE), and not one for a server",
        ),
    ];
    for (change, why) in cases {
        let wrong = Identity::with(&["127.0.0.1"], change);
        let error = refused(connect(echo_server(wrong.server()).await, wrong.client())).await;
        assert_eq!(error.to_string(), format!("no TLS with 127.0.0.1: its certificate {why}"));
    }
}

/// In TLS 1.3 the server judges after the client has finished: the alert comes instead of the HTTP response.
#[tokio::test]
async fn a_server_that_asks_for_the_client_s_certificate_is_told_apart_from_bad_http() {
    let localhost = localhost();
    let verifier = WebPkiClientVerifier::builder(localhost.roots()).build().unwrap();
    let key = PrivatePkcs8KeyDer::from(localhost.key.serialize_der()).into();
    let chain = vec![localhost.certificate.clone()];
    let config = ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key).unwrap();
    let error = refused(connect(echo_server(config).await, localhost.client())).await;
    assert_eq!(error.to_string(), "no TLS with 127.0.0.1: the server asks for a certificate of ours");
}

#[tokio::test]
async fn a_server_that_speaks_plain_http_or_ends_at_once_is_no_tls_server() {
    let address = start(|listener| sockeye::serve(listener, echo)).await;
    let error = refused(connect(address, localhost().client())).await;
    assert_eq!(error.to_string(), "no TLS with 127.0.0.1: what answers there does not speak TLS");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
        stream.shutdown().await.unwrap();
        while stream.read(&mut [0; 4096]).await.is_ok_and(|len| len > 0) {}
    });
    let error = refused(connect(address, localhost().client())).await;
    assert_eq!(error.to_string(), "no TLS with 127.0.0.1: the connection ended during the TLS handshake");
}

#[tokio::test]
async fn a_client_that_speaks_plain_http_to_the_tls_port_gets_no_http() {
    let localhost = localhost();
    let address = echo_server(localhost.server()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request("").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert!(matches!(sockeye::connect(format!("ws://{address}/")).await, Err(Error::Http(_) | Error::Io(_))));
    assert!(connect(address, localhost.client()).await.is_ok(), "the server goes on");
}

#[tokio::test]
async fn a_name_that_no_certificate_can_be_for_is_refused_before_anything_is_sent() {
    let error = refused(sockeye::connect("wss://a!b/").tls(Arc::new(localhost().client()))).await;
    assert_eq!(error.to_string(), "no TLS with a!b: no certificate can be for such a name");
}

#[tokio::test]
async fn frames_glued_to_the_101_are_not_lost_and_an_end_without_close_notify_is_an_abort() {
    let localhost = localhost();
    let address = serving(localhost.server(), |mut stream| async move {
        let mut bytes = switching(&mut stream).await;
        bytes.extend(server_frame(true, Opcode::TEXT, "你好".as_bytes()));
        stream.write_all(&bytes).await.unwrap();
        stream.into_inner().0.shutdown().await.unwrap();
    })
    .await;
    let mut ws = connect(address, localhost.client()).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("你好")));
    let error = ws.recv().await.unwrap_err();
    assert!(matches!(error, Error::Aborted), "{error:?}");
    assert_eq!(error.close_code(), Some(CloseCode::ABNORMAL_CLOSURE));
}

/// close_notify is no Close frame: who ends TLS properly and the WebSocket not has still cut it off.
#[tokio::test]
async fn an_end_with_close_notify_and_without_a_close_frame_is_an_abort_too() {
    let localhost = localhost();
    let address = serving(localhost.server(), |mut stream| async move {
        let bytes = switching(&mut stream).await;
        stream.write_all(&bytes).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;
    let error = connect(address, localhost.client()).await.unwrap().recv().await.unwrap_err();
    assert!(matches!(error, Error::Aborted), "{error:?}");
}

#[tokio::test]
async fn after_both_close_frames_an_end_without_close_notify_is_clean() {
    let localhost = localhost();
    let address = serving(localhost.server(), |mut stream| async move {
        let mut bytes = switching(&mut stream).await;
        bytes.extend(server_frame(true, Opcode::CLOSE, &1000u16.to_be_bytes()));
        stream.write_all(&bytes).await.unwrap();
        let (_, opcode, _) = read_frame(&mut stream).await.unwrap();
        assert_eq!(opcode, Opcode::CLOSE);
        stream.into_inner().0.shutdown().await.unwrap();
    })
    .await;
    let mut ws = connect(address, localhost.client()).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), None);
    assert_eq!(ws.close_reason().unwrap().code(), CloseCode::NORMAL);
}

#[tokio::test]
async fn a_server_tells_a_client_that_vanished_from_one_that_closed() {
    let localhost = localhost();
    let (tell, mut told) = mpsc::unbounded_channel();
    let address = start(|listener| {
        sockeye::serve(listener, move |mut ws: WebSocket| {
            let tell = tell;
            async move {
                tell.send(ws.recv().await).unwrap();
                Ok(())
            }
        })
        .tls(Arc::new(localhost.server()))
    })
    .await;
    let (mut tcp, _) = open(address, localhost.client()).await.into_inner();
    tcp.shutdown().await.unwrap();
    let ended = told.recv().await.unwrap();
    assert!(matches!(ended, Err(Error::Aborted)), "{ended:?}");

    let mut stream = open(address, localhost.client()).await;
    stream.write_all(&client_frame(true, Opcode::CLOSE, &1000u16.to_be_bytes())).await.unwrap();
    let (_, opcode, _) = read_frame(&mut stream).await.unwrap();
    assert_eq!(opcode, Opcode::CLOSE);
    // The server ends TLS before TCP: a client sees an end, and no error.
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
    stream.into_inner().0.shutdown().await.unwrap();
    assert!(matches!(told.recv().await.unwrap(), Ok(None)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stalls_in_the_tls_handshake_is_given_up_after_ten_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let started = tokio::time::Instant::now();
    let error = connect(listener.local_addr().unwrap(), localhost().client()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(sockeye::Phase::Opening)) && error.is_timeout(), "{error:?}");
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stalls_in_the_tls_handshake_or_behind_it_is_let_go_after_ten_seconds_in_all() {
    let localhost = localhost();
    let address = echo_server(localhost.server()).await;
    let started = tokio::time::Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The beginning of a handshake record that never comes.
    stream.write_all(&[0x16, 3, 1, 1, 0, 1]).await.unwrap();
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
    assert!(started.elapsed() >= Duration::from_secs(10), "{:?}", started.elapsed());

    // The same deadline for the request behind a handshake that took its time.
    let started = tokio::time::Instant::now();
    let tcp = TcpStream::connect(address).await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(localhost.client())).connect(name, tcp).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    let elapsed = started.elapsed();
    assert!((Duration::from_secs(10)..Duration::from_secs(11)).contains(&elapsed), "{elapsed:?}");
}

/// Roots are loaded once for a process and the environment says which, so the test runs itself again in one of its own.
#[tokio::test]
async fn without_a_configuration_the_roots_of_the_system_are_trusted() {
    const NAME: &str = "tls::without_a_configuration_the_roots_of_the_system_are_trusted";
    const URL: &str = "SOCKEYE_TEST_URL";
    if let Ok(url) = std::env::var(URL) {
        for _ in 0..2 {
            match sockeye::connect(&url).await {
                Ok(_) => println!("opened"),
                Err(error) => println!("{error}"),
            }
        }
        return;
    }
    let localhost = localhost();
    let url = format!("wss://{}/", echo_server(localhost.server()).await);
    let folder = std::env::temp_dir().join(format!("sockeye-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    for (roots, said) in [
        (file("right.pem", &localhost.pem), "opened"),
        (file("other.pem", &Identity::of(&["127.0.0.1"]).pem), "its certificate is not trusted"),
        (file("empty.pem", ""), "no trusted root certificates are found on this system"),
    ] {
        let (url, roots) = (url.clone(), roots.clone());
        let output = tokio::task::spawn_blocking(move || {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", NAME, "--nocapture"])
                .env(URL, url)
                .env("SSL_CERT_FILE", roots)
                .env_remove("SSL_CERT_DIR")
                .output()
                .unwrap()
        });
        let output = String::from_utf8(output.await.unwrap().stdout).unwrap();
        assert_eq!(output.matches(said).count(), 2, "{output}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
