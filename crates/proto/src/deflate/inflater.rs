//! Decompressing (RFC 7692 §7.2.2): payload as it arrives to the message's bytes, in steps.

use core::fmt;

use bytes::BytesMut;
use zlib_rs::{Inflate, InflateFlush, Status};

use super::{Params, STEP, TAIL, pool, room};
use crate::error::Error;
use crate::frame::Violation;
use crate::limits::LimitExceeded;
use crate::role::Role;

/// Decompresses what one end sends.
///
/// Feed it a message's payload, unmasked, in the pieces it arrives in, the last one as [`Input::last`].
/// [`inflate`](Self::inflate) hands the message's bytes to a closure, at most 16 KiB at a time;
/// [`step`](Self::step) is the same for a caller who must be able to stop in between.
///
/// What is no deflated data is [`Violation::CorruptDeflate`], by the verdict of zlib: a block of type 3, a reference to before the
/// beginning or further back than 32 KiB, code lengths that make no code, a stored block whose length and complement
/// differ. As in zlib, a message that breaks off in the middle of a block is what has come of it. A reference that reaches
/// further back than the window that was agreed on, but not than 32 KiB, is understood.
///
/// A block may be marked as final (§7.2.3.4): what follows it in the message starts anew, as after a reset of zlib, and
/// can refer to nothing before it. Such a mark does not end the message, only the last frame does.
pub struct Inflater {
    takeover: bool,
    /// There during a message, and with takeover ever after the first.
    state: Option<Box<Inflate>>,
    /// Whether the state may have more to say without any more input.
    pending: bool,
    /// Bytes of this message so far, compressed and inflated.
    taken: usize,
    produced: usize,
    /// Bytes of input since the last output, as far as that is counted.
    fruitless: usize,
}

/// The next piece of a message's payload.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    piece: &'a [u8],
    /// What is put behind it: by being a slice of its own it cannot touch what follows the piece in its buffer.
    tail: &'a [u8],
    last: bool,
}

impl<'a> Input<'a> {
    /// A piece that others of the same message follow.
    #[must_use]
    pub const fn part(piece: &'a [u8]) -> Self {
        Self { piece, tail: &[], last: false }
    }

    /// The message's last piece; it may be empty.
    #[must_use]
    pub const fn last(piece: &'a [u8]) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
        //# 1.  Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the
        //#     payload of the message.
        Self { piece, tail: TAIL, last: true }
    }

    /// The message's last piece, or what is left of it, when so much of the four bytes behind it was taken before.
    pub(crate) fn resumed(piece: &'a [u8], tail_taken: usize) -> Self {
        Self { piece, tail: &TAIL[tail_taken..], last: true }
    }

    /// How much of the piece is left.
    pub(crate) const fn piece_len(&self) -> usize {
        self.piece.len()
    }

    /// How much was taken of the four bytes that follow the last piece.
    pub(crate) const fn tail_taken(&self) -> usize {
        if self.last { TAIL.len() - self.tail.len() } else { 0 }
    }

    const fn remaining(&self) -> usize {
        self.piece.len() + self.tail.len()
    }

    fn next(&self) -> &[u8] {
        if self.piece.is_empty() { self.tail } else { self.piece }
    }

    fn advance(&mut self, count: usize) {
        let part = if self.piece.is_empty() { &mut self.tail } else { &mut self.piece };
        *part = &part[count..];
    }
}

/// What one [`step`](Inflater::step) has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// So many bytes were written to the output, from its start.
    pub written: usize,
    /// Whether all of the input was taken and everything it says was put out. With [`Input::last`] the message has ended.
    pub done: bool,
}

impl Inflater {
    /// For what `sender` sends. Allocates nothing before the first message.
    #[must_use]
    pub const fn new(params: Params, sender: Role) -> Self {
        Self { takeover: params.takeover(sender), state: None, pending: false, taken: 0, produced: 0, fruitless: 0 }
    }

    /// Inflates a piece, and hands what comes out to `sink`, at most 16 KiB at a time.
    ///
    /// `limit` is the most bytes the whole message may have, inflated; it is judged before `sink` sees what exceeds it.
    ///
    /// # Errors
    /// [`Violation::CorruptDeflate`], a [`LimitExceeded::Message`], or what `sink` answers. The connection is to be failed; only a new `Inflater` can go on.
    pub fn inflate(
        &mut self,
        mut input: Input<'_>,
        limit: usize,
        mut sink: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        pool::with_scratch(|scratch| {
            loop {
                let step = self.step(&mut input, limit, scratch)?;
                if step.written > 0 {
                    sink(&scratch[..step.written])?;
                }
                if step.done {
                    return Ok(());
                }
            }
        })
    }

    /// Inflates as much of a piece as gives `room` bytes, whatever the message's length, hands what comes out to `sink`, at
    /// most 16 KiB at a time, and takes what it has read off the input. Returns whether the input is used up and
    /// everything it says was put out; if not, it is to be called again once there is room, the rest of the input first.
    ///
    /// # Errors
    /// [`Violation::CorruptDeflate`], a [`LimitExceeded::EmptyBlocks`], or what `sink` answers.
    pub(crate) fn inflate_within(
        &mut self,
        input: &mut Input<'_>,
        mut room: usize,
        mut sink: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<bool, Error> {
        pool::with_scratch(|scratch| {
            while room > 0 {
                let before = input.remaining();
                let written = self.fill(input, &mut scratch[..room.min(STEP)])?;
                let taken = before - input.remaining();
                self.fruitless = if written > 0 { 0 } else { self.fruitless.saturating_add(taken) };
                if self.fruitless > MOST_FRUITLESS {
                    self.state = None;
                    return Err(LimitExceeded::EmptyBlocks { limit: MOST_FRUITLESS }.into());
                }
                if written > 0 {
                    room -= written;
                    sink(&scratch[..written])?;
                }
                if self.end_step(input) {
                    return Ok(true);
                }
            }
            Ok(false)
        })
    }

    /// Inflates a piece, and appends what comes out to `message`, which is to be empty at the message's first piece.
    ///
    /// Its capacity never exceeds the limit, and never 32 KiB before there are more bytes than that.
    ///
    /// # Errors
    /// As for [`inflate`](Self::inflate).
    pub fn inflate_into(&mut self, input: Input<'_>, limit: usize, message: &mut BytesMut) -> Result<(), Error> {
        self.inflate(input, limit, |bytes| {
            room::append(message, bytes, limit);
            Ok(())
        })?;
        if input.last {
            room::fit(message);
        }
        Ok(())
    }

    /// Inflates as much of a piece as gives `output.len()` bytes, at most 16 KiB, and takes that off the input. To be
    /// repeated, with the same input, until it is done.
    ///
    /// # Errors
    /// As for [`inflate`](Self::inflate).
    ///
    /// # Panics
    /// If there is no room at all in `output`.
    pub fn step(&mut self, input: &mut Input<'_>, limit: usize, output: &mut [u8]) -> Result<Step, Error> {
        assert!(!output.is_empty(), "a step needs room for its output");
        // One byte more than is allowed: that there is one tells a message that is too long from one that just fits.
        let room = limit.saturating_sub(self.produced).saturating_add(1).min(output.len()).min(STEP);
        let written = self.fill(input, &mut output[..room])?;
        if self.produced > limit {
            self.state = None;
            return Err(too_long(self.produced, limit));
        }
        if self.taken > Self::most_input(limit) {
            self.state = None;
            return Err(too_long(self.taken, limit));
        }
        Ok(Step { written, done: self.end_step(input) })
    }

    /// The most bytes of payload that are taken for a message of at most `limit` bytes.
    ///
    /// Deflating adds 5 bytes to 16 KiB at worst, careless deflating an eighth. What is far beyond that is a message of
    /// empty blocks, with which a peer could keep us busy for ever under any limit on what comes out.
    #[must_use]
    pub const fn most_input(limit: usize) -> usize {
        limit.saturating_mul(2).saturating_add(64 << 10)
    }

    /// Bytes of the current message so far, inflated.
    #[must_use]
    pub const fn produced(&self) -> usize {
        self.produced
    }

    /// Whether the input is used up and everything it says was put out; ends the message, if it ends with that.
    fn end_step(&mut self, input: &Input<'_>) -> bool {
        let done = !self.pending && input.remaining() == 0;
        if done && input.last {
            self.end_message();
        }
        done
    }

    /// Fills the output as far as the input goes; returns how far. Keeps no state that has failed.
    fn fill(&mut self, input: &mut Input<'_>, output: &mut [u8]) -> Result<usize, Error> {
        let written = self.try_fill(input, output).inspect_err(|_| self.state = None)?;
        // No sum of a message taken in pieces, which may have any length, is looked at.
        self.produced = self.produced.saturating_add(written);
        Ok(written)
    }

    fn try_fill(&mut self, input: &mut Input<'_>, output: &mut [u8]) -> Result<usize, Error> {
        let state = self.state.get_or_insert_with(pool::inflate);
        let mut written = 0;
        while written < output.len() && (input.remaining() > 0 || self.pending) {
            let (before_in, before_out) = (state.total_in(), state.total_out());
            let next = input.next();
            let status = state.decompress(next, &mut output[written..], InflateFlush::SyncFlush);
            let status = status.map_err(|_| Error::from(Violation::CorruptDeflate))?;
            let taken = count(state.total_in() - before_in);
            let put_out = count(state.total_out() - before_out);
            // Where it stops for want of input, all of the input is taken; else the output is full or a block was final.
            if taken == 0 && put_out == 0 && !next.is_empty() && status != Status::StreamEnd {
                return Err(Error::from(Violation::CorruptDeflate));
            }
            input.advance(taken);
            self.taken = self.taken.saturating_add(taken);
            written += put_out;
            self.pending = written == output.len();
            if status == Status::StreamEnd {
                //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.3.4
                state.reset(false);
                self.pending = false;
            }
        }
        Ok(written)
    }

    fn end_message(&mut self) {
        (self.taken, self.produced, self.fruitless) = (0, 0, 0);
        if !self.takeover
            && let Some(state) = self.state.take()
        {
            pool::return_inflate(state);
        }
    }
}

/// A state is given back however its connection ends.
impl Drop for Inflater {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            pool::return_inflate(state);
        }
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("takeover", &self.takeover)
            .field("holds_state", &self.state.is_some())
            .field("produced", &self.produced)
            .finish_non_exhaustive()
    }
}

/// The most bytes of input in a row, of a message of any length, of which nothing comes: a block's header has 300 bytes at
/// most, and a flush leaves 5. What is beyond is a message of empty blocks, with which a peer could keep us busy for ever.
const MOST_FRUITLESS: usize = 64 << 10;

/// A count of bytes of one call, which were in memory.
fn count(bytes: u64) -> usize {
    usize::try_from(bytes).expect("no more than the slice that was given")
}

#[cold]
fn too_long(len: usize, limit: usize) -> Error {
    LimitExceeded::Message { len: len as u64, limit }.into()
}
