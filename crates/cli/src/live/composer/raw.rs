//! A connection to the server whose client is somebody's hand: the request is written for them, all else they write.

use core::time::Duration;

use bytes::{BufMut as _, BytesMut};
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use serde_json::{Value, json};
use sockeye::tap::{Ending, Line};
use sockeye::{Compression, Role};
use sockeye_dissect::{Conversation, StartLine};
use sockeye_proto::deflate;
use sockeye_proto::handshake::Key;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};

use super::super::reach::{Duplex, Reached};

pub(super) struct Raw {
    reads: ReadHalf<Box<dyn Duplex>>,
    /// `None`: nothing more will be sent.
    writes: Option<WriteHalf<Box<dyn Duplex>>>,
    unwritten: BytesMut,
    /// Nothing more is to be sent once all is written.
    ends: bool,
    buffer: Box<[u8]>,
    /// What goes over it is copied here.
    lines: Vec<Line>,
    /// The number in the feed of whoever plays.
    number: u64,
    /// Until there is a response.
    opening: Option<Conversation>,
    /// Who has ended first what it sends.
    ended: Option<Role>,
}

/// What has come of waiting.
pub(super) enum Happened {
    Nothing,
    Opened(Value),
    Closed(String),
}

/// So much may be unwritten when more is taken.
const ROOM: usize = 64 << 10;

impl Raw {
    /// Sends the request on a connection; or says why not.
    pub(super) fn open(reached: Reached, compression: bool) -> Result<Self, String> {
        let Reached { stream, host, target, lines, number } = reached;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|error| error.to_string())?;
        let key = Key::new(nonce);
        let offer = if compression { deflate::offer(&Compression::takeover()) } else { None };
        let offer = offer.as_ref().and_then(|offer| offer.to_str().ok());
        let offer = offer.map(|offer| format!("Sec-WebSocket-Extensions: {offer}\r\n")).unwrap_or_default();
        let key = key.as_header().to_str().unwrap_or_default();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{offer}\r\n"
        );
        let (reads, writes) = split(stream);
        Ok(Self {
            reads,
            writes: Some(writes),
            unwritten: BytesMut::from(request.as_bytes()),
            ends: false,
            buffer: vec![0; ROOM].into(),
            lines,
            number,
            opening: Some(Conversation::new()),
            ended: None,
        })
    }

    /// Whether more may be said before what was said is written.
    pub(super) fn has_room(&self) -> bool {
        self.unwritten.len() < ROOM
    }

    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.ends || self.writes.is_none() {
            return Err("this end of the connection has ended".into());
        }
        self.unwritten.put_slice(bytes);
        Ok(())
    }

    /// Sends nothing more, and goes on reading.
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.ends = true;
        Ok(())
    }

    /// Is gone, as if the cable were cut.
    pub(super) fn drop_it(&mut self) {
        self.lines.iter_mut().for_each(|line| line.end(Ending::Reset(Role::Client)));
    }

    /// Writes and reads, whichever can be done. Dropping the future loses nothing.
    pub(super) async fn happens(&mut self) -> Happened {
        let Self { reads, writes, unwritten, buffer, .. } = self;
        let has_to_write = !unwritten.is_empty() || (self.ends && writes.is_some());
        let (from, len) = tokio::select! {
            written = write(writes, unwritten), if has_to_write => match written {
                Some(0) => {
                    self.ended.get_or_insert(Role::Client);
                    return Happened::Nothing;
                }
                Some(len) => (Role::Client, len),
                None => {
                    // It takes no more; what it has said is read all the same.
                    self.ended.get_or_insert(Role::Server);
                    self.unwritten.clear();
                    self.writes = None;
                    return Happened::Nothing;
                }
            },
            read = reads.read(buffer) => match read {
                Ok(len) if len > 0 => (Role::Server, len),
                _ => {
                    self.ended.get_or_insert(Role::Server);
                    return Happened::Closed("the server has closed the connection".into());
                }
            },
        };
        self.pass(from, len)
    }

    /// So many bytes have been written, or read.
    fn pass(&mut self, from: Role, len: usize) -> Happened {
        let written;
        let bytes = match from {
            Role::Client => {
                written = self.unwritten.split_to(len);
                &written[..]
            }
            Role::Server => &self.buffer[..len],
        };
        self.lines.iter_mut().for_each(|line| line.push(from, bytes));
        let Some(opening) = &mut self.opening else { return Happened::Nothing };
        let records = opening.push(from, Duration::ZERO, bytes);
        let response = records.iter().filter_map(|record| record.head()).find_map(|head| match head.start {
            StartLine::Response { status, .. } => Some((status, head)),
            _ => None,
        });
        let Some((status, head)) = response else { return Happened::Nothing };
        let extensions =
            head.fields.iter().find(|field| field.name.eq_ignore_ascii_case(SEC_WEBSOCKET_EXTENSIONS.as_str()));
        let extensions = extensions.map(|field| String::from_utf8_lossy(&field.value).into_owned());
        let opened = json!({ "connection": self.number, "status": status.as_u16(), "extensions": extensions });
        self.opening = None;
        Happened::Opened(opened)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let ending = Ending::Closed(self.ended.or(Some(Role::Client)));
        self.lines.iter_mut().for_each(|line| line.end(ending.clone()));
    }
}

/// Writes some of it, or ends what is sent where there is nothing left. `None`: nothing is taken any more.
async fn write(writes: &mut Option<WriteHalf<Box<dyn Duplex>>>, bytes: &[u8]) -> Option<usize> {
    let half = writes.as_mut()?;
    if !bytes.is_empty() {
        let written = half.write(bytes).await.ok()?;
        // TLS may keep it back.
        half.flush().await.ok()?;
        return Some(written);
    }
    half.shutdown().await.ok()?;
    *writes = None;
    Some(0)
}
