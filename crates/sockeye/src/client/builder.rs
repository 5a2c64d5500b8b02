//! What is set about a WebSocket before it is opened.

use core::fmt;
use core::future::{Future, IntoFuture};
use core::net::{IpAddr, SocketAddr};
use core::pin::Pin;
use core::time::Duration;
use std::io;
#[cfg(unix)]
use std::path::PathBuf;
#[cfg(feature = "tls")]
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use sockeye_proto::Limits;
use sockeye_proto::deflate::Compression;
use sockeye_proto::handshake::HandshakeError;
use sockeye_proto::handshake::client::{Offer, basic_auth, bearer_auth};
use tokio::io::{AsyncRead, AsyncWrite};
#[cfg(feature = "tls")]
use tokio_rustls::rustls::ClientConfig;

use super::dial::{Dial, Resolver};
#[cfg(feature = "http2")]
use super::http2::Http2;
#[cfg(feature = "proxy")]
use super::proxy::Proxies;
#[cfg(feature = "http2")]
use super::version::HttpVersion;
use super::version::{ONLY_HTTP_1_1, Versions};
use crate::budget::Budget;
use crate::error::{Error, Phase};
use crate::reconnect::{Backoff, Reconnect};
use crate::websocket::WebSocket;

/// A WebSocket about to be opened, from [`connect`](super::connect). Awaiting it opens it.
#[derive(Clone)]
#[must_use = "nothing is opened until it is awaited"]
pub struct Connect {
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    /// The first of what was set that cannot be sent; reported when awaited.
    pub(super) invalid: Option<HandshakeError>,
    pub(super) offer: Offer,
    pub(super) limits: Limits,
    pub(super) budget: Option<Budget>,
    pub(super) dial: Dial,
    /// How many redirections are followed.
    pub(super) redirects: usize,
    /// The versions of HTTP that may be spoken.
    pub(super) versions: Versions,
    /// A connection to open it on, and what to ask for there.
    #[cfg(feature = "http2")]
    pub(super) shared: Option<(Http2, String)>,
}

impl Connect {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            headers: HeaderMap::new(),
            invalid: None,
            offer: Offer::default(),
            limits: Limits::default(),
            budget: None,
            dial: Dial::default(),
            redirects: 0,
            versions: ONLY_HTTP_1_1,
            #[cfg(feature = "http2")]
            shared: None,
        }
    }

    // --- what is asked ---

    /// Another URL than the one it was made with: for [`Clone`]s of what is otherwise the same.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        #[cfg(feature = "http2")]
        {
            // Who knows where that leads.
            self.shared = None;
        }
        self
    }

    /// Adds a header to the request. Those of the handshake itself (`Connection`, `Upgrade`, `Sec-WebSocket-*`) cannot be
    /// set.
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(mut value)) => {
                // Kept out of what is shown for debugging.
                value.set_sensitive(value.is_sensitive() || CREDENTIALS.contains(&name));
                self.headers.append(name, value);
                self
            }
            _ => self.refuse(HandshakeError::InvalidHeader),
        }
    }

    /// Says which page or program asks: some servers want to know (RFC 6455 §10.2), as browsers tell them. `null` and
    /// `https://example.com` are in its grammar.
    pub fn origin(mut self, origin: impl TryInto<HeaderValue>) -> Self {
        match origin.try_into() {
            Ok(origin) => {
                self.headers.insert(header::ORIGIN, origin);
                self
            }
            Err(_) => self.refuse(HandshakeError::InvalidHeader),
        }
    }

    /// Shows the server a user name and a password (RFC 7617). In place of other credentials that were set here; a user
    /// name in the URL besides is an error.
    pub fn basic_auth(self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        self.authorization(basic_auth(user.as_ref(), password.as_ref()))
    }

    /// Shows the server a token (RFC 6750). In place of other credentials that were set here; a user name in the URL besides
    /// is an error.
    pub fn bearer_auth(self, token: impl AsRef<str>) -> Self {
        self.authorization(bearer_auth(token.as_ref()))
    }

    fn authorization(mut self, value: Result<HeaderValue, HandshakeError>) -> Self {
        match value {
            Ok(value) => {
                self.headers.insert(header::AUTHORIZATION, value);
                self
            }
            Err(error) => self.refuse(error),
        }
    }

    /// Notes that it cannot be sent as it is.
    fn refuse(mut self, error: HandshakeError) -> Self {
        self.invalid.get_or_insert(error);
        self
    }

    /// Offers a subprotocol; the first offered is the one we like best. [`WebSocket::subprotocol`] has the server's choice.
    pub fn subprotocol(self, name: impl Into<String>) -> Self {
        Self { offer: self.offer.subprotocol(name), ..self }
    }

    /// Offers to compress messages (RFC 7692); off unless set.
    pub fn compression(self, compression: Compression) -> Self {
        Self { offer: self.offer.compression(compression), ..self }
    }

    // --- what bounds it ---

    /// The limits on the connection.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The most bytes a received message may have; short for the one [limit](Self::limits) that is set most.
    pub fn max_message(self, bytes: usize) -> Self {
        Self { limits: self.limits.message(bytes), ..self }
    }

    /// How long connecting and the opening handshake may take in all; short for [`Limits::opening`].
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { limits: self.limits.opening(timeout), ..self }
    }

    /// A bound on what all connections that share it hold, besides the limits on each; none unless set.
    pub fn budget(self, budget: &Budget) -> Self {
        Self { budget: Some(budget.clone()), ..self }
    }

    // --- how the server is reached ---

    /// What TLS goes by for a `wss:` URL: roots of your own, a certificate for the client. Where the configuration names no
    /// protocol for ALPN, the version of HTTP is offered that is to be spoken: HTTP/1.1 unless set.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// use std::sync::Arc;
    ///
    /// use sockeye::rustls::pki_types::CertificateDer;
    /// use sockeye::rustls::pki_types::pem::PemObject;
    /// use sockeye::rustls::{ClientConfig, RootCertStore};
    ///
    /// let mut roots = RootCertStore::empty();
    /// roots.add(CertificateDer::from_pem_file("root.pem")?)?;
    /// let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    /// let mut ws = sockeye::connect("wss://localhost:8443/").tls(Arc::new(config)).await?;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: Arc<ClientConfig>) -> Self {
        self.dial.tls = Some(config);
        self
    }

    /// Which version of HTTP to ask in; HTTP/1.1 unless set. Where the [configuration of TLS](Self::tls) names protocols for
    /// ALPN itself, it must name this one.
    #[cfg(feature = "http2")]
    pub fn http_version(self, version: HttpVersion) -> Self {
        Self { versions: version.offered(), ..self }
    }

    /// Connections over HTTP/2 that many WebSockets share, to the server of this URL, reached as is set here: see [`Http2`].
    /// Nothing is opened yet.
    #[cfg(feature = "http2")]
    #[must_use]
    pub fn http2(self) -> Http2 {
        Http2::new(self)
    }

    /// Connects again whenever the connection is lost, waiting in between as told: see [`reconnect`](crate::reconnect).
    pub fn reconnect(self, backoff: Backoff) -> Reconnect {
        Reconnect::new(self, backoff)
    }

    pub(crate) const fn limits_set(&self) -> &Limits {
        &self.limits
    }

    /// Looks the host up in another way than the system's: a function of its name and port that gives its addresses, those to
    /// be tried first in front. It is not asked for a host that is an address.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), sockeye::Error> {
    /// let mut ws = sockeye::connect("ws://chat.internal/")
    ///     .resolver(|_host, port| async move { Ok([([127, 0, 0, 1], port).into()]) })
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn resolver<F, A>(mut self, resolve: impl Fn(String, u16) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<A>> + Send + 'static,
        A: IntoIterator<Item = SocketAddr>,
    {
        self.dial.resolver = Some(Resolver::new(resolve));
        self
    }

    /// Connects from this address of ours; only addresses of the same family are tried then. The system chooses unless set.
    pub fn local_address(mut self, address: impl Into<IpAddr>) -> Self {
        self.dial.local = Some(address.into());
        self
    }

    /// Connects with a Unix socket. The URL says what to ask for over it, and which Host to name.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), sockeye::Error> {
    /// let mut ws = sockeye::connect("ws://localhost/chat").unix("/run/app.sock").await?;
    /// let mut same = sockeye::connect("ws+unix:/run/app.sock:/chat").await?;
    /// # Ok(()) }
    /// ```
    #[cfg(unix)]
    pub fn unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.dial.unix = Some(path.into());
        self
    }

    /// Follows so many redirections (301, 302, 303, 307 and 308) at most. None unless set, as browsers have it: a server that
    /// can send a program elsewhere can send it to what only that program can reach. The answer is an
    /// [`Error::Refused`] then, and its Location says where.
    ///
    /// `http:` and `https:` in a Location stand for `ws:` and `wss:`. None leads from `wss:` to `ws:`. To another origin go
    /// neither credentials nor cookies; other headers, and subprotocols, do: do not put a secret in there.
    pub fn redirects(self, most: usize) -> Self {
        Self { redirects: most, ..self }
    }

    /// Connects through a proxy, whatever the environment says: `http://` and `https://` ask it by CONNECT, `socks5://` by
    /// SOCKS 5, `socks4://` by SOCKS 4a. A user name and password for it go into its URL, and never to the server. It is the
    /// proxy who looks up the server's name.
    ///
    /// Without this the environment says which, as for other programs: `https_proxy` for `wss:`, `http_proxy` for `ws:`,
    /// `all_proxy` for both, and `no_proxy` for whom not, each in lower or upper case. `HTTP_PROXY` does not count in a CGI
    /// program (where `REQUEST_METHOD` is set), and no proxy of the environment's is asked for `localhost` and its addresses.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), sockeye::Error> {
    /// let mut ws = sockeye::connect("wss://example.com/").proxy("socks5://user:password@127.0.0.1:1080").await?;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "proxy")]
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.dial.proxies = Proxies::One(url.into());
        self
    }

    /// Connects with the server itself, whatever proxy the environment names.
    #[cfg(feature = "proxy")]
    pub fn no_proxy(mut self) -> Self {
        self.dial.proxies = Proxies::None;
        self
    }

    /// How long there may be no connection with the server: looking up its addresses and connecting with one of them, or
    /// having a proxy do so, before TLS and the handshake. Within [`timeout`](Self::timeout), which holds for all of it; no
    /// other bound unless set.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.dial.time = Some(time);
        self
    }

    /// Opens the WebSocket over a stream that is connected with the server already, by whatever means. With a `wss:` URL
    /// TLS is spoken on it; where that is done already the URL is one with `ws:`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// # let address = listener.local_addr()?;
    /// # let server = sockeye::serve(listener, |ws: sockeye::WebSocket| async move { Ok(ws.send("hello").await?) });
    /// # tokio::spawn(server.into_future());
    /// let stream = tokio::net::TcpStream::connect(address).await?;
    /// let mut ws = sockeye::connect("ws://example.com/chat").over(stream).await?;
    /// assert_eq!(ws.recv().await?, Some("hello".into()));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As for [`connect`](super::connect).
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream.
    pub async fn over<S>(self, stream: S) -> Result<WebSocket, Error>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        in_time(self.limits.opening_time(), self.open_over(stream)).await
    }
}

impl IntoFuture for Connect {
    type Output = Result<WebSocket, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(in_time(self.limits.opening_time(), self.open()))
    }
}

/// All of it within one deadline.
async fn in_time(time: Duration, opening: impl Future<Output = Result<WebSocket, Error>>) -> Result<WebSocket, Error> {
    tokio::time::timeout(time, opening).await.unwrap_or(Err(Error::Timeout(Phase::Opening)))
}

/// Headers that say who is asking.
pub(super) const CREDENTIALS: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// What may be shown: a password in the URL may not.
impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("url", &without_userinfo(&self.url))
            .field("headers", &self.headers)
            .field("offer", &self.offer)
            .field("limits", &self.limits)
            .field("dial", &self.dial)
            .finish_non_exhaustive()
    }
}

/// A URL with `…` in place of what may be a user name and a password.
pub(super) fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |colon| colon + 3));
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    match authority.rfind('@') {
        Some(at) => format!("{scheme}…{}", &rest[at..]),
        None => url.to_owned(),
    }
}
