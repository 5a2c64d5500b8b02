//! Reading: a line at a time, as they come. A damaged line is told, and the next one read.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::time::{Duration, SystemTime};

use sockeye_proto::Role;

use super::line::{self, Members};
use super::{MAX_LINE, VERSION};
use crate::{Damage, Ending, Ends, Event, Note, Piece, What};

/// Reads a recording, also one that is still being written.
///
/// Where a line is damaged or gone, the next line of the same connection and direction tells how many bytes are missing
/// before it: an event that says so comes first. Memory is bounded: by a line, and 65,536 connections that are open at once.
#[derive(Debug)]
pub struct Reader<R> {
    input: BufReader<R>,
    started: Option<SystemTime>,
    /// Bytes and lines read.
    offset: u64,
    lines: u64,
    bad_lines: u64,
    connections: BTreeMap<u64, Sent>,
    ready: VecDeque<Piece>,
    has_ended: bool,
}

/// Bytes that the ends of a connection have sent.
#[derive(Debug, Default)]
struct Sent {
    client: u64,
    server: u64,
}

/// Connections that are followed at once.
const MAX_CONNECTIONS: usize = 1 << 16;

/// After so many bad lines and no good one it is no recording.
const OTHER_LINES: u64 = 3;

/// How a line was read.
enum Found {
    Line,
    TooLong,
    Nothing,
}

impl<R: Read> Reader<R> {
    /// A reader of what this gives; nothing is read yet.
    pub fn new(input: R) -> Self {
        Self {
            input: BufReader::new(input),
            started: None,
            offset: 0,
            lines: 0,
            bad_lines: 0,
            connections: BTreeMap::new(),
            ready: VecDeque::new(),
            has_ended: false,
        }
    }

    /// When the recording began: what times count from. Known once the first line was read.
    #[must_use]
    pub const fn started(&self) -> Option<SystemTime> {
        self.started
    }

    /// Reads a line, without the byte that ends it, into `line`.
    fn read_line(&mut self, line: &mut Vec<u8>) -> io::Result<Found> {
        line.clear();
        let read = self.input.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', line)?;
        self.offset += read as u64;
        if line.last() == Some(&b'\n') {
            line.pop();
            return Ok(Found::Line);
        }
        if line.len() <= MAX_LINE {
            return Ok(if line.is_empty() { Found::Nothing } else { Found::Line });
        }
        // The rest of it, without holding it.
        loop {
            let there = match self.input.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                there => there?,
            };
            let end = there.iter().position(|&byte| byte == b'\n');
            let passed = end.map_or(there.len(), |end| end + 1);
            self.input.consume(passed);
            self.offset += passed as u64;
            if end.is_some() || passed == 0 {
                return Ok(Found::TooLong);
            }
        }
    }

    /// Reads lines until there is something to give.
    fn read_on(&mut self) {
        let mut text = Vec::new();
        while self.ready.is_empty() && !self.has_ended {
            let offset = self.offset;
            let read = self.read_line(&mut text);
            self.lines += 1;
            let taken = match read {
                Ok(Found::Nothing) => {
                    self.has_ended = true;
                    if self.lines > 1 { Ok(()) } else { Err("there is nothing in it".to_owned()) }
                }
                Ok(Found::TooLong) => Err(format!("the line has more than {MAX_LINE} bytes, no recording's has")),
                Ok(Found::Line) => line::read(&text).and_then(|members| self.take(&Members(members))),
                Err(error) => {
                    self.has_ended = true;
                    Err(format!("cannot be read any further: {error}"))
                }
            };
            if let Err(why) = taken {
                self.bad_lines += 1;
                // A file that begins with nothing but bad lines is something else.
                self.has_ended |= self.bad_lines == self.lines && self.lines == OTHER_LINES;
                self.ready.push_back(Piece::Damage(Damage { offset, line: Some(self.lines), why }));
            }
        }
    }

    /// Takes what a line says.
    fn take(&mut self, members: &Members) -> Result<(), String> {
        let event = members.string("event")?;
        if event == "recording" {
            return self.take_first(members);
        }
        if self.lines == 1 {
            return Err("the first line, which says what the file is, is missing".to_owned());
        }
        if event == "full" {
            self.ready.push_back(Piece::Note(Note::Full(members.number("limit")?)));
            return Ok(());
        }
        let (connection, time) = (members.number("connection")?, Duration::from_nanos(members.number("time_ns")?));
        match event {
            "opened" => {
                let ends = members.ends();
                self.connections.insert(connection, Sent::default());
                self.give(connection, time, What::Opened(ends));
                self.keep_few(time);
            }
            "bytes" => {
                let from = members.role("from")?;
                let bytes = members.base64("bytes")?;
                if bytes.is_empty() {
                    return Err("\"bytes\" has none".to_owned());
                }
                self.sent(connection, time, from, members.number("offset")?, bytes.len() as u64)?;
                self.give(connection, time, What::Bytes { from, bytes, redacted: members.flag("redacted") });
            }
            "missing" => {
                let (from, bytes) = (members.role("from")?, members.number("count")?);
                if bytes == 0 {
                    return Err("\"count\" is 0: nothing is missing".to_owned());
                }
                self.sent(connection, time, from, members.number("offset")?, bytes)?;
                self.give(connection, time, What::Missing { from, bytes });
            }
            "ended" => {
                let ending = members.ending()?;
                self.connections.remove(&connection);
                self.give(connection, time, What::Ended(ending));
            }
            other => return Err(format!("{other:?} is no event of version {VERSION}")),
        }
        Ok(())
    }

    fn take_first(&mut self, members: &Members) -> Result<(), String> {
        let version = members.number("version")?;
        if version != VERSION {
            self.has_ended = true;
            return Err(format!("a recording of version {version}; this reads version {VERSION}"));
        }
        if self.lines > 1 {
            // Recordings can be joined; the times of the second count from its own beginning.
            self.connections.clear();
            return Ok(());
        }
        let started = humantime::parse_rfc3339(members.string("started")?);
        self.started = Some(started.map_err(|error| format!("\"started\" is no time: {error}"))?);
        Ok(())
    }

    /// Follows what an end has sent, up to and with these bytes. What came before them and is not here is told first.
    fn sent(&mut self, connection: u64, time: Duration, from: Role, offset: u64, bytes: u64) -> Result<(), String> {
        if let Entry::Vacant(new) = self.connections.entry(connection) {
            new.insert(Sent::default());
            // Its line is damaged, or gone.
            self.give(connection, time, What::Opened(Ends { joined: true, ..Ends::default() }));
            self.keep_few(time);
        }
        let sent = self.connections.entry(connection).or_default();
        let sent = if from == Role::Client { &mut sent.client } else { &mut sent.server };
        let missing = offset
            .checked_sub(*sent)
            .ok_or_else(|| format!("\"offset\" {offset} is before {sent}, the last one's end"))?;
        *sent = offset.checked_add(bytes).ok_or("\"offset\" is beyond what can be counted")?;
        if missing > 0 {
            self.give(connection, time, What::Missing { from, bytes: missing });
        }
        Ok(())
    }

    /// Gives up the connection with the smallest number where there are too many.
    fn keep_few(&mut self, time: Duration) {
        if self.connections.len() > MAX_CONNECTIONS
            && let Some((connection, _)) = self.connections.pop_first()
        {
            self.give(connection, time, What::Ended(Ending::GivenUp));
        }
    }

    fn give(&mut self, connection: u64, time: Duration, what: What) {
        self.ready.push_back(Piece::Event(Event { connection, time, what }));
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        self.read_on();
        self.ready.pop_front()
    }
}
