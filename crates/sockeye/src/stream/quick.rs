//! What most calls come to: the next message is there, or one read away, and nothing else is to be done.
//!
//! It is what [`Driver::progress`] would do, in one go, and is left to that as soon as anything is out of the ordinary.

use core::pin::Pin;
use core::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use sockeye_proto::close::State;
use sockeye_proto::{Event, Message};
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

    /// The next message of what has been read. `None`: there is more to it.
    #[inline]
    pub(crate) fn quick_unparsed(&mut self) -> Option<Message> {
        let message = if self.lends {
            match self.connection.receive_shared(&mut self.unparsed)? {
                Ok(message) => message,
                Err(failed) => return self.quick_failed(Some(failed)),
            }
        } else {
            match self.connection.receive_whole(&mut self.unparsed)? {
                Ok((consumed, message)) => {
                    self.unparsed.advance(consumed);
                    message
                }
                Err(failed) => return self.quick_failed(failed.event),
            }
        };
        if self.unparsed.is_empty() {
            // An idle connection holds no buffer; a message that is lent does.
            self.unparsed = BytesMut::new();
        }
        self.took_quick(&message);
        Some(message)
    }

    /// The next message, where none has been read: writes what waits, and reads. Pending: the waker will be woken that was
    /// given to read with, or that of the connection. `None`: there is more to it.
    #[inline]
    pub(crate) fn quick_read(&mut self, cx: Option<&mut Context<'_>>) -> Option<Poll<Message>> {
        if self.connection.has_outgoing() {
            self.write();
            if self.has_unwritten() || self.is_broken() {
                return None;
            }
        }
        let polled = if self.lends { self.quick_read_to_lend(cx)? } else { self.quick_read_to_own(cx)? };
        if polled.is_pending() {
            // What is ordinary puts a deadline off, if anything.
            if !self.alarm.is_set(&self.waiters) && self.poll_timer().is_ready() {
                return None;
            }
            self.reading = Reading::Whole;
            self.settled = true;
        }
        Some(polled)
    }

    #[inline]
    fn quick_read_to_own(&mut self, cx: Option<&mut Context<'_>>) -> Option<Poll<Message>> {
        buffer::lend(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            let transport = Pin::new(&mut self.transport);
            let polled = match cx {
                Some(cx) => transport.poll_read(cx, &mut buffer),
                None => transport.poll_read(&mut Context::from_waker(&self.waker), &mut buffer),
            };
            let Poll::Ready(read) = polled else {
                return Some(Poll::Pending);
            };
            let bytes = buffer.filled_mut();
            if !self.took(read.map(|()| bytes.len())) {
                return None;
            }
            let (consumed, message) = match self.connection.receive_whole(bytes) {
                Some(Ok(received)) => received,
                // What is behind it would be discarded.
                Some(Err(failed)) => return self.quick_failed(failed.event),
                None => {
                    self.unparsed.extend_from_slice(bytes);
                    return None;
                }
            };
            if consumed < bytes.len() {
                self.unparsed.extend_from_slice(&bytes[consumed..]);
            }
            self.took_quick(&message);
            Some(Poll::Ready(message))
        })
    }

    #[inline]
    fn quick_read_to_lend(&mut self, cx: Option<&mut Context<'_>>) -> Option<Poll<Message>> {
        match self.read_to_lend(cx) {
            Poll::Pending => Some(Poll::Pending),
            Poll::Ready(()) if self.unparsed.is_empty() => None,
            Poll::Ready(()) => self.quick_unparsed().map(Poll::Ready),
        }
    }

    /// What is left in the buffer is discarded when it is parsed.
    #[cold]
    fn quick_failed<T>(&mut self, event: Option<Event>) -> Option<T> {
        self.take_event(event);
        None
    }

    #[inline]
    fn took_quick(&mut self, message: &Message) {
        self.note_size(message);
        self.reading = Reading::Nobody;
        self.settled = false;
    }
}
