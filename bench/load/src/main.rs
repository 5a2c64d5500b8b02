//! The load generator: acts out one column against one server and prints what it measured as a line of JSON.
//!
//! `load COLUMN PORT PID SECONDS [raw]`, called by the runner. One thread that polls without sleeping. What it sends is
//! made beforehand, all that comes back is compared. Where a client is measured, it connects to the load generator: to the
//! listener that is its standard input, and the port is that one's.

mod frame;
mod payload;
mod answers;
mod framed;
mod arriving;
mod traffic;
mod transport;
mod upgrade;
mod poller;
mod lane;
mod meter;
mod echo;
mod deflate;
mod broadcast;
mod connections;
mod memory;

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use columns::{Column, Task};
use meter::Measure;

/// Answers that do not come for so long do not come.
const PATIENCE: Duration = Duration::from_secs(10);

struct Options {
    port: u16,
    /// The process of the server.
    server: u32,
    duration: Duration,
    /// The server returns bytes as they are.
    raw: bool,
}

fn main() -> ExitCode {
    match run() {
        Ok(measure) => {
            println!("{}", serde_json::to_string(&measure).expect("numbers and text"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<Measure, Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [column, port, server, seconds, raw @ ..] = args.as_slice() else {
        return Err("usage: load COLUMN PORT PID SECONDS [raw]".into());
    };
    let column = Column::named(column).ok_or("no such column")?;
    let options = Options {
        port: port.parse()?,
        server: server.parse()?,
        duration: Duration::try_from_secs_f64(seconds.parse()?)?,
        raw: raw == ["raw"],
    };
    if column.tls {
        let config = upgrade::tls_config()?;
        act(column, &options, || Ok(upgrade::open_tls(options.port, &config)?))
    } else {
        act(column, &options, || Ok(upgrade::open(options.port, None)?.0))
    }
}

fn act<T: transport::Transport>(
    column: &Column,
    options: &Options,
    mut open: impl FnMut() -> Result<T, Box<dyn Error>>,
) -> Result<Measure, Box<dyn Error>> {
    let mut opened = || (0..column.connections).map(|_| open()).collect::<Result<Vec<T>, _>>();
    match column.task {
        Task::Echo | Task::Stream | Task::Threads { .. } | Task::Proxy => echo::run(column, options, opened()?),
        Task::Client => {
            let listener = upgrade::listener()?;
            let accepted = (0..column.connections).map(|_| upgrade::accept(&listener));
            let accepted = accepted.collect::<Result<_, _>>()?;
            // A client may have to take the connection from an HTTP library first, and lose what has come with the head.
            sleep(Duration::from_millis(300));
            echo::run(column, options, accepted)
        }
        Task::Broadcast => broadcast::run(column, options, opened()?),
        Task::Deflate { takeover } => deflate::echo::run(column, options, takeover),
        Task::DeflateMemory { takeover } => deflate::memory::run(column, options, takeover),
        Task::Connections => connections::run(column, options),
        Task::Memory => memory::run(column, options, open),
    }
}
