//! Our client on its way out: through proxies that others have made, over HTTP/2 with a server that is not ours, and through
//! one that turns HTTP/2 into HTTP/1.1.

#[path = "outbound/programs.rs"]
mod programs;

use core::error::Error;
use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use programs::{Folder, Program, free_port};
use sockeye::rustls::pki_types::PrivatePkcs8KeyDer;
use sockeye::rustls::{ClientConfig, RootCertStore, ServerConfig};
use sockeye::{CloseCode, Connect, HttpVersion, Limits, Message, Upgrader, WebSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

type Result<T = ()> = core::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Each length form of RFC 6455 §5.2 and its edges, and several of HTTP/2's windows and frames.
const SIZES: [usize; 9] = [0, 1, 125, 126, 16_384, 65_535, 65_536, 1 << 20, 5_000_000];
const MAX_MESSAGE: usize = 64 << 20;

/// A certificate for `localhost`, and who trusts it.
struct Identity {
    certificate: String,
    key: String,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Identity {
    fn new() -> Result<Self> {
        let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = identity.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der()).into();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone())?;
        let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self {
            certificate: identity.cert.pem(),
            key: identity.signing_key.serialize_pem(),
            server: Arc::new(server),
            client: Arc::new(client),
        })
    }
}

async fn echo(mut ws: WebSocket) -> Result {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

/// Our echo server, with TLS or without.
async fn serve(tls: Option<Arc<ServerConfig>>) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut server =
        sockeye::serve(listener, echo).upgrader(Upgrader::default().limits(Limits::default().message(MAX_MESSAGE)));
    if let Some(config) = tls {
        server = server.tls(config);
    }
    tokio::spawn(server.into_future());
    Ok(address)
}

/// Whether every size comes back, and the closing handshake.
async fn comes_back(attempt: Connect) -> Result {
    let mut ws = attempt.max_message(MAX_MESSAGE).await?;
    for size in SIZES {
        for message in [Message::from("好".repeat(size / 3)), Message::from(vec![7; size])] {
            ws.send(message.clone()).await?;
            assert!(ws.recv().await? == Some(message), "{size} bytes");
        }
    }
    for number in 0..1000 {
        ws.send(number.to_string()).await?;
    }
    for number in 0..1000 {
        assert_eq!(ws.recv().await?, Some(Message::from(number.to_string())));
    }
    ws.ping().await?;
    ws.close(CloseCode::from(4001), "再见").await?;
    assert_eq!(ws.close_reason().ok_or("there was a Close")?.to_string(), "4001: 再见");
    Ok(())
}

// --- proxies ---

/// Passes one connection after the other on to a server; tells the first byte of each.
async fn recording(server: SocketAddr) -> Result<(u16, mpsc::UnboundedReceiver<u8>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await?;
                let first = client.read_u8().await?;
                let _ = tell.send(first);
                server.write_u8(first).await?;
                copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    Ok((port, told))
}

#[tokio::test]
async fn through_each_proxy_the_server_is_reached_and_over_tls_a_client_hello_comes_first() -> Result {
    let identity = Identity::new()?;
    let (mut proxies, [http, socks]) = Program::script("proxies.mjs", &[]).await?;
    let (plain, mut first_plain) = recording(serve(None).await?).await?;
    let (secure, mut first_secure) = recording(serve(Some(Arc::clone(&identity.server))).await?).await?;
    for (kind, proxy) in [
        ("http", format!("http://user:open%20sesame@127.0.0.1:{http}")),
        ("socks", format!("socks5://user:open%20sesame@127.0.0.1:{socks}")),
    ] {
        // The name is the proxy's to look up.
        comes_back(sockeye::connect(format!("ws://localhost:{plain}/")).proxy(&proxy)).await?;
        assert_eq!(proxies.line_with(kind).await?, format!(" localhost:{plain}"));
        assert_eq!(first_plain.recv().await, Some(b'G'), "a GET");
        let attempt = sockeye::connect(format!("wss://localhost:{secure}/")).tls(Arc::clone(&identity.client));
        comes_back(attempt.proxy(&proxy)).await?;
        assert_eq!(proxies.line_with(kind).await?, format!(" localhost:{secure}"));
        assert_eq!(first_secure.recv().await, Some(0x16), "a handshake record of TLS (RFC 8446 §5.1)");
    }
    assert!(first_plain.try_recv().is_err() && first_secure.try_recv().is_err(), "nothing went past them");
    Ok(())
}

#[tokio::test]
async fn a_proxy_that_refuses_is_told_with_what_it_said() -> Result {
    let (_proxies, [http, socks]) = Program::script("proxies.mjs", &[]).await?;
    let closed = free_port()?;
    for (proxy, said) in [
        (format!("http://127.0.0.1:{http}"), "it answered 407 Proxy Authentication Required"),
        (format!("http://user:wrong@127.0.0.1:{http}"), "it answered 407 Proxy Authentication Required"),
        // It reaches nobody, and says so by hanging up.
        (format!("http://user:open%20sesame@127.0.0.1:{http}"), "it ended the connection before it had answered"),
        (format!("socks5://user:wrong@127.0.0.1:{socks}"), "credentials not accepted"),
        (format!("socks5://127.0.0.1:{socks}"), "server does not support"),
        (format!("socks5://user:open%20sesame@127.0.0.1:{socks}"), "SOCKS error"),
    ] {
        let attempt = sockeye::connect(format!("ws://localhost:{closed}/")).proxy(&proxy);
        let error = attempt.await.expect_err("nobody listens there");
        let sockeye::Error::Proxy(error) = error else { return Err(error.into()) };
        assert!(error.to_string().contains(said), "{error}");
        assert!(!error.to_string().contains("sesame") && !error.to_string().contains("wrong"), "{error}");
    }
    Ok(())
}

// --- HAProxy in front of our server ---

#[tokio::test]
async fn behind_haproxy_our_server_is_reached_in_both_versions_of_http() -> Result {
    let (identity, folder) = (Identity::new()?, Folder::new("haproxy")?);
    let server = serve(None).await?;
    let certificate = folder.file("localhost.pem", &format!("{}{}", identity.certificate, identity.key))?;
    let (plain, secure, h2c) = (free_port()?, free_port()?, free_port()?);
    let configuration = format!(
        "defaults\n  mode http\n  timeout connect 10s\n  timeout client 60s\n  timeout server 60s\n  timeout tunnel 60s\n\
         frontend ours\n  bind 127.0.0.1:{plain}\n  bind 127.0.0.1:{secure} ssl crt {} alpn h2,http/1.1\n  \
         bind 127.0.0.1:{h2c} proto h2\n  default_backend echo\n\
         backend echo\n  server echo {server}\n",
        certificate.display()
    );
    let _haproxy = Program::haproxy(&folder.file("haproxy.cfg", &configuration)?, plain).await?;
    let over_tls = || sockeye::connect(format!("wss://localhost:{secure}/")).tls(Arc::clone(&identity.client));

    comes_back(sockeye::connect(format!("ws://127.0.0.1:{plain}/"))).await?;
    comes_back(over_tls()).await?;
    comes_back(over_tls().http_version(HttpVersion::Auto)).await?;
    comes_back(over_tls().http_version(HttpVersion::H2)).await?;
    comes_back(sockeye::connect(format!("ws://127.0.0.1:{h2c}/")).http_version(HttpVersion::H2)).await?;

    // Many on one connection, which HAProxy turns into one each of HTTP/1.1.
    let http2 = over_tls().http2();
    let opening = (0..50).map(|_| tokio::spawn(http2.open("/").into_future()));
    let mut all = Vec::new();
    for opened in opening.collect::<Vec<_>>() {
        all.push(opened.await??);
    }
    for (number, ws) in all.iter_mut().enumerate() {
        ws.send(number.to_string()).await?;
        assert_eq!(ws.recv().await?, Some(Message::from(number.to_string())));
    }
    Ok(())
}

// --- Node's HTTP/2 ---

#[tokio::test]
async fn every_size_comes_back_from_node_over_http2() -> Result {
    let (mut server, [port]) = Program::script("http2.mjs", &[]).await?;
    comes_back(sockeye::connect(format!("ws://127.0.0.1:{port}/echo")).http_version(HttpVersion::H2)).await?;
    assert_eq!(server.line_with("closed ").await?, "/echo 4001 再见");

    let (identity, folder) = (Identity::new()?, Folder::new("node-http2")?);
    let certificate = folder.file("certificate.pem", &identity.certificate)?;
    let key = folder.file("key.pem", &identity.key)?;
    let (mut server, [port]) = Program::script("http2.mjs", &[&certificate, &key]).await?;
    let attempt = sockeye::connect(format!("wss://localhost:{port}/echo")).tls(identity.client);
    for version in [HttpVersion::H2, HttpVersion::Auto] {
        comes_back(attempt.clone().http_version(version)).await?;
        assert_eq!(server.line_with("closed ").await?, "/echo 4001 再见");
    }
    match attempt.url(format!("wss://localhost:{port}/nothing")).http_version(HttpVersion::H2).await {
        Err(sockeye::Error::Refused(answer)) => {
            assert_eq!((answer.status().as_u16(), &answer.body()[..]), (404, &b"there is nothing here\n"[..]));
            Ok(())
        }
        other => Err(format!("{other:?}").into()),
    }
}

#[tokio::test]
async fn a_hundred_websockets_share_a_connection_with_node_and_one_that_does_not_read_holds_up_none() -> Result {
    let (mut server, [port]) = Program::script("http2.mjs", &[]).await?;
    let http2 = sockeye::connect(format!("ws://127.0.0.1:{port}/")).max_message(MAX_MESSAGE).http2();
    let unread = http2.open("/flood").subprotocol("chat").await?;
    assert_eq!(unread.subprotocol(), Some("chat"));
    // Until the window is full.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let opening = (0..99).map(|_| tokio::spawn(http2.open("/echo").into_future()));
    let mut all = Vec::new();
    for opened in opening.collect::<Vec<_>>() {
        all.push(opened.await??);
    }
    for round in 0..10 {
        for (number, ws) in all.iter_mut().enumerate() {
            let message = format!("{round}: {number} {}", "x".repeat(number * 100));
            ws.send(message.clone()).await?;
            assert_eq!(ws.recv().await?, Some(Message::from(message)));
        }
    }
    for ws in all.drain(..) {
        ws.close(CloseCode::NORMAL, "").await?;
    }
    let mut sessions = 0;
    for _ in 0..99 {
        loop {
            match server.line().await?.as_str() {
                "session" => sessions += 1,
                "closed /echo 1000 " => break,
                other => return Err(other.to_owned().into()),
            }
        }
    }
    assert_eq!(sessions, 1);
    drop(unread);
    Ok(())
}
