//! Messages in, bytes out: the outbound pipeline before the [queue](super::queue).
//!
//! Pings and Pongs wait [apart](super::controls), and join the queue only when the transport is ready for it.

use std::io::IoSlice;

use bytes::{Bytes, BytesMut};

use super::controls::Controls;
use super::queue::Queue;
use super::{KeySource, Prepared};
use crate::close::CloseReason;
use crate::deflate::Deflater;
use crate::frame::{Header, Opcode};
use crate::mask;
use crate::message_ref::MessageRef;

pub(super) struct Writer {
    /// Where masking keys come from: a client has a source, a server does not mask.
    keys: Option<KeySource>,
    /// There once permessage-deflate is agreed on.
    pub(super) deflater: Option<Box<Deflater>>,
    /// There while anything is queued.
    queue: Option<Box<Queue>>,
    /// Pings and Pongs that wait, while there are any.
    waiting: Option<Box<Controls>>,
    /// Bytes of data and Close frames that were ever queued.
    accepted: u64,
    /// Bytes of the Close frame, once it is queued: the last of all.
    close_len: usize,
}

/// Up to this size a payload is copied behind its header: cheaper than a slice of its own in the system call.
const COPIED: usize = 4 << 10;

impl Writer {
    pub(super) fn new(keys: Option<KeySource>) -> Self {
        Self { keys, deflater: None, queue: None, waiting: None, accepted: 0, close_len: 0 }
    }

    /// Queues a message, compressed if that was agreed on and makes it smaller.
    #[inline]
    pub(super) fn message(&mut self, opcode: Opcode, payload: Bytes) {
        if self.deflater.is_none() || !self.compressed_message(opcode, &payload) {
            self.plain_message(opcode, payload);
        }
    }

    /// Queues a message that somebody else holds, compressed if that was agreed on and makes it smaller.
    pub(super) fn borrowed_message(&mut self, message: MessageRef<'_>) {
        let (opcode, payload) = (message.kind().opcode(), message.as_bytes());
        if self.deflater.is_some() && self.compressed_message(opcode, payload) {
            return;
        }
        if payload.len() <= COPIED {
            return self.small(self.header(opcode, payload.len()), payload);
        }
        self.plain_message(opcode, message.to_message().into_bytes());
    }

    /// Queues a message compressed. Whether that was agreed on and has made it smaller; if not, nothing was queued.
    #[inline(never)]
    fn compressed_message(&mut self, opcode: Opcode, payload: &[u8]) -> bool {
        let Some(deflater) = self.deflater.as_mut().filter(|deflater| deflater.wants(payload.len())) else {
            return false;
        };
        let mut compressed = BytesMut::new();
        let is_smaller = deflater.compress(payload, &mut compressed);
        if is_smaller {
            let header = self.header(opcode, compressed.len()).compressed();
            self.data(header, compressed.freeze());
        }
        is_smaller
    }

    /// Queues a message as it is.
    #[inline]
    pub(super) fn plain_message(&mut self, opcode: Opcode, payload: Bytes) {
        self.data(self.header(opcode, payload.len()), payload);
    }

    /// Queues one of a message's frames.
    pub(super) fn fragment(&mut self, fin: bool, opcode: Opcode, payload: Bytes) {
        let key = self.keys.map(|draw| draw());
        self.data(Header::new(fin, opcode, payload.len() as u64, key), payload);
    }

    /// Queues a message whose frame others send, too.
    pub(super) fn prepared(&mut self, prepared: &Prepared) {
        let shared = match &mut self.deflater {
            // What refers to earlier messages cannot be shared.
            Some(deflater) if deflater.takes_over() => None,
            Some(deflater) => Some(prepared.frame(deflater.wants(prepared.len()).then(|| deflater.settings()))),
            None => Some(prepared.frame(None)),
        };
        match shared {
            // Every client masks with keys of its own.
            Some(frame) if self.keys.is_none() => self.whole_frame(frame),
            _ => self.message(prepared.opcode(), prepared.payload()),
        }
    }

    /// Queues a frame that is encoded already.
    fn whole_frame(&mut self, frame: Bytes) {
        self.accepted += frame.len() as u64;
        self.place_before_data();
        match frame.len() {
            ..=COPIED => self.queue().append_encoded(&frame),
            _ => self.queue().push_encoded(frame),
        }
    }

    /// Queues a data frame.
    #[inline]
    fn data(&mut self, header: Header, payload: Bytes) {
        match payload.len() {
            ..=COPIED => self.small(header, &payload),
            _ => self.large(header, payload),
        }
    }

    /// Queues a data frame whose payload stays where it is.
    #[inline(never)]
    fn large(&mut self, header: Header, payload: Bytes) {
        self.accepted += (header.size() + payload.len()) as u64;
        self.place_before_data();
        let payload = match header.masking_key() {
            None => payload,
            Some(key) => {
                // Masked where it lies if nobody else holds it, else in a copy.
                let mut masked = payload.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
                mask::apply(key, 0, &mut masked);
                masked.freeze()
            }
        };
        self.queue().push(header, payload);
    }

    /// Queues a data frame whose payload is small enough to be copied.
    fn small(&mut self, header: Header, payload: &[u8]) {
        self.accepted += (header.size() + payload.len()) as u64;
        self.place_before_data();
        self.queue().append(header, payload);
    }

    /// Pings and Pongs that wait for the next end of a frame.
    pub(super) fn controls(&mut self) -> &mut Controls {
        self.waiting.get_or_insert_with(Box::default)
    }

    /// Queues the Close, behind everything that was accepted before it. Whether the peer is alive is no longer asked.
    pub(super) fn close(&mut self, reason: &CloseReason) {
        let controls = self.waiting.take().map(|waiting| waiting.without_probe().frames(self.keys)).unwrap_or_default();
        self.accepted += controls.len() as u64;
        let payload = reason.payload();
        let header = self.header(Opcode::CLOSE, payload.len());
        self.close_len = header.size() + payload.len();
        self.accepted += self.close_len as u64;
        self.queue().end_with(controls, header, &payload);
    }

    /// Whether anything is queued besides the Close (and a few Pongs).
    pub(super) fn has_messages(&self) -> bool {
        self.queued() > self.close_len
    }

    /// All that waits, if it has gathered in one piece.
    pub(super) fn outgoing_piece(&mut self) -> Option<&[u8]> {
        if self.queue.as_ref().is_none_or(|queue| queue.takes_controls()) {
            self.place();
        }
        self.queue.as_ref()?.one_piece()
    }

    pub(super) fn outgoing<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        if self.queue.as_ref().is_none_or(|queue| queue.takes_controls()) {
            self.place();
        }
        self.queue.as_ref().map_or(0, |queue| queue.outgoing(slices))
    }

    /// Lets go of what was written; returns whether the last byte of the probe's Ping was in it.
    pub(super) fn written(&mut self, bytes: usize) -> bool {
        let Some(queue) = &mut self.queue else {
            return false;
        };
        let probe_written = queue.written(bytes);
        if queue.is_empty() {
            self.let_go();
        }
        probe_written
    }

    pub(super) const fn accepted(&self) -> u64 {
        self.accepted
    }

    /// How many of the accepted bytes have been written, at least: Pings and Pongs that were placed before the last ones
    /// count as data that waits.
    pub(super) fn data_written(&self) -> u64 {
        let waiting = self.queue.as_ref().map_or(0, |queue| queue.len() - queue.controls());
        self.accepted.saturating_sub(waiting as u64)
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.len())
    }

    pub(super) fn has_outgoing(&self) -> bool {
        self.queued() > 0 || self.waiting.is_some()
    }

    fn header(&self, opcode: Opcode, payload_len: usize) -> Header {
        Header::new(true, opcode, payload_len as u64, self.keys.map(|draw| draw()))
    }

    fn queue(&mut self) -> &mut Queue {
        self.queue.get_or_insert_with(Queue::take)
    }

    /// Lets go of the queue.
    fn let_go(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.give_back();
        }
    }

    /// Moves what waits in the slots before the data that is about to be queued, so that answers leave in the order of what
    /// they answer. Not if more has gathered than leaves at once.
    fn place_before_data(&mut self) {
        if self.queue.as_ref().is_none_or(|queue| queue.is_one_piece()) {
            self.place();
        }
    }

    #[inline]
    fn place(&mut self) {
        if self.waiting.is_some() {
            self.place_waiting();
        }
    }

    #[inline(never)]
    fn place_waiting(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            let frames = waiting.frames(self.keys);
            self.queue().place(frames, waiting.has_probe());
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.let_go();
    }
}
