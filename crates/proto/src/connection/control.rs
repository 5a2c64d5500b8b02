//! The payload of a control frame: at most 125 bytes (RFC 6455 §5.5), so it needs no allocation.

use core::fmt;
use core::ops::Deref;

/// The payload of a Ping or Pong; derefs to its bytes.
///
/// ```
/// use sockeye_proto::connection::ControlPayload;
///
/// let payload = ControlPayload::new(b"are you there?").unwrap();
/// assert_eq!(payload.len(), 14);
/// assert!(ControlPayload::new(&[0; 126]).is_none());
/// ```
#[derive(Clone, Copy)]
pub struct ControlPayload {
    len: u8,
    bytes: [u8; Self::MAX_LEN],
}

impl ControlPayload {
    /// The most bytes a control frame may carry.
    pub const MAX_LEN: usize = 125;

    /// An empty payload.
    pub const EMPTY: Self = Self { len: 0, bytes: [0; Self::MAX_LEN] };

    /// A copy of these bytes, if they fit.
    #[must_use]
    pub fn new(payload: &[u8]) -> Option<Self> {
        let mut new = Self::EMPTY;
        new.bytes.get_mut(..payload.len())?.copy_from_slice(payload);
        new.len = u8::try_from(payload.len()).ok()?;
        Some(new)
    }

    /// Appends a piece of a frame whose header was judged, so that it fits.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        let start = usize::from(self.len);
        self.bytes[start..start + piece.len()].copy_from_slice(piece);
        self.len = u8::try_from(start + piece.len()).expect("125 at most, or the line above had panicked");
    }
}

impl Deref for ControlPayload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl PartialEq for ControlPayload {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for ControlPayload {}

impl fmt::Debug for ControlPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.escape_ascii().to_string())
    }
}
