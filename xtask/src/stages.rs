//! The stages of a test run: which there are, and how they are run and reported.

use std::process::ExitCode;
use std::time::Instant;

use crate::stage::{Stage, Stop, say};
use crate::{autobahn, browser, captures, fuzz, instructions, interop, rust};

/// All stages, cheapest first: what fails in seconds should not be told after minutes.
fn all() -> Vec<Stage> {
    vec![
        rust::format(),
        rust::clippy(),
        rust::unit(),
        rust::doc(),
        rust::model(),
        instructions::stage(),
        fuzz::stage(fuzz::DEFAULT_SECONDS),
        interop::stage(),
        captures::stage(),
        autobahn::stage(),
        browser::stage(),
    ]
}

pub(crate) fn usage() -> String {
    let mut text = "\
Checks everything, or only the stages that are named, in this order:

Usage: cargo xtask test [STAGE…]

"
    .to_owned();
    for stage in all() {
        text += &format!("  {:<12} {}\n", stage.name, stage.about);
    }
    text += "
A stage goes on after another has failed. What a stage needs is installed: from apt
when run as root on Debian, from PyPI and npm into target/ and node_modules/. A
stage that cannot run here is left out and a line says why; with CI=true in the
environment that counts as a failure. Logs are in target/xtask/.

Exit status: 0 when nothing failed, 1 when something did, 2 for wrong usage.

Example: cargo xtask test format clippy unit
";
    text
}

/// The stages with these names, all of them when there is no name, or the first name that is no stage's.
pub(crate) fn named(names: &[&str]) -> Result<Vec<Stage>, String> {
    let mut stages = all();
    if let Some(unknown) = names.iter().find(|name| stages.iter().all(|stage| stage.name != **name)) {
        return Err((*unknown).to_owned());
    }
    if !names.is_empty() {
        stages.retain(|stage| names.contains(&stage.name));
    }
    Ok(stages)
}

/// Runs the stages one after the other and prints a table of how they went.
pub(crate) fn run(stages: &[Stage]) -> ExitCode {
    let start = Instant::now();
    let strict = std::env::var("CI").is_ok_and(|value| value == "true");
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let mut table = String::new();

    for stage in stages {
        say(&format!("\n== {}: {}", stage.name, stage.about));
        let stage_start = Instant::now();
        let outcome = (stage.run)();
        let seconds = stage_start.elapsed().as_secs_f64();
        let (word, why) = match outcome {
            Ok(()) => {
                passed += 1;
                ("passed", String::new())
            }
            Err(Stop::Failed(why)) => {
                failed += 1;
                ("FAILED", why)
            }
            Err(Stop::LeftOut(why)) => {
                skipped += 1;
                ("left out", why)
            }
        };
        let gap = if why.is_empty() { "" } else { ": " };
        say(&format!("== {} {word} after {seconds:.1} s{gap}{why}", stage.name));
        let row = format!("  {:<12} {word:<9} {seconds:>7.1} s  {why}", stage.name);
        table += row.trim_end();
        table += "\n";
    }

    say(&format!("\n{table}  {:<22} {:>7.1} s", "all", start.elapsed().as_secs_f64()));
    if strict && skipped > 0 {
        say("CI=true: a stage that was left out is a failure");
    }
    say(&format!("{passed} passed, {failed} failed, {skipped} skipped"));
    if failed > 0 || (strict && skipped > 0) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_run_in_their_own_order_and_unknown_names_are_told() {
        let names = |chosen: Vec<Stage>| chosen.iter().map(|stage| stage.name).collect::<Vec<_>>();
        assert_eq!(names(named(&["doc", "format"]).unwrap_or_default()), ["format", "doc"]);
        assert_eq!(named(&[]).map(|chosen| chosen.len()), Ok(all().len()));
        assert_eq!(named(&["doc", "nope"]).map(names), Err("nope".to_owned()));
    }
}
