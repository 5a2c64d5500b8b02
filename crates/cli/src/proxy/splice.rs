//! From one TCP connection to another without passing through memory of ours: the kernel moves its own, by way of a pipe.
//!
//! That is for much at once, and only where nobody watches. A pipe is the thread's, and lent for as long as something is in it or
//! just comes: an idle connection holds none.

use core::cell::RefCell;
use core::task::{Context, Poll, ready};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What a pipe holds at most, in bytes: as much as anybody may have.
const ROOM: usize = 1 << 20;
/// So many pipes a thread keeps.
const KEPT: usize = 16;
const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

thread_local! {
    static STOCK: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// A pipe, and what is in it.
#[derive(Debug)]
pub(super) struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    holds: usize,
}

impl Pipe {
    /// An empty one; none where the process may open no more files.
    pub(super) fn lend() -> Option<Self> {
        STOCK.with_borrow_mut(Vec::pop).or_else(|| {
            let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
            // A smaller one, where no larger one is to be had, takes more calls.
            let _ = fcntl_setpipe_size(&into, ROOM);
            Some(Self { out, into, holds: 0 })
        })
    }

    /// Gives an empty one back.
    pub(super) fn give_back(self) {
        STOCK.with_borrow_mut(|stock| {
            if self.holds == 0 && stock.len() < KEPT {
                stock.push(self);
            }
        });
    }

    /// Bytes in it.
    pub(super) const fn holds(&self) -> usize {
        self.holds
    }

    /// Takes what has come on a connection into the empty pipe. Ready with how much that is: nothing at its end.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, from: &TcpStream) -> Poll<io::Result<usize>> {
        loop {
            ready!(from.poll_read_ready(cx))?;
            match from.try_io(Interest::READABLE, || Ok(splice(from, None, &self.into, None, ROOM, FLAGS)?)) {
                Err(error) if again(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(taken) => {
                    self.holds += taken;
                    return Poll::Ready(Ok(taken));
                }
            }
        }
    }

    /// Writes some of what it holds to a connection. Ready with how much.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>, to: &TcpStream) -> Poll<io::Result<usize>> {
        loop {
            ready!(to.poll_write_ready(cx))?;
            match to.try_io(Interest::WRITABLE, || Ok(splice(&self.out, None, to, None, self.holds, FLAGS)?)) {
                Err(error) if again(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(written) => {
                    self.holds -= written;
                    return Poll::Ready(Ok(written));
                }
            }
        }
    }
}

fn again(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
