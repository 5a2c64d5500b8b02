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
//! To share a port with other HTTP, call [`upgrade`] in a hyper service.
//!
//! | what | where |
//! |---|---|
//! | the protocol itself, without I/O | [`sockeye-proto`](sockeye_proto) |
//! | [`WebSocket`]: one type for client and server | `websocket.rs`, driven by `stream.rs`, the only file that touches socket I/O |
//! | [`connect`] | `client.rs` |
//! | [`serve`], [`upgrade`] | `server/` |
//!
//! **Limits** are on by default: see [`Limits`]. **Cancel safety** is said for each method, and tested.
#![warn(missing_docs, clippy::std_instead_of_core, clippy::unwrap_used)]
#![forbid(unsafe_code)]

mod error;
mod transport;
mod buffer;
mod random;
mod stream;
mod websocket;
mod client;
mod server;

pub use client::{Connect, connect};
pub use error::{Error, Phase};
pub use server::{HandlerResult, Serve, Upgrade, Upgrader, serve, upgrade};
pub use sockeye_proto::connection::Prepared;
pub use sockeye_proto::deflate::Compression;
pub use sockeye_proto::handshake::{HandshakeError, OriginPolicy, Refusal};
pub use sockeye_proto::{
    CloseCode, CloseReason, Error as ProtocolError, LimitExceeded, Limits, Message, Role, Text, Violation,
};
pub use websocket::WebSocket;

/// The opening handshake: the time it may take, from the connection's first moment.
const OPENING: core::time::Duration = core::time::Duration::from_secs(10);
/// The opening handshake: the most bytes of an HTTP head.
const HEAD_BYTES: usize = 8 << 10;
/// The opening handshake: the most fields of an HTTP head.
const HEAD_FIELDS: usize = 128;

/// The examples of the README are compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
