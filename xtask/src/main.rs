//! The project's chores: `cargo xtask test` checks everything there is to check, and installs what that takes.

mod stage;
mod process;
mod setup;
mod stages;

mod autobahn;
mod browser;
mod captures;
mod fuzz;
mod instructions;
mod interop;
mod rust;

use std::process::ExitCode;

const USAGE: &str = "\
The project's chores.

Usage: cargo xtask <COMMAND>

Commands:
  test [STAGE…]    check everything, or the named stages
  conformance      all of the Autobahn testsuite, and the table in docs/compliance.md
  fuzz [SECONDS]   fuzz every target for so long (default: 10)
  instructions     what core and driver cost in instructions, against the counts in the tree

`cargo xtask <COMMAND> --help` says more.
";

const FUZZ_USAGE: &str = "\
Builds the fuzz targets of fuzz/ with AddressSanitizer and runs one after the other.

Usage: cargo xtask fuzz [SECONDS]

SECONDS is the time for each target, 10 when it is not given. The seeds in
fuzz/corpus/ are only read; new inputs collect in target/fuzz-corpus/, and a later
run goes on from them. An input that breaks a target is kept in target/xtask/.

Example: cargo xtask fuzz 600
";

const INSTRUCTIONS_USAGE: &str = "\
Counts the instructions that small pieces of the core's work and an echo of the
driver's take, with callgrind, and compares them with the instructions.txt in the
benches of crates/proto and crates/sockeye: ± 2 %. With another compiler, or without
AVX2, there is nothing to compare with.

Usage: cargo xtask instructions [--write]

Options:
  --write   write the counts there instead, and say what has moved

`cargo bench -p sockeye-proto --bench frames` has the times, which depend on the machine.
";

const CONFORMANCE_USAGE: &str = "\
Runs all cases of the Autobahn testsuite against our server and our client, and
writes the table in docs/compliance.md when each has ended as it has to.

Usage: cargo xtask conformance

It takes about ten minutes on two cores. The reports are in target/autobahn/.
`cargo xtask test autobahn` runs all cases as server, and a selection as client and
through the proxy.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        [] | ["--help" | "-h" | "help"] => help(USAGE),
        ["test", rest @ ..] if asks_for_help(rest) => help(&stages::usage()),
        ["test", rest @ ..] => match stages::named(rest) {
            Ok(chosen) => stages::run(&chosen),
            Err(unknown) => {
                wrong_usage(&format!("there is no stage called {unknown} (cargo xtask test --help lists them)"))
            }
        },
        ["conformance", rest @ ..] if asks_for_help(rest) => help(CONFORMANCE_USAGE),
        ["conformance"] => stages::run(&[autobahn::in_full()]),
        ["fuzz", rest @ ..] if asks_for_help(rest) => help(FUZZ_USAGE),
        ["fuzz"] => stages::run(&[fuzz::stage(fuzz::DEFAULT_SECONDS)]),
        ["fuzz", seconds] => match seconds.parse() {
            Ok(seconds) => stages::run(&[fuzz::stage(seconds)]),
            Err(_) => wrong_usage(&format!("{seconds} is not a number of seconds")),
        },
        ["instructions", rest @ ..] if asks_for_help(rest) => help(INSTRUCTIONS_USAGE),
        ["instructions"] => stages::run(&[instructions::stage()]),
        ["instructions", "--write"] => stages::run(&[instructions::writing()]),
        _ => wrong_usage(&format!("cannot read `{}`", args.join(" "))),
    }
}

fn asks_for_help(args: &[&str]) -> bool {
    args.iter().any(|arg| matches!(*arg, "--help" | "-h"))
}

fn help(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::SUCCESS
}

fn wrong_usage(what: &str) -> ExitCode {
    eprintln!("xtask: {what}; see cargo xtask --help");
    ExitCode::from(2)
}
