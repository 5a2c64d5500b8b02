//! The runs: round after round, each server once in each column, so that whatever changes on the machine changes for all,
//! and a run that is ended early has as many rounds of everything.

use std::collections::HashSet;
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use columns::{Column, Task};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::args::Args;
use crate::cores;
use crate::environment::environment;
use crate::record::{Line, Measure, Run};
use crate::servers::{Kind, Server, program};

/// Seconds that no run takes, opening 10,000 connections included.
const LONGEST: i64 = 120;
/// A run that was disturbed is repeated so often before it is kept as it is.
const REPEATS: usize = 3;

/// Measures all that is asked for and writes each result as it comes.
pub fn measure(args: &Args) -> Result<Vec<Line>, Box<dyn Error>> {
    cores::raise_descriptors()?;
    let environment = environment(args);
    let path = args.results.clone().unwrap_or_else(|| results_of(&environment.date));
    let mut file = create(&path)?;
    let mut lines = vec![Line::Environment(environment)];
    writeln!(file, "{}", serde_json::to_string(&lines[0])?)?;
    eprintln!("about {:.0} minutes if nothing disturbs it", minutes(args));
    let mut failed = HashSet::new();
    for round in 0..args.rounds {
        for (column, server) in cells(args, round) {
            if failed.contains(&(column.name, server.name)) {
                continue;
            }
            eprint!("\rround {} of {}: {:24} {:24}", round + 1, args.rounds, column.name, server.name);
            match undisturbed(args, column, server) {
                Ok((measure, disturbed)) => {
                    let (column, server) = (column.name.to_owned(), server.name.to_owned());
                    let line = Line::Run(Run { column, server, round, disturbed, measure });
                    writeln!(file, "{}", serde_json::to_string(&line)?)?;
                    lines.push(line);
                }
                Err(error) => {
                    eprintln!("\n{} {}: {error}", column.name, server.name);
                    failed.insert((column.name, server.name));
                }
            }
        }
    }
    eprintln!("\nraw results: {}", path.display());
    Ok(lines)
}

/// What is run in a round.
fn cells(args: &Args, round: usize) -> impl Iterator<Item = (&'static Column, &'static Server)> {
    /// Memory is the same each time.
    const MEMORY_ROUNDS: usize = 3;
    let columns = args.columns.iter().filter(move |column| round < MEMORY_ROUNDS || !column.is_memory());
    columns.flat_map(|column| {
        let servers = args.servers.iter().filter(|server| server.takes_part(column));
        servers.map(|server| (*column, *server))
    })
}

/// How long all of it takes, roughly: with what opening connections took on a machine of 2026.
pub fn minutes(args: &Args) -> f64 {
    // Starting, warming up, measuring, settling.
    let run = |column: &Column| {
        let connection = if column.tls { 1.5e-3 } else { 0.2e-3 };
        let measured = if column.is_memory() { 1.5 } else { 1.2 * args.seconds };
        0.05 + measured + column.connections as f64 * connection
    };
    let seconds: f64 = (0..args.rounds).flat_map(|round| cells(args, round)).map(|(column, _)| run(column)).sum();
    seconds / 60.0
}

/// A run that nothing got into the way of, or the last one of a few.
fn undisturbed(args: &Args, column: &Column, server: &Server) -> Result<(Measure, bool), Box<dyn Error>> {
    for _ in 0..REPEATS {
        let measure = once(args, column, server)?;
        if !measure.is_disturbed(column) {
            return Ok((measure, false));
        }
    }
    let measure = once(args, column, server)?;
    let disturbed = measure.is_disturbed(column);
    Ok((measure, disturbed))
}

fn once(args: &Args, column: &Column, server: &Server) -> Result<Measure, Box<dyn Error>> {
    let both = [args.server_core, args.load_core];
    let (server_cores, load_cores) = if column.is_pinned() { both.split_at(1) } else { (&both[..], &both[..]) };
    let mut load = Command::new(program("load")?);
    let running = if column.task == Task::Client {
        // Made here, so that both can be told: the client its port, the load generator the listener itself.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        load.stdin(OwnedFd::from(listener));
        server.start(column, server_cores, Some(port))?
    } else if server.kind == Kind::Proxy {
        server.start_in_front(column, server_cores, load_cores)?
    } else {
        server.start(column, server_cores, None)?
    };
    load.args([column.name, &running.port.to_string(), &running.id().to_string(), &args.seconds.to_string()]);
    load.args((server.kind == Kind::Raw).then_some("raw")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut load = cores::pinned(load_cores, || load.spawn())?;
    if !ends_within(&load, LONGEST)? {
        load.kill()?;
    }
    let output = load.wait_with_output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Waits for a process without taking a processor's time. What it prints has room in the pipe.
fn ends_within(child: &Child, seconds: i64) -> Result<bool, Box<dyn Error>> {
    let id = Pid::from_child(child);
    let process = pidfd_open(id, PidfdFlags::empty())?;
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&Timespec { tv_sec: seconds, tv_nsec: 0 }))?;
    Ok(ended > 0)
}

fn results_of(date: &str) -> PathBuf {
    let name = format!("{}.jsonl", date.replace(' ', "T").replace(':', ""));
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../results").join(name)
}

fn create(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    File::create(path)
}
