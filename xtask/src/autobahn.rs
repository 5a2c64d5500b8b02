//! The Autobahn testsuite against our server and our client: `conformance/autobahn/`.

use core::time::Duration;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;

use crate::process::{Step, root, target};
use crate::setup::{PIP, folder, need, release_binaries, release_binary, sockeye_serve};
use crate::stage::{Outcome, Stage, Stop, say};

/// How every single case has to end, for each preset of `run.sh`: three cases INFORMATIONAL, all others OK, both in
/// behaviour and in closing behaviour. `summary.py` compares, and an OK that slips to INFORMATIONAL is a failure too.
const EXPECTED: &str = "expected.json";

/// All cases, cut in two where both halves take the same time: 189 s and 196 s side by side on two cores, of which the
/// core takes 11 s, 12.3 85 s, 12.2 52 s, and the other groups of compression 19 to 37 s each.
const HALVES: [(&str, &str); 2] =
    [("server-1", "*,!12.2.*,!12.3.*,!12.4.*,!12.5.*"), ("server-2", "12.2.*,12.3.*,12.4.*,12.5.*")];

/// For each run of the suite. A full run as client takes six minutes; an echo that hangs in a case of compression costs
/// that case's own time-out of up to eight minutes.
const LIMIT: Duration = Duration::from_secs(900);

/// The name of our server in the report. The client gives its own, which is the same.
const AGENT: &str = "sockeye";

pub(crate) fn stage() -> Stage {
    Stage {
        name: "autobahn",
        about: "the Autobahn testsuite: our server in full, our client and our proxy in a selection",
        run: Box::new(|| {
            let suite = Suite::install()?;
            // Both roles in any case: which of them fails says where to look.
            let server = suite.server_role();
            let client = suite.client_role("quick");
            let proxy = suite.through_the_proxy("core");
            server.and(client).and(proxy)
        }),
    }
}

/// All cases in both roles, and the table of how they went.
pub(crate) fn in_full() -> Stage {
    Stage {
        name: "autobahn",
        about: "all cases of the Autobahn testsuite, both roles, for docs/compliance.md",
        run: Box::new(|| {
            let suite = Suite::install()?;
            let server = suite.server_role();
            let client = suite.client_role("full");
            server.and(client)?;
            suite.write_table()
        }),
    }
}

/// The suite, installed, and our programs, built.
struct Suite {
    scripts: PathBuf,
}

impl Suite {
    fn install() -> Result<Self, Stop> {
        let scripts = folder("conformance/autobahn")?;
        need(&[PIP])?;
        Step::new("autobahn-setup", scripts.join("setup.sh")).run_setup()?;
        release_binaries()?;
        Ok(Self { scripts })
    }

    /// All cases, in two halves at once: the suite itself takes most of the time, on one core.
    fn server_role(&self) -> Outcome {
        let reports = server_reports();
        for report in &reports {
            empty(report)?;
        }
        let (_server, served) = sockeye_serve("autobahn-serve", &["--compression"])?;
        let url = format!("{}/echo", served.replacen("http", "ws", 1));
        let ran = thread::scope(|scope| {
            let halves: Vec<_> = HALVES
                .iter()
                .zip(&reports)
                .map(|((name, cases), report)| scope.spawn(|| self.half(name, &url, cases, report)))
                .collect();
            // Both to their ends, before the first failure is told.
            let ends: Vec<Outcome> = halves.into_iter().map(joined).collect();
            ends.into_iter().collect::<Outcome>()
        });
        say(&format!("as server: {} and {}", page(&reports[0]), page(&reports[1])));
        // What the reports say tells more than that a half failed.
        self.compare("full", &reports).and(ran)
    }

    fn half(&self, name: &str, url: &str, cases: &str, report: &Path) -> Outcome {
        Step::new(&format!("autobahn-{name}"), self.scripts.join("run.sh"))
            .args(["server", url, AGENT, cases])
            .arg(report)
            .limit(LIMIT)
            .run()
    }

    fn client_role(&self, cases: &str) -> Outcome {
        let report = client_report();
        empty(&report)?;
        // The suite cannot pick a port itself. This one is free now, and nobody hands it out again so soon.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut suite = Step::new("autobahn-suite", self.scripts.join("run.sh"))
            .args(["client", &port.to_string()])
            .arg(&report)
            .env("CASES", cases)
            .serve()?;
        suite.wait_for_port(port)?;
        let ran = Step::new("autobahn-client", release_binary("autobahn_client"))
            .arg(format!("ws://127.0.0.1:{port}"))
            .limit(LIMIT)
            .run();
        say(&format!("as client: {}", page(&report)));
        // What the report says tells more than that the client gave up.
        self.compare(cases, &[report]).and(ran)
    }

    /// Our server with our proxy in between: the same verdicts. And the recording of it says the same once more.
    fn through_the_proxy(&self, cases: &str) -> Outcome {
        let report = report("proxy");
        empty(&report)?;
        let recording = report.join("recording.jsonl");
        let (_server, served) = sockeye_serve("autobahn-behind", &["--compression"])?;
        let to = format!("{}/echo", served.replacen("http", "ws", 1));
        let mut proxy = Step::new("autobahn-proxy", release_binary("sockeye"))
            .args(["proxy", "--quiet", "--listen", "127.0.0.1:0", "--to", &to, "--record"])
            .arg(&recording)
            .serve()?;
        let line = proxy.wait_for_line("listening on ")?;
        let url = line.split(',').next().unwrap_or_default();
        let ran = Step::new("autobahn-proxied", self.scripts.join("run.sh"))
            .args(["server", url, AGENT, cases])
            .arg(&report)
            .limit(LIMIT)
            .run();
        say(&format!("through the proxy: {}", page(&report)));
        proxy.interrupt()?;
        self.compare(cases, &[report]).and(ran)?;
        Step::new("autobahn-replay", release_binary("sockeye"))
            .arg("replay")
            .arg(&recording)
            .args(["--to", &to, "--as-fast-as-possible"])
            .limit(LIMIT)
            .keep(|_| true)
            .run()?;
        // Half a gigabyte that nobody needs when all is well.
        Ok(fs::remove_file(recording)?)
    }

    fn compare(&self, preset: &str, reports: &[PathBuf]) -> Outcome {
        let step = Step::new("autobahn-summary", self.scripts.join("summary.py"));
        reports
            .iter()
            .fold(step, Step::arg)
            .args(["--expect", EXPECTED, preset])
            .dir(&self.scripts)
            .keep(|_| true)
            .run()
    }

    /// The table in `docs/compliance.md`, from the reports of both roles.
    fn write_table(&self) -> Outcome {
        let [first, second] = server_reports();
        Step::new("autobahn-table", self.scripts.join("table.py"))
            .arg(root().join("docs/compliance.md"))
            .arg(format!("server={},{}", first.display(), second.display()))
            .arg(format!("client={}", client_report().display()))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .keep(|_| true)
            .run()
    }
}

fn server_reports() -> [PathBuf; 2] {
    HALVES.map(|(name, _)| report(name))
}

fn client_report() -> PathBuf {
    report("client")
}

fn report(name: &str) -> PathBuf {
    target().join("autobahn").join(name)
}

fn page(report: &Path) -> String {
    report.join("index.html").display().to_string()
}

/// An empty folder, so that no earlier run's report can pass for this one's.
fn empty(report: &Path) -> Outcome {
    if report.exists() {
        fs::remove_dir_all(report)?;
    }
    fs::create_dir_all(report)?;
    Ok(())
}

fn joined(half: thread::ScopedJoinHandle<'_, Outcome>) -> Outcome {
    half.join().unwrap_or_else(|_| Err(Stop::Failed("a half of the suite could not be run".to_owned())))
}
