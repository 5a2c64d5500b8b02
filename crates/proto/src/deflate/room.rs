//! Room for a message that grows while it is inflated, and that nobody knows the length of.

use bytes::BytesMut;

/// What a message of more than one step gets before it gets all there is.
const FIRST: usize = 32 << 10;

/// Limits up to this are made room for at once; towards a larger one the room doubles.
const AT_ONCE: usize = 16 << 20;

/// Appends to a message of at most `limit` bytes.
///
/// Room for the first piece is exactly its length: most messages are one piece. Then it is 32 KiB, and then all that the
/// limit allows, up to 16 MiB at once: untouched pages of a large allocation cost nothing, whereas to double again and
/// again would hold the old room and the new at the same time, and overshoot the limit in the end. [`fit`] gives back what
/// was too much.
pub(crate) fn append(message: &mut BytesMut, piece: &[u8], limit: usize) {
    let needed = message.len() + piece.len();
    if needed > message.capacity() {
        let room = match message.capacity() {
            0 => needed,
            room if room < FIRST && needed <= FIRST => FIRST.min(limit).max(needed),
            _ => limit.min(AT_ONCE.max(needed.saturating_mul(2))).max(needed),
        };
        let before = core::mem::replace(message, BytesMut::with_capacity(room));
        message.extend_from_slice(&before);
    }
    message.extend_from_slice(piece);
}

/// Gives room back that a finished message does not need, where that is more than the message itself.
pub(crate) fn fit(message: &mut BytesMut) {
    if message.len() < message.capacity() / 2 {
        *message = BytesMut::from(&message[..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_goes_with_the_limit_and_no_limit_at_all_is_no_reason_to_panic() {
        for (limit, most) in [(100 << 10, 100 << 10), (usize::MAX, AT_ONCE)] {
            let mut message = BytesMut::new();
            while message.len() < 100 << 10 {
                append(&mut message, &[7; 10 << 10], limit);
                assert!(message.capacity() <= most);
            }
            fit(&mut message);
            assert!(message.len() == 100 << 10 && message.capacity() <= 200 << 10);
        }
    }
}
