//! Writing: one line for each event, up to a limit, without the credentials in heads.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use sockeye_proto::Role;

use super::line::Line;
use super::redact::{self, Redactor};
use super::{MAX_BYTES, VERSION};
use crate::{Ending, Event, What, rfc3339};

/// How to record.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a caller sets all of it, or says ..Options::default()")]
pub struct Options {
    /// The most bytes that the file may have; 1 GiB unless set. At that, a last line says so.
    pub limit: u64,
    /// Whether credentials are recorded as they are. If not, in heads of HTTP their bytes become `*`: the values of
    /// `Authorization`, `Proxy-Authorization`, `Cookie`, `Set-Cookie` and of other fields whose names speak of tokens, keys,
    /// passwords or sessions; elements of `Sec-WebSocket-Protocol` of 32 bytes or more; and in URLs a `user:password@` and
    /// parameters with such names. Payloads of frames, and what an ordinary response carries, are recorded as they are.
    pub credentials: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { limit: 1 << 30, credentials: false }
    }
}

/// Writes a recording. Lines are written whole, one `write_all` each: give it a [`BufWriter`](io::BufWriter) if there are
/// many, and [flush](Self::flush) when they are to be seen.
#[derive(Debug)]
pub struct Recorder<W> {
    out: W,
    options: Options,
    line: Line,
    written: u64,
    is_full: bool,
    connections: HashMap<u64, Connection>,
}

#[derive(Debug, Default)]
struct Connection {
    /// Bytes that each end has sent.
    client: u64,
    server: u64,
    redactor: Redactor,
}

/// What the line that says that the file is full takes at most.
const LAST_LINE: u64 = 160;

impl Recorder<io::BufWriter<File>> {
    /// Makes a new file that only its owner may read, and begins a recording in it.
    ///
    /// # Errors
    /// Those of the file system; also where there is a file of this name: none is overwritten.
    pub fn create(path: &Path, options: Options) -> io::Result<Self> {
        let mut open = File::options();
        open.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
        Self::new(io::BufWriter::new(open.open(path)?), SystemTime::now(), options)
    }
}

impl<W: Write> Recorder<W> {
    /// Begins a recording; times count from when it `started`.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn new(mut out: W, started: SystemTime, options: Options) -> io::Result<Self> {
        let mut line = Line::default();
        let started = rfc3339(started).ok_or_else(|| io::Error::other("the clock is before 1970 or after 9999"))?;
        let first = line.begin("recording").number("version", VERSION).string("started", &started).end();
        out.write_all(first)?;
        let written = first.len() as u64;
        Ok(Self { out, options, line, written, is_full: false, connections: HashMap::new() })
    }

    /// Whether the limit was reached: nothing more is recorded.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Bytes of the file so far.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Gives all that was recorded to the writer beneath.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Records an event. Of a head whose line is not whole yet, the rest of that line waits for its end.
    ///
    /// # Errors
    /// Those of the writer; a line may then be cut off, as a reader will see.
    pub fn write(&mut self, event: &Event) -> io::Result<()> {
        let Event { connection, time, what } = event;
        match what {
            What::Bytes { from, bytes, redacted } => self.bytes(*connection, *time, *from, bytes, *redacted),
            What::Opened(ends) => {
                let target = ends.target.as_deref().map(|target| match self.options.credentials {
                    true => target.to_owned(),
                    false => redact::url(target),
                });
                self.begin(*connection, *time, "opened")
                    .maybe("client", ends.client.as_deref())
                    .maybe("server", ends.server.as_deref())
                    .maybe("target", target.as_deref())
                    .flag("joined", ends.joined);
                self.connections.insert(*connection, Connection::default());
                self.end(*time)
            }
            What::Missing { from, bytes } => {
                self.release(*connection, *time)?;
                let sent = self.connections.entry(*connection).or_default().sent(*from);
                let offset = *sent;
                *sent += bytes;
                let from = from.to_string();
                self.begin(*connection, *time, "missing")
                    .string("from", &from)
                    .number("offset", offset)
                    .number("count", *bytes);
                self.end(*time)
            }
            What::Ended(ending) => {
                self.release(*connection, *time)?;
                self.connections.remove(connection);
                let (how, by, why) = match ending {
                    Ending::Closed(by) => ("closed", *by, None),
                    Ending::Reset(by) => ("reset", *by, None),
                    Ending::Failed(why) => ("failed", None, Some(why.as_str())),
                    Ending::GivenUp => ("given up", None, None),
                };
                let by = by.map(|by| by.to_string());
                let line = self.begin(*connection, *time, "ended");
                line.string("how", how).maybe("by", by.as_deref()).maybe("why", why);
                self.end(*time)
            }
        }
    }

    /// Records what an end has sent.
    ///
    /// # Errors
    /// As [`write`](Self::write) has.
    fn bytes(&mut self, connection: u64, time: Duration, from: Role, bytes: &[u8], redacted: bool) -> io::Result<()> {
        if self.options.credentials {
            return self.lines(connection, time, from, bytes, redacted);
        }
        let redactor = &mut self.connections.entry(connection).or_default().redactor;
        if redactor.is_through() {
            return self.lines(connection, time, from, bytes, redacted);
        }
        for (from, bytes, masked) in redactor.push(from, bytes) {
            self.lines(connection, time, from, &bytes, redacted || masked)?;
        }
        Ok(())
    }

    /// Records what the redactor still holds: lines of heads that were not ended.
    fn release(&mut self, connection: u64, time: Duration) -> io::Result<()> {
        let held = self.connections.get_mut(&connection).map(|connection| connection.redactor.finish());
        for (from, bytes, redacted) in held.into_iter().flatten() {
            self.lines(connection, time, from, &bytes, redacted)?;
        }
        Ok(())
    }

    fn lines(&mut self, connection: u64, time: Duration, from: Role, bytes: &[u8], redacted: bool) -> io::Result<()> {
        for bytes in bytes.chunks(MAX_BYTES) {
            let sent = self.connections.entry(connection).or_default().sent(from);
            let offset = *sent;
            *sent += bytes.len() as u64;
            let from = from.to_string();
            self.begin(connection, time, "bytes")
                .string("from", &from)
                .number("offset", offset)
                .flag("redacted", redacted)
                .base64("bytes", bytes);
            self.end(time)?;
        }
        Ok(())
    }

    fn begin(&mut self, connection: u64, time: Duration, event: &str) -> &mut Line {
        self.line.begin(event).number("time_ns", nanos(time)).number("connection", connection)
    }

    /// Writes the line, or, where it does not fit, the one that says so.
    fn end(&mut self, time: Duration) -> io::Result<()> {
        if self.is_full {
            return Ok(());
        }
        let mut line = self.line.end();
        if self.written + line.len() as u64 + LAST_LINE > self.options.limit {
            self.is_full = true;
            line = self.line.begin("full").number("time_ns", nanos(time)).number("limit", self.options.limit).end();
        }
        self.written += line.len() as u64;
        self.out.write_all(line)?;
        if self.is_full { self.out.flush() } else { Ok(()) }
    }
}

impl Connection {
    const fn sent(&mut self, from: Role) -> &mut u64 {
        match from {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }
}

/// Nanoseconds, up to 584 years of them.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
