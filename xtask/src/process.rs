//! Runs other programs: their chatter goes to a log, they have a time limit, and none of them outlives us.

use core::time::Duration;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::Instant;

use crate::stage::{Outcome, Stop, say};

/// How many lines of a log are shown when its program has failed.
const TAIL: usize = 120;

const MINUTE: Duration = Duration::from_secs(60);

/// The folder of the workspace.
pub(crate) fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        here.parent().unwrap_or(here).to_path_buf()
    });
    &ROOT
}

/// Cargo's target folder, wherever it was told to have it: this program lies in `TARGET/debug/`, its own tests in
/// `TARGET/debug/deps/`.
pub(crate) fn target() -> &'static Path {
    static TARGET: LazyLock<PathBuf> = LazyLock::new(|| {
        let exe = std::env::current_exe().unwrap_or_default();
        let mut above = exe.ancestors().skip(1).filter(|folder| !folder.ends_with("deps"));
        above.nth(1).map_or_else(|| root().join("target"), Path::to_path_buf)
    });
    &TARGET
}

pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// The line that starts like this in what the compiler says of itself: `host: `, or `rustc ` for its version.
pub(crate) fn rustc_says(start: &str) -> Result<String, Stop> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let out = Command::new(rustc).arg("-vV").current_dir(root()).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    text.lines()
        .find_map(|line| line.strip_prefix(start))
        .map(str::to_owned)
        .ok_or_else(|| Stop::Failed(format!("rustc -vV has no line `{start}…`")))
}

/// A program to run, and the name of its log.
pub(crate) struct Step {
    name: String,
    shown: String,
    command: Command,
    limit: Duration,
    keep: fn(&str) -> bool,
}

impl Step {
    pub(crate) fn new(name: &str, program: impl AsRef<OsStr>) -> Self {
        let mut command = tethered(program.as_ref());
        command.current_dir(root()).stdin(Stdio::null());
        let program = Path::new(program.as_ref());
        let shown = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { name: name.to_owned(), shown, command, limit: 15 * MINUTE, keep: |_| false }
    }

    pub(crate) fn cargo(name: &str) -> Self {
        Self::new(name, cargo())
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown += " ";
        self.shown += &arg.as_ref().to_string_lossy();
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<'a>(self, args: impl IntoIterator<Item = &'a str>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    pub(crate) fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    pub(crate) fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// How long the program may take before it is killed and counts as failed; 15 minutes unless said.
    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Which lines of the log to show when all is well, such as a test runner's closing line.
    pub(crate) fn keep(mut self, keep: fn(&str) -> bool) -> Self {
        self.keep = keep;
        self
    }

    /// Runs the program to its end.
    pub(crate) fn run(self) -> Outcome {
        say(&format!("$ {}", self.shown));
        let Self { name, shown, command, limit, keep } = self;
        let log = log_file(&name)?;
        let verdict = match start(command, &log).and_then(|mut running| running.wait(limit)) {
            Ok(Some(status)) if status.success() => None,
            Ok(Some(status)) => Some(format!("{shown}: {status}")),
            Ok(None) => Some(format!("{shown}: no end after {} s", limit.as_secs())),
            Err(error) => Some(format!("{shown}: {error}")),
        };
        let text = read_log(&log);
        let Some(why) = verdict else {
            text.lines().filter(|line| keep(line.trim())).for_each(say);
            return Ok(());
        };
        show_tail(&log, &text);
        Err(Stop::Failed(why))
    }

    /// Runs a program which fetches something: where that fails, the machine is at fault, not the project.
    pub(crate) fn run_setup(self) -> Outcome {
        self.run().map_err(|stop| match stop {
            Stop::Failed(why) => Stop::LeftOut(format!("{why} (offline?)")),
            other @ Stop::LeftOut(_) => other,
        })
    }

    /// Starts the program and lets it run until the result is dropped.
    pub(crate) fn serve(self) -> Result<Server, Stop> {
        say(&format!("$ {} &", self.shown));
        let log = log_file(&self.name)?;
        let running = start(self.command, &log).map_err(|error| Stop::Failed(format!("{}: {error}", self.shown)))?;
        Ok(Server { running, log, shown: self.shown })
    }
}

/// A program that serves us in the background. Dropping this kills it.
pub(crate) struct Server {
    running: Running,
    log: PathBuf,
    shown: String,
}

impl Server {
    /// Waits until the program has printed a line that starts like this, and gives the rest of the line.
    pub(crate) fn wait_for_line(&mut self, start: &str) -> Result<String, Stop> {
        self.wait_until(&format!("printed no line `{start}…`"), |log| {
            // Only whole lines: the last one may still be on its way.
            let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
            whole.lines().find_map(|line| line.strip_prefix(start)).map(str::to_owned)
        })
    }

    /// Waits until something listens on this port of the loopback address.
    pub(crate) fn wait_for_port(&mut self, port: u16) -> Outcome {
        self.wait_until(&format!("does not listen on port {port}"), |_| {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop)
        })
    }

    /// Has the program end of its own accord, as Ctrl-C would, and waits for that.
    pub(crate) fn interrupt(mut self) -> Outcome {
        let id = self.running.0.id();
        // The shell's own `kill`, as in `Running::drop`.
        if !succeeds(Command::new("sh").args(["-c", &format!("kill -INT {id}")])) {
            return Err(Stop::Failed(format!("{} cannot be interrupted", self.shown)));
        }
        match self.running.wait(MINUTE)? {
            Some(status) if status.success() => Ok(()),
            ended => {
                show_tail(&self.log, &read_log(&self.log));
                let how = ended.map_or_else(|| "does not end".to_owned(), |status| format!("ended: {status}"));
                Err(Stop::Failed(format!("{} {how}", self.shown)))
            }
        }
    }

    fn wait_until<T>(&mut self, problem: &str, test: impl Fn(&str) -> Option<T>) -> Result<T, Stop> {
        let start = Instant::now();
        let why = loop {
            if let Some(found) = test(&read_log(&self.log)) {
                return Ok(found);
            }
            if let Some(status) = self.running.0.try_wait()? {
                break format!("{} ended: {status}", self.shown);
            }
            if start.elapsed() > MINUTE {
                break format!("{} {problem} in a minute", self.shown);
            }
            sleep(Duration::from_millis(50));
        };
        show_tail(&self.log, &read_log(&self.log));
        Err(Stop::Failed(why))
    }
}

/// A child that does not outlive this value, and neither do its descendants.
struct Running(Child);

impl Running {
    /// The exit status, or `None` when the time is up; then the child is as good as killed, by the drop.
    fn wait(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let start = Instant::now();
        // Most children are done quickly or take minutes: look often at first, then less.
        let mut pause = Duration::from_millis(5);
        while start.elapsed() < limit {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(200));
        }
        Ok(None)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        // The shell's own `kill`, because the standard library can kill the child alone, and a small Debian has no
        // other program for it.
        let ids: String = descendants(self.0.id()).iter().map(|id| format!(" {id}")).collect();
        if !ids.is_empty() {
            let _ = Command::new("sh").args(["-c", &format!("kill -KILL{ids}")]).status();
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The ids of a process's children, their children and so on, as far as the system tells (Linux).
fn descendants(of: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let parents: Vec<(u32, u32)> = entries
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // "ID (NAME) STATE PARENT …", where NAME may hold anything, brackets too.
            let (_, after_name) = stat.rsplit_once(')')?;
            let parent = after_name.split_whitespace().nth(1)?.parse().ok()?;
            Some((id, parent))
        })
        .collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(&id) = found.get(next) {
        found.extend(parents.iter().filter(|(_, parent)| *parent == id).map(|(child, _)| *child));
        next += 1;
    }
    found.split_off(1)
}

/// The command for a program that Linux kills when we die without a chance to do it ourselves.
fn tethered(program: &OsStr) -> Command {
    static SETPRIV: LazyLock<bool> =
        LazyLock::new(|| succeeds(Command::new("setpriv").args(["--pdeathsig", "KILL", "true"])));
    if *SETPRIV {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// Whether a quiet command can be run and ends well.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

fn start(mut command: Command, log: &Path) -> io::Result<Running> {
    let out = File::create(log)?;
    let child = command.stdout(out.try_clone()?).stderr(out).spawn()?;
    Ok(Running(child))
}

/// Where logs and what else a run leaves behind go.
pub(crate) fn logs() -> PathBuf {
    target().join("xtask")
}

fn log_file(name: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(logs())?;
    Ok(logs().join(format!("{name}.log")))
}

fn read_log(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
}

fn show_tail(log: &Path, text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(TAIL);
    if skipped > 0 {
        say(&format!("  … {skipped} more lines in {}", log.display()));
    }
    for line in &lines[skipped..] {
        say(&format!("  {line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Alive and not just waiting to be collected by whoever inherited it.
    fn runs(id: u32) -> bool {
        fs::read_to_string(format!("/proc/{id}/stat"))
            .is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z'))
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_server_is_gone_with_its_children_when_it_is_dropped() {
        let step = Step::new("test-server", "sh").args(["-c", "sleep 600 & echo ready; sleep 600"]);
        let mut server = step.serve().unwrap_or_else(|stop| panic!("{stop:?}"));
        server.wait_for_line("ready").unwrap();
        // The second `sleep` may take a moment to start.
        let mut ids = descendants(server.running.0.id());
        while ids.len() < 2 {
            ids = descendants(server.running.0.id());
        }
        ids.push(server.running.0.id());
        assert!(ids.iter().all(|id| runs(*id)));
        drop(server);
        // They have been told to die, which takes the system a moment.
        let start = Instant::now();
        while ids.iter().any(|id| runs(*id)) {
            assert!(start.elapsed() < MINUTE, "still running");
            sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_program_that_takes_too_long_has_failed() {
        let outcome = Step::new("test-limit", "sleep").arg("600").limit(Duration::from_millis(50)).run();
        assert!(matches!(outcome, Err(Stop::Failed(why)) if why.contains("no end")));
    }

    #[test]
    fn a_server_that_ends_before_it_is_ready_is_not_waited_for() {
        let mut server = Step::new("test-ends", "true").serve().unwrap_or_else(|stop| panic!("{stop:?}"));
        assert!(matches!(server.wait_for_line("ready"), Err(Stop::Failed(why)) if why.contains("ended")));
    }

    #[test]
    fn a_failed_setup_leaves_the_stage_out() {
        assert!(matches!(Step::new("test-setup", "false").run_setup(), Err(Stop::LeftOut(_))));
        assert!(matches!(Step::new("test-setup", "/nowhere/at-all").run_setup(), Err(Stop::LeftOut(_))));
    }
}
