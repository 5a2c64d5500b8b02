//! The terminal: what goes over the connections, as it goes.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::thread;
use std::time::{Instant, SystemTime};

use serde_json::json;
use sockeye::tap::{Tap, Watch};
use sockeye_dissect::render;

use super::Shown;
use super::lines::event;
use crate::view::{Connections, Format, Report};

/// What waits to be shown, in bytes. A terminal that takes nothing costs no more.
const WAITING: usize = 8 << 20;
/// Lines appear in bursts this far apart, so that a busy connection does not wake somebody up for each of its reads.
const GATHER: Duration = Duration::from_millis(20);
/// What is kept of payloads to be shown, by all connections together.
const KEPT: usize = 16 << 20;

/// Shows what the tap is given, in a thread of its own: whoever reads standard output may be slow, and a relay must not be.
pub(super) fn start(shown: Shown, started: (Instant, SystemTime)) -> io::Result<(Tap, thread::JoinHandle<()>)> {
    let (tap, watch) = Tap::new(WAITING);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let thread = thread::Builder::new().name("view".to_owned()).spawn(move || {
        // A closed pipe, mostly, as in `| head`: it has seen enough, and the relay goes on.
        let _ = runtime.block_on(show(watch, &shown, started));
    })?;
    Ok((tap, thread))
}

async fn show(mut watch: Watch, shown: &Shown, (started, date): (Instant, SystemTime)) -> io::Result<()> {
    let stdout = io::stdout();
    let options = render::text::Options { color: shown.color.is_used(stdout.is_terminal()), all: shown.all };
    let mut report = Report::new(shown.format(), options, BufWriter::new(stdout));
    let mut connections = Connections::new(false, None, shown.filter.as_ref()).keeping(KEPT);
    while watch.gather(GATHER).await {
        while let Some(happened) = watch.try_recv() {
            connections.take(event(happened, started), Some(date), &mut report)?;
        }
        report.flush()?;
    }
    connections.finish(&mut report).map(drop)
}

/// The line that says where the proxy is, on standard output, which may be closed.
pub(super) fn listening(shown: &Shown, scheme: &str, at: SocketAddr, to: &str) {
    let line = if shown.format() == Format::Json {
        let (url, to) = (json!(format!("{scheme}://{at}")), json!(to));
        render::json::harmless(&format!("{{\"record\":\"listening\",\"url\":{url},\"to\":{to}}}"))
    } else {
        format!("listening on {scheme}://{at}, relaying to {}", render::safe(to))
    };
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
