//! The key a client sends and what a server makes of it (RFC 6455 §1.3, §4.2.2): proof that the server has understood
//! a WebSocket handshake. No secret is in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sha1::{Digest as _, Sha1};

/// A `Sec-WebSocket-Key`: 16 bytes, in base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(HeaderValue);

impl Key {
    /// The key made of 16 bytes that the client has drawn at random.
    #[must_use]
    pub fn new(nonce: [u8; 16]) -> Self {
        Self(HeaderValue::try_from(STANDARD.encode(nonce)).expect("base64 is visible ASCII"))
    }

    /// The key in a request's header, if it is one: "a base64-encoded value that, when decoded, is 16 bytes in length".
    #[must_use]
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        let nonce = STANDARD.decode(value.as_bytes()).ok()?;
        (nonce.len() == 16).then(|| Self(value.clone()))
    }

    /// The header's value.
    #[must_use]
    pub const fn as_header(&self) -> &HeaderValue {
        &self.0
    }
}

/// The `Sec-WebSocket-Accept` that answers a key.
///
/// ```
/// use http::HeaderValue;
/// use sockeye_proto::handshake::{Key, accept};
///
/// let key = Key::parse(&HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==")).unwrap(); // the example of §1.3
/// assert_eq!(accept(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept(key: &Key) -> HeaderValue {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let digest = Sha1::new().chain_update(key.0.as_bytes()).chain_update(GUID).finalize();
    HeaderValue::try_from(STANDARD.encode(digest)).expect("base64 is visible ASCII")
}
