//! Our client and server against other people's: `conformance/tests/interop.rs`.

use core::time::Duration;
use std::fs;

use crate::process::{Step, target};
use crate::rust::{FEATURES, closing_line};
use crate::setup::{HAPROXY, NODE, NPM, VENV, folder, need, npm_ci, pip_install};
use crate::stage::{Outcome, Stage};

pub(crate) fn stage() -> Stage {
    Stage {
        name: "interop",
        about: "Python websockets and Node ws, both directions, HTTP/2, HAProxy",
        run: Box::new(run),
    }
}

fn run() -> Outcome {
    let interop = folder("conformance/interop")?;
    need(&[VENV, NODE, NPM, HAPROXY])?;
    let peers = target().join("peers");
    fs::create_dir_all(&peers)?;
    for list in ["package.json", "package-lock.json"] {
        fs::copy(interop.join(list), peers.join(list))?;
    }
    npm_ci("peers", &peers)?;
    pip_install("peers", &peers.join("venv"), &interop.join("requirements.txt"))?;
    // All of the workspace is named so that its features, and with them its builds, are the unit tests' own.
    let features = format!("sockeye-conformance/peers,{FEATURES}");
    let step = |name| {
        Step::cargo(name)
            .args(["test", "--workspace", "--features", &features, "--test", "interop"])
            .env("SOCKEYE_PEERS", &peers)
    };
    // Built first, so that the tests have a limit of their own: they take three minutes, unless one hangs.
    step("interop-build").arg("--no-run").run()?;
    step("interop").limit(Duration::from_secs(900)).keep(closing_line).run()
}
