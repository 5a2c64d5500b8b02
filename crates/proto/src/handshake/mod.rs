//! The opening handshake (RFC 6455 §4): both sides, as functions over [`http`]'s requests and responses.
//!
//! The bytes of HTTP are parsed by libraries made for it; here is what makes a request one for a WebSocket
//! ([`server`]), and a response the answer to it ([`client`]).

pub mod client;
pub mod server;
mod authority;
mod credentials;
mod target;
mod key;
mod list;
mod origin;
mod refusal;

pub use key::{Key, accept};
pub use list::{contains_token, tokens};
pub use origin::OriginPolicy;
pub use refusal::{HandshakeError, Refusal};

use crate::deflate::Params;

/// What the two ends have agreed on besides speaking the protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Agreed {
    /// The subprotocol, if any (§1.9).
    pub subprotocol: Option<String>,
    /// The parameters of permessage-deflate, if it is used (RFC 7692).
    pub compression: Option<Params>,
}
