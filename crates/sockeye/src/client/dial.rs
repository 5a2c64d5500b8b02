//! From a host to a stream of bytes with it: name resolution, TCP, Unix sockets, proxies.

use core::fmt;
use core::future::Future;
use core::net::{IpAddr, SocketAddr};
use core::pin::Pin;
use core::time::Duration;
use std::io;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;

use sockeye_proto::Limits;
use sockeye_proto::handshake::client::Target;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
#[cfg(feature = "tls")]
use tokio_rustls::rustls::ClientConfig;

use super::addresses::first_to_connect;
#[cfg(feature = "proxy")]
use super::proxy::{Proxies, Proxy};
#[cfg(all(feature = "proxy", feature = "tls"))]
use super::version::ONLY_HTTP_1_1;
use crate::error::{Error, Phase};
#[cfg(all(feature = "proxy", feature = "tls"))]
use crate::tls;
use crate::transport::Transport;

/// How a server is reached.
#[derive(Clone, Default)]
pub(super) struct Dial {
    pub(super) resolver: Option<Resolver>,
    /// The address of ours to connect from.
    pub(super) local: Option<IpAddr>,
    #[cfg(unix)]
    pub(super) unix: Option<PathBuf>,
    #[cfg(feature = "proxy")]
    pub(super) proxies: Proxies,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// How long it may take.
    pub(super) time: Option<Duration>,
}

impl Dial {
    /// A stream to the server, over whatever lies between.
    pub(super) async fn dial(&self, target: &Target, limits: &Limits) -> Result<Transport, Error> {
        match self.time {
            Some(time) => {
                let dialed = tokio::time::timeout(time, self.reach(target, limits)).await;
                dialed.unwrap_or(Err(Error::Timeout(Phase::Connecting)))
            }
            None => self.reach(target, limits).await,
        }
    }

    #[cfg_attr(not(feature = "proxy"), expect(unused_variables, reason = "the limits are for the answer of a proxy"))]
    async fn reach(&self, target: &Target, limits: &Limits) -> Result<Transport, Error> {
        #[cfg(unix)]
        if let Some(path) = &self.unix {
            let stream = tokio::net::UnixStream::connect(path).await?;
            return Ok(Transport::of(stream));
        }
        #[cfg(feature = "proxy")]
        if let Some(proxy) = self.proxies.towards(target)? {
            return self.through(&proxy, target, limits).await;
        }
        Ok(Transport::Tcp(self.tcp(&target.host, target.port).await?))
    }

    /// A stream to the server through a proxy, which looks up its name.
    #[cfg(feature = "proxy")]
    async fn through(&self, proxy: &Proxy, target: &Target, limits: &Limits) -> Result<Transport, Error> {
        let (host, port) = proxy.address();
        #[cfg(feature = "tls")]
        let tls = match proxy.is_secure() {
            true => Some(tls::Client::new(host, self.tls.clone(), ONLY_HTTP_1_1).await?),
            false => None,
        };
        #[cfg(not(feature = "tls"))]
        if proxy.is_secure() {
            return Err(crate::error::TlsError::without_feature(host).into());
        }
        let stream = self.tcp(host, port).await.map_err(|error| proxy.unreachable(error))?;
        let stream = Transport::Tcp(stream);
        #[cfg(feature = "tls")]
        let stream = match tls {
            Some(tls) => tls.connect(stream).await?.0,
            None => stream,
        };
        Ok(proxy.tunnel(stream, target, limits).await?)
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

/// All but the configuration of TLS, which is long.
impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Dial");
        shown.field("resolver", &self.resolver).field("local", &self.local).field("time", &self.time);
        #[cfg(unix)]
        shown.field("unix", &self.unix);
        #[cfg(feature = "proxy")]
        shown.field("proxies", &self.proxies);
        shown.finish_non_exhaustive()
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
