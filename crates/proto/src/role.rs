//! Who we are in a connection: the one thing the two ends do not share.

/// The role an endpoint plays in a connection.
///
/// RFC 6455 treats both ends alike but for three things: who begins the opening handshake (§4), who masks (§5.1) and who
/// closes the TCP connection first (§7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two ends")]
pub enum Role {
    /// The end that opened the connection. It masks what it sends.
    Client,
    /// The end that accepted it. It does not mask, and closes TCP first.
    Server,
}

impl Role {
    /// The role of the other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// Whether this end masks the frames it sends (§5.1).
    #[must_use]
    pub const fn masks(self) -> bool {
        matches!(self, Self::Client)
    }
}

impl core::fmt::Display for Role {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}
