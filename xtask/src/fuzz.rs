//! The fuzz targets, built for libFuzzer on the stable toolchain.

use core::time::Duration;
use std::fs;
use std::path::Path;

use crate::process::{Step, logs, rustc_says, target};
use crate::setup::{CXX, folder, need};
use crate::stage::{Outcome, Stage, Stop};

/// Long enough to replay the seeds and see that a target still finds its way into the code.
pub(crate) const DEFAULT_SECONDS: u64 = 10;

/// What `cargo fuzz` asks of the compiler, said by ourselves: `RUSTC_BOOTSTRAP=1` lets the stable compiler take
/// `-Zsanitizer`. Our own assertions and overflow checks stay on, unlike in other optimised builds.
const RUSTFLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address --cfg fuzzing -Ccodegen-units=1 \
    -Coverflow-checks=on -Cdebug-assertions=on";

pub(crate) fn stage(seconds: u64) -> Stage {
    Stage {
        name: "fuzz",
        about: "every fuzz target for a few seconds, with AddressSanitizer",
        run: Box::new(move || run(seconds)),
    }
}

fn run(seconds: u64) -> Outcome {
    let fuzz = folder("fuzz")?;
    need(&[CXX])?;
    let host = rustc_says("host: ")?;
    let built = target().join("fuzz");
    // With --target build scripts and macros are compiled without the flags.
    Step::cargo("fuzz-build")
        .args(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", &host, "--target-dir"])
        .arg(&built)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", RUSTFLAGS)
        .run()?;

    let targets = targets(&fuzz)?;
    let mut broken = Vec::new();
    for name in &targets {
        // libFuzzer writes what it finds into the first folder, and the seeds are not to change.
        let corpus = target().join("fuzz-corpus").join(name);
        copy_new(&fuzz.join("corpus").join(name), &corpus)?;
        let step = Step::new(&format!("fuzz-{name}"), built.join(&host).join("release").join(name))
            .arg(&corpus)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/{name}-", logs().display()))
            .args(["-rss_limit_mb=1024", "-timeout=5"])
            .limit(Duration::from_secs(seconds + 60))
            .keep(|line| line.starts_with("Done "));
        if let Err(Stop::Failed(_)) = step.run() {
            broken.push(name.as_str());
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(Stop::Failed(format!("broken: {}", broken.join(", ")))) }
}

/// The names of the binaries in the fuzz workspace.
fn targets(fuzz: &Path) -> Result<Vec<String>, Stop> {
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml"))?;
    let names: Vec<String> = manifest
        .split("[[bin]]")
        .skip(1)
        .filter_map(|bin| bin.lines().find_map(|line| line.trim().strip_prefix("name = \"")?.strip_suffix('"')))
        .map(str::to_owned)
        .collect();
    if names.is_empty() { Err(Stop::Failed("fuzz/Cargo.toml names no [[bin]]".to_owned())) } else { Ok(names) }
}

/// Copies the files that are not there yet.
fn copy_new(from: &Path, to: &Path) -> Outcome {
    fs::create_dir_all(to)?;
    let seeds = fs::read_dir(from).map_err(|error| Stop::Failed(format!("{}: {error}", from.display())))?;
    for seed in seeds {
        let seed = seed?;
        let copy = to.join(seed.file_name());
        if seed.file_type()?.is_file() && !copy.exists() {
            fs::copy(seed.path(), copy)?;
        }
    }
    Ok(())
}
