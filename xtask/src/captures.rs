//! `sockeye inspect` beside tshark, on captures of real peers and recordings of the proxy: `conformance/captures/`.

use core::time::Duration;
use std::fs;

use crate::interop::install_peers;
use crate::process::{Step, logs};
use crate::setup::{CHROMIUM, TSHARK, folder, need, release_binaries, release_binary};
use crate::stage::{Outcome, Stage};

pub(crate) fn stage() -> Stage {
    Stage {
        name: "captures",
        about: "what inspect makes of captures and recordings, and tshark of the same",
        run: Box::new(run),
    }
}

fn run() -> Outcome {
    let captures = folder("conformance/captures")?;
    need(&[CHROMIUM, TSHARK])?;
    let peers = install_peers()?;
    release_binaries()?;
    let kept = logs().join("captures");
    fs::create_dir_all(&kept)?;
    Step::new("captures", peers.join("venv/bin/python"))
        .arg(captures.join("judge.py"))
        .arg(release_binary("sockeye"))
        .arg(kept)
        .env("SOCKEYE_PEERS", &peers)
        .limit(Duration::from_secs(300))
        .keep(|line| line.contains(" frames agree"))
        .run()
}
