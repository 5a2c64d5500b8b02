//! Connections, out of a recording or a capture or as they are: each in a conversation of its own.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use sockeye_dissect::{Conversation, Deflate, Dissector, Record};
use sockeye_traffic::{Ending, Ends, Event, What};

use super::{Filter, Opened, Report};

/// Follows connections, and reports what is on them.
pub(crate) struct Connections<'a> {
    joined: bool,
    deflate: Option<Deflate>,
    filter: Option<&'a Filter>,
    open: HashMap<u64, Connection>,
    /// How many of them are WebSockets.
    websockets: usize,
    /// Connections whose beginning is missing, and that were not taken apart for that.
    without_beginning: u64,
    redacted: bool,
    /// What is kept of payloads, by all connections together.
    keep: usize,
}

struct Connection {
    ends: Ends,
    /// There from the first bytes on, which tell where it begins.
    conversation: Option<Conversation>,
    latest: Duration,
}

/// What is kept of a payload at least, however many connections there are.
const LEAST_KEPT: usize = 64 << 10;

impl<'a> Connections<'a> {
    pub(crate) fn new(joined: bool, deflate: Option<Deflate>, filter: Option<&'a Filter>) -> Self {
        let open = HashMap::new();
        Self {
            joined,
            deflate,
            filter,
            open,
            websockets: 0,
            without_beginning: 0,
            redacted: false,
            keep: Dissector::KEEP,
        }
    }

    /// Keeps so many bytes of payloads, by all connections together.
    pub(crate) fn keeping(self, bytes: usize) -> Self {
        Self { keep: bytes, ..self }
    }

    /// Takes what has happened on a connection, and reports what comes of it. `started` is when times begin.
    pub(crate) fn take(
        &mut self,
        event: Event,
        started: Option<SystemTime>,
        report: &mut Report<impl Write>,
    ) -> io::Result<()> {
        let Event { connection: number, time, what } = event;
        match what {
            What::Opened(ends) => {
                // The same number once more: two recordings in one file.
                if let Some(before) = self.open.remove(&number) {
                    self.end(number, before, None, report)?;
                }
                report.opened(number, Opened { time, started, ends: ends.clone() });
                self.open.insert(number, Connection { ends, conversation: None, latest: time });
                Ok(())
            }
            What::Bytes { from, bytes, redacted } => {
                self.redacted |= redacted;
                let follow = |conversation: &mut Conversation| conversation.push(from, time, &bytes);
                self.follow(number, time, begins_as_http(&bytes), follow, report)
            }
            What::Missing { from, bytes } => {
                let follow = |conversation: &mut Conversation| conversation.skip(from, time, bytes);
                self.follow(number, time, false, follow, report)
            }
            What::Ended(ending) => match self.open.remove(&number) {
                Some(connection) => self.end(number, Connection { latest: time, ..connection }, Some(&ending), report),
                None => Ok(()),
            },
        }
    }

    /// Goes on with a connection, or begins with it; `is_http` tells whether what comes first is the beginning of one.
    fn follow(
        &mut self,
        number: u64,
        time: Duration,
        is_http: bool,
        follow: impl FnOnce(&mut Conversation) -> Vec<Record>,
        report: &mut Report<impl Write>,
    ) -> io::Result<()> {
        let Some(connection) = self.open.get_mut(&number) else { return Ok(()) };
        connection.latest = time;
        let was_websocket = connection.conversation.as_ref().is_some_and(Conversation::is_websocket);
        let conversation = connection.conversation.get_or_insert_with(|| {
            let conversation = match (connection.ends.joined && !is_http, self.joined) {
                (false, _) => Conversation::new(),
                (true, true) => Conversation::joined(self.deflate),
                (true, false) => {
                    self.without_beginning += 1;
                    Conversation::without_beginning()
                }
            };
            // As many as there are share what is kept.
            let keep = (self.keep / (self.websockets + 1)).max(LEAST_KEPT);
            conversation.numbered(number).keeping(keep)
        });
        let records = follow(conversation);
        self.websockets += usize::from(conversation.is_websocket() && !was_websocket);
        show(&records, self.filter, &connection.ends, report)?;
        // Whoever reads along sees it now.
        if records.is_empty() { Ok(()) } else { report.flush() }
    }

    /// Ends what is still open, and the report. What is to be known about all of it.
    pub(crate) fn finish(mut self, report: &mut Report<impl Write>) -> io::Result<Vec<String>> {
        let mut left: Vec<_> = self.open.drain().collect();
        left.sort_by_key(|(number, _)| *number);
        for (number, connection) in left {
            self.end(number, connection, None, report)?;
        }
        report.end()?;
        let mut notes = Vec::new();
        if self.redacted {
            notes.push("credentials were replaced by * when it was recorded".to_owned());
        }
        if self.without_beginning > 0 {
            notes.push(format!(
                "connections whose beginning is missing: {}; --joined takes their first bytes for the start of a frame",
                self.without_beginning
            ));
        }
        Ok(notes)
    }

    fn end(
        &mut self,
        number: u64,
        mut connection: Connection,
        ending: Option<&Ending>,
        report: &mut Report<impl Write>,
    ) -> io::Result<()> {
        let records = connection.conversation.as_mut().map(Conversation::finish).unwrap_or_default();
        show(&records, self.filter, &connection.ends, report)?;
        let is_websocket = connection.conversation.is_some_and(|conversation| conversation.is_websocket());
        self.websockets = self.websockets.saturating_sub(usize::from(is_websocket));
        report.ended(number, connection.latest, ending, is_websocket)
    }
}

fn show(records: &[Record], filter: Option<&Filter>, ends: &Ends, report: &mut Report<impl Write>) -> io::Result<()> {
    let mut shown = records.iter().filter(|record| filter.is_none_or(|filter| filter.matches(record, Some(ends))));
    shown.try_for_each(|record| report.show(record))
}

/// Whether these bytes begin a connection, of which more may have come before: with a method, or a response.
fn begins_as_http(bytes: &[u8]) -> bool {
    let method = bytes.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    bytes.starts_with(b"HTTP/1.") || ((3..=7).contains(&method) && bytes.get(method) == Some(&b' '))
}
