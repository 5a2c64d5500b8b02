//! One attempt to open a WebSocket, step by step.

use bytes::Bytes;
#[cfg(feature = "http2")]
use h2::client::SendRequest;
use http::{HeaderMap, header};
use sockeye_proto::Role;
#[cfg(feature = "http2")]
use sockeye_proto::handshake::client::extended_connect;
use sockeye_proto::handshake::client::{Target, is_redirection};
use sockeye_proto::handshake::{Agreed, HandshakeError};
use tokio::io::{AsyncRead, AsyncWrite};

use super::builder::{CREDENTIALS, Connect};
use super::http1::Handshake;
#[cfg(feature = "http2")]
use super::http2;
#[cfg(feature = "http2")]
use super::version::HttpVersion;
use super::version::{HTTP_1_1, HTTP_2, ONLY_HTTP_1_1, Versions};
use crate::error::Error;
#[cfg(not(feature = "tls"))]
use crate::error::TlsError;
#[cfg(feature = "tls")]
use crate::tls;
use crate::transport::Transport;
use crate::websocket::WebSocket;

impl Connect {
    /// Finds the server and asks it, and whom it sends us to, as far as that is wanted.
    pub(super) async fn open(mut self) -> Result<WebSocket, Error> {
        let mut target = self.target()?;
        for _ in 0..self.redirects {
            match self.ask(&target).await {
                Err(Error::Refused(answer)) if is_redirection(answer.status()) => {
                    target = self.follow(&target, answer.headers())?;
                }
                opened => return opened,
            }
        }
        self.ask(&target).await
    }

    /// Asks over a stream that somebody else has opened.
    pub(super) async fn open_over<S>(mut self, stream: S) -> Result<WebSocket, Error>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let target = self.target()?;
        // There is no second stream to fall back to.
        let versions = if self.versions.contains(&HTTP_1_1) { ONLY_HTTP_1_1 } else { self.versions };
        self.attempt(&target, versions, Some(Transport::of(stream))).await
    }

    /// Where the URL leads.
    fn target(&mut self) -> Result<Target, Error> {
        #[cfg(feature = "http2")]
        if let Some((http2, path)) = &self.shared {
            let target = http2.template().clone().target()?;
            return Ok(target.with_path(path)?);
        }
        #[cfg(unix)]
        if let Some(split) = super::unix::split(&self.url) {
            let (path, target) = split?;
            self.dial.unix = Some(path.into());
            return Ok(target);
        }
        Ok(Target::parse(&self.url)?)
    }

    /// Where the server sends us. Who we are is a matter between us and the origin that it was said to.
    fn follow(&mut self, from: &Target, headers: &HeaderMap) -> Result<Target, Error> {
        let mut to = from.redirected(headers)?;
        if to.is_same_origin(from) {
            to.authorization.clone_from(&from.authorization);
            return Ok(to);
        }
        if self.is_bound() {
            return Err(HandshakeError::Redirect("it leads away from the socket or connection to be used").into());
        }
        for name in CREDENTIALS.iter().chain([&header::HOST]) {
            self.headers.remove(name);
        }
        Ok(to)
    }

    /// Whether nobody else can be asked than whom the caller has named.
    fn is_bound(&self) -> bool {
        #[cfg(unix)]
        if self.dial.unix.is_some() {
            return true;
        }
        #[cfg(feature = "http2")]
        if self.shared.is_some() {
            return true;
        }
        false
    }

    async fn ask(&self, target: &Target) -> Result<WebSocket, Error> {
        #[cfg(feature = "http2")]
        if let Some((http2, _)) = &self.shared {
            self.check()?;
            let (stream, agreed) = http2.ask(self, target).await?;
            return Ok(self.opened(stream, Bytes::new(), agreed));
        }
        match self.attempt(target, self.versions, None).await {
            // Over HTTP/1.1 the server may take WebSockets.
            Err(Error::Handshake(HandshakeError::ExtendedConnect)) if self.versions.contains(&HTTP_1_1) => {
                self.attempt(target, ONLY_HTTP_1_1, None).await
            }
            opened => opened,
        }
    }

    /// Asks once, over a stream that is `given` or one that is opened.
    async fn attempt(&self, target: &Target, versions: Versions, given: Option<Transport>) -> Result<WebSocket, Error> {
        // 1. What cannot be asked is found out before anything is sent.
        self.check()?;
        let handshake = Handshake::new(target, &self.offer, self.headers.clone())?;
        // 2. A stream to the server.
        let reached = self.reach(target, versions, given).await?;
        let is_http2 = reached.is_http2;
        let (stream, judge) = reached.apart();
        // 3. The question and the answer.
        let shaken = match is_http2 {
            #[cfg(feature = "http2")]
            true => {
                let request = extended_connect(target, &self.offer, self.headers.clone())?;
                http2::open(stream, request, &self.offer, &self.limits).await
            }
            _ => handshake.shake(stream, &self.limits).await,
        };
        let (stream, early, agreed) = shaken.map_err(judge)?;
        Ok(self.opened(stream, early, agreed))
    }

    /// An error for what was set and cannot be.
    fn check(&self) -> Result<(), Error> {
        self.invalid.clone().map_or(Ok(()), |error| Err(error.into()))
    }

    /// A stream to the server, with TLS on it where the URL wants that.
    async fn reach(&self, target: &Target, versions: Versions, given: Option<Transport>) -> Result<Reached, Error> {
        #[cfg(not(feature = "tls"))]
        if target.secure {
            return Err(TlsError::without_feature(&target.host).into());
        }
        #[cfg(feature = "tls")]
        if target.secure {
            let tls = tls::Client::new(&target.host, self.dial.tls.clone(), versions).await?;
            let (stream, chosen) = tls.connect(self.stream(target, given).await?).await?;
            return Ok(Reached { stream, is_http2: chosen == HTTP_2, tls: Some(tls) });
        }
        Ok(Reached {
            stream: self.stream(target, given).await?,
            is_http2: versions == [HTTP_2],
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    /// A connection to the server on which HTTP/2 is spoken.
    #[cfg(feature = "http2")]
    pub(super) async fn http2_connection(&self, target: &Target) -> Result<SendRequest<Bytes>, Error> {
        let (stream, judge) = self.reach(target, HttpVersion::H2.offered(), None).await?.apart();
        http2::begin(stream, &self.limits).await.map_err(judge)
    }

    /// The stream that is there already, or one that is opened.
    async fn stream(&self, target: &Target, given: Option<Transport>) -> Result<Transport, Error> {
        match given {
            Some(stream) => Ok(stream),
            None => self.dial.dial(target, &self.limits).await,
        }
    }

    fn opened(&self, stream: Transport, early: Bytes, agreed: Agreed) -> WebSocket {
        let (compression, budget) = (self.offer.compression_offered(), self.budget.clone());
        WebSocket::opened((stream, early), Role::Client, self.limits.into(), budget, compression, agreed)
    }
}

/// A stream to a server.
struct Reached {
    stream: Transport,
    is_http2: bool,
    #[cfg(feature = "tls")]
    tls: Option<tls::Client>,
}

impl Reached {
    /// The stream, and what tells an error of TLS among those that come up behind its handshake.
    fn apart(self) -> (Transport, impl FnOnce(Error) -> Error) {
        #[cfg(feature = "tls")]
        let judge = move |error| match &self.tls {
            Some(tls) => tls.judge(error),
            None => error,
        };
        #[cfg(not(feature = "tls"))]
        let judge = |error| error;
        (self.stream, judge)
    }
}
