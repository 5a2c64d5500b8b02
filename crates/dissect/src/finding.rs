//! What is wrong with a frame: the broken rule, its section, and where.

use core::fmt;

use sockeye_proto::CloseCode;
use sockeye_proto::deflate::NegotiationError;
use sockeye_proto::frame::{Header, Violation};
use sockeye_proto::handshake::{HandshakeError, Refusal};

/// A rule that a frame, or a head of the opening handshake, breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A rule that a connection enforces too, and whose own words say it all.
    Rule(Violation),
    /// Bytes that are not UTF-8, and which byte shows it.
    InvalidUtf8 {
        /// The rule: for text, or for the reason of a Close frame.
        rule: Violation,
        /// Where.
        at: BadUtf8,
    },
    /// A data frame after the sender's Close frame (§5.5.1). A connection does not enforce it: it reads no further.
    DataAfterClose {
        /// The number of the Close frame.
        close: u64,
    },
    /// A client's frame before the response to its request (§4.1). A connection does not enforce it: it cannot tell.
    BeforeResponse,
    /// A request that a server refuses.
    Request(Refusal),
    /// A response that a client does not take for the opening of a WebSocket.
    Response(HandshakeError),
    /// A head that is none of HTTP/1.1 (RFC 9112); what is wrong with it.
    MalformedHead(String),
}

/// The byte at which bytes can no longer be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BadUtf8 {
    /// The byte that no text can have here; `None` where the text ends within a character.
    pub byte: Option<u8>,
    /// Its place in the frame's payload, from 0; of a compressed one, in what that inflates to.
    pub in_payload: u64,
    /// Its place in the message, over all frames, or in the reason; from 0.
    pub in_text: u64,
    /// Whether the places are in what was inflated.
    pub inflated: bool,
}

impl Finding {
    /// A name for programs, which stays what it is.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::DataAfterClose { .. } => "data-after-close",
            Self::BeforeResponse => "frame-before-response",
            Self::MalformedHead(_) => "malformed-head",
            Self::Request(refusal) => match refusal {
                Refusal::Method => "request-method",
                Refusal::HttpVersion => "request-version-of-http",
                Refusal::Host => "request-host",
                Refusal::Upgrade => "request-upgrade",
                Refusal::Connection => "request-connection",
                Refusal::Version => "request-version",
                Refusal::Key => "request-key",
                Refusal::Subprotocol => "request-subprotocol",
                Refusal::Extensions => "request-extensions",
                Refusal::Body => "request-body",
                _ => "request",
            },
            Self::Response(error) => match error {
                HandshakeError::Upgrade => "response-upgrade",
                HandshakeError::Connection => "response-connection",
                HandshakeError::Accept => "response-accept",
                HandshakeError::Subprotocol => "response-subprotocol",
                HandshakeError::Extension(_) => "response-extensions",
                _ => "response",
            },
            Self::Rule(rule) | Self::InvalidUtf8 { rule, .. } => match rule {
                Violation::ReservedBit(_) => "reserved-bit",
                Violation::ReservedOpcode(_) => "reserved-opcode",
                Violation::FragmentedControl(_) => "fragmented-control",
                Violation::ContinuationWithoutStart => "continuation-without-start",
                Violation::MessageInsideMessage(_) => "message-inside-message",
                Violation::UnmaskedClientFrame => "unmasked-client-frame",
                Violation::MaskedServerFrame => "masked-server-frame",
                Violation::OversizedControl { .. } => "oversized-control",
                Violation::LengthTopBit => "length-top-bit",
                Violation::NonMinimalLength { .. } => "non-minimal-length",
                Violation::TruncatedCloseCode => "truncated-close-code",
                Violation::InvalidCloseCode(_) => "invalid-close-code",
                Violation::InvalidUtf8InCloseReason => "invalid-utf8-in-close-reason",
                Violation::InvalidUtf8InText => "invalid-utf8-in-text",
                Violation::CorruptDeflate => "corrupt-deflate",
                _ => "violation",
            },
        }
    }

    /// The RFC that has the rule: 6455, 7692 for compressed messages, or 9112 for HTTP.
    #[must_use]
    pub const fn rfc(&self) -> u16 {
        self.cited().0
    }

    /// The section of the [RFC](Self::rfc) that has the rule.
    #[must_use]
    pub const fn section(&self) -> &'static str {
        self.cited().1
    }

    const fn cited(&self) -> (u16, &'static str) {
        match self {
            Self::Rule(rule) | Self::InvalidUtf8 { rule, .. } => (rule.rfc(), rule.section()),
            Self::DataAfterClose { .. } => (6455, "5.5.1"),
            Self::BeforeResponse => (6455, "4.1"),
            Self::MalformedHead(_) => (9112, "2.2"),
            Self::Request(refusal) => match refusal {
                Refusal::Version => (6455, "4.4"),
                Refusal::Extensions => (6455, "9.1"),
                Refusal::Host | Refusal::Upgrade | Refusal::Connection | Refusal::Key => (6455, "4.2.1"),
                _ => (6455, "4.1"),
            },
            Self::Response(HandshakeError::Extension(error)) => match error {
                NegotiationError::Malformed => (6455, "9.1"),
                NegotiationError::Several => (7692, "5.1"),
                NegotiationError::UnknownParameter => (7692, "7"),
                NegotiationError::Parameter(_) => (7692, "7.1"),
                _ => (6455, "4.1"),
            },
            Self::Response(_) => (6455, "4.1"),
        }
    }

    /// The code a receiver fails the connection with; `None` where it does not, or where there is none yet to be closed.
    #[must_use]
    pub const fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Rule(rule) | Self::InvalidUtf8 { rule, .. } => Some(rule.close_code()),
            _ => None,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => rule.fmt(f),
            Self::InvalidUtf8 { rule, at } => write!(f, "{rule}: {at}"),
            Self::DataAfterClose { close } => {
                write!(f, "a data frame after the Close in frame {close} (RFC 6455 §5.5.1)")
            }
            Self::BeforeResponse => {
                f.write_str("a client must wait for the response before it sends frames (RFC 6455 §4.1)")
            }
            Self::Request(refusal) => refusal.fmt(f),
            Self::Response(error) => error.fmt(f),
            Self::MalformedHead(why) => write!(f, "the head cannot be read as HTTP: {why} (RFC 9112 §2.2)"),
        }
    }
}

impl fmt::Display for BadUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.byte {
            Some(byte) => {
                let inflated = if self.inflated { "inflated " } else { "" };
                write!(f, "byte {} of the {inflated}payload, {byte:02X}, cannot stand here", self.in_payload)
            }
            None => f.write_str("it ends within a character"),
        }
    }
}

/// Of the rules a padded header breaks, those that the bytes which have come are enough for. `bits` of them are there.
pub(crate) fn is_decided(violation: Violation, header: Header, bits: usize) -> bool {
    let layout = header.layout();
    let needs = match violation {
        Violation::UnmaskedClientFrame | Violation::MaskedServerFrame => layout.mask().end,
        Violation::OversizedControl { .. } | Violation::LengthTopBit | Violation::NonMinimalLength { .. } => {
            layout.extended_len().unwrap_or(layout.len()).end
        }
        _ => layout.opcode().end,
    };
    needs <= bits
}
