//! How bytes come in, and are handed to the protocol.

use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use std::io;

use bytes::{Buf, BufMut};
use sockeye_proto::connection::Received;
use sockeye_proto::{Event, stock};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::{Broken, Driver, Reading, now};
use crate::buffer;

/// A message of this length is large: copying it out costs more than a buffer of its own.
const LARGE: usize = 32 << 10;
/// The most room that is made for one before anything of it has come.
const LARGEST: u32 = 1 << 20;
/// Room beside the payload: for its header, and so that a read that does not fill it shows that nothing else is there.
const BESIDE: usize = 1 << 10;
/// So much is read first: whatever it turns out to be, it is not much more than any other read brings.
const FIRST: usize = (64 << 10) + BESIDE;
/// At most so much of one is read at once: it is still in the processor's cache when it is unmasked.
const AT_ONCE: usize = 512 << 10;

impl Driver {
    /// Takes apart what has been read before. Whether that has changed anything.
    pub(crate) fn parse(&mut self, goal: usize) -> bool {
        self.choose();
        if !self.wants_more(goal) {
            return false;
        }
        if self.unparsed.is_empty() {
            return self.inflate_on();
        }
        let mut has_changed = false;
        while !self.unparsed.is_empty() && self.wants_more(goal) {
            let Received { consumed, event, .. } = self.connection.receive(&mut self.unparsed);
            self.unparsed.advance(consumed);
            let held_back = consumed == 0 && event.is_none();
            self.take_event(event);
            if held_back && !self.drops_pieces() {
                break;
            }
            has_changed = true;
        }
        self.put_away();
        has_changed
    }

    /// Keeps what a read has brought and is not taken apart yet.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            return;
        }
        if self.lends && self.unparsed.is_empty() {
            self.unparsed = buffer::take_rest();
        }
        self.unparsed.extend_from_slice(rest);
    }

    /// An idle connection holds no buffer.
    pub(super) fn put_away(&mut self) {
        if self.unparsed.is_empty() {
            let buffer = core::mem::take(&mut self.unparsed);
            if self.lends {
                buffer::give_back_rest(buffer);
            }
        }
    }

    /// Reads once, and takes what came apart.
    pub(super) fn read(&mut self, goal: usize) -> Poll<()> {
        if let Some(landing) = self.connection.landing() {
            // A large payload: what comes of it is read to where it will stay.
            let mut landing = landing.limit(AT_ONCE);
            let mut cx = Context::from_waker(&self.waker);
            let read = ready!(pin!(self.transport.read_buf(&mut landing)).poll(&mut cx));
            if self.took(read) {
                let event = self.connection.landed();
                self.take_event(event);
            }
            return Poll::Ready(());
        }
        if self.large > 0 {
            return self.read_large(goal);
        }
        buffer::lend(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            let mut cx = Context::from_waker(&self.waker);
            let read = ready!(Pin::new(&mut self.transport).poll_read(&mut cx, &mut buffer));
            let bytes = buffer.filled_mut();
            if self.took(read.map(|()| bytes.len())) {
                let parsed = self.receive(bytes, goal);
                self.keep(&bytes[parsed..]);
            }
            Poll::Ready(())
        })
    }

    /// Reads what is likely to be a large message into a buffer that becomes its own if it is one.
    fn read_large(&mut self, goal: usize) -> Poll<()> {
        let mut buffer = stock::take(self.large as usize + BESIDE);
        let mut cx = Context::from_waker(&self.waker);
        let read = pin!(self.transport.read_buf(&mut (&mut buffer).limit(FIRST))).poll(&mut cx);
        let is_ready = read.is_ready();
        if let Poll::Ready(read) = read
            && self.took(read)
        {
            let event = self.connection.adopt(&mut buffer);
            self.take_event(event);
            let parsed = self.receive(&mut buffer, goal);
            self.keep(&buffer[parsed..]);
        }
        stock::give_back(buffer);
        if is_ready { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether a read brought bytes; if it did not, nothing more will come.
    pub(super) fn took(&mut self, read: io::Result<usize>) -> bool {
        match read {
            Ok(0) => self.read_ended = true,
            Ok(_) => return true,
            Err(error) => {
                self.read_ended = true;
                // A reset after the closing handshake is one way to end; `notice_end` knows.
                self.broken.get_or_insert_with(|| Broken::now(error));
            }
        }
        false
    }

    /// Hands bytes to the protocol as long as messages are wanted. Returns how many it took.
    fn receive(&mut self, bytes: &mut [u8], goal: usize) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && self.wants_more(goal) {
            let Received { consumed, event, .. } = self.connection.receive(&mut bytes[taken..]);
            taken += consumed;
            let held_back = consumed == 0 && event.is_none();
            self.take_event(event);
            if held_back && !self.drops_pieces() {
                break;
            }
        }
        taken
    }

    #[inline]
    pub(super) fn take_event(&mut self, event: Option<Event>) {
        match event {
            None => {}
            Some(Event::Message(message)) if self.reading != Reading::Discard => {
                self.note_size(message.len());
                self.ahead.push(message);
            }
            Some(event) => self.take_other(event),
        }
    }

    /// The next message is likely to be as large as this one.
    #[inline]
    pub(super) fn note_size(&mut self, len: usize) {
        self.large = if len < LARGE { 0 } else { u32::try_from(len).map_or(LARGEST, |len| len.min(LARGEST)) };
    }

    /// What is no message, and rare.
    fn take_other(&mut self, event: Event) {
        match event {
            Event::MessageEnd => {
                self.pieces_ended = true;
                if self.drops_pieces() {
                    self.pieces_ended = false;
                    self.skipping = false;
                }
            }
            Event::Close(reason) => self.peer_closes(reason),
            Event::Failed(error) => self.failed(error),
            Event::Pong(payload) => self.changed |= self.connection.answer(&payload, now()).is_some(),
            _ => {}
        }
    }
}
