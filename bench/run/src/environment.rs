//! What the runs run on.

use std::fs;
use std::process::Command;

use crate::args::Args;
use crate::record::Environment;
use crate::servers::SERVERS;

const LOCK: &str = include_str!("../../Cargo.lock");
const HERE: &str = env!("CARGO_MANIFEST_DIR");

pub fn environment(args: &Args) -> Environment {
    let mut packages: Vec<&str> = SERVERS.iter().map(|server| server.package).collect();
    packages.extend(["rustls", "zlib-rs"]);
    packages.sort_unstable();
    packages.dedup();
    let versions = packages.into_iter().filter_map(|name| Some((name.to_owned(), version(name)?.to_owned())));
    let changed = output("git", &["-C", HERE, "status", "--porcelain"]);
    let commit = output("git", &["-C", HERE, "rev-parse", "--short=12", "HEAD"]);
    Environment {
        date: output("date", &["-u", "+%Y-%m-%d %H:%M"]),
        processor: processor(),
        kernel: output("uname", &["-sr"]),
        rustc: output("rustc", &["--version"]),
        commit: if changed.is_empty() { commit } else { commit + "+" },
        arguments: asked(std::env::args().skip(1)),
        rounds: args.rounds,
        seconds: args.seconds,
        versions: versions.collect(),
    }
}

/// What was asked for, without the files that it goes to: where those lie says something of a machine, and nothing of what was
/// measured.
fn asked(mut arguments: impl Iterator<Item = String>) -> String {
    let mut asked = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--results" | "--table" | "--svg" => drop(arguments.next()),
            _ => asked.push(argument),
        }
    }
    asked.join(" ")
}

/// The version of a package in `Cargo.lock`: the last one, which is what this workspace itself asks for.
fn version(name: &str) -> Option<&'static str> {
    let (_, after) = LOCK.rsplit_once(&format!("name = \"{name}\"\nversion = \""))?;
    after.split('"').next()
}

fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let count = info.lines().filter(|line| line.starts_with("processor")).count();
    let siblings = fs::read_to_string("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list").unwrap_or_default();
    let threads = if siblings.trim() == "0" { "one thread a core" } else { "threads share cores" };
    format!("{}, {count} processors, {threads}", name.unwrap_or("unknown"))
}

/// What a program says, or nothing if it cannot be asked.
fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output.map_or_else(|_| String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
