//! The stages that need nothing but Rust: format, clippy, unit, doc, model.

use core::time::Duration;
use std::process::Command;

use crate::process::{Step, cargo, root, succeeds, target};
use crate::setup::need_component;
use crate::stage::Stage;

pub(crate) fn format() -> Stage {
    Stage {
        name: "format",
        about: "every file is formatted",
        run: Box::new(|| {
            need_component("rustfmt", "fmt")?;
            Step::cargo("format").args(["fmt", "--all", "--check"]).run()?;
            if root().join("fuzz/Cargo.toml").exists() {
                // A workspace of its own, because it is built in its own way.
                Step::cargo("format-fuzz")
                    .args(["fmt", "--all", "--check", "--manifest-path", "fuzz/Cargo.toml"])
                    .run()?;
            }
            Ok(())
        }),
    }
}

pub(crate) fn clippy() -> Stage {
    Stage {
        name: "clippy",
        about: "no warnings, with all features and with none",
        run: Box::new(|| {
            need_component("clippy", "clippy")?;
            Step::cargo("clippy")
                .args(["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])
                .run()?;
            // What people depend on, with each choice of features that leaves something out.
            for features in ["", "axum", "futures", "http2", "metrics", "proxy", "tls", "ring", "aws-lc", "tower"] {
                Step::cargo("clippy-library")
                    .args(["clippy", "-p", "sockeye", "--lib", "--no-default-features", "--features", features])
                    .args(["--", "-D", "warnings"])
                    .run()?;
            }
            Ok(())
        }),
    }
}

pub(crate) fn unit() -> Stage {
    Stage {
        name: "unit",
        about: "unit and integration tests, with all features of the library",
        run: Box::new(|| {
            let nextest = succeeds(Command::new(cargo()).args(["nextest", "--version"]));
            let step = |name| {
                if nextest {
                    Step::cargo(name)
                        .args(["nextest", "run", "--workspace", "--features", FEATURES, "--tool-config-file"])
                        .arg(format!("xtask:{}", root().join("xtask/nextest.toml").display()))
                } else {
                    // Neither doc tests, which have their stage, nor benchmarks.
                    Step::cargo(name).args(["test", "--workspace", "--features", FEATURES, "--tests", "--examples"])
                }
            };
            // Built first, so that the tests have a limit of their own: they take a minute, unless one hangs.
            step("unit-build").arg("--no-run").limit(Duration::from_secs(1500)).run()?;
            step("unit").arg("--no-fail-fast").limit(Duration::from_secs(400)).keep(closing_line).run()
        }),
    }
}

pub(crate) fn doc() -> Stage {
    Stage {
        name: "doc",
        about: "documentation without warnings, and its examples",
        run: Box::new(|| {
            Step::cargo("doc-tests")
                .args(["test", "--doc", "--workspace", "--features", FEATURES])
                .keep(closing_line)
                .run()?;
            Step::cargo("doc")
                .args(["doc", "--no-deps", "--workspace", "--features", FEATURES])
                .env("RUSTDOCFLAGS", "-D warnings")
                .run()
        }),
    }
}

/// All features of the library. Not those of the whole workspace: `peers` needs what only the interop stage installs.
pub(crate) const FEATURES: &str =
    "sockeye/axum,sockeye/futures,sockeye/http2,sockeye/metrics,sockeye/proxy,sockeye/ring";

pub(crate) fn model() -> Stage {
    Stage {
        name: "model",
        about: "the locks and wake-ups of a connection, under schedules by the thousand",
        run: Box::new(|| {
            // In a folder of its own, as the flag changes everything that is built; and optimized, as it runs for long.
            let step = |name| {
                Step::cargo(name)
                    .args(["test", "-p", "sockeye", "--no-default-features", "--test", "model", "--target-dir"])
                    .arg(target().join("model"))
                    .args(["--config", "profile.dev.package.sockeye.opt-level=1"])
                    .env("RUSTFLAGS", "--cfg shuttle")
            };
            // Built first, so that the models have a limit of their own: they take a minute, unless one spins.
            step("model-build").arg("--no-run").run()?;
            step("model").limit(Duration::from_secs(240)).keep(closing_line).run()
        }),
    }
}

/// The line in which a test runner says how many tests passed: cargo's or nextest's.
pub(crate) fn closing_line(line: &str) -> bool {
    line.starts_with("test result:") || line.starts_with("Summary [")
}
