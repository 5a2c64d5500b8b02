//! The Autobahn testsuite against our server and our client: `conformance/autobahn/`.

use core::time::Duration;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use crate::process::{Step, target};
use crate::setup::{PIP, folder, need, release_binaries, release_binary, sockeye_serve};
use crate::stage::{Outcome, Stage, say};

/// Which cases run, and under which name [`EXPECTED`] says how they have to end.
const CASES: &str = "core";

/// How every single case has to end: 298 OK and 3 INFORMATIONAL, both the behaviour and the closing behaviour, none
/// NON-STRICT. `summary.py` compares, and an OK that slips to INFORMATIONAL is a failure too.
const EXPECTED: &str = "expected.json";

/// A run takes 15 to 30 s; a case that hangs costs the suite's own time-outs on top.
const LIMIT: Duration = Duration::from_secs(300);

/// The name of our server in the report. The client gives its own, which is the same.
const AGENT: &str = "sockeye";

pub(crate) fn stage() -> Stage {
    Stage { name: "autobahn", about: "the 301 core cases of the Autobahn testsuite, both roles", run: Box::new(run) }
}

fn run() -> Outcome {
    let scripts = folder("conformance/autobahn")?;
    need(&[PIP])?;
    Step::new("autobahn-setup", scripts.join("setup.sh")).run_setup()?;
    release_binaries()?;
    // Both roles in any case: which of them fails says where to look.
    let server = server_role(&scripts);
    let client = client_role(&scripts);
    server.and(client)
}

fn server_role(scripts: &Path) -> Outcome {
    let report = fresh_report("server")?;
    let (_server, address) = sockeye_serve("autobahn-serve")?;
    say(&format!("as server: {}", report.join("index.html").display()));
    Step::new("autobahn-server", scripts.join("run.sh"))
        .args(["server", &format!("ws://{address}/echo"), AGENT, CASES])
        .arg(&report)
        // In the folder of the scripts, because the options are split at blanks and a path may have some.
        .dir(scripts)
        .env("SUMMARY_OPTS", format!("--expect {EXPECTED} {CASES}"))
        .limit(LIMIT)
        .keep(|_| true)
        .run()
}

fn client_role(scripts: &Path) -> Outcome {
    let report = fresh_report("client")?;
    // The suite cannot pick a port itself. This one is free now, and nobody hands it out again so soon.
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut suite = Step::new("autobahn-suite", scripts.join("run.sh"))
        .args(["client", &port.to_string()])
        .arg(&report)
        .env("CASES", CASES)
        .serve()?;
    suite.wait_for_port(port)?;
    let ran = Step::new("autobahn-client", release_binary("autobahn_client"))
        .arg(format!("ws://127.0.0.1:{port}"))
        .limit(LIMIT)
        .run();
    say(&format!("as client: {}", report.join("index.html").display()));
    let compared = Step::new("autobahn-client-summary", scripts.join("summary.py"))
        .arg(&report)
        .args(["--expect", EXPECTED, CASES])
        .dir(scripts)
        .keep(|_| true)
        .run();
    // What the report says tells more than that the client gave up.
    compared.and(ran)
}

/// An empty folder, so that no earlier run's report can pass for this one's.
fn fresh_report(role: &str) -> std::io::Result<std::path::PathBuf> {
    let report = target().join("autobahn").join(role);
    if report.exists() {
        fs::remove_dir_all(&report)?;
    }
    fs::create_dir_all(&report)?;
    Ok(report)
}
