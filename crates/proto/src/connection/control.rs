//! The payload of a control frame: at most 125 bytes (RFC 6455 §5.5).

use core::fmt;
use core::ops::Deref;

use bytes::Bytes;

/// The payload of a Ping or Pong; derefs to its bytes, is cloned without copying.
///
/// ```
/// use sockeye_proto::connection::ControlPayload;
///
/// let payload = ControlPayload::new(b"are you there?").unwrap();
/// assert_eq!(payload.len(), 14);
/// assert!(ControlPayload::new(&[0; 126]).is_none());
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct ControlPayload(Bytes);

impl ControlPayload {
    /// The most bytes a control frame may carry.
    pub const MAX_LEN: usize = 125;

    /// An empty payload.
    pub const EMPTY: Self = Self(Bytes::new());

    /// A copy of these bytes, if they fit.
    #[must_use]
    pub fn new(payload: &[u8]) -> Option<Self> {
        (payload.len() <= Self::MAX_LEN).then(|| Self(Bytes::copy_from_slice(payload)))
    }

    /// The payload of a frame whose header was judged, so that it fits.
    pub(super) const fn judged(payload: Bytes) -> Self {
        Self(payload)
    }
}

impl Deref for ControlPayload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ControlPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
