//! What waits to be written, in order.
//!
//! ```text
//!       partly written            gathered small frames
//!            v                            v
//! [header][payload by reference][........................] tail
//!                              ^
//!           a Pong or Ping goes in at the first end of a frame
//! ```
//! Small payloads are copied behind their headers into the tail, so that many frames leave in one piece; a large one is held by
//! reference.
//!
//! A connection holds a queue only while something waits. It goes from one connection of a thread to the next: what is
//! gathered mostly leaves at once, and to make its buffer anew each time costs more than to fill it.

use core::cell::Cell;
use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use super::encode::append;
use crate::frame::Header;
use crate::stock;

#[derive(Default)]
pub(super) struct Queue {
    chunks: VecDeque<Chunk>,
    /// Behind the chunks: whole frames, unless its beginning is already written.
    tail: BytesMut,
    /// Bytes in the chunks.
    chunks_len: usize,
    /// Whether the last byte that was written was in the middle of a frame.
    within_frame: bool,
    /// Bytes before the end of the Pings and Pongs that were placed last: until they are written no others follow.
    placed: usize,
    /// How many of these bytes, the last of them, are those of the Pings and Pongs that were placed last.
    controls: usize,
    /// Whether the last of them is a Ping whose round trip is measured.
    probe_placed: bool,
}

struct Chunk {
    bytes: Bytes,
    ends_frame: bool,
}

/// What a fresh tail has room for: a batch of small frames.
const TAIL: usize = 4 << 10;
/// A tail of this size joins the chunks: to grow it further would mean to copy it.
const TAIL_FULL: usize = 64 << 10;
/// The most room that a queue has which goes from one connection to the next: a full tail's, and some chunks'.
const KEPT: (usize, usize) = (2 * TAIL_FULL, 64);

thread_local! {
    static SPARE: Cell<Option<Box<Queue>>> = const { Cell::new(None) };
}

impl Queue {
    /// An empty one.
    pub(super) fn take() -> Box<Self> {
        // There is none on a thread that is ending.
        SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default()
    }

    /// Lets go of one, for the next connection that needs it.
    pub(super) fn give_back(mut self: Box<Self>) {
        let Self { chunks, tail, chunks_len, within_frame, placed, controls, probe_placed } = &mut *self;
        let (most_tail, most_chunks) = KEPT;
        chunks.clear();
        tail.clear();
        // What was written from its beginning is room again.
        if tail.capacity() > most_tail || (tail.capacity() < TAIL && !tail.try_reclaim(TAIL)) {
            *tail = BytesMut::new();
        }
        if chunks.capacity() > most_chunks {
            *chunks = VecDeque::new();
        }
        (*chunks_len, *within_frame, *placed, *controls, *probe_placed) = (0, false, 0, 0, false);
        let _ = SPARE.try_with(|spare| spare.set(Some(self)));
    }

    pub(super) fn len(&self) -> usize {
        self.chunks_len + self.tail.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.tail.is_empty()
    }

    /// Whether all of it has gathered in one piece.
    pub(super) fn is_one_piece(&self) -> bool {
        self.chunks.is_empty()
    }

    // --- in ---

    /// Appends a frame whose payload is small enough to be copied, and masks it there.
    pub(super) fn append(&mut self, header: Header, payload: &[u8]) {
        self.begin_tail();
        append(&mut self.tail, header, payload);
        self.push_full_tail();
    }

    /// Appends frames that are encoded, and small enough to be copied.
    pub(super) fn append_encoded(&mut self, frames: &[u8]) {
        self.begin_tail();
        self.tail.extend_from_slice(frames);
        self.push_full_tail();
    }

    /// Appends a frame whose payload is held by reference. It is masked already.
    pub(super) fn push(&mut self, header: Header, payload: Bytes) {
        self.begin_tail();
        self.tail.extend_from_slice(&header.encode());
        self.push_tail(false);
        self.push_chunk(payload, true);
    }

    /// Appends a frame that is encoded, and held by reference.
    pub(super) fn push_encoded(&mut self, frame: Bytes) {
        if !self.tail.is_empty() {
            self.push_tail(true);
        }
        self.push_chunk(frame, true);
    }

    /// Appends the last frame of all, behind others that are encoded. No more follow, and no room is made for them.
    pub(super) fn end_with(&mut self, frames: BytesMut, header: Header, payload: &[u8]) {
        self.tail.extend_from_slice(&frames);
        append(&mut self.tail, header, payload);
    }

    /// Others are likely to follow a first small frame.
    fn begin_tail(&mut self) {
        if self.tail.capacity() == 0 {
            self.tail.reserve(TAIL);
        }
    }

    fn push_full_tail(&mut self) {
        if self.tail.len() >= TAIL_FULL {
            self.push_tail(true);
        }
    }

    fn push_tail(&mut self, ends_frame: bool) {
        // What room is left behind it stays the tail's.
        let tail = self.tail.split().freeze();
        self.push_chunk(tail, ends_frame);
    }

    fn push_chunk(&mut self, bytes: Bytes, ends_frame: bool) {
        self.chunks_len += bytes.len();
        self.chunks.push_back(Chunk { bytes, ends_frame });
    }

    // --- Pings and Pongs ---

    /// Whether those that were placed last are written. Until then no others may be placed: they would be overtaken, and a
    /// peer that does not read could fill the queue.
    pub(super) const fn takes_controls(&self) -> bool {
        self.placed == 0
    }

    /// Places Pings and Pongs at the first end of a frame.
    pub(super) fn place(&mut self, frames: BytesMut, has_probe: bool) {
        self.probe_placed |= has_probe;
        self.controls = frames.len();
        if self.chunks.is_empty() {
            self.tail.extend_from_slice(&frames);
            self.placed = self.tail.len();
            return;
        }
        let index = match self.within_frame {
            false => 0,
            true => 1 + self.chunks.iter().position(|chunk| chunk.ends_frame).expect("the chunks end with a frame"),
        };
        self.placed = self.chunks.iter().take(index).map(|chunk| chunk.bytes.len()).sum::<usize>() + frames.len();
        self.chunks_len += frames.len();
        self.chunks.insert(index, Chunk { bytes: frames.freeze(), ends_frame: true });
    }

    /// Bytes of the Pings and Pongs that were placed last and are not written.
    pub(super) fn controls(&self) -> usize {
        self.placed.min(self.controls)
    }

    // --- out ---

    /// All of it, if it has gathered in one piece.
    pub(super) fn one_piece(&self) -> Option<&[u8]> {
        self.is_one_piece().then_some(&self.tail)
    }

    /// Fills `slices` with what is to be written next, in order; returns how many of them.
    pub(super) fn outgoing<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let chunks = self.chunks.iter().map(|chunk| &chunk.bytes[..]).chain(tail);
        slices.iter_mut().zip(chunks).map(|(slice, chunk)| *slice = IoSlice::new(chunk)).count()
    }

    /// Lets go of what was written; returns whether the last byte of a Ping was in it whose round trip is measured.
    pub(super) fn written(&mut self, mut bytes: usize) -> bool {
        self.placed = self.placed.saturating_sub(bytes);
        let probe_written = self.placed == 0 && core::mem::take(&mut self.probe_placed);
        if self.chunks.is_empty() && bytes == self.tail.len() {
            self.tail.clear();
            self.within_frame = false;
            return probe_written;
        }
        while bytes > 0
            && let Some(front) = self.chunks.front_mut()
        {
            let taken = bytes.min(front.bytes.len());
            front.bytes.advance(taken);
            bytes -= taken;
            self.chunks_len -= taken;
            self.within_frame = !(front.bytes.is_empty() && front.ends_frame);
            if front.bytes.is_empty()
                && let Some(chunk) = self.chunks.pop_front()
            {
                stock::give_back(chunk.bytes);
            }
        }
        if bytes > 0 {
            self.tail.advance(bytes);
            self.within_frame = !self.tail.is_empty();
        }
        probe_written
    }
}
