//! The binary while it runs, and the ends of connections in raw bytes.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A command that listens, on a free port of its own; it ends with the test.
pub(crate) struct Running {
    process: Child,
    /// `127.0.0.1:50000`.
    pub(crate) address: String,
    stdout: Option<BufReader<ChildStdout>>,
    output: Option<JoinHandle<String>>,
    errors: Option<JoinHandle<String>>,
}

pub(crate) fn sockeye() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SOCKEYE_")) {
        command.env_remove(name);
    }
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut running = Self::start_unread(arguments);
        let mut stdout = running.stdout.take().unwrap();
        running.output = Some(std::thread::spawn(move || text(&mut stdout)));
        running
    }

    /// The same, with nobody who reads its output.
    pub(crate) fn start_unread(arguments: &[&str]) -> Self {
        let mut process = sockeye()
            .args(arguments)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = process.stderr.take().unwrap();
        let errors = std::thread::spawn(move || text(&mut stderr));
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.split_once("://").and_then(|(_, rest)| rest.split([',', '\n', '"']).next());
        let address = address.unwrap_or_else(|| panic!("it says where it is: {line}")).to_owned();
        Self { process, address, stdout: Some(stdout), output: None, errors: Some(errors) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    /// Stops it: exit status, standard output behind the first line, standard error.
    pub(crate) fn stop(self) -> (Option<i32>, String, String) {
        let sent = Command::new("kill").args(["-s", "INT", &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.ended()
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> (Option<i32>, String, String) {
        let status = self.process.wait().unwrap();
        let [output, errors] = [self.output.take(), self.errors.take()]
            .map(|thread| thread.map(|thread| thread.join().unwrap()).unwrap_or_default());
        (status.code(), output, errors)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn text(stream: &mut impl Read) -> String {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    String::from_utf8(all).unwrap()
}

/// A server in raw bytes; its address.
pub(crate) async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Reads a head, and not a byte more.
pub(crate) async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.unwrap_or_else(|error| {
            panic!("{error} behind {:?}", String::from_utf8_lossy(&head));
        });
        head.push(byte);
    }
    String::from_utf8(head).unwrap()
}

/// Reads so many bytes.
pub(crate) async fn bytes(stream: &mut (impl AsyncRead + Unpin), count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// Reads to the end, or to where it is broken off.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    bytes
}

/// Says a thing in pieces of so many bytes, each in a write of its own.
pub(crate) async fn say(stream: &mut TcpStream, bytes: &[u8], step: usize) {
    stream.set_nodelay(true).unwrap();
    for piece in bytes.chunks(step) {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
}
