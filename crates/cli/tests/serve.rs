//! `sockeye serve` as its users meet it: what it prints, what it serves, how it stops.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sockeye::rustls::pki_types::{CertificateDer, ServerName};
use sockeye::rustls::{ClientConfig, RootCertStore};
use sockeye::{CloseCode, Message};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A server of its own for a test, on a free port; it ends with the test.
struct Server {
    process: Child,
    scheme: String,
    address: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut process = sockeye()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("listening on ");
        let (scheme, address) = url.and_then(|url| url.split_once("://")).expect("it says where it is");
        Self { process, scheme: scheme.to_owned(), address: address.to_owned() }
    }

    async fn connect(&self) -> sockeye::WebSocket {
        sockeye::connect(format!("ws://{}/echo", self.address)).max_message(64 << 20).await.unwrap()
    }

    async fn request(&self, method: Method, path: &str) -> Response<Bytes> {
        self.request_over(TcpStream::connect(&self.address).await.unwrap(), method, path).await
    }

    async fn request_over<S>(&self, stream: S, method: Method, path: &str) -> Response<Bytes>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut http, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header("Host", &self.address);
        let response = http.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end: the exit status, and what it said on standard error.
    async fn ended(&mut self) -> (Option<i32>, String) {
        for _ in 0..1_000 {
            if let Some(status) = self.process.try_wait().unwrap() {
                let mut said = String::new();
                self.process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                return (status.code(), said);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it does not end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn sockeye() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SOCKEYE_")) {
        command.env_remove(name);
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    sockeye().args(arguments).output().unwrap()
}

#[tokio::test]
async fn every_file_of_the_page_is_served_as_what_it_is_and_can_load_nothing_from_elsewhere() {
    let server = Server::start(&[]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        let (path, content_type) = match name.rsplit_once('.').unwrap() {
            ("index", _) => ("/".to_owned(), "text/html; charset=utf-8"),
            // Tells Node how to read the modules in a test; browsers have no use for it.
            ("package", _) => continue,
            (_, "css") => (format!("/{name}"), "text/css; charset=utf-8"),
            (_, "js") => (format!("/{name}"), "text/javascript; charset=utf-8"),
            (_, "svg") => (format!("/{name}"), "image/svg+xml"),
            other => panic!("what is {other:?}?"),
        };
        let response = server.request(Method::GET, &path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["content-type"], content_type, "{path}");
        assert!(response.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        assert!(response.body() == &std::fs::read(&file).unwrap(), "{path}");
        let head = server.request(Method::HEAD, &path).await;
        assert_eq!((head.status(), head.body().len()), (StatusCode::OK, 0));
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_answered_with_their_status() {
    let server = Server::start(&[]);
    for (method, path, status) in [
        (Method::GET, "/healthz", 200),
        (Method::GET, "/nothing", 404),
        (Method::GET, "/../Cargo.toml", 404),
        (Method::POST, "/", 405),
        (Method::GET, "/echo", 426),
        (Method::POST, "/echo", 405),
    ] {
        let response = server.request(method.clone(), path).await;
        assert_eq!(response.status().as_u16(), status, "{method} {path}");
    }
}

#[tokio::test]
async fn metrics_tell_what_has_happened_in_prometheus_format() {
    let server = Server::start(&["--max-connections-per-address", "3"]);
    let mut ws = server.connect().await;
    ws.send(vec![7; 1000]).await.unwrap();
    assert!(ws.recv().await.unwrap().is_some());
    let kept = server.connect().await;
    ws.close(CloseCode::from(4001), "").await.unwrap();
    drop(ws);
    let _ = sockeye::connect(format!("ws://{}/echo", server.address)).header("Origin", "https://evil.example").await;
    let numbers = [
        "sockeye_websockets_opened_total{http=\"1.1\"} 2",
        "sockeye_websockets_open 1",
        "sockeye_websockets_closed_total{code=\"4xxx\"} 1",
        "sockeye_requests_refused_total{reason=\"origin\"} 1",
        // Masked frames of 8 + 1000 and 6 + 2 bytes; of 4 + 1000 and 2 + 2 bytes.
        "sockeye_received_bytes_total 1016",
        "sockeye_sent_bytes_total 1008",
        "# TYPE sockeye_connections_open gauge",
    ];
    let mut text = String::new();
    // The server may be about to notice.
    for _ in 0..500 {
        let response = server.request(Method::GET, "/metrics").await;
        assert_eq!(response.status(), StatusCode::OK);
        text = String::from_utf8(response.into_body().to_vec()).unwrap();
        if numbers.iter().all(|number| text.contains(number)) {
            drop(kept);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{text}");
}

#[tokio::test]
async fn the_log_says_of_each_websocket_who_asked_for_what_and_how_it_ended() {
    let mut server = Server::start(&["--log", "sockeye=debug"]);
    let ws = sockeye::connect(format!("ws://{}/echo?token=secret", server.address)).await.unwrap();
    ws.close(CloseCode::from(4001), "enough").await.unwrap();
    drop(ws);
    server.signal("TERM");
    let (_, said) = server.ended().await;
    // Colours apart.
    let said: String = said.split('\u{1b}').map(|part| part.split_once('m').map_or(part, |(_, text)| text)).collect();
    let line = said.lines().find(|line| line.contains("closed code=4001")).unwrap_or_else(|| panic!("{said}"));
    for part in ["websocket{peer=127.0.0.1:", "path=\"/echo\"", "version=HTTP/1.1", "reason=\"enough\"", "clean=true"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!said.contains("secret"), "a query may hold what is nobody else's business: {said}");
}

#[tokio::test]
async fn the_echo_takes_messages_up_to_its_limit_and_no_longer_ones() {
    let server = Server::start(&["--max-message", "1000"]);
    let mut ws = server.connect().await;
    for message in [Message::from("你好，世界 👋"), Message::from(vec![7; 1000])] {
        ws.send(message.clone()).await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some(message));
    }
    ws.send(vec![7; 1001]).await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), None);
    assert_eq!(ws.close_reason().unwrap().code(), CloseCode::MESSAGE_TOO_BIG);
}

#[tokio::test]
async fn sigterm_and_sigint_close_with_1001_and_exit_with_0() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start(&[]);
        let mut ws = server.connect().await;
        let mut idle = server.connect().await;
        ws.send("before").await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some(Message::from("before")));
        server.signal(signal);
        for ws in [&mut ws, &mut idle] {
            assert_eq!(ws.recv().await.unwrap(), None);
            assert_eq!(ws.close_reason().unwrap().code(), CloseCode::GOING_AWAY, "{signal}");
        }
        assert_eq!(server.ended().await, (Some(0), String::new()), "{signal}");
    }
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_those_who_do_not_close() {
    let mut server = Server::start(&[]);
    // Open, and nobody polls it: Close is never answered.
    let _ws = server.connect().await;
    server.signal("TERM");
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.signal("TERM");
    assert_eq!(server.ended().await.0, Some(0));
}

/// A certificate for 127.0.0.1 and its key, as PEM files in a folder that ends with the test.
struct Files {
    folder: PathBuf,
    certificate: CertificateDer<'static>,
}

impl Files {
    fn of(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sockeye-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let identity = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(folder.join("cert.pem"), identity.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), identity.signing_key.serialize_pem()).unwrap();
        Self { folder, certificate: identity.cert.into() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn serve(&self) -> Server {
        let server = Server::start(&["--tls-cert", &self.path("cert.pem"), "--tls-key", &self.path("key.pem")]);
        assert_eq!(server.scheme, "https");
        server
    }

    /// A client that trusts this certificate alone.
    fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[tokio::test]
async fn with_a_certificate_it_serves_https_and_wss_and_drains_as_without() {
    let files = Files::of("tls");
    let mut server = files.serve();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TcpStream::connect(&server.address).await.unwrap();
    let stream = TlsConnector::from(files.client()).connect(name, stream).await.unwrap();
    let page = server.request_over(stream, Method::GET, "/").await;
    assert_eq!(page.status(), StatusCode::OK);
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("wss:"));

    let echo = sockeye::connect(format!("wss://{}/echo", server.address)).tls(files.client());
    let own_page = format!("https://{}", server.address);
    let mut ws = echo.clone().header("Origin", own_page).await.unwrap();
    for message in [Message::from("你好，世界 👋"), Message::from(vec![7; 1 << 20])] {
        ws.send(message.clone()).await.unwrap();
        assert!(ws.recv().await.unwrap() == Some(message));
    }
    // A handshake that has not begun does not keep it.
    let _stalled = TcpStream::connect(&server.address).await.unwrap();
    let mut idle = echo.await.unwrap();
    server.signal("TERM");
    for ws in [&mut ws, &mut idle] {
        assert_eq!(ws.recv().await.unwrap(), None);
        assert_eq!(ws.close_reason().unwrap().code(), CloseCode::GOING_AWAY);
    }
    assert_eq!(server.ended().await, (Some(0), String::new()));
}

#[tokio::test]
async fn sighup_reads_the_certificate_again_and_one_that_cannot_be_used_changes_nothing() {
    let (files, renewed) = (Files::of("reload"), Files::of("renewed"));
    let mut server = files.serve();
    let url = format!("wss://{}/echo", server.address);
    let mut before = sockeye::connect(&url).tls(files.client()).await.unwrap();
    let trusted_by = async |client: &Files| sockeye::connect(&url).tls(client.client()).await.is_ok();
    let eventually = async |files: &Files| {
        for _ in 0..1_000 {
            if trusted_by(files).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the certificate stays as it was");
    };

    std::fs::write(files.path("cert.pem"), "cut off").unwrap();
    server.signal("HUP");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(trusted_by(&files).await, "the old one goes on");
    for name in ["cert.pem", "key.pem"] {
        std::fs::copy(renewed.path(name), files.path(name)).unwrap();
    }
    server.signal("HUP");
    eventually(&renewed).await;
    assert!(!trusted_by(&files).await);
    before.send("still here").await.unwrap();
    assert_eq!(before.recv().await.unwrap(), Some(Message::from("still here")));
    drop(before);
    server.signal("TERM");
    let (status, said) = server.ended().await;
    assert_eq!(status, Some(0));
    assert!(said.contains("the certificate stays as it was") && said.contains("cert.pem"), "{said}");
}

#[tokio::test]
async fn pages_from_elsewhere_connect_only_where_they_are_allowed_to() {
    let elsewhere = "https://elsewhere.example";
    for (arguments, accepted) in [
        (&[][..], false),
        (&["--allow-origin", elsewhere], true),
        (&["--allow-origin", "https://a.example", "--allow-origin", elsewhere], true),
        (&["--allow-origin", "https://a.example"], false),
        (&["--allow-origin", "*"], true),
    ] {
        let server = Server::start(arguments);
        let own = format!("http://{}", server.address);
        for (origin, accepted) in [(elsewhere, accepted), (&own, true)] {
            let url = format!("ws://{}/echo", server.address);
            let opened = sockeye::connect(url).header("Origin", origin).await;
            assert_eq!(opened.is_ok(), accepted, "{arguments:?}: {origin}");
        }
    }
}

#[tokio::test]
async fn connections_are_bounded_in_all_and_from_one_address() {
    let server = Server::start(&["--max-connections", "2"]);
    let _open = (server.connect().await, server.connect().await);
    let third = tokio::time::timeout(Duration::from_millis(300), server.connect()).await;
    assert!(third.is_err(), "it waits");
    let server = Server::start(&["--max-connections-per-address", "1"]);
    let _open = server.connect().await;
    assert!(sockeye::connect(format!("ws://{}/echo", server.address)).await.is_err());
}

#[tokio::test]
async fn a_drain_is_spread_over_the_time_given() {
    let mut server = Server::start(&["--drain", "2"]);
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(server.connect().await);
    }
    let closed = clients.into_iter().map(|mut ws| {
        tokio::spawn(async move {
            assert_eq!(ws.recv().await.unwrap(), None);
            std::time::Instant::now()
        })
    });
    let closed: Vec<_> = closed.collect();
    server.signal("TERM");
    let mut moments = Vec::new();
    for task in closed {
        moments.push(task.await.unwrap());
    }
    // By chance not all of 40 are in the same half.
    let took = *moments.iter().max().unwrap() - *moments.iter().min().unwrap();
    assert!(took > Duration::from_millis(500), "{took:?}");
    assert_eq!(server.ended().await, (Some(0), String::new()));
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_not_answered_and_does_no_harm() {
    let files = Files::of("plain");
    let server = files.serve();
    assert!(sockeye::connect(format!("ws://{}/echo", server.address)).await.is_err());
    assert!(sockeye::connect(format!("wss://{}/echo", server.address)).tls(files.client()).await.is_ok());
}

#[test]
fn a_certificate_or_key_that_cannot_be_used_is_one_line_that_says_why_and_status_1() {
    let files = Files::of("files");
    std::fs::write(files.path("empty.pem"), "nothing\n").unwrap();
    std::fs::write(files.path("other.pem"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let cut = std::fs::read_to_string(files.path("cert.pem")).unwrap();
    std::fs::write(files.path("cut.pem"), &cut[..cut.len() / 2]).unwrap();
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(files.path("damaged.pem"), damaged).unwrap();
    std::fs::write(files.path("damaged-key.pem"), damaged.replace("CERTIFICATE", "PRIVATE KEY")).unwrap();
    for (cert, key, culprit, why) in [
        ("none.pem", "key.pem", "none.pem", "there is no such file"),
        ("cert.pem", "none.pem", "none.pem", "there is no such file"),
        ("", "key.pem", "", "directory"),
        ("empty.pem", "key.pem", "empty.pem", "there is no certificate in it"),
        ("key.pem", "cert.pem", "key.pem", "there is no certificate in it"),
        ("cert.pem", "empty.pem", "empty.pem", "there is no private key in it"),
        ("cert.pem", "other.pem", "other.pem", "it is not the key of the certificate in"),
        ("cut.pem", "key.pem", "cut.pem", "it is cut off"),
        ("damaged.pem", "key.pem", "damaged.pem", "the certificate cannot be used"),
        ("cert.pem", "damaged-key.pem", "damaged-key.pem", "private key"),
    ] {
        let (cert, key) = (files.path(cert), files.path(key));
        let output = run(&["serve", "--listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(
            said.starts_with(&format!("error: cannot use {}: ", files.path(culprit))) && said.contains(why),
            "{said}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_port_in_use_is_one_line_and_status_1() {
    let server = Server::start(&[]);
    let output = run(&["serve", "--listen", &server.address]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, format!("error: cannot listen on {}: the port is in use\n", server.address));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn wrong_usage_is_one_line_and_status_2() {
    for (arguments, named) in [
        (&["serve", "--listen", "8080"][..], "such as 127.0.0.1:8080"),
        (&["serve", "--listen", "127.0.0.1:99999"], "--listen"),
        (&["serve", "--lisen", "127.0.0.1:0"], "--listen"),
        (&["serve", "--threads", "0"], "--threads"),
        (&["serve", "--max-message", "lots"], "--max-message"),
        (&["serve", "--log", "sockeye=loud"], "--log"),
        (&["serve", "--max-connections", "0"], "--max-connections"),
        (&["serve", "--allow-origin", "example.com"], "such as https://example.com"),
        (&["serve", "--allow-origin", "https://example.com/"], "such as https://example.com"),
        (&["serve", "--drain", "soon"], "--drain"),
        (&["serve", "--tls-cert", "cert.pem"], "--tls-key"),
        (&["serve", "--tls-key", "key.pem"], "--tls-cert"),
        (&["sevre"], "serve"),
    ] {
        let output = run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
}

#[test]
fn options_are_environment_variables_too() {
    for (name, value, named) in
        [("SOCKEYE_LISTEN", "nowhere", "nowhere"), ("SOCKEYE_TLS_CERT", "cert.pem", "--tls-key")]
    {
        let output = sockeye().arg("serve").env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains(named));
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for arguments in [&["--help"][..], &["--version"], &["serve", "--help"], &["inspect", "--help"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
    assert!(String::from_utf8(run(&["serve", "--help"]).stdout).unwrap().contains("Example: sockeye serve"));
}
