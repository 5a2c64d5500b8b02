//! The way through a proxy: which one, and how it is asked.

use core::convert::Infallible;
use core::fmt;
use core::future::{Ready, ready};
use core::net::IpAddr;
use core::task::{Context, Poll};
use std::env;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri, header};
use http_body_util::Empty;
use hyper_util::client::legacy::connect::proxy::{SocksV4, SocksV5};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use sockeye_proto::Limits;
use sockeye_proto::handshake::client::Target;
use tokio::net::TcpStream;
use tower_service::Service;

use super::builder::without_userinfo;
use super::http1::client;
use crate::error::ProxyError;
use crate::transport::Transport;

/// Which proxy there is on the way.
#[derive(Clone, Default)]
pub(super) enum Proxies {
    /// What the environment says.
    #[default]
    Environment,
    None,
    /// The one with this URL.
    One(String),
}

impl Proxies {
    /// The proxy on the way to a server, if there is one.
    pub(super) fn towards(&self, target: &Target) -> Result<Option<Proxy>, ProxyError> {
        match self {
            Self::None => Ok(None),
            Self::One(url) => match Proxy::parse(url, "", target) {
                Some(proxy) => Ok(Some(proxy)),
                None => Err(ProxyError::caller(&without_userinfo(url), UNREADABLE)),
            },
            Self::Environment => in_environment(target),
        }
    }
}

const UNREADABLE: &str = "that is no URL of a proxy; it begins with http, https, socks5 or socks4";

/// The proxy that the environment names. It is read each time, as programs may change their own.
fn in_environment(target: &Target) -> Result<Option<Proxy>, ProxyError> {
    // A proxy elsewhere has another loopback than we.
    if is_loopback(&target.host) {
        return Ok(None);
    }
    let set = |name: &&str| env::var(name).ok().filter(|value| !value.trim().is_empty());
    let names = match target.secure {
        true => ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        // A CGI program finds there the header `Proxy` of whoever sent the request ("httpoxy", CVE-2016-5385).
        false if env::var_os("REQUEST_METHOD").is_some() => ["http_proxy", "", "all_proxy", "ALL_PROXY"],
        false => ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    };
    let Some((name, url)) = names.iter().find_map(|name| Some((name, set(name)?))) else {
        return Ok(None);
    };
    let except = ["no_proxy", "NO_PROXY"].iter().find_map(set).unwrap_or_default();
    match Proxy::parse(url.trim(), &except, target) {
        Some(proxy) => Ok(Some(proxy)),
        None if Proxy::parse(url.trim(), "", target).is_some() => Ok(None),
        // To connect past a proxy because its URL has a slip would tell the network what it was to hide.
        None => Err(ProxyError::caller(&format!("in ${name}"), UNREADABLE)),
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_name = host == "localhost" || host.ends_with(".localhost");
    is_name || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// A proxy, and what it wants to know of us.
pub(super) struct Proxy(Intercept);

impl Proxy {
    /// Reads a URL. `None`: it is none of a proxy, or the target is among those excepted.
    fn parse(url: &str, except: &str, target: &Target) -> Option<Self> {
        let scheme = if target.secure { Scheme::HTTPS } else { Scheme::HTTP };
        let mut asked = http::uri::Parts::default();
        asked.scheme = Some(scheme);
        asked.authority = Some(Authority::try_from(target.authority.as_bytes()).ok()?);
        asked.path_and_query = Some(PathAndQuery::from_static("/"));
        let matcher = Matcher::builder().all(url).no(except).build();
        matcher.intercept(&Uri::from_parts(asked).ok()?).map(Self)
    }

    /// Its host and port.
    pub(super) fn address(&self) -> (&str, u16) {
        let uri = self.0.uri();
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let default = match self.scheme() {
            "http" => 80,
            "https" => 443,
            _ => 1080,
        };
        (host, uri.port_u16().unwrap_or(default))
    }

    /// Whether it is spoken to over TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.scheme() == "https"
    }

    fn scheme(&self) -> &str {
        self.0.uri().scheme_str().unwrap_or_default()
    }

    /// What is wrong, for one who connects with the proxy.
    pub(super) fn unreachable(&self, error: std::io::Error) -> ProxyError {
        ProxyError::network(&self.to_string(), "it cannot be reached").because(error)
    }

    /// Has a proxy that was connected with connect with the server.
    pub(super) async fn tunnel(
        &self,
        stream: Transport,
        target: &Target,
        limits: &Limits,
    ) -> Result<Transport, ProxyError> {
        match (self.scheme(), stream) {
            ("http" | "https", stream) => self.http(stream, target, limits).await,
            (_, Transport::Tcp(stream)) => self.socks(stream, target).await,
            _ => unreachable!("SOCKS is spoken over plain TCP"),
        }
    }

    /// Asks by CONNECT (RFC 9110 §9.3.6). hyper reads no more of the answer than the limits allow for a head.
    async fn http(&self, stream: Transport, target: &Target, limits: &Limits) -> Result<Transport, ProxyError> {
        let failed = |error: hyper::Error| {
            let why = match error.is_incomplete_message() {
                true => "it ended the connection before it had answered",
                false => "what it answered could not be read as HTTP",
            };
            ProxyError::network(&self.to_string(), why).because(error)
        };
        let authority = authority(target);
        let mut request = Request::connect(&authority).header(header::HOST, &authority);
        if let Some(authorization) = self.0.basic_auth() {
            request = request.header(header::PROXY_AUTHORIZATION, authorization);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| self.cannot_ask(error))?;

        let (mut http, connection) = client(limits).handshake(TokioIo::new(stream)).await.map_err(failed)?;
        tokio::spawn(connection.with_upgrades());
        let response = http.send_request(request).await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(ProxyError::answered(&self.to_string(), response.status()));
        }
        // Not taken apart: what hyper has read behind the answer is the server's, and comes first.
        let upgraded = hyper::upgrade::on(response).await.map_err(failed)?;
        Ok(Transport::of(TokioIo::new(upgraded)))
    }

    /// Asks by SOCKS (RFC 1928, RFC 1929), or by its version 4a. It is the proxy who looks up the server's name.
    async fn socks(&self, stream: TcpStream, target: &Target) -> Result<Transport, ProxyError> {
        let server = Uri::builder().scheme("socks").authority(authority(target)).path_and_query("/").build();
        let server = server.map_err(|error| self.cannot_ask(error))?;
        let (there, connected) = (self.0.uri().clone(), Connected(Some(stream)));
        let tunnel = match (self.scheme(), self.0.raw_auth()) {
            ("socks4" | "socks4a", _) => SocksV4::new(there, connected).call(server).await,
            (_, None) => SocksV5::new(there, connected).call(server).await,
            (_, Some((user, password))) => {
                let mut proxy = SocksV5::new(there, connected).with_auth(user.to_owned(), password.to_owned());
                proxy.call(server).await
            }
        };
        match tunnel {
            Ok(stream) => Ok(Transport::Tcp(stream.into_inner())),
            // All that is known of it is what it says.
            Err(error) => Err(ProxyError::network(&self.to_string(), error.to_string())),
        }
    }

    fn cannot_ask(&self, error: http::Error) -> ProxyError {
        ProxyError::caller(&self.to_string(), "the server's name cannot be sent to it").because(error)
    }
}

/// Host and port, for a proxy: an IPv6 address in its brackets, the port in any case.
fn authority(target: &Target) -> String {
    match target.host.contains(':') {
        true => format!("[{}]:{}", target.host, target.port),
        false => format!("{}:{}", target.host, target.port),
    }
}

/// As a URL, without a user name and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0.uri().authority().map_or("", Authority::as_str);
        write!(f, "{}://{authority}", self.scheme())
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::None => f.write_str("None"),
            Self::One(url) => without_userinfo(url).fmt(f),
        }
    }
}

/// Hands a connected stream to what would connect it.
struct Connected(Option<TcpStream>);

impl Service<Uri> for Connected {
    type Response = TokioIo<TcpStream>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(Ok(TokioIo::new(self.0.take().expect("it is asked for once"))))
    }
}
