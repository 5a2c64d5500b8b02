//! The buffers reads land in: lent by the thread for the length of a read, so that an idle connection holds none.

use core::cell::Cell;

use bytes::BytesMut;
use sockeye_proto::stock;

/// One read takes at most this much: what a TCP receive window commonly has ready.
pub(crate) const SIZE: usize = 64 << 10;

thread_local! {
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    /// The one that messages share: a `BytesMut` counts who holds a part of it.
    static SHARED: Cell<Option<BytesMut>> = const { Cell::new(None) };
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

/// Takes a buffer that messages may share, for as long as they are lent. It is empty, and has room for [`SIZE`] bytes.
pub(crate) fn take() -> BytesMut {
    let buffer = SHARED.try_with(Cell::take).ok().flatten();
    buffer.unwrap_or_else(|| BytesMut::with_capacity(SIZE))
}

/// Takes back such a buffer, for the next read. One that is still shared is left to whoever lets go of it last, and one of
/// another size, which was a large message's, to the [stock].
pub(crate) fn give_back(mut buffer: BytesMut) {
    buffer.clear();
    if buffer.try_reclaim(SIZE) && buffer.capacity() == SIZE {
        let _ = SHARED.try_with(|place| place.set(Some(buffer)));
    } else {
        stock::give_back(buffer);
    }
}
