//! One connection of a recording, as it is replayed.

use std::io;
use std::time::Duration;

use sockeye_proto::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::matching::Matching;
use crate::http1::{MAX_HEAD, Request, head_end};
use crate::stream::Stream;

/// A connection, by what is known of it.
pub(super) enum Line {
    /// So much of its request has been read from the recording.
    Asking(Vec<u8>),
    Playing(Box<Playing>),
    /// It is over, or none to be replayed.
    Over,
}

/// A connection that is there.
pub(super) struct Playing {
    pub(super) matching: Matching,
    /// As far as our own head was read from the recording; `None` behind it.
    pub(super) head: Option<Vec<u8>>,
    /// What is written to; `None` while somebody writes, and once nothing is taken any more.
    pub(super) out: Option<WriteHalf<Stream>>,
    /// The other end sends no more.
    pub(super) has_ended: bool,
    reader: Option<JoinHandle<()>>,
}

/// What comes on a connection, by its number: bytes, or with none the end.
pub(super) type Arrival = (u64, Vec<u8>);

/// What a piece of a request makes of a connection.
pub(super) enum Asked {
    /// More is needed.
    NotYet,
    /// It asks for a WebSocket. The request, its bytes, and how many of the piece are its.
    WebSocket(Box<Request>, Vec<u8>, usize),
    /// It is something else.
    Other,
}

impl Line {
    /// Takes a piece of what its client has sent first.
    pub(super) fn ask(head: &mut Vec<u8>, piece: &[u8]) -> Asked {
        let looked = head.len();
        head.extend_from_slice(piece);
        match head_end(head, looked) {
            Some(end) => {
                head.truncate(end);
                let bytes = core::mem::take(head);
                match Request::read(bytes.clone()) {
                    Ok(request) if request.asks() => Asked::WebSocket(Box::new(request), bytes, end - looked),
                    _ => Asked::Other,
                }
            }
            None if head.len() > MAX_HEAD || !Request::may_begin(head) => Asked::Other,
            None => Asked::NotYet,
        }
    }
}

impl Playing {
    pub(super) fn new(number: u64, own: Role, exact: bool, stream: Stream, arrivals: mpsc::Sender<Arrival>) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self {
            matching: Matching::new(own, exact),
            head: (own == Role::Server).then(Vec::new),
            out: Some(write),
            has_ended: false,
            reader: Some(tokio::spawn(listen(number, read, arrivals))),
        }
    }

    /// Sends no more, and reads on for a while: a connection that is dropped with bytes that nobody has read is reset, which
    /// takes back what was sent.
    pub(super) async fn end(mut self: Box<Self>, patience: Duration) {
        if let Some(mut out) = self.out.take() {
            let _ = tokio::time::timeout(patience, out.shutdown()).await;
        }
        if let Some(mut reader) = self.reader.take()
            && tokio::time::timeout(patience, &mut reader).await.is_err()
        {
            reader.abort();
        }
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}

/// Reads as fast as it is taken.
async fn listen(number: u64, mut stream: ReadHalf<Stream>, arrivals: mpsc::Sender<Arrival>) {
    loop {
        let mut bytes = Vec::with_capacity(16 << 10);
        let read = stream.read_buf(&mut bytes).await.unwrap_or_default();
        if arrivals.send((number, bytes)).await.is_err() || read == 0 {
            return;
        }
    }
}

/// Writes it all, unless nothing is taken for so long.
pub(super) async fn write(out: &mut WriteHalf<Stream>, bytes: &[u8], patience: Duration) -> io::Result<()> {
    for piece in bytes.chunks(64 << 10) {
        let written = tokio::time::timeout(patience, out.write_all(piece)).await;
        written.map_err(|_| io::Error::other(format!("nothing was taken for {patience:?}")))??;
    }
    out.flush().await
}
