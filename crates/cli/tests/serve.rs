//! `sockeye serve` as its users meet it: what it prints, what it serves, how it stops.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use sockeye::{CloseCode, Message};
use tokio::net::TcpStream;

/// A server of its own for a test, on a free port; it ends with the test.
struct Server {
    process: Child,
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
        let address = line.trim_end().strip_prefix("listening on http://").expect("it says where it is").to_owned();
        Self { process, address }
    }

    async fn connect(&self) -> sockeye::WebSocket {
        sockeye::connect(format!("ws://{}/echo", self.address)).max_message(64 << 20).await.unwrap()
    }

    async fn request(&self, method: Method, path: &str) -> Response<Bytes> {
        let stream = TcpStream::connect(&self.address).await.unwrap();
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
    let output = sockeye().arg("serve").env("SOCKEYE_LISTEN", "nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("nowhere"));
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
