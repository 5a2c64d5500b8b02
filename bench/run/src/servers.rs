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
    program: &'static str,
    word: Option<&'static str>,
    /// It knows no protocol: bytes come back as they were sent.
    pub raw: bool,
    deflate: bool,
}

const fn peer(name: &'static str, program: &'static str) -> Server {
    Server { name, package: name, program, word: None, raw: false, deflate: false }
}

const fn raw(name: &'static str, program: &'static str, package: &'static str) -> Server {
    Server { raw: true, package, ..peer(name, program) }
}

const fn deflates(server: Server) -> Server {
    Server { deflate: true, ..server }
}

/// In the order of the tables: the limits, ours, the peers.
pub const SERVERS: &[Server] = &[
    raw("raw-epoll", "server-raw-epoll", "rustix"),
    raw("raw-tokio", "server-raw-tokio", "tokio"),
    deflates(Server { package: "sockeye", ..peer("ours", "server-ours") }),
    peer("fastwebsockets", "server-fastwebsockets"),
    peer("tokio-tungstenite", "server-tokio-tungstenite"),
    Server {
        package: "tokio-tungstenite",
        word: Some("4k"),
        ..peer("tokio-tungstenite-4k", "server-tokio-tungstenite")
    },
    peer("tokio-websockets", "server-tokio-websockets"),
    deflates(peer("yawc", "server-yawc")),
    deflates(peer("sockudo-ws", "server-sockudo-ws")),
    deflates(Server { package: "libuwebsockets-sys", ..peer("uWebSockets", "server-uwebsockets") }),
];

impl Server {
    pub fn named(name: &str) -> Option<&'static Self> {
        SERVERS.iter().find(|server| server.name == name)
    }

    /// Whether a column says anything of it.
    pub fn takes_part(&self, column: &Column) -> bool {
        match column.task {
            Task::Deflate { .. } | Task::DeflateMemory { .. } => self.deflate,
            // Without a protocol, text is the same as any other bytes.
            _ => !self.raw || (column.payload == Payload::Binary && !column.tls),
        }
    }

    pub fn start(&self, column: &Column, core: usize) -> Result<Running, Box<dyn Error>> {
        let mut command = Command::new(program(self.program)?);
        command.arg(column.mode()).args(self.word).args(column.tls.then_some("tls"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = cores::pinned(core, || command.spawn())?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut running = Running { child, port: 0 };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        running.port = line.trim().parse().map_err(|_| format!("{} does not start", self.name))?;
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
