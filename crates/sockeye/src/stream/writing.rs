//! How what is queued leaves, and what those who send want to know of it.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};

use sockeye_proto::close::State;
use tokio::io::AsyncWrite;

use super::{Broken, Driver, now};
use crate::error::Error;

/// So many pieces go into one system call.
const SLICES: usize = 16;

impl Driver {
    /// How long a message may be to be queued now. One that is larger than the queue goes alone.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        let queued = self.connection.queued();
        if queued == 0 {
            return usize::MAX;
        }
        let exceeded = self.share.as_ref().is_some_and(|share| share.budget().is_exceeded());
        if exceeded { 0 } else { self.connection.limits().max_queue().saturating_sub(queued) }
    }

    /// Whether anything of ours has not left yet.
    pub(crate) fn has_unwritten(&self) -> bool {
        self.connection.has_outgoing() || self.transport.unflushed().is_some()
    }

    /// Whether all that was accepted up to a position is with the system's network stack, or never will be.
    pub(crate) fn flushed(&self, position: u64) -> Option<Result<(), Error>> {
        let unflushed = self.transport.unflushed().or_else(|| self.ending.as_ref().and_then(|ending| ending.unflushed));
        if unflushed.unwrap_or_else(|| self.connection.written_to()) >= position {
            return Some(Ok(()));
        }
        match &self.broken {
            Some(broken) => Some(Err(broken.error())),
            None => self.has_ended().then_some(Err(Error::Closed)),
        }
    }

    /// Whether writing has failed.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub(super) fn is_writable(&self) -> bool {
        self.broken.is_none() && self.connection.state() == State::Open
    }

    /// An error for the caller who wants something sent that never will be.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        match &self.broken {
            Some(broken) => Err(broken.error()),
            None if self.connection.state() != State::Open => Err(Error::Closed),
            None => Ok(()),
        }
    }

    /// Writes until nothing waits or the transport takes no more; then ends the writing side, if it is time to.
    pub(crate) fn write(&mut self) {
        while self.connection.has_outgoing() && self.broken.is_none() {
            if self.write_once().is_pending() {
                break;
            }
        }
        if self.transport.unflushed().is_some() && self.flush().is_pending() {
            return;
        }
        self.shutting_down |= self.connection.wants_shutdown() || self.leaves();
        if self.shutting_down {
            let mut cx = Context::from_waker(&self.waker);
            self.shutting_down = Pin::new(&mut self.transport).poll_shutdown(&mut cx).is_pending();
        }
    }

    #[inline]
    fn write_once(&mut self) -> Poll<()> {
        let mut cx = Context::from_waker(&self.waker);
        let transport = Pin::new(&mut self.transport);
        let written = match self.connection.outgoing_piece() {
            // The plain call is the cheaper one for the system, too.
            Some(piece) => transport.poll_write(&mut cx, piece),
            None => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = self.connection.outgoing(&mut slices);
                transport.poll_write_vectored(&mut cx, &slices[..count])
            }
        };
        match written {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(0)) => self.broken = Some(Broken::now(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(written)) => {
                self.transport.is_written_to(|| self.connection.written_to());
                self.connection.written(written, now);
                self.changed = true;
            }
            Poll::Ready(Err(error)) => self.broken = Some(Broken::now(error)),
        }
        Poll::Ready(())
    }

    fn flush(&mut self) -> Poll<()> {
        let mut cx = Context::from_waker(&self.waker);
        let flushed = Pin::new(&mut self.transport).poll_flush(&mut cx);
        match flushed {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => {
                self.transport.is_flushed();
                self.changed = true;
            }
            Poll::Ready(Err(error)) => {
                self.broken.get_or_insert_with(|| Broken::now(error));
            }
        }
        Poll::Ready(())
    }
}
