//! The buffer reads land in: one for each thread, lent for the length of a read, so that an idle connection holds none.

use core::cell::Cell;

/// One read takes at most this much: what a TCP receive window commonly has ready.
const SIZE: usize = 64 << 10;

thread_local! {
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// Lends this thread's buffer. What it holds is left over from other reads.
///
/// The buffer is taken out of its place meanwhile, so a transport that itself reads from a WebSocket gets another.
pub(crate) fn lend<T>(borrow: impl FnOnce(&mut [u8]) -> T) -> T {
    // There is none on a thread that is ending.
    let lent = BUFFER.try_with(Cell::take).ok().flatten();
    let mut buffer = lent.unwrap_or_else(|| vec![0; SIZE].into_boxed_slice());
    let result = borrow(&mut buffer);
    let _ = BUFFER.try_with(|place| place.set(Some(buffer)));
    result
}
