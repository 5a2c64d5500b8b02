//! What is held of a message, and the room it grows into.

use bytes::buf::Limit;
use bytes::{BufMut, Bytes, BytesMut};

use crate::deflate::room;
use crate::stock;

/// The least room to make, in bytes, where so much is to come.
const FIRST: u64 = 16 << 10;
/// Room is made for so many times what has arrived.
const GROWTH: u64 = 16;

/// The bytes held of a message. They have room for what has arrived and some more, never for what a header claims.
#[derive(Debug, Default)]
pub(super) struct Payload {
    bytes: BytesMut,
    /// How many of them are settled: unmasked and checked. The rest has just landed.
    settled: usize,
    /// Whether more than one frame brings them.
    in_fragments: bool,
}

impl Payload {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) const fn settled(&self) -> usize {
        self.settled
    }

    /// More than one frame brings them: the latest is hardly the last, and room for it alone would be made anew for each.
    pub(super) const fn set_in_fragments(&mut self) {
        self.in_fragments = true;
    }

    // --- in ---

    /// Takes a piece, of a frame of which so much is `remaining`, this piece included.
    #[inline]
    pub(super) fn append(&mut self, piece: &[u8], remaining: u64) {
        let len = piece.len() as u64;
        self.grow_for(len, len, remaining);
        self.bytes.extend_from_slice(piece);
        self.settle();
    }

    /// Takes a piece of a message that is inflated, and is to have at most this many bytes.
    pub(super) fn append_inflated(&mut self, piece: &[u8], most: usize) {
        room::append(&mut self.bytes, piece, most);
        self.settle();
    }

    /// Gives back what an inflated message does not need.
    pub(super) fn fit(&mut self) {
        room::fit(&mut self.bytes);
    }

    /// Where at most so many bytes may be read to, as a frame has them `remaining`.
    pub(super) fn landing(&mut self, remaining: u64) -> Limit<&mut BytesMut> {
        self.grow_for(1, 0, remaining);
        self.spare_for(remaining)
    }

    /// The same where pieces of the message were taken. They may be held on to: so they share their room, down to `least`.
    pub(super) fn landing_of_a_piece(&mut self, remaining: u64, least: usize) -> Limit<&mut BytesMut> {
        let most = at_most(remaining);
        if !self.bytes.try_reclaim(most) && self.spare() < most.min(least) {
            self.grow_for(remaining, 0, remaining);
        }
        self.spare_for(remaining)
    }

    /// What has landed, for it to be unmasked and checked before it is [settled](Self::settle).
    pub(super) fn landed(&mut self) -> &mut [u8] {
        &mut self.bytes[self.settled..]
    }

    pub(super) fn settle(&mut self) {
        self.settled = self.bytes.len();
    }

    /// Whether a message may begin with a buffer of this capacity in which `arrived` bytes of its first frame are, which is
    /// of this length: the room is no more than would have been made.
    pub(super) fn adopts(arrived: u64, len: u64, capacity: u64) -> bool {
        let most = (arrived + arrived * GROWTH).min(len.saturating_mul(2));
        arrived >= FIRST && capacity <= most
    }

    /// Takes such a buffer, whose bytes have landed.
    pub(super) fn adopt(&mut self, buffer: BytesMut) {
        self.bytes = buffer;
    }

    // --- out ---

    /// Takes what there is, and the room with it.
    #[inline]
    pub(super) fn take(&mut self) -> Bytes {
        self.settled = 0;
        core::mem::take(&mut self.bytes).freeze()
    }

    /// Takes what is settled. Where that is let go before more comes, its room is used again.
    pub(super) fn take_settled(&mut self) -> Bytes {
        match core::mem::take(&mut self.settled) {
            0 => Bytes::new(),
            settled => self.bytes.split_to(settled).freeze(),
        }
    }

    // --- room ---

    /// The room there is behind what is held.
    fn spare(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    fn spare_for(&mut self, remaining: u64) -> Limit<&mut BytesMut> {
        let limit = at_most(remaining).min(self.spare());
        (&mut self.bytes).limit(limit)
    }

    /// Makes room for at least `least` more bytes, of which `arrived` are there, of the `remaining` that the frame's header
    /// claims: for [`GROWTH`] times what has arrived, so that a claim of 1 GB with 10 bytes behind it costs a few pages.
    /// Room that nothing has been written to is address space, not memory; to grow in small steps would be to copy what
    /// has arrived again and again.
    fn grow_for(&mut self, least: u64, arrived: u64, remaining: u64) {
        let len = self.bytes.len();
        if (self.spare() as u64) < least {
            let more = (arrived + (len as u64 + arrived) * GROWTH).max(FIRST).min(remaining).max(least);
            let more = at_most(if self.in_fragments { more.max(len as u64) } else { more });
            if self.bytes.try_reclaim(more) {
                return;
            }
            // `reserve` would give twice the room there was, and a message keeps what it was given.
            let room = len.saturating_add(more);
            let made = if self.in_fragments { BytesMut::with_capacity(room) } else { stock::take(room) };
            let before = core::mem::replace(&mut self.bytes, made);
            self.bytes.extend_from_slice(&before);
            stock::give_back(before);
        }
    }
}

fn at_most(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
