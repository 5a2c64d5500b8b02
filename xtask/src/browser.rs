//! The page in a real browser: `conformance/browser/`.

use core::time::Duration;

use crate::process::Step;
use crate::setup::{
    CHROMIUM, FFMPEG, NODE, NPM, folder, need, npm_ci, release_binaries, release_binary, sockeye_serve,
};
use crate::stage::{Outcome, Stage};

pub(crate) fn stage() -> Stage {
    Stage { name: "browser", about: "the page in Chromium, and compression with Chromium", run: Box::new(run) }
}

fn run() -> Outcome {
    let tests = folder("conformance/browser")?;
    need(&[CHROMIUM, FFMPEG, NODE, NPM])?;
    npm_ci("browser", &tests)?;
    release_binaries()?;
    let (_plain, plain) = sockeye_serve("browser-serve", &[])?;
    let (_compressing, compressing) = sockeye_serve("browser-serve-compression", &["--compression"])?;
    let mut servers = Step::new("browser-deflate-servers", release_binary("deflate_servers")).serve()?;
    let urls = servers.wait_for_line("listening on ")?;
    // The files are named in the package, because what `node --test FOLDER` means differs between Node's versions.
    Step::new("browser", "npm")
        .args(["--silent", "test"])
        .dir(&tests)
        .env("SOCKEYE_URL", format!("http://{plain}"))
        .env("SOCKEYE_COMPRESSED_URL", format!("http://{compressing}"))
        .env("SOCKEYE_DEFLATE_URLS", urls)
        .limit(Duration::from_secs(480))
        .keep(closing_line)
        .run()
}

/// The lines in which Node's test runner says how many tests ran and passed, whichever way it reports.
fn closing_line(line: &str) -> bool {
    let count = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")).unwrap_or_default();
    ["tests ", "pass ", "fail ", "skipped "].iter().any(|start| count.starts_with(start))
}
