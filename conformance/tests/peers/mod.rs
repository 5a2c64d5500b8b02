//! Starts the programs in `interop/`, which speak WebSocket with Python `websockets` and Node `ws`.

use core::net::SocketAddr;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Whatever has not happened by then will not happen. The programs themselves give up after 20 s.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    PythonWebsockets,
    NodeWs,
}

impl Peer {
    fn command(self) -> Command {
        let mut command = match self {
            Self::PythonWebsockets => python("peer.py"),
            Self::NodeWs => {
                let mut node = Command::new("node");
                node.arg(interop().join("peer.mjs"));
                node
            }
        };
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Starts the peer's server.
    pub(crate) async fn serve(self) -> Server {
        let mut command = self.command();
        command.arg("serve");
        Server::start(command).await
    }

    /// Runs the peer's client with these arguments; gives what it printed when it found nothing wrong.
    pub(crate) async fn check(self, args: &[&str]) -> String {
        let run = self.command().args(args).output();
        // The longest battery takes a minute or two; on a busy machine more.
        let out = timeout(6 * PATIENCE, run).await.expect("the peer's client ends").expect("the peer's client runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        assert!(out.status.success(), "{}", text(&out.stderr));
        text(&out.stdout)
    }
}

/// Brings the clients of HTTP/1.1 that come to what it returns to the HTTP/2 of a server, by Python's `h2`.
pub(crate) async fn over_http2(address: SocketAddr) -> Server {
    let mut python = python("http2_bridge.py");
    python.arg(address.to_string());
    Server::start(python).await
}

/// HAProxy in front of a server, by the configuration of the guide. Dropping it ends it.
pub(crate) struct HaProxy {
    _process: Child,
    pub(crate) address: SocketAddr,
}

impl HaProxy {
    /// `over_http2`: to the server.
    pub(crate) async fn before(server: SocketAddr, over_http2: bool) -> Self {
        let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/haproxy.cfg");
        let config = std::fs::read_to_string(guide).expect("the guide has a configuration");
        // It cannot say which free port it has taken, so one is looked for.
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("there is a free port");
        // Without the check: this server has nothing but WebSockets.
        let behind = if over_http2 { format!("{server} proto h2") } else { server.to_string() };
        let changed = config.replace("127.0.0.1:8080 check\n", &format!("{behind}\n"));
        assert_ne!(changed, config, "the guide has a line for the server");
        let config = changed.replace("127.0.0.1:8081", &address.to_string());
        let file = std::env::temp_dir().join(format!("sockeye-haproxy-{}.cfg", address.port()));
        std::fs::write(&file, config).expect("there is room for a file");
        let process = Command::new("haproxy").arg("-db").arg("-f").arg(&file).kill_on_drop(true).spawn();
        let process = process.expect("HAProxy starts; `cargo xtask test interop` installs it");
        let ready = async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, ready).await.expect("HAProxy listens");
        let _ = std::fs::remove_file(file);
        Self { _process: process, address }
    }
}

/// A peer's server. Dropping it ends it.
pub(crate) struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Server {
    async fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the peer starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut server = Self { child, lines: BufReader::new(stdout).lines(), address: String::new() };
        let line = server.line().await;
        line.strip_prefix("listening on ")
            .expect("the first line says where it listens")
            .clone_into(&mut server.address);
        server
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path_and_query: &str) -> String {
        format!("ws://{}{path_and_query}", self.address)
    }

    /// The next line it prints: for each connection that ends, `closed PATH CODE REASON`.
    pub(crate) async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("the peer prints a line in time");
        line.expect("the peer's output can be read").expect("the peer runs until the test ends")
    }

    /// Ends it on the spot, so that its connections end without a Close.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("the peer can be killed");
    }
}

fn interop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

fn python(program: &str) -> Command {
    let mut python = Command::new(installed().join("venv/bin/python"));
    // The folder of the sources stays as it is.
    python.env("PYTHONDONTWRITEBYTECODE", "1").arg(interop().join(program));
    python.stdin(Stdio::null()).kill_on_drop(true);
    python
}

fn installed() -> PathBuf {
    let folder = std::env::var_os("SOCKEYE_PEERS").expect(
        "SOCKEYE_PEERS names no folder with the peers; `cargo xtask test interop` installs them and runs these tests",
    );
    PathBuf::from(folder)
}
