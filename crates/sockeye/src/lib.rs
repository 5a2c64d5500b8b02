//! WebSocket client and server on tokio: strict, complete and fast.
//!
//! A client:
//!
//! ```no_run
//! # async fn run() -> Result<(), sockeye::Error> {
//! let mut ws = sockeye::connect("ws://127.0.0.1:8080/echo").await?;
//! ws.send("你好").await?;
//! while let Some(message) = ws.recv().await? {
//!     println!("{message:?}");
//!     ws.close(sockeye::CloseCode::NORMAL, "bye").await?;
//! }
//! # Ok(()) }
//! ```
//!
//! A server that echoes:
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use sockeye::WebSocket;
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! sockeye::serve(listener, |mut ws: WebSocket| async move {
//!     while let Some(message) = ws.recv().await? {
//!         ws.send(message).await?;
//!     }
//!     Ok(())
//! })
//! .await?;
//! # Ok(()) }
//! ```
//!
//! [`Server`] has what one in the open needs: limits on connections, ordinary HTTP beside WebSockets, asking before one is
//! opened, an end in good order ([`Drain`]). In a server of another crate call [`upgrade`].
//!
//! | what | where |
//! |---|---|
//! | the protocol itself, without I/O | [`sockeye-proto`](sockeye_proto) |
//! | [`WebSocket`]: one type for client and server | `websocket.rs`, driven by `stream.rs`, the only file that touches socket I/O |
//! | [`connect`]; over HTTP/2 with the feature `http2` | `client/` |
//! | a client that connects again | [`reconnect`] |
//! | [`Server`], [`serve`], [`upgrade`]; HTTP/2 with the feature `http2`, on by default; `axum`, `tower` | `server/` |
//! | [`tap`]: a copy of the raw bytes, for whoever watches | `tap/`, a transport around the transport |
//! | numbers for a dashboard, with the feature `metrics` | `metrics.rs` |
//! | TLS: `wss:` URLs, and [`Serve`] with a certificate | `tls.rs`, over rustls; the feature `ring`, on by default, or `aws-lc` |
//!
//! **Limits** are on by default: see [`Limits`]. **Cancel safety** is said for each method, and tested.
#![warn(missing_docs, clippy::std_instead_of_core, clippy::unwrap_used)]
#![forbid(unsafe_code)]

mod error;
mod closed;
mod budget;
mod sync;
mod transport;
pub mod tap;
mod buffer;
mod random;
mod ahead;
mod stream;
mod waiters;
mod alarm;
mod scope;
mod shared;
mod driven;
mod receiver;
mod recv_stream;
mod sender;
mod send_stream;
mod websocket;
mod halves;
#[cfg(feature = "futures")]
mod futures;
#[cfg(feature = "tls")]
mod tls;
mod client;
pub mod reconnect;
mod metrics;
mod server;

pub use budget::Budget;
pub use client::{Connect, connect};
#[cfg(feature = "http2")]
pub use client::{Http2, HttpVersion};
pub use closed::{Closed, ClosedBy};
pub use driven::drive;
pub use error::{Error, ErrorKind, Phase, ProxyError, TlsError};
pub use halves::{Incoming, Outgoing};
pub use receiver::Receiver;
pub use recv_stream::RecvStream;
pub use send_stream::SendStream;
pub use sender::{Sender, TrySendError};
#[cfg(feature = "axum")]
pub use server::Rejection;
#[cfg(feature = "tower")]
pub use server::WithDrain;
pub use server::{
    Body, Drain, Draining, HandlerResult, Listener, Peer, Request, Response, Serve, Server, ServerBuilder, Upgrade,
    Upgrader, serve, upgrade,
};
pub use sockeye_proto::connection::Prepared;
pub use sockeye_proto::deflate::Compression;
pub use sockeye_proto::handshake::{Agreed, HandshakeError, OriginPolicy, Refusal};
pub use sockeye_proto::{
    CloseCode, CloseReason, Error as ProtocolError, LimitExceeded, Limits, Message, MessageKind, MessageRef, Role,
    Text, Violation,
};
pub use tap::Tap;
#[cfg(feature = "tls")]
#[doc(no_inline)]
pub use tokio_rustls::rustls;
pub use websocket::{WebSocket, WebSocketBuilder};

/// The examples of the README are compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// And those of the guide.
#[cfg(all(doctest, feature = "http2", feature = "proxy", feature = "tls"))]
#[doc = include_str!("../../../docs/guide/client.md")]
struct ClientGuide;
#[cfg(all(doctest, feature = "tls"))]
#[doc = include_str!("../../../docs/guide/deployment.md")]
struct Deployment;
