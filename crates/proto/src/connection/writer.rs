//! Messages in, bytes out: the outbound pipeline and the queue before the transport.
//!
//! ```text
//!            partly written            gathered small frames
//!                 v                            v
//! queue: [header][payload by reference][..........] tail
//!                                   ^
//!           a Pong or Ping goes in at the first end of a frame
//! ```
//! Small payloads are copied behind their headers into `tail`, so that many frames leave in one piece; a large one is
//! held by reference. Pings and Pongs wait [apart](super::controls), and join the queue only when the transport is ready for
//! it.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use super::controls::Controls;
use super::encode::append;
use super::{KeySource, Prepared};
use crate::close::CloseReason;
use crate::deflate::Deflater;
use crate::frame::{Header, Opcode};
use crate::{mask, spare};

pub(super) struct Writer {
    /// Where masking keys come from: a client has a source, a server does not mask.
    keys: Option<KeySource>,
    /// There once permessage-deflate is agreed on.
    pub(super) deflater: Option<Deflater>,
    queue: VecDeque<Chunk>,
    /// Behind the queue: whole frames, unless its beginning is already written.
    tail: BytesMut,
    /// Bytes in the queue, those in the tail not counted.
    queue_len: usize,
    /// Whether the last byte that was written ended a frame.
    at_boundary: bool,
    /// Bytes of data and Close frames that were ever queued.
    accepted: u64,
    /// Bytes before the end of the Pings and Pongs that were placed last: until they are written no others follow.
    placed: usize,
    /// How many of these bytes, the last of them, are those of the Pings and Pongs that were placed last.
    controls: usize,
    /// Whether the last of them is the Ping from the probe's slot.
    probe_placed: bool,
    /// Bytes of the Close frame, once it is queued: the last of all.
    close_len: usize,
    /// Pings and Pongs that wait, while there are any.
    waiting: Option<Box<Controls>>,
}

struct Chunk {
    bytes: Bytes,
    ends_frame: bool,
}

/// Up to this size a payload is copied behind its header: cheaper than a slice of its own in the system call.
const COPIED: usize = 4 << 10;
/// A tail of this size joins the queue: to grow it further would mean to copy it.
const TAIL_FULL: usize = 64 << 10;

impl Writer {
    pub(super) fn new(keys: Option<KeySource>) -> Self {
        Self {
            keys,
            deflater: None,
            queue: VecDeque::new(),
            tail: BytesMut::new(),
            queue_len: 0,
            at_boundary: true,
            accepted: 0,
            placed: 0,
            controls: 0,
            probe_placed: false,
            close_len: 0,
            waiting: None,
        }
    }

    /// Queues a message, compressed if that was agreed on and makes it smaller.
    pub(super) fn message(&mut self, opcode: Opcode, payload: Bytes) {
        if let Some(deflater) = &mut self.deflater
            && deflater.wants(payload.len())
        {
            let mut compressed = BytesMut::new();
            if deflater.compress(&payload, &mut compressed) {
                let header = self.header(opcode, compressed.len()).compressed();
                return self.data(header, compressed.freeze());
            }
        }
        self.plain_message(opcode, payload);
    }

    /// Queues a message as it is.
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
        if frame.len() <= COPIED {
            self.begin_tail();
            self.tail.extend_from_slice(&frame);
            self.enqueue_full_tail();
        } else {
            if !self.tail.is_empty() {
                self.enqueue_tail(true);
            }
            self.enqueue(frame, true);
        }
    }

    /// Queues a data frame.
    fn data(&mut self, header: Header, payload: Bytes) {
        self.accepted += (header.size() + payload.len()) as u64;
        self.place_before_data();
        if payload.len() <= COPIED {
            self.begin_tail();
            append(&mut self.tail, header, &payload);
            return self.enqueue_full_tail();
        }
        let payload = match header.masking_key() {
            None => payload,
            Some(key) => {
                // Masked where it lies if nobody else holds it, else in a copy.
                let mut masked = payload.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
                mask::apply(key, 0, &mut masked);
                masked.freeze()
            }
        };
        self.tail.extend_from_slice(&header.encode());
        self.enqueue_tail(false);
        self.enqueue(payload, true);
    }

    /// Pings and Pongs that wait for the next end of a frame.
    pub(super) fn controls(&mut self) -> &mut Controls {
        self.waiting.get_or_insert_with(Box::default)
    }

    /// Queues the Close, behind everything that was accepted before it. Whether the peer is alive is no longer asked.
    pub(super) fn close(&mut self, reason: &CloseReason) {
        let controls = self.waiting.take().map(|waiting| waiting.without_probe().frames(self.keys)).unwrap_or_default();
        self.accepted += controls.len() as u64;
        self.tail.unsplit(controls);
        let payload = reason.payload();
        let header = self.header(Opcode::CLOSE, payload.len());
        self.close_len = header.size() + payload.len();
        self.accepted += self.close_len as u64;
        append(&mut self.tail, header, &payload);
    }

    /// Whether anything is queued besides the Close (and a few Pongs).
    pub(super) fn has_messages(&self) -> bool {
        self.queued() > self.close_len
    }

    pub(super) fn outgoing<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        self.place_controls();
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let chunks = self.queue.iter().map(|chunk| &chunk.bytes[..]).chain(tail);
        slices.iter_mut().zip(chunks).map(|(slice, chunk)| *slice = IoSlice::new(chunk)).count()
    }

    /// Lets go of what was written; returns whether the last byte of the probe's Ping was in it.
    pub(super) fn written(&mut self, mut bytes: usize) -> bool {
        self.placed = self.placed.saturating_sub(bytes);
        let probe_written = self.placed == 0 && core::mem::take(&mut self.probe_placed);
        while bytes > 0
            && let Some(front) = self.queue.front_mut()
        {
            let taken = bytes.min(front.bytes.len());
            front.bytes.advance(taken);
            bytes -= taken;
            self.queue_len -= taken;
            self.at_boundary = front.bytes.is_empty() && front.ends_frame;
            if front.bytes.is_empty() {
                self.queue.pop_front();
            }
        }
        if self.queue.is_empty() && self.queue.capacity() > 0 {
            self.queue = VecDeque::new();
        }
        if bytes > 0 {
            self.tail.advance(bytes);
            self.at_boundary = self.tail.is_empty();
        }
        if self.tail.is_empty() {
            // An idle connection holds no buffer.
            spare::give_back(core::mem::take(&mut self.tail));
        }
        probe_written
    }

    pub(super) const fn accepted(&self) -> u64 {
        self.accepted
    }

    /// How many of the accepted bytes have been written, at least: Pings and Pongs that were placed before the last ones
    /// count as data that waits.
    pub(super) fn data_written(&self) -> u64 {
        let controls_waiting = self.placed.min(self.controls);
        self.accepted - (self.queued() - controls_waiting) as u64
    }

    pub(super) fn queued(&self) -> usize {
        self.queue_len + self.tail.len()
    }

    pub(super) fn has_outgoing(&self) -> bool {
        self.queued() > 0 || self.waiting.is_some()
    }

    fn header(&self, opcode: Opcode, payload_len: usize) -> Header {
        Header::new(true, opcode, payload_len as u64, self.keys.map(|draw| draw()))
    }

    /// Moves what waits in the slots into the queue, at the first end of a frame. What was moved before must have been
    /// written by then: else it would be overtaken, and a peer that does not read could fill the queue.
    fn place_controls(&mut self) {
        if self.placed == 0 {
            self.place();
        }
    }

    /// Moves what waits in the slots before the data that is about to be queued, so that answers leave in the order of what
    /// they answer. Not if more has gathered than leaves at once.
    fn place_before_data(&mut self) {
        if self.queue.is_empty() {
            self.place();
        }
    }

    fn place(&mut self) {
        let Some(waiting) = self.waiting.take() else {
            return;
        };
        self.probe_placed |= waiting.has_probe();
        let frames = waiting.frames(self.keys);
        self.controls = frames.len();
        if self.queue.is_empty() {
            self.tail.unsplit(frames);
            self.placed = self.tail.len();
            return;
        }
        let index = match self.at_boundary {
            true => 0,
            false => 1 + self.queue.iter().position(|chunk| chunk.ends_frame).expect("the queue ends with a frame"),
        };
        self.placed = self.queue.iter().take(index).map(|chunk| chunk.bytes.len()).sum::<usize>() + frames.len();
        self.queue_len += frames.len();
        self.queue.insert(index, Chunk { bytes: frames.freeze(), ends_frame: true });
    }

    /// Others are likely to follow a first small frame.
    fn begin_tail(&mut self) {
        if self.tail.capacity() == 0 {
            self.tail = spare::take();
        }
    }

    fn enqueue_full_tail(&mut self) {
        if self.tail.len() >= TAIL_FULL {
            self.enqueue_tail(true);
        }
    }

    fn enqueue_tail(&mut self, ends_frame: bool) {
        let tail = core::mem::take(&mut self.tail).freeze();
        self.enqueue(tail, ends_frame);
    }

    fn enqueue(&mut self, bytes: Bytes, ends_frame: bool) {
        self.queue_len += bytes.len();
        self.queue.push_back(Chunk { bytes, ends_frame });
    }
}

/// The buffer outlives the connection.
impl Drop for Writer {
    fn drop(&mut self) {
        spare::give_back(core::mem::take(&mut self.tail));
    }
}
