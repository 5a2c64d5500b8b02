//! What is good to know and breaks no rule: it never makes anything fail.

use core::fmt;

use sockeye_proto::frame::{Header, Opcode, Violation};
use sockeye_proto::mask::MaskingKey;

use crate::{Finding, InflateOutcome, Inflated, MessagePart};

/// Something that RFC 6455 or 7692 allows, and that its sender may not have meant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// A fragment without a byte of payload.
    EmptyFragment,
    /// A message in several frames that one would have held.
    UnneededFragments {
        /// How many frames it came in.
        fragments: u64,
        /// Bytes of payload in all.
        bytes: u64,
    },
    /// A message that is larger compressed than plain.
    GrownByCompression {
        /// Bytes as it was sent.
        compressed: u64,
        /// Bytes it inflates to.
        inflated: u64,
    },
    /// A masking key that the frame before had, too.
    RepeatedKey,
    /// A masking key of zeros, which masks nothing.
    ZeroKey,
    /// RSV1 breaks a rule here, and would mean a compressed message if that had been agreed on.
    MaybeCompressed,
    /// RSV1 on a continuation: permessage-deflate sets it on a message's first frame only.
    RsvOnContinuation,
    /// The response agrees on an extension that was offered and is not known here: the bits it uses are judged as if it
    /// were not there.
    UnknownExtension(String),
}

impl Hint {
    /// Bytes of payload up to which a message has no need of several frames: they fit one packet of most networks.
    pub const ONE_FRAME: u64 = 1400;

    /// What is to be said of a header, after a frame with this key; `findings` are the rules it breaks.
    pub(crate) fn of_header(header: Header, last_key: Option<MaskingKey>, findings: &[Finding]) -> Vec<Self> {
        let mut hints = Vec::new();
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
        // That a key "needs to be unpredictable" is no rule that two frames alike can be proven to break.
        match header.masking_key() {
            Some(MaskingKey::ZERO) => hints.push(Self::ZeroKey),
            Some(key) if last_key == Some(key) => hints.push(Self::RepeatedKey),
            _ => {}
        }
        if !header.opcode().is_control() && findings.contains(&Finding::Rule(Violation::ReservedBit(1))) {
            let is_continuation = header.opcode() == Opcode::CONTINUATION;
            hints.push(if is_continuation { Self::RsvOnContinuation } else { Self::MaybeCompressed });
        }
        hints
    }

    /// What is to be said of a data frame that is whole: its part of a message, and how many bytes it has.
    pub(crate) fn of_data(part: &MessagePart, inflated: Option<&Inflated>, bytes: u64, fin: bool) -> Vec<Self> {
        let mut hints = Vec::new();
        if bytes == 0 && (part.fragment > 1 || !fin) {
            hints.push(Self::EmptyFragment);
        }
        if fin && part.fragment > 1 && part.len <= Self::ONE_FRAME {
            hints.push(Self::UnneededFragments { fragments: part.fragment, bytes: part.len });
        }
        let good = inflated.filter(|inflated| fin && inflated.outcome == InflateOutcome::Good);
        if let Some(inflated) = good.filter(|inflated| inflated.len < part.len) {
            hints.push(Self::GrownByCompression { compressed: part.len, inflated: inflated.len });
        }
        hints
    }

    /// A name for programs, which stays what it is.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::EmptyFragment => "empty-fragment",
            Self::UnneededFragments { .. } => "unneeded-fragments",
            Self::GrownByCompression { .. } => "grown-by-compression",
            Self::RepeatedKey => "repeated-key",
            Self::ZeroKey => "zero-key",
            Self::MaybeCompressed => "maybe-compressed",
            Self::RsvOnContinuation => "rsv1-on-continuation",
            Self::UnknownExtension(_) => "unknown-extension",
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyFragment => f.write_str("a fragment of 0 bytes: it adds nothing to its message"),
            Self::UnneededFragments { fragments, bytes } => {
                write!(f, "{fragments} frames for a message of {bytes} bytes, which one would hold")
            }
            Self::GrownByCompression { compressed, inflated } => {
                write!(f, "compressed it takes {compressed} bytes, plain it would take {inflated}")
            }
            Self::RepeatedKey => {
                f.write_str("the masking key of the frame before; each frame needs a fresh one (§5.3)")
            }
            Self::ZeroKey => f.write_str("a masking key of zeros masks nothing; it has to be unpredictable (§5.3)"),
            Self::MaybeCompressed => f.write_str(
                "RSV1 here mostly means permessage-deflate: where both ends agreed on it, the payload is compressed \
                 (RFC 7692 §6)",
            ),
            Self::RsvOnContinuation => {
                f.write_str("permessage-deflate sets RSV1 on the first frame of a message only (RFC 7692 §6)")
            }
            // A name in the grammar is a token: visible ASCII.
            Self::UnknownExtension(name) => {
                write!(f, "the extension {name} is not known here; bits that it gives a meaning count as broken rules")
            }
        }
    }
}
