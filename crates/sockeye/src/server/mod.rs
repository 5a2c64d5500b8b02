//! The server's end, in the order a connection meets it: [`Server`] and its listeners, the accept loop, HTTP, and from
//! a request to a WebSocket and its handler. `upgrade` is for servers of other crates, too.

mod builder;
mod handle;
mod listener;
mod accept;
mod admission;
mod connection;
mod pace;
#[cfg(feature = "http2")]
mod version;
mod http;
mod peer;
mod body;
mod upgrade;
mod stream;
mod seat;
mod drain;
mod drive;
mod serve;
#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "tower")]
mod tower;

#[cfg(feature = "axum")]
pub use axum::Rejection;
pub use body::{Body, Request, Response};
pub use builder::ServerBuilder;
pub use drain::{Drain, Draining};
pub use drive::HandlerResult;
pub use handle::Server;
pub use listener::Listener;
pub use peer::Peer;
pub(crate) use seat::Seat;
pub use serve::{Serve, serve};
#[cfg(feature = "tower")]
pub use tower::WithDrain;
#[cfg(feature = "tls")]
pub(crate) use upgrade::take_back;
pub use upgrade::{Upgrade, Upgrader, upgrade};
