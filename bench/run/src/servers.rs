//! The servers: what each can do, and how it is started and ended.

use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

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
    /// It knows no protocol: bytes come back as they were sent.
    Raw,
    Ours,
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

const TUNGSTENITE: Server = connects(peer("tokio-tungstenite", "server-tokio-tungstenite"));

/// In the order of the tables: the limits, ours, the peers.
pub const SERVERS: &[Server] = &[
    one_thread(raw("raw-epoll", "server-raw-epoll", "rustix")),
    raw("raw-tokio", "server-raw-tokio", "tokio"),
    ours("ours"),
    with("borrowed", "ours-borrowed", ours("ours")),
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
        match column.task {
            // What these do has nothing to lend.
            Task::Stream | Task::Client | Task::Broadcast if self.word == Some("borrowed") => false,
            Task::Deflate { .. } | Task::DeflateMemory { .. } => self.deflate,
            Task::Client => self.client,
            Task::Threads { .. } => self.threads,
            // Without a protocol, text is the same as any other bytes.
            _ => self.kind != Kind::Raw || (column.payload == Payload::Binary && !column.tls),
        }
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
        let mut running = Running { child, port: to.unwrap_or(0) };
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
