//! What the two ends agreed on.

use crate::role::Role;

/// The parameters that a handshake ended with (§7.1), for each of the two ends as a sender.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};
/// use sockeye_proto::{Role, deflate::{Compression, verify}};
///
/// let answer = HeaderValue::from_static("permessage-deflate; server_no_context_takeover; client_max_window_bits=10");
/// let response = HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, answer)]);
/// let params = verify(&response, &Compression::takeover().window_bits(15))?.expect("the answer has it");
/// assert!(params.takeover(Role::Client) && !params.takeover(Role::Server));
/// assert_eq!((params.window_bits(Role::Client), params.window_bits(Role::Server)), (10, 15));
/// # Ok::<(), sockeye_proto::deflate::NegotiationError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Params {
    pub(super) client: Sending,
    pub(super) server: Sending,
}

/// How one end sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sending {
    pub(super) takeover: bool,
    pub(super) window_bits: u8,
}

impl Params {
    /// Whether what this end sends may refer to its earlier messages.
    #[must_use]
    pub const fn takeover(&self, sender: Role) -> bool {
        self.of(sender).takeover
    }

    /// How far back what this end sends refers at most, as a power of two: 8 to 15.
    #[must_use]
    pub const fn window_bits(&self, sender: Role) -> u8 {
        self.of(sender).window_bits
    }

    const fn of(&self, sender: Role) -> Sending {
        match sender {
            Role::Client => self.client,
            Role::Server => self.server,
        }
    }
}
