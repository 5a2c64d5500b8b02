//! A buffer that goes from one connection of a thread to the next: what is gathered to be written mostly leaves at once,
//! and to make a buffer anew each time costs more than to fill it.

use core::cell::Cell;

use bytes::BytesMut;

/// What a fresh buffer has room for: a batch of small frames.
const FIRST: usize = 4 << 10;
/// A buffer that has grown beyond this is not kept.
const MOST: usize = 128 << 10;

thread_local! {
    static SPARE: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

/// An empty buffer with some room.
pub(crate) fn take() -> BytesMut {
    // There is none on a thread that is ending.
    let spare = SPARE.try_with(Cell::take).ok().flatten();
    spare.unwrap_or_else(|| BytesMut::with_capacity(FIRST))
}

/// Takes a buffer back, for the next one who needs it.
pub(crate) fn give_back(mut buffer: BytesMut) {
    buffer.clear();
    // What was written from its beginning is room again, unless part of it is still held.
    if buffer.try_reclaim(FIRST) && buffer.capacity() <= MOST {
        let _ = SPARE.try_with(|spare| spare.set(Some(buffer)));
    }
}
