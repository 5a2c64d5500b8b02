//! Text that is known to be UTF-8 and is shared like [`Bytes`].
//!
//! One of the crate's three doors to `unsafe`: the bytes of a text message were checked piece by piece on their way
//! in, and to check them again each time they are looked at as a `str` would cost more than receiving them did.
#![expect(unsafe_code, reason = "from_utf8_unchecked, on bytes that were checked")]

use core::fmt;
use core::ops::Deref;

use bytes::Bytes;

use crate::message;
use crate::utf8::{InvalidUtf8, Validated, Validator};

/// A text: derefs to `str`, is cloned without copying.
///
/// ```
/// use sockeye_proto::Text;
///
/// let text = Text::from("你好");
/// assert_eq!(text.chars().count(), 2);
/// assert_eq!(text.as_bytes().len(), 6);
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text {
    /// UTF-8, by every way there is to make one.
    bytes: Bytes,
}

impl Text {
    /// An empty text.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Bytes::new() }
    }

    /// A text that needs no allocation.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self { bytes: Bytes::from_static(text.as_bytes()) }
    }

    /// A text from bytes that must be UTF-8.
    ///
    /// # Errors
    /// When they are not.
    pub fn from_utf8(bytes: Bytes) -> Result<Self, InvalidUtf8> {
        let mut validator = Validator::default();
        validator.feed(&bytes)?;
        Ok(Self::from_validated(bytes, validator.finish()?))
    }

    /// The text whose bytes have just been seen to be UTF-8, in order and to the end.
    pub(crate) fn from_validated(bytes: Bytes, proof: Validated) -> Self {
        assert_eq!(bytes.len(), proof.len(), "{ANOTHER}");
        Self { bytes }
    }

    /// The text as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // SAFETY: every constructor takes a `str` or has checked the bytes; `from_validated` is handed the proof that a
        // `Validator` has seen them all, by `assembler::Assembler` and `close::CloseReason::parse`, which feed it each byte
        // they keep. Nothing changes the bytes afterwards.
        unsafe { core::str::from_utf8_unchecked(&self.bytes) }
    }

    /// The text's bytes, shared.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

/// Why a proof does not fit.
const ANOTHER: &str = "the proof is of another text";

/// The text that these bytes have just been seen to be.
#[inline]
pub(crate) fn validated(bytes: &[u8], proof: Validated) -> &str {
    assert_eq!(bytes.len(), proof.len(), "{ANOTHER}");
    // SAFETY: only `assembler::judge_whole` calls this, with the very bytes of which `utf8::check_whole` or
    // `utf8::unmask_and_check_whole` has just given it the proof. They cannot change while they are borrowed.
    unsafe { core::str::from_utf8_unchecked(bytes) }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl core::borrow::Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self { bytes: message::own(text.as_bytes()) }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { bytes: text.into() }
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.as_str().to_owned()
    }
}

impl From<Text> for Bytes {
    fn from(text: Text) -> Self {
        text.bytes
    }
}

impl TryFrom<Bytes> for Text {
    type Error = InvalidUtf8;

    fn try_from(bytes: Bytes) -> Result<Self, InvalidUtf8> {
        Self::from_utf8(bytes)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
