//! From a host to a stream of bytes with it: name resolution, TCP, Unix sockets.

use core::fmt;
use core::future::Future;
use core::net::{IpAddr, SocketAddr};
use core::pin::Pin;
use core::time::Duration;
use std::io;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;

use sockeye_proto::handshake::client::Target;
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use super::addresses::first_to_connect;
use crate::error::{Error, Phase};
use crate::transport::Transport;

/// How a server is reached.
#[derive(Clone, Debug, Default)]
pub(super) struct Dial {
    pub(super) resolver: Option<Resolver>,
    /// The address of ours to connect from.
    pub(super) local: Option<IpAddr>,
    #[cfg(unix)]
    pub(super) unix: Option<PathBuf>,
    /// How long it may take.
    pub(super) time: Option<Duration>,
}

impl Dial {
    /// A stream to the server, over whatever lies between.
    pub(super) async fn dial(&self, target: &Target) -> Result<Transport, Error> {
        match self.time {
            Some(time) => {
                let dialed = tokio::time::timeout(time, self.reach(target)).await;
                dialed.unwrap_or(Err(Error::Timeout(Phase::Connecting)))
            }
            None => self.reach(target).await,
        }
    }

    async fn reach(&self, target: &Target) -> Result<Transport, Error> {
        #[cfg(unix)]
        if let Some(path) = &self.unix {
            let stream = tokio::net::UnixStream::connect(path).await?;
            return Ok(Transport::Other(Box::pin(stream)));
        }
        Ok(Transport::Tcp(self.tcp(&target.host, target.port).await?))
    }

    /// A TCP connection with a host.
    async fn tcp(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let mut addresses = self.resolve(host, port).await?;
        let local = self.local;
        if let Some(local) = local {
            addresses.retain(|address| address.is_ipv4() == local.is_ipv4());
        }
        let stream = match addresses[..] {
            [address] => connect(address, local).await?,
            _ => first_to_connect(addresses, move |address| connect(address, local)).await?,
        };
        // A small message is not to wait for the acknowledgement of the one before.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match (&self.resolver, host.parse::<IpAddr>()) {
            (_, Ok(address)) => Ok(vec![SocketAddr::new(address, port)]),
            (Some(Resolver(resolve)), _) => resolve(host.to_owned(), port).await,
            (None, _) => Ok(lookup_host((host, port)).await?.collect()),
        }
    }
}

async fn connect(address: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(local) = local else {
        return TcpStream::connect(address).await;
    };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(local, 0))?;
    socket.connect(address).await
}

type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Looks up the addresses of a host, in the caller's own way.
#[derive(Clone)]
pub(super) struct Resolver(Arc<dyn Fn(String, u16) -> Resolving + Send + Sync>);

impl Resolver {
    pub(super) fn new<F, A>(resolve: impl Fn(String, u16) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<A>> + Send + 'static,
        A: IntoIterator<Item = SocketAddr>,
    {
        Self(Arc::new(move |host, port| {
            let resolving = resolve(host, port);
            Box::pin(async move { Ok(resolving.await?.into_iter().collect()) })
        }))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}
