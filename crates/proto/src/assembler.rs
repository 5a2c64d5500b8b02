//! How messages are put together from frames (RFC 6455 §5.4): whole, or piece by piece.
//!
//! ```text
//!               begin_frame            want(Whole): judged by the limit
//!   no message ────────────> undecided ─────────────────────────────────> whole ──> Message
//!        ^    (want: Pieces)     │ └──────────────── ends ──────────────────────> Message
//!        │                       │ take_piece
//!        │                       v
//!        └──── rest taken ── in pieces ── ends ──> MessageEnd
//! ```

mod payload;

use bytes::buf::Limit;
use bytes::{Bytes, BytesMut};

use crate::deflate::{Inflater, Input};
use crate::error::Error;
use crate::frame::{Header, Opcode, Violation};
use crate::limits::{LimitExceeded, Limits};
use crate::mask::{self, MaskingKey};
use crate::message::{Message, MessageKind};
use crate::message_ref::MessageRef;
use crate::text::{self, Text};
use crate::utf8::{self, InvalidUtf8, Validated, Validator};
use payload::Payload;

/// How the application wants the next message: see [`Connection::want`](crate::Connection::want).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a message is taken whole or it is not")]
pub enum Wanted {
    /// Whole, within [`Limits::message`].
    Whole,
    /// Perhaps in pieces: nobody has chosen yet. No limit is judged on its bytes, and few are held.
    Pieces {
        /// The most bytes of the message that are held at a time; at least 1.
        window: usize,
    },
}

/// A message that has begun and has not ended: see [`Connection::incoming`](crate::Connection::incoming).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incoming {
    /// What it is.
    pub kind: MessageKind,
    /// Whether it travels compressed (RFC 7692 §6): then what comes of a frame is not of the frame's length.
    pub compressed: bool,
    /// The length of the payload, in bytes, that the header of its latest frame declares.
    pub frame_len: u64,
    /// Bytes of it that are held and can be taken now.
    pub held: usize,
}

/// Puts the data frames of one message together.
#[derive(Debug)]
pub(crate) struct Assembler {
    kind: Option<Kind>,
    /// Frames begun, the first included; once a piece was taken, only the empty ones are added.
    fragments: u32,
    /// What is held of the message; without a message, the rest of one that ended in pieces.
    payload: Payload,
    /// Whether RSV1 said that the message is compressed.
    compressed: bool,
    /// Bytes of the frames begun so far, as their headers claim.
    claimed: u64,
    /// The same of the latest frame alone.
    frame_len: u64,
    wanted: Wanted,
    /// The latest window: with it a message goes on of which a piece was taken, whatever is wanted of the next.
    window: usize,
    /// Whether a piece of the message was taken.
    in_pieces: bool,
    /// The most bytes to hold now; [`UNBOUNDED`] for a message that is to be handed out whole.
    most_held: usize,
    /// How much of a compressed message's tail the inflater has already been given.
    tail_taken: usize,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text(Validator),
    Binary,
}

/// For a message that limits bound and not a window: the one number that the hot path compares.
const UNBOUNDED: usize = usize::MAX;

impl Assembler {
    /// The window for whoever takes pieces and never gave one: a read's worth.
    pub(crate) const WINDOW: usize = 64 << 10;

    /// `whole`: whether the message is wanted whole; else, or once a piece was taken, this window counts.
    pub(crate) fn new(whole: bool, window: usize) -> Self {
        let (wanted, most_held) = if whole { (Wanted::Whole, UNBOUNDED) } else { (Wanted::Pieces { window }, window) };
        Self {
            kind: None,
            fragments: 0,
            payload: Payload::default(),
            compressed: false,
            claimed: 0,
            frame_len: 0,
            wanted,
            window,
            in_pieces: false,
            most_held,
            tail_taken: 0,
        }
    }

    /// Whether a message was begun that has not ended.
    pub(crate) const fn in_message(&self) -> bool {
        self.kind.is_some()
    }

    /// The message that was begun.
    pub(crate) fn incoming(&self) -> Option<Incoming> {
        let kind = match self.kind? {
            Kind::Text(_) => MessageKind::Text,
            Kind::Binary => MessageKind::Binary,
        };
        Some(Incoming { kind, compressed: self.compressed, frame_len: self.frame_len, held: self.payload.settled() })
    }

    /// Begins a data frame: judges what its header claims by the limits, before any of its payload is taken.
    pub(crate) fn begin_frame(&mut self, header: Header, limits: &Limits) -> Result<(), Error> {
        match header.opcode() {
            Opcode::TEXT => self.kind = Some(Kind::Text(Validator::default())),
            Opcode::BINARY => self.kind = Some(Kind::Binary),
            _ => debug_assert!(self.in_message(), "the rules allow no other data frame"),
        }
        if header.opcode() != Opcode::CONTINUATION {
            self.compressed = header.rsv(1);
        }
        self.frame_len = header.payload_len();
        self.claimed = self.claimed.saturating_add(header.payload_len());
        if self.is_whole() {
            self.judge_claim(limits)?;
        } else if self.in_pieces && header.payload_len() > 0 {
            // A message of 10 GB in frames of 16 KiB is a good one where nobody holds it; empty frames get nobody anywhere.
            return Ok(());
        }
        self.fragments += 1;
        if self.fragments > 1 {
            self.payload.set_in_fragments();
        }
        if self.fragments > limits.max_fragments() {
            return Err(LimitExceeded::Fragments { limit: limits.max_fragments() }.into());
        }
        Ok(())
    }

    fn judge_claim(&self, limits: &Limits) -> Result<(), Error> {
        let limit = limits.max_message();
        // A compressed message is judged by what comes out of it; what goes in can hardly be larger.
        let most = if self.compressed { Inflater::most_input(limit) } else { limit };
        if self.claimed > most as u64 {
            return Err(LimitExceeded::Message { len: self.claimed, limit }.into());
        }
        Ok(())
    }

    // --- whole or in pieces ---

    /// The window to keep to where this one was asked for: at least 1.
    pub(crate) fn window(wanted: usize) -> usize {
        wanted.clamp(1, UNBOUNDED - 1)
    }

    /// Whether no message was begun, and nothing is left of the one before.
    pub(crate) fn is_idle(&self) -> bool {
        !self.in_message() && self.payload.is_empty()
    }

    /// Takes note of how messages are wanted; judges the one that was begun, if that is to be whole.
    pub(crate) fn want(&mut self, wanted: Wanted, limits: &Limits) -> Result<(), Error> {
        self.wanted = wanted;
        if let Wanted::Pieces { window } = wanted {
            self.window = Self::window(window);
        }
        self.bound();
        if !self.in_message() || !self.is_whole() {
            return Ok(());
        }
        self.judge_claim(limits)?;
        let (len, limit) = (self.payload.len(), limits.max_message());
        if len > limit {
            return Err(LimitExceeded::Message { len: len as u64, limit }.into());
        }
        Ok(())
    }

    /// Whether the message is to be handed out whole, so that the limit on its bytes counts.
    #[inline]
    pub(crate) const fn is_whole(&self) -> bool {
        self.most_held == UNBOUNDED
    }

    /// Takes what is held, and with that the message in pieces; or the rest of one that ended in pieces.
    pub(crate) fn take_piece(&mut self) -> Bytes {
        let piece = if self.in_message() {
            self.in_pieces = true;
            self.payload.take_settled()
        } else {
            self.payload.take()
        };
        self.bound();
        piece
    }

    /// Whether nothing may be added to what is held before some of it is taken.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.payload.len() >= self.most_held
    }

    /// How many bytes may be added to what is held.
    #[inline]
    pub(crate) fn room(&self) -> usize {
        self.most_held.saturating_sub(self.payload.len())
    }

    /// Says anew how much may be held, after a change of what that depends on.
    fn bound(&mut self) {
        self.most_held = match self.wanted {
            // The rest of a message must be taken before another one begins.
            _ if !self.in_message() && !self.payload.is_empty() => 1,
            Wanted::Whole if !self.in_pieces => UNBOUNDED,
            _ => self.window,
        };
    }

    // --- payload ---

    /// Whether the message that was begun is compressed.
    pub(crate) const fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Takes the next piece of a compressed payload, unmasked; `last` ends the message.
    pub(crate) fn push_compressed(
        &mut self,
        piece: &[u8],
        last: bool,
        inflater: &mut Inflater,
        limits: &Limits,
    ) -> Result<(), Error> {
        let limit = limits.max_message();
        let input = if last { Input::resumed(piece, self.tail_taken) } else { Input::part(piece) };
        inflater.inflate(input, limit, |inflated| {
            self.check(inflated)?;
            self.payload.append_inflated(inflated, limit);
            Ok(())
        })?;
        if last {
            self.tail_taken = 0;
            self.payload.fit();
        }
        Ok(())
    }

    /// Takes as much of the next piece of a compressed payload, unmasked, as gives what there is [room](Self::room) for.
    ///
    /// Returns how many bytes of the piece were taken, and whether that was all and the inflater has no more to say.
    pub(crate) fn push_compressed_within(
        &mut self,
        piece: &[u8],
        last: bool,
        inflater: &mut Inflater,
    ) -> Result<(usize, bool), Error> {
        let mut input = if last { Input::resumed(piece, self.tail_taken) } else { Input::part(piece) };
        let done = inflater.inflate_within(&mut input, self.room(), |inflated| {
            self.check(inflated)?;
            match self.in_pieces {
                true => self.payload.append(inflated, self.room() as u64),
                // It may still end as a message that is held for long.
                false => self.payload.append_inflated(inflated, self.most_held),
            }
            Ok(())
        })?;
        self.tail_taken = input.tail_taken();
        if done && last {
            self.tail_taken = 0;
            if !self.in_pieces {
                self.payload.fit();
            }
        }
        Ok((piece.len() - input.piece_len(), done))
    }

    /// Takes the next piece of payload; `key` is how its first byte and those after it are masked.
    #[inline]
    pub(crate) fn push(&mut self, key: Option<MaskingKey>, piece: &mut [u8], remaining: u64) -> Result<(), Error> {
        unmask_and_check(self.kind.as_mut(), key, piece)?;
        self.payload.append(piece, remaining);
        Ok(())
    }

    /// Where the rest of a frame's payload may be read to directly: at most `remaining` bytes.
    pub(crate) fn landing(&mut self, remaining: u64) -> Limit<&mut BytesMut> {
        match self.in_pieces {
            true => self.payload.landing_of_a_piece(remaining, Self::WINDOW),
            false => self.payload.landing(remaining),
        }
    }

    /// Takes what has been read into the landing, masked like the next [piece](Self::push); says how much that was.
    pub(crate) fn landed(&mut self, key: Option<MaskingKey>) -> (usize, Result<(), Error>) {
        let landed = self.payload.landed();
        let outcome = unmask_and_check(self.kind.as_mut(), key, landed);
        let len = landed.len();
        self.payload.settle();
        (len, outcome)
    }

    /// Whether a message that is wanted whole, and begins with a frame of this length, may begin with a buffer of this
    /// capacity in which `arrived` bytes of it are.
    pub(crate) fn adopts(arrived: u64, len: u64, capacity: u64) -> bool {
        Payload::adopts(arrived, len, capacity)
    }

    /// Takes such a buffer, whose bytes have landed.
    pub(crate) fn adopt(&mut self, buffer: BytesMut) {
        self.payload.adopt(buffer);
    }

    /// Bytes held of the message so far.
    pub(crate) fn len(&self) -> usize {
        self.payload.len()
    }

    /// Ends the message: gives it, or nothing if it was taken in pieces. Then the last of them is still held.
    pub(crate) fn finish(&mut self) -> Result<Option<Message>, Error> {
        if !self.in_pieces {
            let payload = self.payload.take();
            return self.message(payload).map(Some);
        }
        if let Some(Kind::Text(validator)) = self.kind.take() {
            validator.finish().map_err(invalid_text)?;
        }
        self.in_pieces = false;
        if self.payload.is_empty() {
            self.payload = Payload::default();
        }
        self.bound();
        Ok(None)
    }

    #[inline]
    fn check(&mut self, piece: &[u8]) -> Result<(), Error> {
        match &mut self.kind {
            Some(Kind::Text(validator)) => validator.feed(piece).map_err(invalid_text),
            _ => Ok(()),
        }
    }

    #[inline]
    fn message(&mut self, payload: Bytes) -> Result<Message, Error> {
        match self.kind.take() {
            Some(Kind::Text(validator)) => {
                let proof: Validated = validator.finish().map_err(invalid_text)?;
                Ok(Message::Text(Text::from_validated(payload, proof)))
            }
            _ => Ok(Message::Binary(payload)),
        }
    }
}

/// Unmasks and judges the payload of a message that is whole in this one frame, where it lies.
#[inline(always)]
pub(crate) fn judge_whole(header: Header, payload: &mut [u8]) -> Result<MessageRef<'_>, Error> {
    let key = header.masking_key();
    if header.opcode() != Opcode::TEXT {
        take_binary(key, payload);
        return Ok((&*payload).into());
    }
    let judged = match key {
        Some(key) => utf8::unmask_and_check_whole(key, payload),
        None => utf8::check_whole(payload),
    };
    Ok(text::validated(payload, judged.map_err(invalid_text)?).into())
}

/// Steps 3 and 5 for the next piece of a payload, where it lies.
#[inline]
fn unmask_and_check(kind: Option<&mut Kind>, key: Option<MaskingKey>, piece: &mut [u8]) -> Result<(), Error> {
    if let Some(Kind::Text(validator)) = kind {
        return take_text(validator, key, piece);
    }
    take_binary(key, piece);
    Ok(())
}

#[inline]
fn take_text(validator: &mut Validator, key: Option<MaskingKey>, piece: &mut [u8]) -> Result<(), Error> {
    match key {
        Some(key) => validator.feed_masked(key, 0, piece),
        None => validator.feed(piece),
    }
    .map_err(invalid_text)
}

#[inline]
fn take_binary(key: Option<MaskingKey>, piece: &mut [u8]) {
    if let Some(key) = key {
        mask::apply(key, 0, piece);
    }
}

fn invalid_text(_: InvalidUtf8) -> Error {
    Violation::InvalidUtf8InText.into()
}
