//! One direction of a connection: read, shown to those who watch, written, and no faster than it is taken.
//!
//! What an end sends is read into a buffer of the thread and written to the other end at once. Only what that does not take
//! is held, up to one read, and nothing more is read until it is taken: so whoever stops reading stops its sender, and nobody
//! else. Where much comes and nobody watches the kernel moves it by itself.

use core::cell::Cell;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, ErrorKind};

use sockeye::Role;
use sockeye::tap::Ending;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::lines::Lines;
use super::splice::Pipe;
use crate::http1::{Answer, Body};
use crate::stream::{Stream, words};

/// One read takes at most this much.
const BUFFER: usize = 64 << 10;
/// From so many bytes at once on the kernel moves them with less work than it takes to copy them in and out.
const LARGE: usize = 16 << 10;
/// So many times in a row less may come before bytes are copied again: what is large comes with small pieces at its end.
const SMALL_ONES: u8 = 16;
/// So many reads in one direction before other connections have their turn.
const TURNS: usize = 16;

thread_local! {
    static LENT: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// How far a direction goes.
#[derive(Debug)]
pub(super) enum Until {
    /// To the end of the connection, which is passed on.
    End,
    /// To the end of a request. What stands behind it does not pass, and its connection stays open for the answer.
    Request(Body),
    /// To the end of the answer to it, and with that of the connection.
    Answer(Answer),
}

/// One direction.
#[derive(Debug)]
pub(super) struct Way {
    from: Role,
    until: Until,
    /// What the other end has not taken yet, from this place on.
    held: Vec<u8>,
    at: usize,
    /// The same where the kernel holds it, and how many times it is still to be asked.
    pipe: Option<Pipe>,
    pipes: u8,
    /// Bytes that have passed.
    moved: u64,
    unflushed: bool,
    read_ended: bool,
    /// Nothing will pass any more: the other end knows that this one sends no more, or takes nothing.
    has_ended: bool,
    /// The other end takes nothing any more; how.
    broken: Option<Ending>,
}

impl Way {
    /// A direction that begins with what this end has sent already.
    pub(super) const fn new(from: Role, held: Vec<u8>, until: Until) -> Self {
        let (moved, unflushed, read_ended) = (0, false, until.has_ended());
        let (pipe, pipes) = (None, 0);
        Self { from, until, held, at: 0, pipe, pipes, moved, unflushed, read_ended, has_ended: false, broken: None }
    }

    pub(super) const fn from(&self) -> Role {
        self.from
    }

    /// Bytes that have passed.
    pub(super) const fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether nothing more is read.
    pub(super) const fn read_ended(&self) -> bool {
        self.read_ended
    }

    /// Whether nothing will pass any more.
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Why the other end takes nothing, if it does not.
    pub(super) fn broken(&self) -> Option<Ending> {
        self.broken.clone()
    }

    /// Lets pass what can. Ready with an error: this end has broken off.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Stream,
        to: &mut Stream,
        lines: &mut Lines,
    ) -> Poll<Result<(), Ending>> {
        if self.has_ended {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..TURNS {
            // 1. What could not be written before.
            while self.at < self.held.len() {
                match ready!(Pin::new(&mut *to).poll_write(cx, &self.held[self.at..])) {
                    Ok(written) if written > 0 => self.wrote(written),
                    written => return self.refused(written.map(drop)),
                }
            }
            (self.held, self.at) = (Vec::new(), 0);
            while let (Some(pipe), Stream::Tcp(tcp)) = (self.pipe.as_mut().filter(|pipe| pipe.holds() > 0), &*to) {
                match ready!(pipe.poll_drain(cx, tcp)) {
                    Ok(written) if written > 0 => self.moved += written as u64,
                    written => return self.refused(written.map(drop)),
                }
            }
            // 2. The end, once all is written.
            if self.read_ended {
                // Either may fail on an end that has ended meanwhile, and knows.
                let _ = match self.until {
                    Until::Request(_) => ready!(Pin::new(&mut *to).poll_flush(cx)),
                    Until::End | Until::Answer(_) => ready!(Pin::new(&mut *to).poll_shutdown(cx)),
                };
                self.has_ended = true;
                return Poll::Ready(Ok(()));
            }
            // 3. More, once there is room for those who want to lose nothing of it.
            let passed = match lines.poll_room(cx) {
                Poll::Ready(()) => match (&*from, &*to, &self.until) {
                    (Stream::Tcp(from), Stream::Tcp(_), Until::End) if self.pipes > 0 && !lines.are_watched() => {
                        self.fill(cx, from)
                    }
                    _ => self.pass(cx, from, to, lines),
                },
                Poll::Pending => Poll::Pending,
            };
            match passed {
                Poll::Ready(Passed::On) => {}
                Poll::Ready(Passed::Refused(error)) => return self.refused(Err(error)),
                Poll::Ready(Passed::Broken(ending)) => return Poll::Ready(Err(ending)),
                Poll::Pending => {
                    if self.unflushed {
                        match ready!(Pin::new(&mut *to).poll_flush(cx)) {
                            Ok(()) => self.unflushed = false,
                            error => return self.refused(error),
                        }
                    }
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads once, and writes what came.
    fn pass(&mut self, cx: &mut Context<'_>, from: &mut Stream, to: &mut Stream, lines: &mut Lines) -> Poll<Passed> {
        lend(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            if let Err(error) = ready!(Pin::new(from).poll_read(cx, &mut buffer)) {
                return Poll::Ready(Passed::Broken(broken(self.from, &error)));
            }
            let read = buffer.filled();
            self.count(read.len());
            lines.push(self.from, read);
            let mut rest = match self.until.take(read, self.moved) {
                Ok(taken) => &read[..taken],
                Err(why) => return Poll::Ready(Passed::Broken(Ending::Failed(why))),
            };
            self.read_ended = read.is_empty() || self.until.has_ended();
            while !rest.is_empty() {
                match Pin::new(&mut *to).poll_write(cx, rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Passed::Refused(ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(written)) => {
                        self.moved += written as u64;
                        self.unflushed = true;
                        rest = &rest[written..];
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Passed::Refused(error)),
                    Poll::Pending => {
                        self.held.extend_from_slice(rest);
                        break;
                    }
                }
            }
            Poll::Ready(Passed::On)
        })
    }

    /// Has the kernel take what came; the next thing is to have it written.
    fn fill(&mut self, cx: &mut Context<'_>, from: &TcpStream) -> Poll<Passed> {
        let Some(mut pipe) = self.pipe.take().or_else(Pipe::lend) else {
            self.pipes = 0;
            return Poll::Ready(Passed::On);
        };
        let filled = match pipe.poll_fill(cx, from) {
            Poll::Pending => {
                pipe.give_back();
                return Poll::Pending;
            }
            Poll::Ready(filled) => filled,
        };
        self.pipe = Some(pipe);
        match filled {
            Ok(taken) => {
                self.read_ended = taken == 0;
                self.count(taken);
                Poll::Ready(Passed::On)
            }
            Err(error) => Poll::Ready(Passed::Broken(broken(self.from, &error))),
        }
    }

    /// So much came at once.
    const fn count(&mut self, came: usize) {
        self.pipes = if came >= LARGE { SMALL_ONES } else { self.pipes.saturating_sub(1) };
    }

    fn wrote(&mut self, written: usize) {
        self.at += written;
        self.moved += written as u64;
        self.unflushed = true;
    }

    /// The other end takes nothing any more. What it has sent before is still to pass.
    fn refused(&mut self, error: io::Result<()>) -> Poll<Result<(), Ending>> {
        let error = error.err().unwrap_or_else(|| ErrorKind::WriteZero.into());
        self.broken = Some(broken(self.from.peer(), &error));
        self.has_ended = true;
        Poll::Ready(Ok(()))
    }
}

impl Until {
    /// Whether all of it has been read, wherever the connection goes on.
    const fn has_ended(&self) -> bool {
        match self {
            Self::End => false,
            Self::Request(body) => body.has_ended(),
            Self::Answer(answer) => answer.has_ended(),
        }
    }

    /// How many of the bytes that were read may pass, behind so many that have; none are the end of the connection.
    fn take(&mut self, bytes: &[u8], moved: u64) -> Result<usize, String> {
        match self {
            Self::End => Ok(bytes.len()),
            Self::Request(_) if bytes.is_empty() => {
                Err("the client ended its connection in the middle of its request".to_owned())
            }
            Self::Request(body) => body.take(bytes).map_err(|why| format!("the client's request is none: {why}")),
            Self::Answer(_) if bytes.is_empty() && moved == 0 => {
                Err("the server ended the connection in place of an answer".to_owned())
            }
            Self::Answer(answer) => answer.take(bytes).map_err(|why| format!("the server's answer is none: {why}")),
        }
    }
}

enum Passed {
    On,
    /// The end that was written to takes nothing.
    Refused(io::Error),
    /// The end that was read from has broken off.
    Broken(Ending),
}

/// How a connection ended that fails like this.
pub(super) fn broken(by: Role, error: &io::Error) -> Ending {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Ending::Reset(by),
        _ => Ending::Failed(format!("the {by}'s connection failed: {}", words(error))),
    }
}

/// Lends this thread's buffer: an idle connection holds none.
fn lend<T>(borrow: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = LENT.take().unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice());
    let result = borrow(&mut buffer);
    LENT.set(Some(buffer));
    result
}
