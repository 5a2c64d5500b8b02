//! `sockeye`: serve, inspect, proxy and replay WebSockets.
#![forbid(unsafe_code)]
#![warn(clippy::unwrap_used)]

mod serve;
mod inspect;
mod proxy;
mod replay;
mod live;
mod page;
mod view;
mod answer;
mod listening;
mod certificate;
mod tls;
mod upstream;
mod stream;
mod http1;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

/// WebSockets, with every bit in sight.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None, propagate_version = true, infer_long_args = false)]
#[command(after_help = "Exit status: 0 fine · 1 what was asked for failed · 2 wrong usage")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a page to try WebSockets on, and an echo
    Serve(serve::Args),
    /// Take WebSocket frames apart, bit by bit
    Inspect(inspect::Args),
    /// Relay to a server byte for byte, and show every frame that passes
    Proxy(proxy::Args),
    /// Say again what a recording has of one end, and compare what the other end answers
    Replay(replay::Args),
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(Cli { command: Command::Serve(args) }) => serve::run(args),
        Ok(Cli { command: Command::Inspect(args) }) => inspect::run(args),
        Ok(Cli { command: Command::Proxy(args) }) => proxy::run(args),
        Ok(Cli { command: Command::Replay(args) }) => replay::run(args),
        Err(error) => usage(&error),
    }
}

/// Help and version as clap prints them; a mistake in one line.
fn usage(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        let shown = error.print();
        return if error.use_stderr() || shown.is_err() { ExitCode::from(2) } else { ExitCode::SUCCESS };
    }
    let text = error.to_string();
    // What is wrong, and what may have been meant; the rest is the usage, which --help has.
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let said: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information")).collect();
    eprintln!("{} (--help shows how it is used)", said.join(" "));
    ExitCode::from(2)
}
