//! How somebody who plays a client by hand comes to the server.

use core::future::Future;
use core::pin::Pin;

use sockeye::tap::Line;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes both ways.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A connection to the server, on which the request is still to be sent.
pub(crate) struct Reached {
    pub(crate) stream: Box<dyn Duplex>,
    /// The request's `Host` and its target.
    pub(crate) host: String,
    pub(crate) target: String,
    /// What goes over it is copied here, under this number.
    pub(crate) lines: Vec<Line>,
    pub(crate) number: u64,
}

/// Connects, for a path that is to be asked for; or says why not.
pub(crate) type Reach = dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<Reached, String>> + Send>> + Send + Sync;
