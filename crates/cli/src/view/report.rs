//! Shows records and what happens on connections, as text, lines or JSON, and counts what is wrong.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use clap::ValueEnum;
use serde_json::{Value, json};
use sockeye_dissect::{Item, Record, render};
use sockeye_traffic::{Ending, Ends, rfc3339};

/// How to show what there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// To read: every frame bit by bit
    #[default]
    Text,
    /// To look over: one line each
    Lines,
    /// For programs: one object a line
    Json,
}

/// Whether to use colours.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    /// The choice decides; left to itself, a set `NO_COLOR` (no-color.org), then `CLICOLOR_FORCE`, then the terminal.
    pub(crate) fn is_used(self, is_terminal: bool) -> bool {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if no_color => false,
            Self::Auto if is_set("CLICOLOR_FORCE") => true,
            Self::Auto => is_terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        }
    }
}

/// Shows one thing after the other.
pub(crate) struct Report<W> {
    format: Format,
    options: render::text::Options,
    out: W,
    total: Total,
    /// Connections that were opened, and are shown once there is something to show of them.
    waiting: BTreeMap<u64, Opened>,
}

/// How a connection was opened.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) time: Duration,
    /// When times begin, where that is known.
    pub(crate) started: Option<SystemTime>,
    pub(crate) ends: Ends,
}

/// What was shown, and what is wrong with it.
#[derive(Debug, Default)]
struct Total {
    shown: u64,
    connections: u64,
    websockets: u64,
    frames: u64,
    bytes: u64,
    violations: usize,
    gaps: u64,
    cut_off: bool,
}

impl<W: Write> Report<W> {
    pub(crate) fn new(format: Format, options: render::text::Options, out: W) -> Self {
        Self { format, options, out, total: Total::default(), waiting: BTreeMap::new() }
    }

    /// Whether nothing that was shown breaks a rule, is cut off or missing.
    pub(crate) const fn is_good(&self) -> bool {
        self.total.violations == 0 && !self.total.cut_off && self.total.gaps == 0
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Remembers a connection; it is shown together with the first record of it.
    pub(crate) fn opened(&mut self, connection: u64, opened: Opened) {
        self.waiting.insert(connection, opened);
    }

    /// Shows a record.
    pub(crate) fn show(&mut self, record: &Record) -> io::Result<()> {
        if let Some(connection) = record.connection
            && let Some(opened) = self.waiting.remove(&connection)
        {
            self.show_opened(connection, &opened)?;
        }
        let total = &mut self.total;
        total.frames += u64::from(record.frame().is_some());
        total.gaps += u64::from(matches!(record.item, Item::Gap(_)));
        total.bytes += if matches!(record.item, Item::Gap(_)) { 0 } else { record.size() };
        total.violations += record.findings().len();
        total.cut_off |= record.is_cut_off();
        match self.format {
            Format::Json => render::json::write(record, &mut self.out)?,
            Format::Lines => render::lines::write(record, self.options.color, &mut self.out)?,
            Format::Text => {
                self.separate()?;
                render::text::write(record, self.options, &mut self.out)?;
            }
        }
        self.total.shown += 1;
        Ok(())
    }

    /// Shows how a connection ended, if something of it was shown; and counts it.
    pub(crate) fn ended(
        &mut self,
        connection: u64,
        time: Duration,
        ending: Option<&Ending>,
        is_websocket: bool,
    ) -> io::Result<()> {
        if self.waiting.remove(&connection).is_some() {
            return Ok(());
        }
        self.total.websockets += u64::from(is_websocket);
        let Some(ending) = ending else { return Ok(()) };
        let words = render::safe(&ending.to_string());
        match self.format {
            Format::Text => {
                self.separate()?;
                writeln!(self.out, "End of connection {connection} · {words} · at {} s", seconds(time))?;
            }
            Format::Lines => writeln!(self.out, "  {:>11} {connection:>3}   {words}", seconds(time))?,
            Format::Json => {
                let (how, by) = match ending {
                    Ending::Closed(by) => ("closed", *by),
                    Ending::Reset(by) => ("reset", *by),
                    Ending::Failed(_) => ("failed", None),
                    Ending::GivenUp => ("given up", None),
                };
                let by = by.map(|by| by.to_string());
                self.write_json(&[
                    ("record", json!("end")),
                    ("connection", json!(connection)),
                    ("time_ns", nanos(time)),
                    ("how", json!(how)),
                    ("by", json!(by)),
                    ("message", json!(words)),
                ])?;
            }
        }
        self.total.shown += 1;
        Ok(())
    }

    /// Ends the report: text says what there was in all, if it was not one frame.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        let Total { shown, connections, websockets, frames, bytes, violations, gaps, cut_off } = self.total;
        if self.format == Format::Text && (connections > 0 || frames != 1) {
            self.separate()?;
            if connections > 0 {
                write!(self.out, "Connections: {connections}, of which WebSockets: {websockets}, frames: {frames}")?;
                write!(self.out, ", bytes: {bytes}, violations: {violations}")?;
            } else {
                write!(self.out, "Frames: {frames}, bytes: {bytes}, violations: {violations}")?;
            }
            if gaps > 0 {
                write!(self.out, ", gaps: {gaps}")?;
            }
            let last = if connections > 0 || shown != frames { "a frame" } else { "the last frame" };
            writeln!(self.out, "{}", if cut_off { format!(", {last} is cut off") } else { String::new() })?;
        }
        self.out.flush()
    }

    fn show_opened(&mut self, connection: u64, opened: &Opened) -> io::Result<()> {
        let Opened { time, started, ends } = opened;
        self.total.connections += 1;
        let address = |address: &Option<String>| render::safe(address.as_deref().unwrap_or("?"));
        let (client, server) = (address(&ends.client), address(&ends.server));
        let target = ends.target.as_deref().map(render::safe);
        let since = started.and_then(|started| started.checked_add(*time)).and_then(rfc3339);
        match self.format {
            Format::Text => {
                self.separate()?;
                writeln!(self.out, "Connection {connection} · {client} → {server}")?;
                let missing = ends.joined.then(|| "its beginning is missing".to_owned());
                let more: Vec<_> = [since, target, missing].into_iter().flatten().collect();
                if !more.is_empty() {
                    writeln!(self.out, "  {}", more.join(" · "))?;
                }
            }
            Format::Lines => {
                let target = target.map(|target| format!(" ({target})")).unwrap_or_default();
                writeln!(self.out, "  {:>11} {connection:>3}   {client} → {server}{target}", seconds(*time))?;
            }
            Format::Json => self.write_json(&[
                ("record", json!("connection")),
                ("connection", json!(connection)),
                ("time_ns", nanos(*time)),
                ("time", json!(since)),
                ("client", json!(ends.client)),
                ("server", json!(ends.server)),
                ("target", json!(ends.target)),
                ("joined", json!(ends.joined)),
            ])?,
        }
        self.total.shown += 1;
        Ok(())
    }

    /// An empty line between two things.
    fn separate(&mut self) -> io::Result<()> {
        if self.total.shown > 0 { writeln!(self.out) } else { Ok(()) }
    }

    fn write_json(&mut self, members: &[(&str, Value)]) -> io::Result<()> {
        writeln!(self.out, "{}", json_line(members))
    }
}

/// One object on a line, its members in this order.
pub(crate) fn json_line(members: &[(&str, Value)]) -> String {
    let member = |(name, value): &(&str, Value)| format!("\"{name}\":{}", render::json::harmless(&value.to_string()));
    format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
}

/// Seconds, to the microsecond.
fn seconds(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}

/// As a number: up to 104 days of nanoseconds every reader holds exactly.
pub(crate) fn nanos(time: Duration) -> Value {
    json!(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
