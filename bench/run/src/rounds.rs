//! The runs: round after round, each server once in each column, so that whatever changes on the machine changes for all.

use std::collections::HashSet;
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use columns::Column;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::args::Args;
use crate::cores;
use crate::environment::environment;
use crate::record::{Line, Measure, Run};
use crate::servers::{Server, program};

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
    let mut failed = HashSet::new();
    for column in &args.columns {
        for round in 0..args.rounds {
            for server in args.servers.iter().filter(|server| server.takes_part(column)) {
                if failed.contains(&(column.name, server.name)) {
                    continue;
                }
                match undisturbed(args, column, server) {
                    Ok((measure, disturbed)) => {
                        let (column, server) = (column.name.to_owned(), server.name.to_owned());
                        let line = Line::Run(Run { column, server, round, disturbed, measure });
                        writeln!(file, "{}", serde_json::to_string(&line)?)?;
                        lines.push(line);
                    }
                    Err(error) => {
                        eprintln!("{} {}: {error}", column.name, server.name);
                        failed.insert((column.name, server.name));
                    }
                }
            }
            eprint!("\r{} {}/{} ", column.name, round + 1, args.rounds);
        }
        eprintln!();
    }
    eprintln!("raw results: {}", path.display());
    Ok(lines)
}

/// A run that nothing got into the way of, or the last one of a few.
fn undisturbed(args: &Args, column: &Column, server: &Server) -> Result<(Measure, bool), Box<dyn Error>> {
    for _ in 0..REPEATS {
        let measure = once(args, column, server)?;
        if !measure.is_disturbed() {
            return Ok((measure, false));
        }
    }
    let measure = once(args, column, server)?;
    let disturbed = measure.is_disturbed();
    Ok((measure, disturbed))
}

fn once(args: &Args, column: &Column, server: &Server) -> Result<Measure, Box<dyn Error>> {
    let running = server.start(column, args.server_core)?;
    let mut load = Command::new(program("load")?);
    load.args([column.name, &running.port.to_string(), &running.id().to_string(), &args.seconds.to_string()]);
    load.args(server.raw.then_some("raw")).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut load = cores::pinned(args.load_core, || load.spawn())?;
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
