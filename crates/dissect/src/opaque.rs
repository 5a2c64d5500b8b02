//! What cannot be taken apart: bytes that are no frames, and bytes that are not here.

use core::fmt;

use http::StatusCode;
use sockeye_proto::Role;

/// All that an end sends from some byte on, where it is no frames, or nobody can know where one begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opaque {
    /// Who sent it.
    pub sender: Role,
    /// Bytes its sender has sent before.
    pub offset: u64,
    /// The first bytes, [`KEPT`](Self::KEPT) at most.
    pub bytes: Vec<u8>,
    /// How many bytes there are, those that are missing within them included.
    pub len: u64,
    /// Why it is not taken apart.
    pub why: Why,
}

/// Why bytes are not taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The connection does not begin with a head of HTTP/1.
    NotHttp,
    /// It begins as TLS does: what is in it is not to be seen from outside.
    Tls,
    /// It begins as HTTP/2 does, whose streams are not followed.
    Http2,
    /// The head cannot be read; its record says why.
    BadHead,
    /// The head has more bytes than are looked at.
    LongHead,
    /// What there is ends within the head.
    CutHead,
    /// The request asks for no WebSocket.
    NoUpgrade,
    /// The response opens no WebSocket; its status.
    Refused(StatusCode),
    /// The response says 101, but not to a WebSocket.
    OtherProtocol,
    /// What the client sent after a request that was not answered.
    Unanswered,
    /// More than is held of what the client sent before the response.
    TooEarly,
    /// Bytes are missing, and no frame's length tells where the next one begins.
    AfterGap,
    /// The beginning of the connection is missing.
    NoBeginning,
}

impl Why {
    /// Whether something was to be read and ends too early.
    pub(crate) const fn is_cut_off(self) -> bool {
        matches!(self, Self::CutHead)
    }

    /// A name for programs, which stays what it is.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotHttp => "not-http",
            Self::Tls => "tls",
            Self::Http2 => "http2",
            Self::BadHead => "bad-head",
            Self::LongHead => "long-head",
            Self::CutHead => "cut-head",
            Self::NoUpgrade => "no-upgrade",
            Self::Refused(_) => "refused",
            Self::OtherProtocol => "other-protocol",
            Self::Unanswered => "unanswered",
            Self::TooEarly => "too-early",
            Self::AfterGap => "after-gap",
            Self::NoBeginning => "no-beginning",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => f.write_str("no HTTP/1 head, so no opening handshake"),
            Self::Tls => f.write_str("TLS: what is in it cannot be seen from outside"),
            Self::Http2 => f.write_str("HTTP/2, whose streams are not followed here"),
            Self::BadHead => f.write_str("the head before it cannot be read"),
            Self::LongHead => f.write_str("a head that is longer than is looked at"),
            Self::CutHead => f.write_str("a head that is cut off"),
            Self::NoUpgrade => f.write_str("the request asks for no WebSocket"),
            Self::Refused(status) => write!(f, "no WebSocket: the server answered {}", status.as_u16()),
            Self::OtherProtocol => f.write_str("no WebSocket: the server changes to another protocol"),
            Self::Unanswered => f.write_str("sent after a request to which no answer is here"),
            Self::TooEarly => f.write_str("sent before the response, and too much of it to be held"),
            Self::AfterGap => f.write_str("after a gap: where frames begin is unknown"),
            Self::NoBeginning => f.write_str("its beginning is missing: where frames begin is unknown"),
        }
    }
}

impl Opaque {
    /// Bytes that are kept to be shown.
    pub const KEPT: usize = 4 << 10;

    pub(crate) const fn new(sender: Role, offset: u64, why: Why) -> Self {
        Self { sender, offset, bytes: Vec::new(), len: 0, why }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // What comes behind a gap would look as if it followed what came before.
        if self.bytes.len() as u64 == self.len {
            let room = Self::KEPT - self.bytes.len();
            self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        self.len = self.len.saturating_add(bytes.len() as u64);
    }

    /// Passes over bytes that are not here.
    pub(crate) const fn skip(&mut self, bytes: u64) {
        self.len = self.len.saturating_add(bytes);
    }
}

/// Bytes that were sent and are not here: the capture has not seen them, or the recorder had no room for them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Who sent them.
    pub sender: Role,
    /// Bytes its sender has sent before.
    pub offset: u64,
    /// How many are missing.
    pub bytes: u64,
    /// The number of the frame whose payload they all belong to, by its length: what follows is read on. Without such a
    /// frame it is not.
    pub within: Option<u64>,
}
