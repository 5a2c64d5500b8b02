//! What a WebSocket costs a server in memory once it has been used and is idle: with and without compression, where the
//! server counts its connections and can close them over a time, and over HTTP/2 with a hundred on each connection.
//!
//! ```text
//! cargo bench -p sockeye --bench memory               10,000 connections each (1,000 with takeover)
//! cargo bench -p sockeye --bench memory -- 1000       as many as said
//! ```
//! Server and clients are processes of their own, as descriptors are limited for each; the server's resident memory is
//! what `/proc/self/statm` says, so Linux only. Every client sends one text of 1 KiB, has it back, and is silent.

#[path = "../tests/support/http2.rs"]
mod http2;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use http2::Http2;
use sockeye::{Compression, Limits, Message, Server, Upgrader, WebSocket};
use tokio::net::{TcpListener, TcpStream};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    // Cargo adds --bench.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["server", mode] => runtime()?.block_on(server(mode)),
        ["clients", address, count, mode] => runtime()?.block_on(clients(address, count.parse()?, mode)),
        [] => compare(10_000),
        [count] => compare(count.parse()?),
        _ => Err("memory [CONNECTIONS]".into()),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn compression(mode: &str) -> Compression {
    match mode {
        "no-takeover" => Compression::no_takeover(),
        "takeover" => Compression::takeover(),
        _ => Compression::OFF,
    }
}

/// Runs each mode in processes of its own and prints what a connection costs.
fn compare(count: usize) -> Result<()> {
    println!("{:<12} {:>12} {:>22}", "mode", "connections", "bytes per connection");
    let mut without = 0;
    for mode in ["off", "counted", "http2", "no-takeover", "takeover"] {
        // A quarter of a megabyte each: as many as that of the others would not fit.
        let count = if mode == "takeover" { count.min(1_000) } else { count };
        let mut server = Process::start(&["server", mode])?;
        let address = server.line()?;
        let before: usize = server.ask("memory")?.parse()?;
        let mut clients = Process::start(&["clients", &address, &count.to_string(), mode])?;
        clients.line()?;
        let after: usize = server.ask("memory")?.parse()?;
        let each = after.saturating_sub(before) / count;
        if mode == "off" {
            without = each;
            println!("{mode:<12} {count:>12} {each:>22}");
        } else {
            println!("{mode:<12} {count:>12} {each:>22}   {:+} to off", each.cast_signed() - without.cast_signed());
        }
    }
    Ok(())
}

/// A server that says what memory it holds whenever it is asked.
async fn server(mode: &str) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    if mode == "counted" {
        let bounded = Server::builder().max_connections(1 << 20).max_connections_per_address(1 << 20);
        tokio::spawn(bounded.build().serve(listener, echo));
    } else {
        let upgrader = Upgrader::default().compression(compression(mode));
        tokio::spawn(sockeye::serve(listener, echo).upgrader(upgrader).into_future());
    }
    let (ask, mut asked) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || std::io::stdin().lock().lines().try_for_each(|line| ask.send(line).map_err(drop)));
    while asked.recv().await.is_some() {
        println!("{}", resident()?);
    }
    Ok(())
}

/// No `async fn`, whose future has room for its argument twice.
#[expect(clippy::manual_async_fn, reason = "it has not")]
fn echo(mut ws: WebSocket) -> impl Future<Output = Result<()>> + Send {
    async move {
        while let Some(message) = ws.recv().await? {
            ws.send(message).await?;
        }
        Ok(())
    }
}

/// The process's resident memory, in bytes.
fn resident() -> Result<usize> {
    const PAGE: usize = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm.split(' ').nth(1).ok_or("statm has a second field")?.parse()?;
    Ok(pages * PAGE)
}

/// Opens connections, has one message back on each, and keeps them until standard input ends.
async fn clients(address: &str, count: usize, mode: &str) -> Result<()> {
    let text = "{\"id\":12345,\"name\":\"你好\",\"tags\":[\"a\",\"b\"],\"on\":true},".repeat(20)[..1000].to_owned();
    let mut open = Vec::with_capacity(count);
    let mut http2 = None;
    for number in 0..count {
        let mut ws = if mode == "http2" {
            if number % 100 == 0 {
                http2 = Some(Http2::over(TcpStream::connect(address).await?).await);
            }
            http2.as_ref().ok_or("the first has opened it")?.websocket(Limits::default()).await
        } else {
            sockeye::connect(format!("ws://{address}/")).compression(compression(mode)).await?
        };
        ws.send(text.clone()).await?;
        if ws.recv().await? != Some(Message::from(text.clone())) {
            return Err("something else came back".into());
        }
        open.push(ws);
    }
    println!("open");
    let mut end = String::new();
    std::io::stdin().read_line(&mut end)?;
    Ok(())
}

/// This program once more, in another part; it ends with this value.
struct Process {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(arguments: &[&str]) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (input, output) = input.zip(output).ok_or("both are piped")?;
        Ok(Self { process, input, output: BufReader::new(output) })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() { Err("the other process ended".into()) } else { Ok(line.trim_end().to_owned()) }
    }

    fn ask(&mut self, question: &str) -> Result<String> {
        writeln!(self.input, "{question}")?;
        self.line()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
