//! What connections come from.

use core::future::Future;
use core::net::SocketAddr;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// What a [`Server`](super::Server) takes connections from: a TCP or a Unix socket, or something of your own.
pub trait Listener: Send + 'static {
    /// What a connection's bytes go through.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection, and says whose it is, if that is an address.
    ///
    /// Dropping the future must lose no connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, Option<SocketAddr>)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (stream, address) = Self::accept(self).await?;
        // Fails only on a socket that has ended, as reading from it will.
        let _ = stream.set_nodelay(true);
        Ok((stream, Some(address)))
    }
}

#[cfg(unix)]
impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn accept(&mut self) -> io::Result<(UnixStream, Option<SocketAddr>)> {
        Self::accept(self).await.map(|(stream, _)| (stream, None))
    }
}
