//! The buffers reads land in: lent by the thread for the length of a read, so that an idle connection holds none.

use core::cell::Cell;

use bytes::BytesMut;

/// One read takes at most this much: what a TCP receive window commonly has ready.
pub(crate) const SIZE: usize = 64 << 10;

thread_local! {
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
    /// For what is left of a read, where messages are lent.
    static REST: Cell<Option<BytesMut>> = const { Cell::new(None) };
    /// For a small message that is lent.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
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

/// Takes an empty buffer for what is left of a read, for as long as messages are lent.
pub(crate) fn take_rest() -> BytesMut {
    let buffer = REST.try_with(Cell::take).ok().flatten();
    buffer.unwrap_or_else(|| BytesMut::with_capacity(SIZE))
}

/// Takes back such a buffer, for the next one. What has another size is dropped.
pub(crate) fn give_back_rest(mut buffer: BytesMut) {
    buffer.clear();
    if buffer.try_reclaim(SIZE) && buffer.capacity() == SIZE {
        let _ = REST.try_with(|place| place.set(Some(buffer)));
    }
}

/// Takes room for a small message that is lent.
pub(crate) fn take_room() -> Vec<u8> {
    ROOM.try_with(Cell::take).unwrap_or_default()
}

/// Takes it back.
pub(crate) fn give_back_room(mut room: Vec<u8>) {
    room.clear();
    let _ = ROOM.try_with(|place| place.set(room));
}
