//! The servers: what each can do, and how it is started and ended.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use columns::{Column, Payload, Task};

use crate::cores;

#[derive(Debug)]
pub struct Server {
    pub name: &'static str,
    /// The crate that it measures, for its version.
    pub package: &'static str,
    pub kind: Kind,
    program: &'static str,
    word: Option<&'static str>,
    deflate: bool,
    client: bool,
    /// It is on tokio, and so on as many threads as wanted.
    threads: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes come back as they were sent, masked.
    Raw,
    Ours,
    /// Our program, in front of our server.
    Proxy,
    Peer,
}

const fn peer(name: &'static str, program: &'static str) -> Server {
    let (kind, package) = (Kind::Peer, name);
    Server { name, package, kind, program, word: None, deflate: false, client: false, threads: true }
}

const fn raw(name: &'static str, program: &'static str, package: &'static str) -> Server {
    Server { kind: Kind::Raw, package, ..peer(name, program) }
}

const fn ours(name: &'static str) -> Server {
    Server { kind: Kind::Ours, package: "sockeye", deflate: true, client: true, ..peer(name, "server-ours") }
}

const fn proxy(name: &'static str, word: Option<&'static str>) -> Server {
    Server { kind: Kind::Proxy, package: "sockeye", word, threads: false, ..peer(name, "sockeye") }
}

/// The same program with a word that it knows.
const fn with(word: &'static str, name: &'static str, server: Server) -> Server {
    Server { word: Some(word), name, ..server }
}

const fn deflates(server: Server) -> Server {
    Server { deflate: true, ..server }
}

const fn connects(server: Server) -> Server {
    Server { client: true, ..server }
}

const fn one_thread(server: Server) -> Server {
    Server { threads: false, ..server }
}

const RAW_TOKIO: Server = raw("raw-tokio", "server-raw-tokio", "tokio");
const TUNGSTENITE: Server = connects(peer("tokio-tungstenite", "server-tokio-tungstenite"));

/// In the order of the tables: the limits, ours, the peers.
pub const SERVERS: &[Server] = &[
    one_thread(raw("raw-epoll", "server-raw-epoll", "rustix")),
    RAW_TOKIO,
    with("whole", "raw-tokio-whole", RAW_TOKIO),
    ours("ours"),
    with("borrowed", "ours-borrowed", ours("ours")),
    proxy("proxy", None),
    proxy("proxy-record", Some("--record")),
    connects(peer("fastwebsockets", "server-fastwebsockets")),
    TUNGSTENITE,
    with("4k", "tokio-tungstenite-4k", TUNGSTENITE),
    peer("tokio-websockets", "server-tokio-websockets"),
    deflates(peer("yawc", "server-yawc")),
    deflates(peer("sockudo-ws", "server-sockudo-ws")),
    one_thread(deflates(Server { package: "libuwebsockets-sys", ..peer("uWebSockets", "server-uwebsockets") })),
];

impl Server {
    pub fn named(name: &str) -> Option<&'static Self> {
        SERVERS.iter().find(|server| server.name == name)
    }

    /// Whether a column says anything of it.
    pub fn takes_part(&self, column: &Column) -> bool {
        const LARGE: usize = 64 << 10;
        match column.task {
            Task::Proxy => self.kind == Kind::Proxy || self.name == "ours",
            _ if self.kind == Kind::Proxy => false,
            // What is small comes whole to everybody, and what is streamed is not to.
            _ if self.word == Some("whole") && (column.size < LARGE || column.task == Task::Stream) => false,
            // What these do has nothing to lend.
            Task::Stream | Task::Client | Task::Broadcast if self.word == Some("borrowed") => false,
            Task::Deflate { .. } | Task::DeflateMemory { .. } => self.deflate,
            Task::Client => self.client,
            Task::Threads { .. } => self.threads,
            // Without a protocol, text is the same as any other bytes.
            _ => self.kind != Kind::Raw || (column.payload == Payload::Binary && !column.tls),
        }
    }

    /// Starts a proxy, and our server behind it on the load generator's processors.
    pub fn start_in_front(
        &self,
        column: &Column,
        cores: &[usize],
        behind: &[usize],
    ) -> Result<Running, Box<dyn Error>> {
        /// More than is recorded in a run: beyond it nothing would be, at no cost.
        const LIMIT: &str = "64000000000";
        let server = Self::named("ours").ok_or("there is no server")?.start(column, behind, None)?;
        let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release/sockeye");
        let mut command = Command::new(&binary);
        command.args(["proxy", "--quiet", "--threads", "1", "--listen", "127.0.0.1:0"]);
        command.args(["--to", &format!("ws://127.0.0.1:{}", server.port)]);
        let recording = self.word.map(|_| env::temp_dir().join(format!("sockeye-bench-{}.jsonl", server.id())));
        if let Some(file) = &recording {
            command.args(["--record-limit", LIMIT, "--record"]).arg(file);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let started = cores::pinned(cores, || command.spawn());
        let mut child = started.map_err(|error| format!("{}: {error}: cargo build --release", binary.display()))?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut running = Running { child, port: 0, behind: Some(Box::new(server)), recording };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let port = line.split(',').next().and_then(|url| url.rsplit_once(':')?.1.parse().ok());
        running.port = port.ok_or_else(|| format!("{} does not start", self.name))?;
        Ok(running)
    }

    /// Starts it for a column. It prints the port it listens on; a client is told the port to connect to.
    pub fn start(&self, column: &Column, cores: &[usize], to: Option<u16>) -> Result<Running, Box<dyn Error>> {
        let mut command = Command::new(program(self.program)?);
        command.arg(column.mode());
        if let Some(port) = to {
            command.args([port.to_string(), column.connections.to_string()]);
        }
        command.args(self.word).args(column.words());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = cores::pinned(cores, || command.spawn())?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut running = Running { child, port: to.unwrap_or(0), behind: None, recording: None };
        if to.is_none() {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line)?;
            running.port = line.trim().parse().map_err(|_| format!("{} does not start", self.name))?;
        }
        Ok(running)
    }
}

/// A server's process. It ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pub port: u16,
    /// What a proxy leads to.
    behind: Option<Box<Self>>,
    /// What it writes.
    recording: Option<PathBuf>,
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, then.
        let _ = self.child.kill();
        let _ = self.child.wait();
        drop(self.behind.take());
        if let Some(file) = self.recording.take() {
            let _ = fs::remove_file(file);
        }
    }
}

/// A program of this workspace, which lies beside this one.
pub fn program(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let path = env::current_exe()?.with_file_name(name);
    if path.exists() {
        return Ok(path);
    }
    Err(format!("{name} is not built: cargo build --release --workspace --manifest-path bench/Cargo.toml").into())
}
