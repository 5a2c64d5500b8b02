//! Starts programs that others have made, and waits until they listen.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use crate::Result;

/// Whatever has not happened by then will not happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program at work. Dropping it ends it.
pub(crate) struct Program {
    _child: Child,
    lines: tokio::io::Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdout = child.stdout.take().ok_or("stdout is piped")?;
        Ok(Self { _child: child, lines: BufReader::new(stdout).lines() })
    }

    /// One of the scripts in `interop/`. What it prints as its first line, behind `listening on `: ports.
    pub(crate) async fn script<const N: usize>(name: &str, args: &[&Path]) -> Result<(Self, [u16; N])> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop").join(name);
        let mut program = Self::start(Command::new("node").arg(script).args(args))?;
        let line = program.line().await?;
        let ports = line.strip_prefix("listening on ").ok_or("the first line says where it listens")?;
        let ports: Vec<u16> = ports.split(' ').map(str::parse).collect::<core::result::Result<_, _>>()?;
        Ok((program, ports.try_into().map_err(|_| format!("it listens elsewhere: {line}"))?))
    }

    /// HAProxy with this configuration, once it listens on a port.
    pub(crate) async fn haproxy(configuration: &Path, port: u16) -> Result<Self> {
        let program = Self::start(Command::new("haproxy").args(["-db", "-f"]).arg(configuration))?;
        let listening = async {
            while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, listening).await?;
        Ok(program)
    }

    /// The next line it prints.
    pub(crate) async fn line(&mut self) -> Result<String> {
        Ok(timeout(PATIENCE, self.lines.next_line()).await??.ok_or("the program runs until the test ends")?)
    }

    /// The next line that it prints which begins like this: what follows.
    pub(crate) async fn line_with(&mut self, start: &str) -> Result<String> {
        loop {
            if let Some(rest) = self.line().await?.strip_prefix(start) {
                return Ok(rest.to_owned());
            }
        }
    }
}

/// A port that is free now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A folder of this test's own, gone when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("sockeye-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::write(&path, content)?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
