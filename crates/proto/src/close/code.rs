//! The numbers that say why a connection closes.

use core::fmt;

/// A close code (RFC 6455 §7.4), with the names of IANA's registry.
///
/// A newtype: a code that means nothing to us can still be received, shown and passed on.
///
/// ```
/// use sockeye_proto::CloseCode;
///
/// assert_eq!(CloseCode::NORMAL.as_u16(), 1000);
/// assert!(CloseCode::from(4000).may_be_sent());
/// assert!(!CloseCode::NO_STATUS_RECEIVED.may_be_sent());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server goes down, or the page is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke a rule of the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data this endpoint cannot accept.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: the Close frame had no code. Never sent.
    pub const NO_STATUS_RECEIVED: Self = Self(1005);
    /// 1006: the connection ended without a Close frame. Never sent.
    pub const ABNORMAL_CLOSURE: Self = Self(1006);
    /// 1007: data that does not fit its kind, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a policy is violated, and no other code fits.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message too big to process.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1010: the client needs an extension that the server did not agree to.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid answer from behind it.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: the TLS handshake failed. Never sent.
    pub const TLS_HANDSHAKE: Self = Self(1015);

    /// The code as a number.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// Whether the code may stand in a Close frame.
    ///
    /// That is so for the codes IANA has registered, apart from those that only stand for the absence of one (1005, 1006,
    /// 1015), and for 3000–4999, which are for libraries and applications (§7.4.2).
    #[must_use]
    pub const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// The registry's name, if the code has one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NORMAL => "Normal Closure",
            Self::GOING_AWAY => "Going Away",
            Self::PROTOCOL_ERROR => "Protocol error",
            Self::UNSUPPORTED_DATA => "Unsupported Data",
            Self::NO_STATUS_RECEIVED => "No Status Rcvd",
            Self::ABNORMAL_CLOSURE => "Abnormal Closure",
            Self::INVALID_PAYLOAD => "Invalid frame payload data",
            Self::POLICY_VIOLATION => "Policy Violation",
            Self::MESSAGE_TOO_BIG => "Message Too Big",
            Self::MANDATORY_EXTENSION => "Mandatory Ext.",
            Self::INTERNAL_ERROR => "Internal Error",
            Self::SERVICE_RESTART => "Service Restart",
            Self::TRY_AGAIN_LATER => "Try Again Later",
            Self::BAD_GATEWAY => "Bad Gateway",
            Self::TLS_HANDSHAKE => "TLS handshake",
            _ => return None,
        })
    }
}

impl From<u16> for CloseCode {
    fn from(code: u16) -> Self {
        Self(code)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} {name}", self.0),
            None => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ranges of §7.4.1, §7.4.2 and IANA's registry, written out.
    #[test]
    fn of_all_codes_only_the_registered_and_the_private_ones_may_be_sent() {
        let registered = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
        for code in 0..=u16::MAX {
            let expected = registered.contains(&code) || (3000..5000).contains(&code);
            assert_eq!(CloseCode::from(code).may_be_sent(), expected, "{code}");
        }
    }
}
