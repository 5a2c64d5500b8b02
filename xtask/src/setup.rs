//! Installs what stages need and machines may lack.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use crate::process::{Step, cargo, logs, root, succeeds, target};
use crate::stage::{Outcome, Stop};

/// A program that is not part of Rust: how to see that it is there, and the Debian package that brings it.
pub(crate) struct Tool {
    probe: &'static [&'static str],
    package: &'static str,
}

pub(crate) const CHROMIUM: Tool = Tool { probe: &["chromium", "--version"], package: "chromium" };
pub(crate) const CXX: Tool = Tool { probe: &["c++", "--version"], package: "g++" };
pub(crate) const FFMPEG: Tool = Tool { probe: &["ffmpeg", "-version"], package: "ffmpeg" };
pub(crate) const HAPROXY: Tool = Tool { probe: &["haproxy", "-v"], package: "haproxy" };
pub(crate) const NODE: Tool = Tool { probe: &["node", "--version"], package: "nodejs" };
pub(crate) const NPM: Tool = Tool { probe: &["npm", "--version"], package: "npm" };
pub(crate) const PIP: Tool = Tool { probe: &["python3", "-m", "pip", "--version"], package: "python3-pip" };
/// With editcap, from a package it depends on.
pub(crate) const TSHARK: Tool = Tool { probe: &["tshark", "--version"], package: "tshark" };
pub(crate) const VALGRIND: Tool = Tool { probe: &["valgrind", "--version"], package: "valgrind" };
/// Debian has `venv` without `ensurepip`, which is not enough.
pub(crate) const VENV: Tool = Tool { probe: &["python3", "-c", "import ensurepip, venv"], package: "python3-venv" };

impl Tool {
    fn is_there(&self) -> bool {
        succeeds(Command::new(self.probe[0]).args(&self.probe[1..]))
    }
}

/// Sees to it that all these tools are there, or says which are not.
pub(crate) fn need(tools: &[Tool]) -> Outcome {
    let missing = |tools: &[Tool]| -> Vec<&'static str> {
        tools.iter().filter(|tool| !tool.is_there()).map(|tool| tool.package).collect()
    };
    let packages = missing(tools);
    if packages.is_empty() {
        return Ok(());
    }
    if !succeeds(Command::new("apt-get").arg("--version")) {
        return Err(Stop::LeftOut(format!("missing: {}", packages.join(", "))));
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
    if !root {
        return Err(Stop::LeftOut(format!("needs root for: apt-get install {}", packages.join(" "))));
    }
    apt_get_update()?;
    apt_get("apt-install")
        .args(["install", "--yes", "--no-install-recommends"])
        .args(packages.iter().copied())
        .run_setup()?;
    match missing(tools) {
        still if still.is_empty() => Ok(()),
        still => Err(Stop::LeftOut(format!("installed, but not working: {}", still.join(", ")))),
    }
}

/// Once in a run is enough, also when it fails: a fresh machine has no package lists at all.
fn apt_get_update() -> Outcome {
    static DONE: LazyLock<Result<(), String>> =
        LazyLock::new(|| match apt_get("apt-update").arg("update").run_setup() {
            Ok(()) => Ok(()),
            Err(Stop::Failed(why) | Stop::LeftOut(why)) => Err(why),
        });
    DONE.clone().map_err(Stop::LeftOut)
}

fn apt_get(name: &str) -> Step {
    Step::new(name, "apt-get").arg("--quiet").env("DEBIAN_FRONTEND", "noninteractive")
}

/// Sees to it that `cargo fmt` or `cargo clippy` is there.
pub(crate) fn need_component(component: &str, subcommand: &str) -> Outcome {
    let there = || succeeds(Command::new(cargo()).args([subcommand, "--version"]));
    if there() {
        return Ok(());
    }
    if succeeds(Command::new("rustup").arg("--version")) {
        Step::new(&format!("rustup-{component}"), "rustup").args(["component", "add", component]).run_setup()?;
    }
    if there() { Ok(()) } else { Err(Stop::LeftOut(format!("the toolchain has no {component}"))) }
}

/// `npm ci` in a folder, unless it is already done for this very `package-lock.json`.
pub(crate) fn npm_ci(name: &str, dir: &Path) -> Outcome {
    once(&format!("npm-{name}"), &dir.join("package-lock.json"), &dir.join("node_modules"), || {
        Step::new(&format!("npm-{name}"), "npm").args(["ci", "--no-audit", "--no-fund"]).dir(dir).run_setup()
    })
}

/// Installs the packages of a `requirements.txt` into a virtual environment of Python's.
pub(crate) fn pip_install(name: &str, venv: &Path, requirements: &Path) -> Outcome {
    once(&format!("pip-{name}"), requirements, venv, || {
        Step::new(&format!("venv-{name}"), "python3").args(["-m", "venv", "--clear"]).arg(venv).run_setup()?;
        Step::new(&format!("pip-{name}"), venv.join("bin/python"))
            .args(["-m", "pip", "install", "--disable-pip-version-check", "--requirement"])
            .arg(requirements)
            .run_setup()
    })
}

/// Installs into a folder from a list, unless that is already done for this very list.
fn once(name: &str, list: &Path, folder: &Path, install: impl FnOnce() -> Outcome) -> Outcome {
    let stamp = logs().join(format!("{name}.done"));
    let wanted = fs::read(list).map_err(|error| Stop::Failed(format!("{}: {error}", list.display())))?;
    if folder.is_dir() && fs::read(&stamp).is_ok_and(|done| done == wanted) {
        return Ok(());
    }
    install()?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// Builds `sockeye` and the conformance programs, optimised, in one go so that they share their dependencies.
pub(crate) fn release_binaries() -> Outcome {
    Step::cargo("release")
        .args(["build", "--release", "--package", "sockeye-cli", "--package", "sockeye-conformance", "--bins"])
        .run()
}

/// Starts `sockeye serve` on a free port; the URL of it comes with it.
pub(crate) fn sockeye_serve(name: &str, options: &[&str]) -> Result<(crate::process::Server, String), Stop> {
    let mut server = Step::new(name, release_binary("sockeye"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(options.iter().copied())
        .serve()?;
    let url = server.wait_for_line("listening on ")?;
    Ok((server, url.trim().to_owned()))
}

pub(crate) fn release_binary(name: &str) -> std::path::PathBuf {
    target().join("release").join(name)
}

/// A folder of the project, or a clear word about its absence.
pub(crate) fn folder(path: &str) -> Result<std::path::PathBuf, Stop> {
    let folder = root().join(path);
    if folder.is_dir() { Ok(folder) } else { Err(Stop::Failed(format!("{path}/ is not there"))) }
}
