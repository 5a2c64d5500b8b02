//! Measures Sockeye beside its peers: `bench --help` tells how, bench/README.md what.

mod args;
mod servers;
mod cores;
mod rounds;
mod environment;
mod record;
mod summary;
mod number;
mod table;
mod picture;

use std::env;
use std::error::Error;
use std::fs;
use std::process::ExitCode;

use args::{Args, USAGE};
use summary::Summary;

fn main() -> ExitCode {
    if env::args().skip(1).any(|arg| arg == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match Args::parse(env::args().skip(1)).map_err(Box::from).and_then(|args| run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    if args.list {
        print!("{}", table::list());
        println!("about {:.0} minutes", rounds::minutes(args));
        return Ok(());
    }
    let lines = if args.from.is_empty() {
        rounds::measure(args)?
    } else {
        let mut lines = Vec::new();
        for path in &args.from {
            lines.extend(summary::read(path)?);
        }
        lines
    };
    let summary = Summary::new(lines);
    let tables = table::tables(&summary);
    print!("{tables}");
    if let Some(path) = &args.table {
        table::replace(path, &tables)?;
    }
    if let Some(path) = &args.svg {
        fs::write(path, picture::picture(&summary))?;
    }
    Ok(())
}
