//! How many instructions the core and the driver take, against the counts that are kept in the tree.

use core::time::Duration;
use std::fs;

use crate::process::{Step, logs, root, rustc_says};
use crate::setup::{VALGRIND, need};
use crate::stage::{Stage, Stop, say};

/// How far a count may be from the one that is kept: two in a hundred, up and down alike, as what has become better is to
/// be kept, too.
const TOLERANCE: f64 = 0.02;
/// And that far in any case: a call in twenty frames, say, where there were next to none.
const SLACK: f64 = 0.05;

pub(crate) fn stage() -> Stage {
    Stage {
        name: "instructions",
        about: "what the core and the driver cost in instructions, ± 2 % of what they did",
        run: Box::new(|| {
            let mut have_moved = 0;
            for benchmark in &BENCHMARKS {
                let counted = benchmark.count()?;
                let kept = benchmark.kept()?;
                if kept.made_by != counted.made_by {
                    let (path, kept, counted) = (benchmark.path, kept.made_by, counted.made_by);
                    say(&format!("nothing to compare with: {path} is of {kept}, and this is {counted}"));
                    continue;
                }
                let moved = moved(&kept, &counted);
                moved.iter().for_each(|line| say(&format!("  {line}")));
                have_moved += moved.len();
            }
            match have_moved {
                0 => Ok(()),
                n => Err(Stop::Failed(format!("{n} counts have moved; if that is meant: {COMMAND}"))),
            }
        }),
    }
}

/// Counts, and keeps the counts.
pub(crate) fn writing() -> Stage {
    Stage {
        name: "instructions",
        about: "what the core and the driver cost in instructions, for the files that keep it",
        run: Box::new(|| {
            for benchmark in &BENCHMARKS {
                let counted = benchmark.count()?;
                for line in benchmark.kept().iter().flat_map(|kept| moved(kept, &counted)) {
                    say(&format!("  {line}"));
                }
                fs::write(root().join(benchmark.path), format!("{}{}", benchmark.about, counted.text))?;
                say(&format!("wrote {}", benchmark.path));
            }
            Ok(())
        }),
    }
}

const COMMAND: &str = "cargo xtask instructions --write";

/// A benchmark that counts, and the file that keeps what it has counted.
struct Benchmark {
    package: &'static str,
    path: &'static str,
    /// What the file says before the counts.
    about: &'static str,
}

const BENCHMARKS: [Benchmark; 2] = [
    Benchmark {
        package: "sockeye-proto",
        path: "crates/proto/benches/instructions.txt",
        about: "\
# What the core costs, as `cargo xtask instructions --write` has counted it: instructions of our own and of Rust's
# libraries, those of libc left out, and calls into libc. How it is counted is in instructions.rs. Not comparable
# between compilers, nor with what runs outside of valgrind where the processor has AVX-512.
",
    },
    Benchmark {
        package: "sockeye",
        path: "crates/sockeye/benches/instructions.txt",
        about: "\
# What the core and the driver cost together, beside the transport, as `cargo xtask instructions --write` has counted it;
# the rest as in crates/proto/benches/instructions.txt.
",
    },
];

impl Benchmark {
    fn kept(&self) -> Result<Counts, Stop> {
        let path = self.path;
        let text = fs::read_to_string(root().join(path)).map_err(|error| Stop::Failed(format!("{path}: {error}")))?;
        Counts::parse(&text).map_err(|why| Stop::Failed(format!("{path}: {why}")))
    }

    /// Builds the benchmark and lets it count.
    fn count(&self) -> Result<Counts, Stop> {
        need(&[VALGRIND])?;
        let log = format!("instructions-{}", self.package);
        let step = |name: &str| Step::cargo(name).args(["bench", "--package", self.package, "--bench", "instructions"]);
        step(&format!("{log}-build")).arg("--no-run").run()?;
        let file = logs().join(format!("{log}.txt"));
        step(&log).arg("--").arg(&file).limit(Duration::from_secs(180)).run()?;
        let (version, host) = (rustc_says("rustc ")?, rustc_says("host: ")?);
        let text = format!("compiler: rustc {version} for {host}\n{}", fs::read_to_string(file)?);
        Counts::parse(&text).map_err(|why| Stop::Failed(format!("the benchmark's counts: {why}")))
    }
}

/// The counts of all workloads, and what they hold for.
///
/// ```text
/// # a comment
/// compiler: rustc 1.95.0 (59807616e 2026-04-14) for x86_64-unknown-linux-gnu
/// processor: AVX2
/// decode 32 B text        707.04 instructions   6.00 calls per frame
/// ```
#[derive(Debug, PartialEq)]
struct Counts {
    made_by: String,
    workloads: Vec<Workload>,
    /// What they were read from, without the comments.
    text: String,
}

#[derive(Debug, PartialEq)]
struct Workload {
    name: String,
    instructions: f64,
    calls: f64,
    unit: String,
}

impl Counts {
    fn parse(text: &str) -> Result<Self, String> {
        let (mut made_by, mut workloads, mut kept) = (Vec::new(), Vec::new(), String::new());
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            match line.strip_prefix("compiler: ").or_else(|| line.strip_prefix("processor: ")) {
                Some(what) => made_by.push(what),
                None => workloads.push(Workload::parse(line).ok_or_else(|| format!("cannot read `{line}`"))?),
            }
            kept += line;
            kept += "\n";
        }
        if workloads.is_empty() {
            return Err("no counts".to_owned());
        }
        Ok(Self { made_by: made_by.join(", "), workloads, text: kept })
    }
}

impl Workload {
    fn parse(line: &str) -> Option<Self> {
        // From its end, as a name may hold anything.
        let (counts, unit) = line.rsplit_once(" calls per ")?;
        let (counts, calls) = counts.rsplit_once(" instructions ")?;
        let (name, instructions) = counts.rsplit_once(' ')?;
        Some(Self {
            name: name.trim().to_owned(),
            instructions: instructions.parse().ok()?,
            calls: calls.trim().parse().ok()?,
            unit: unit.to_owned(),
        })
    }
}

/// What has moved too far, come or gone: a line for each.
fn moved(kept: &Counts, counted: &Counts) -> Vec<String> {
    let mut lines = Vec::new();
    for was in &kept.workloads {
        let Some(is) = counted.workloads.iter().find(|is| is.name == was.name) else {
            lines.push(format!("{}: no longer counted", was.name));
            continue;
        };
        for (what, was_so_many, is_so_many) in
            [("instructions", was.instructions, is.instructions), ("calls", was.calls, is.calls)]
        {
            let by = is_so_many - was_so_many;
            if by.abs() > (was_so_many * TOLERANCE).max(SLACK) {
                let percent =
                    if was_so_many > 0.0 { format!(" ({:+.1} %)", 100.0 * by / was_so_many) } else { String::new() };
                let Workload { name, unit, .. } = is;
                lines.push(format!("{name}: {was_so_many:.2} -> {is_so_many:.2} {what} per {unit}{percent}"));
            }
        }
    }
    let new = counted.workloads.iter().filter(|is| kept.workloads.iter().all(|was| was.name != is.name));
    lines.extend(new.map(|is| format!("{}: not counted before", is.name)));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(lines: &str) -> Counts {
        Counts::parse(lines).unwrap()
    }

    #[test]
    fn counts_are_read_as_they_are_written() {
        let text = "compiler: rustc 1.95.0, x86_64\nprocessor: AVX2\n\
                    decode 4 × 256 B, calls per Ping     707.04 instructions   6.00 calls per frame\n";
        let read = counts(&format!("# made by hand\n{text}"));
        assert_eq!(read.made_by, "rustc 1.95.0, x86_64, AVX2");
        let (name, unit) = ("decode 4 × 256 B, calls per Ping".to_owned(), "frame".to_owned());
        assert_eq!(read.workloads, [Workload { name, instructions: 707.04, calls: 6.0, unit }]);
        assert_eq!(read.text, text);
        assert_eq!(counts(&read.text), read);
    }

    #[test]
    fn what_is_no_count_is_told() {
        for line in ["nonsense", "a x instructions 6.00 calls per frame", "a 1 instructions calls per frame", ""] {
            assert_eq!(Counts::parse(&format!("{line}\n")), Err(format!("cannot read `{line}`")));
        }
        assert_eq!(Counts::parse("compiler: rustc\n"), Err("no counts".to_owned()));
    }

    #[test]
    fn two_percent_either_way_is_no_move_and_more_is() {
        let kept = counts("decode 500.00 instructions 6.00 calls per frame");
        let moved = |instructions, calls| {
            moved(&kept, &counts(&format!("decode {instructions} instructions {calls} calls per frame")))
        };
        for (instructions, calls) in [("500.00", "6.00"), ("510.00", "6.11"), ("490.00", "5.89")] {
            assert_eq!(moved(instructions, calls), [""; 0]);
        }
        assert_eq!(moved("510.01", "6.00"), ["decode: 500.00 -> 510.01 instructions per frame (+2.0 %)"]);
        assert_eq!(moved("400.00", "6.00"), ["decode: 500.00 -> 400.00 instructions per frame (-20.0 %)"]);
        assert_eq!(moved("500.00", "7.00"), ["decode: 6.00 -> 7.00 calls per frame (+16.7 %)"]);
    }

    #[test]
    fn a_count_of_nothing_has_room_for_a_little() {
        let kept = counts("mask 90.00 instructions 0.00 calls per KiB");
        let moved = |calls| moved(&kept, &counts(&format!("mask 90.00 instructions {calls} calls per KiB")));
        assert_eq!(moved("0.05"), [""; 0]);
        assert_eq!(moved("1.00"), ["mask: 0.00 -> 1.00 calls per KiB"]);
    }

    #[test]
    fn workloads_that_come_and_go_are_told() {
        let kept = counts("old 1.00 instructions 0.00 calls per frame");
        let counted = counts("new 1.00 instructions 0.00 calls per frame");
        assert_eq!(moved(&kept, &counted), ["old: no longer counted", "new: not counted before"]);
    }

    #[test]
    fn the_counts_that_are_kept_can_be_read() {
        for Benchmark { path, about, .. } in BENCHMARKS {
            let text = fs::read_to_string(root().join(path)).unwrap();
            assert_eq!(format!("{about}{}", counts(&text).text), text, "{path}");
        }
    }
}
