//! How instructions are counted, for benchmarks that are run again under callgrind: each piece of work once, and once
//! more often, so that what getting ready takes is left out. A benchmark says what its `Work` is.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::Work;

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// What the counts are given for, and how many items of the work make one.
    pub(crate) unit: &'static str,
    pub(crate) per: usize,
    pub(crate) make: fn() -> Work,
}

/// The benchmark's `main`: prints the counts, or writes them to the file that is its argument.
pub(crate) fn main(workloads: &[Workload]) -> ExitCode {
    // Cargo adds --bench.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [what @ (ONCE | TWICE), name] => {
            let workload = workloads.iter().find(|workload| workload.name == *name).expect("one of ours");
            let mut run = (workload.make)().run;
            run();
            counted_by_callgrind(&mut run);
            if *what == TWICE {
                counted_by_callgrind(&mut run);
            }
            ExitCode::SUCCESS
        }
        [INSTRUCTION_SET] => {
            println!("{}", instruction_set());
            ExitCode::SUCCESS
        }
        files => match count_all(workloads, files.first().map(Path::new)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Counting goes on from the beginning of this function to its end: callgrind is told its name.
#[inline(never)]
fn counted_by_callgrind(run: &mut dyn FnMut()) {
    run();
    // Without anything behind it the call would be a jump, and this function's end that of another.
    std::hint::black_box(());
}

const COUNTED: &str = "--toggle-collect=*counted_by_callgrind*";

// --- what runs under valgrind, by its arguments ---

/// A workload's name follows: it is run once in advance, and then counted.
const ONCE: &str = "--once";
/// The same, and then counted again.
const TWICE: &str = "--twice";
const INSTRUCTION_SET: &str = "--instruction-set";

/// The widest there is a choice for, in our masking or in simdutf8.
fn instruction_set() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512bw") {
            return "AVX-512";
        }
        if std::is_x86_feature_detected!("avx2") {
            return "AVX2";
        }
    }
    "baseline"
}

// --- and what runs it ---

fn count_all(workloads: &[Workload], file: Option<&Path>) -> Result<(), String> {
    let mut text = format!("processor: {}\n", valgrind("none", &[], &[INSTRUCTION_SET])?.trim());
    for workload in workloads {
        let Counts { own, calls } = count(workload)?;
        let units = (workload.make)().items as f64 / workload.per as f64;
        let (own, calls) = (own as f64 / units, calls as f64 / units);
        let Workload { name, unit, .. } = workload;
        text += &format!("{name:<34} {own:>9.2} instructions {calls:>6.2} calls per {unit}\n");
    }
    match file {
        Some(file) => fs::write(file, text).map_err(|error| format!("{}: {error}", file.display())),
        None => {
            print!("{text}");
            Ok(())
        }
    }
}

struct Counts {
    /// Instructions within this program.
    own: u64,
    /// Calls out of it.
    calls: u64,
}

fn count(workload: &Workload) -> Result<Counts, String> {
    // Callgrind counts calls from the program's start on, those of getting ready included: what the second time adds is
    // what one takes.
    let once = profile(ONCE, workload)?;
    let twice = profile(TWICE, workload)?;
    match (twice.own.checked_sub(once.own), twice.calls.checked_sub(once.calls)) {
        (Some(own), Some(calls)) if own > 0 => Ok(Counts { own, calls }),
        _ => Err(format!("{}: nothing was counted", workload.name)),
    }
}

fn profile(what: &str, workload: &Workload) -> Result<Counts, String> {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("instructions-{}.callgrind", std::process::id()));
    let out_file = format!("--callgrind-out-file={}", out.display());
    valgrind("callgrind", &[&out_file, "--compress-strings=no", COUNTED], &[what, workload.name])?;
    let profile = fs::read_to_string(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    // A leftover does no harm.
    let _ = fs::remove_file(&out);
    let program = env::current_exe().map_err(|error| error.to_string())?;
    counts(&profile, &program.to_string_lossy()).map_err(|why| format!("{}: {why}", workload.name))
}

/// Runs this program under one of valgrind's tools; gives what it prints.
fn valgrind(tool: &str, options: &[&str], arguments: &[&str]) -> Result<String, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("valgrind");
    command.arg(format!("--tool={tool}")).arg("--quiet").args(options).arg(program).args(arguments);
    let out = command.output().map_err(|error| format!("valgrind: {error}"))?;
    if out.status.success() {
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    } else {
        Err(format!("valgrind: {}\n{}", out.status, String::from_utf8_lossy(&out.stderr)))
    }
}

/// Reads a profile of callgrind's:
///
/// ```text
/// ob=/path/of/the/program     functions of this object follow
/// fn=name
/// 12 345                      345 instructions of line 12, in the function itself
/// cob=/lib/libc.so.6          the next call is into this object; without such a line, into the same
/// cfn=malloc
/// calls=10 0                  10 times
/// 12 678                      with 678 instructions in there
/// totals: 1023
/// ```
fn counts(profile: &str, program: &str) -> Result<Counts, String> {
    let (mut own, mut other, mut calls, mut totals) = (0, 0, 0, None);
    let (mut object, mut called) = ("", None);
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let mut lines = profile.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("ob=") {
            object = name;
        } else if let Some(name) = line.strip_prefix("cob=") {
            called = Some(name);
        } else if let Some(times) = line.strip_prefix("calls=") {
            if object == program && called.take().is_some_and(|called| called != program) {
                calls += number(times.split(' ').next());
            }
            // What the call cost is counted where it was spent.
            lines.next();
        } else if let Some(total) = line.strip_prefix("totals: ") {
            totals = Some(number(Some(total)));
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = number(line.split(' ').nth(1));
            *(if object == program { &mut own } else { &mut other }) += cost;
        }
    }
    match totals {
        Some(totals) if totals == own + other => Ok(Counts { own, calls }),
        _ => Err(format!("cannot read the profile: {own} and {other} instructions of {totals:?}")),
    }
}
