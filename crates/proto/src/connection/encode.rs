//! A frame's bytes: its header, and its payload behind it.

use bytes::{Bytes, BytesMut};

use crate::frame::Header;
use crate::mask;

/// Appends a frame whose payload is small enough to be copied, and masks it there.
#[inline]
pub(super) fn append(buffer: &mut BytesMut, header: Header, payload: &[u8]) {
    let start = buffer.len() + header.size();
    buffer.reserve(Header::MAX_SIZE + payload.len());
    // A copy of a fixed length is no call.
    buffer.extend_from_slice(header.encode().padded());
    buffer.truncate(start);
    buffer.extend_from_slice(payload);
    if let Some(key) = header.masking_key() {
        mask::apply(key, 0, &mut buffer[start..]);
    }
}

/// A frame of its own, whose payload is not masked.
pub(super) fn encode(header: Header, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(header.size() + payload.len());
    frame.extend_from_slice(&header.encode());
    frame.extend_from_slice(payload);
    frame.freeze()
}
