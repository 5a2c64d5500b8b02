//! What most calls come to: the next message is there, or one read away, and nothing else is to be done.
//!
//! It is what [`Driver::progress`] would do, in one go, and is left to that as soon as anything is out of the ordinary.

use core::pin::Pin;
use core::task::{Context, Poll};

use bytes::Buf;
use sockeye_proto::close::State;
use sockeye_proto::{Event, MessageRef};
use tokio::io::{AsyncRead, ReadBuf};

use super::ending::Abandoned;
use super::{Driver, Reading};
use crate::buffer;

impl Driver {
    /// Whether nothing is out of the ordinary. That changes with what is done here, and with a quick message if there
    /// [is none](Self::quick_read), or a large one.
    #[inline]
    pub(crate) fn is_ordinary(&self) -> bool {
        let reads = matches!(self.reading, Reading::Nobody | Reading::Whole) && !self.skipping && !self.pieces_ended;
        let is_open = self.connection.state() == State::Open && self.abandoned == Abandoned::No;
        let flows = self.broken.is_none() && !self.read_ended && !self.shutting_down;
        let transport = flows && self.transport.unflushed().is_none();
        let holds_nothing = self.ahead.is_empty() && self.large == 0 && self.share.is_none();
        reads && is_open && transport && holds_nothing && self.connection.wants_whole()
    }

    /// Whether the next message is likely to be a small one.
    #[inline]
    pub(crate) const fn expects_small(&self) -> bool {
        self.large == 0
    }

    /// The next message of what has been read, as it is `kept`. `None`: there is more to it.
    #[inline]
    pub(crate) fn quick_unparsed<T>(&mut self, kept: impl FnOnce(MessageRef<'_>) -> T) -> Option<T> {
        let (consumed, len, message) = match self.connection.receive_borrowed(&mut self.unparsed)? {
            (consumed, Ok(message)) => (consumed, message.len(), kept(message)),
            (_, Err(failed)) => return self.quick_failed(failed),
        };
        self.unparsed.advance(consumed);
        self.put_away();
        self.took_quick(len);
        Some(message)
    }

    /// The next message, where none has been read: writes what waits, and reads. Pending: the waker will be woken that was
    /// given to read with, or that of the connection. `None`: there is more to it.
    #[inline]
    pub(crate) fn quick_read<T>(
        &mut self,
        cx: Option<&mut Context<'_>>,
        kept: impl FnOnce(MessageRef<'_>) -> T,
    ) -> Option<Poll<T>> {
        if self.connection.has_outgoing() {
            self.write();
            if self.has_unwritten() || self.is_broken() {
                return None;
            }
        }
        buffer::lend(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            let transport = Pin::new(&mut self.transport);
            let polled = match cx {
                Some(cx) => transport.poll_read(cx, &mut buffer),
                None => transport.poll_read(&mut Context::from_waker(&self.waker), &mut buffer),
            };
            let Poll::Ready(read) = polled else {
                return self.quick_pending();
            };
            let bytes = buffer.filled_mut();
            if !self.took(read.map(|()| bytes.len())) {
                return None;
            }
            let (consumed, len, message) = match self.connection.receive_borrowed(bytes) {
                Some((consumed, Ok(message))) => (consumed, message.len(), kept(message)),
                // What is behind it would be discarded.
                Some((_, Err(failed))) => return self.quick_failed(failed),
                None => {
                    self.keep(bytes);
                    return None;
                }
            };
            self.keep(&bytes[consumed..]);
            self.took_quick(len);
            Some(Poll::Ready(message))
        })
    }

    #[inline]
    fn quick_pending<T>(&mut self) -> Option<Poll<T>> {
        // What is ordinary puts a deadline off, if anything.
        if !self.alarm.is_set(&self.waiters) && self.poll_timer().is_ready() {
            return None;
        }
        self.reading = Reading::Whole;
        self.settled = true;
        Some(Poll::Pending)
    }

    /// What is left in the buffer is discarded when it is parsed.
    #[cold]
    fn quick_failed<T>(&mut self, failed: Event) -> Option<T> {
        self.take_event(Some(failed));
        None
    }

    #[inline]
    fn took_quick(&mut self, len: usize) {
        self.note_size(len);
        self.reading = Reading::Nobody;
        self.settled = false;
    }
}
