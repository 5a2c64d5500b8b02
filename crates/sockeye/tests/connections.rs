//! Tests of connections, in one program: of thirty small ones most of the time would go into linking. Those that count what
//! the whole process holds have programs of their own.

#[path = "support/counted.rs"]
mod counted;
mod support;

mod abandoned;
#[cfg(feature = "axum")]
mod axum;
mod builder;
mod cancel_matrix;
mod cancel_safety;
mod client;
mod compression;
mod connecting;
mod drain;
mod driven;
mod endings;
#[cfg(feature = "futures")]
mod futures;
mod halves;
mod hammer;
#[cfg(all(feature = "http2", feature = "ring"))]
mod http2_client;
mod lost_wakeups;
mod pieces;
#[cfg(feature = "proxy")]
mod proxies;
mod reconnect;
mod redirects;
mod server;
mod service;
mod streams;
mod tap;
#[cfg(feature = "ring")]
mod tls;
mod upgrade;
