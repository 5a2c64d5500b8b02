//! What a stage of the test run is, and how it speaks.

use std::io::Write as _;

/// One part of the test run, which passes, fails or is left out as a whole.
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: Box<dyn Fn() -> Outcome>,
}

/// How a stage went. Whatever it started has ended by then.
pub(crate) type Outcome = Result<(), Stop>;

/// Why a stage did not pass.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something is wrong with the project.
    Failed(String),
    /// This machine cannot run the stage: no network, not root, a tool is missing.
    LeftOut(String),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A line for whoever watches, at once: a heading must not wait in a buffer while its stage runs.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe (`| head`) is no reason to stop half-way and leave no exit status.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
