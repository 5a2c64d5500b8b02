//! Our client and server against other people's: `conformance/tests/interop.rs`, and `outbound.rs` for what our client meets on
//! its way out.

use core::time::Duration;
use std::fs;
use std::path::PathBuf;

use crate::process::{Step, target};
use crate::rust::{FEATURES, closing_line};
use crate::setup::{HAPROXY, NODE, NPM, VENV, folder, need, npm_ci, pip_install};
use crate::stage::{Outcome, Stage, Stop};

pub(crate) fn stage() -> Stage {
    let about = "Python websockets and Node ws, both directions; HTTP/2, proxies, HAProxy";
    Stage { name: "interop", about, run: Box::new(run) }
}

/// Sees to it that the peers are there, in a folder that the environment of their programs names.
pub(crate) fn install_peers() -> Result<PathBuf, Stop> {
    let interop = folder("conformance/interop")?;
    need(&[VENV, NODE, NPM])?;
    let peers = target().join("peers");
    fs::create_dir_all(&peers)?;
    for list in ["package.json", "package-lock.json"] {
        fs::copy(interop.join(list), peers.join(list))?;
    }
    npm_ci("peers", &peers)?;
    pip_install("peers", &peers.join("venv"), &interop.join("requirements.txt"))?;
    Ok(peers)
}

fn run() -> Outcome {
    need(&[HAPROXY])?;
    let peers = install_peers()?;
    // All of the workspace is named so that its features, and with them its builds, are the unit tests' own.
    let features = format!("sockeye-conformance/peers,{FEATURES}");
    let step = |name| {
        Step::cargo(name)
            .args(["test", "--workspace", "--features", &features, "--test", "interop", "--test", "outbound"])
            .env("SOCKEYE_PEERS", &peers)
    };
    // Built first, so that the tests have a limit of their own: they take three minutes, unless one hangs.
    step("interop-build").arg("--no-run").run()?;
    step("interop").limit(Duration::from_secs(900)).keep(closing_line).run()
}
