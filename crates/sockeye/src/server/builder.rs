//! What a server is made with: the one place for its limits and choices.

use core::time::Duration;
#[cfg(feature = "tls")]
use std::sync::Arc;

use sockeye_proto::Limits;
use sockeye_proto::deflate::Compression;
use sockeye_proto::handshake::OriginPolicy;
#[cfg(feature = "tls")]
use tokio_rustls::rustls::ServerConfig;

use super::admission::Admission;
use super::drain::Drain;
use super::handle::{Inner, Server};
use super::upgrade::Upgrader;
use crate::budget::Budget;
use crate::metrics;
#[cfg(feature = "tls")]
use crate::tls;

/// A [`Server`] about to be, from [`Server::builder`].
#[derive(Clone, Debug)]
#[must_use = "it is `build` that makes a server of it"]
pub struct ServerBuilder {
    upgrader: Upgrader,
    max_connections: usize,
    max_connections_per_address: usize,
    drain: Option<Drain>,
    idle: Duration,
    streams: u32,
    #[cfg(feature = "tls")]
    tls: Option<Arc<ServerConfig>>,
}

impl ServerBuilder {
    pub(super) fn new() -> Self {
        Self {
            upgrader: Upgrader::default(),
            max_connections: usize::MAX,
            max_connections_per_address: usize::MAX,
            drain: None,
            // Between nginx's 75 s and what we allow for a request.
            idle: Duration::from_secs(60),
            streams: 100,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// The limits on each connection.
    pub fn limits(self, limits: Limits) -> Self {
        Self { upgrader: self.upgrader.limits(limits), ..self }
    }

    /// Which pages may connect; those of the same host unless set.
    pub fn origin(self, origin: OriginPolicy) -> Self {
        Self { upgrader: self.upgrader.origin(origin), ..self }
    }

    /// The subprotocols that are spoken here, the ones the server likes best first.
    pub fn subprotocols<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self { upgrader: self.upgrader.subprotocols(names), ..self }
    }

    /// Whether to compress messages where the client offers it (RFC 7692); off unless set.
    pub fn compression(self, compression: Compression) -> Self {
        Self { upgrader: self.upgrader.compression(compression), ..self }
    }

    /// A bound on what all connections hold together, besides the limits on each; none unless set.
    pub fn budget(self, budget: &Budget) -> Self {
        Self { upgrader: self.upgrader.budget(budget), ..self }
    }

    /// All of what is decided by when a client asks for a WebSocket, as one value.
    pub fn upgrader(self, upgrader: Upgrader) -> Self {
        Self { upgrader, ..self }
    }

    /// The most connections there may be, those that still speak HTTP and each WebSocket on a stream of HTTP/2 counted.
    /// No bound unless set; the system has one on descriptors.
    ///
    /// When there are so many no further connection is accepted: clients wait in the system's queue until somebody
    /// leaves. A WebSocket on a stream is refused with 503.
    pub fn max_connections(self, connections: usize) -> Self {
        Self { max_connections: connections.max(1), ..self }
    }

    /// The most connections there may be from one IPv4 address, or from one /64 of IPv6; no bound unless set. Behind a
    /// proxy all of them come from the proxy.
    ///
    /// One too many is closed as soon as it is accepted, without an answer. A WebSocket on a stream is refused with
    /// 503.
    pub fn max_connections_per_address(self, connections: usize) -> Self {
        Self { max_connections_per_address: connections.max(1), ..self }
    }

    /// How long a connection may be open between a response and the next request; 60 s unless set. One of HTTP/2 is not
    /// idle while a WebSocket is open on it.
    pub fn idle(self, time: Duration) -> Self {
        Self { idle: time, ..self }
    }

    /// The most streams, and so the most WebSockets, on one connection of HTTP/2; 100 unless set, which is the least
    /// that RFC 9113 §6.5.2 advises.
    #[cfg(feature = "http2")]
    pub fn max_streams(self, streams: u32) -> Self {
        Self { streams: streams.max(1), ..self }
    }

    /// What closes the server's WebSockets when it stops; one of its own unless set. Servers that share one stop
    /// together.
    pub fn drain(self, drain: &Drain) -> Self {
        Self { drain: Some(drain.clone()), ..self }
    }

    /// Serves `https:` and `wss:` by this certificate and configuration; nothing else is answered then. Where the
    /// configuration names no protocol for ALPN, those are HTTP/2 (with the feature `http2`) and HTTP/1.1.
    /// [`Server::set_tls`] replaces it while the server runs.
    #[cfg(feature = "tls")]
    pub fn tls(self, config: Arc<ServerConfig>) -> Self {
        Self { tls: Some(tls::server_config(config)), ..self }
    }

    /// Makes the server. It serves once it is given a listener.
    pub fn build(self) -> Server {
        metrics::describe();
        self.make(true)
    }

    /// One that nobody has a handle to, if it `takes_note` of nothing.
    pub(super) fn make(self, takes_note: bool) -> Server {
        Server::new(Inner {
            upgrader: self.upgrader,
            admission: Admission::new(self.max_connections, self.max_connections_per_address),
            drain: self.drain.unwrap_or_default(),
            takes_note: takes_note || cfg!(feature = "metrics"),
            idle: self.idle,
            streams: self.streams,
            #[cfg(feature = "tls")]
            tls: self.tls.into(),
        })
    }
}
