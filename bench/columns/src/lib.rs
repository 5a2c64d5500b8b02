//! What is measured. The load generator acts it out, the runner lists it.

/// One column of the tables.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub about: &'static str,
    pub task: Task,
    pub connections: usize,
    /// Bytes of a message's payload.
    pub size: usize,
    /// Messages that a connection has in flight.
    pub window: usize,
    pub payload: Payload,
    pub tls: bool,
}

/// What the load generator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Every message comes back on its connection.
    Echo,
    /// As `Echo`; an answer may come in fragments, so that a server may begin it before it has all of the message.
    Stream,
    /// As `Echo` the other way round: the process measured is a client, the load generator the server that it talks to.
    Client,
    /// As `Echo`; the server has so many threads and may use both processors, where the load generator sleeps when it can.
    Threads { workers: usize },
    /// As `Echo`, through a proxy, which is the process measured. The server behind it shares the load generator's processor,
    /// where both sleep when they can. For comparison also without one: then the server is measured, as in `Echo`.
    Proxy,
    /// As `Echo`, compressed both ways.
    Deflate { takeover: bool },
    /// One connection's message goes to all, its sender included.
    Broadcast,
    /// Connections are opened, used for one echo and ended.
    Connections,
    /// Connections are opened and kept; the server's memory is read before and after one echo on each.
    Memory,
    /// As `Memory`, compressed both ways.
    DeflateMemory { takeover: bool },
}

/// What the messages hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Random bytes.
    Binary,
    /// UTF-8, half of its bytes ASCII and half Chinese.
    Text,
    /// Text like JSON, to be compressed.
    Json,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const fn echo(name: &'static str, about: &'static str, connections: usize, size: usize, window: usize) -> Column {
    Column { name, about, task: Task::Echo, connections, size, window, payload: Payload::Binary, tls: false }
}

const fn text(column: Column) -> Column {
    Column { payload: Payload::Text, ..column }
}

const fn tls(column: Column) -> Column {
    Column { tls: true, ..column }
}

const fn deflate(name: &'static str, about: &'static str, takeover: bool) -> Column {
    Column { task: Task::Deflate { takeover }, payload: Payload::Json, ..echo(name, about, 100, KIB, 1) }
}

const fn deflate_memory(name: &'static str, about: &'static str, takeover: bool) -> Column {
    Column { task: Task::DeflateMemory { takeover }, connections: 10_000, ..deflate(name, about, takeover) }
}

const fn task(task: Task, column: Column) -> Column {
    Column { task, ..column }
}

/// `--columns main`: what decides, in a third of an hour.
pub const MAIN: &str = "a,b,c,d,e,f,g,g-stream,b-text,e-text,f-text,client-b,client-f,b-1-thread,b-2-threads";

/// All columns, in the order of the tables.
pub const COLUMNS: &[Column] = &[
    echo("a", "1 × 32 B", 1, 32, 1),
    echo("b", "100 × 32 B", 100, 32, 1),
    echo("c", "100 × 32 B, 16 in flight", 100, 32, 16),
    echo("d", "100 × 1 KiB", 100, KIB, 1),
    echo("e", "10 × 64 KiB", 10, 64 * KIB, 1),
    echo("f", "4 × 1 MiB", 4, MIB, 1),
    echo("g", "2 × 16 MiB", 2, 16 * MIB, 1),
    task(Task::Stream, echo("g-stream", "2 × 16 MiB, streamed", 2, 16 * MIB, 1)),
    text(echo("b-text", "100 × 32 B text", 100, 32, 1)),
    text(echo("e-text", "10 × 64 KiB text", 10, 64 * KIB, 1)),
    text(echo("f-text", "4 × 1 MiB text", 4, MIB, 1)),
    tls(echo("b-tls", "100 × 32 B, TLS", 100, 32, 1)),
    tls(echo("f-tls", "4 × 1 MiB, TLS", 4, MIB, 1)),
    task(Task::Client, echo("client-b", "100 × 32 B, client", 100, 32, 1)),
    task(Task::Client, echo("client-f", "4 × 1 MiB, client", 4, MIB, 1)),
    task(Task::Threads { workers: 1 }, echo("b-1-thread", "100 × 32 B, one thread", 100, 32, 1)),
    task(Task::Threads { workers: 2 }, echo("b-2-threads", "100 × 32 B, two threads", 100, 32, 1)),
    task(Task::Proxy, echo("b-proxy", "100 × 32 B, proxy", 100, 32, 1)),
    task(Task::Proxy, echo("e-proxy", "10 × 64 KiB, proxy", 10, 64 * KIB, 1)),
    deflate("deflate", "100 × 1 KiB, no takeover", false),
    deflate("deflate-takeover", "100 × 1 KiB, takeover", true),
    task(Task::Broadcast, echo("broadcast-1000", "128 B to 1,000", 1_000, 128, 1)),
    task(Task::Broadcast, echo("broadcast-9000", "128 B to 9,000", 9_000, 128, 1)),
    task(Task::Connections, echo("connections", "open, echo 32 B, end; 64 at a time", 64, 32, 1)),
    task(Task::Memory, echo("memory", "10,000", 10_000, KIB, 1)),
    tls(task(Task::Memory, echo("memory-tls", "10,000, TLS", 10_000, KIB, 1))),
    deflate_memory("memory-deflate", "10,000, no takeover", false),
    deflate_memory("memory-deflate-takeover", "10,000, takeover", true),
];

impl Column {
    /// The column of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        COLUMNS.iter().find(|column| column.name == name)
    }

    /// The mode in which a server has to run for it: a word of its command line.
    pub fn mode(&self) -> &'static str {
        match self.task {
            Task::Echo | Task::Threads { .. } | Task::Proxy | Task::Connections | Task::Memory => "echo",
            Task::Stream => "stream",
            Task::Client => "client",
            Task::Deflate { takeover: false } | Task::DeflateMemory { takeover: false } => "deflate",
            Task::Deflate { takeover: true } | Task::DeflateMemory { takeover: true } => "deflate-takeover",
            Task::Broadcast => "broadcast",
        }
    }

    /// What else a server is asked for: words of its command line.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        let threads = matches!(self.task, Task::Threads { workers: 2 }).then_some("2-threads");
        self.tls.then_some("tls").into_iter().chain(threads)
    }

    /// Whether server and load generator have a processor each, and so never wait for one.
    pub fn is_pinned(&self) -> bool {
        !matches!(self.task, Task::Threads { .. })
    }

    /// Whether the load generator sleeps when nothing has come, so that others have its processor.
    pub fn lets_load_sleep(&self) -> bool {
        matches!(self.task, Task::Threads { .. } | Task::Proxy)
    }

    /// Whether memory is what it measures, which hardly differs from run to run.
    pub fn is_memory(&self) -> bool {
        matches!(self.task, Task::Memory | Task::DeflateMemory { .. })
    }
}
