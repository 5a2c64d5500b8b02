//! One attempt to open a WebSocket, step by step.

use http::{HeaderMap, header};
use sockeye_proto::Role;
use sockeye_proto::handshake::HandshakeError;
use sockeye_proto::handshake::client::{Target, is_redirection};
use tokio::io::{AsyncRead, AsyncWrite};

use super::builder::{CREDENTIALS, Connect};
use super::http1::Handshake;
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
    pub(super) async fn open_over<S>(self, stream: S) -> Result<WebSocket, Error>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let target = Target::parse(&self.url)?;
        let stream = Transport::of(stream);
        self.attempt(&target, async || Ok(stream)).await
    }

    /// Where the URL leads.
    fn target(&mut self) -> Result<Target, Error> {
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
        #[cfg(unix)]
        if self.dial.unix.is_some() {
            return Err(HandshakeError::Redirect("it leads away from the Unix socket").into());
        }
        for name in CREDENTIALS.iter().chain([&header::HOST]) {
            self.headers.remove(name);
        }
        Ok(to)
    }

    async fn ask(&self, target: &Target) -> Result<WebSocket, Error> {
        self.attempt(target, async || self.dial.dial(target, &self.limits).await).await
    }

    async fn attempt(
        &self,
        target: &Target,
        dial: impl AsyncFnOnce() -> Result<Transport, Error>,
    ) -> Result<WebSocket, Error> {
        // 1. What cannot be asked is found out before anything is sent.
        if let Some(error) = &self.invalid {
            return Err(error.clone().into());
        }
        let handshake = Handshake::new(target, &self.offer, self.headers.clone())?;
        #[cfg(not(feature = "tls"))]
        if target.secure {
            return Err(TlsError::without_feature(&target.host).into());
        }
        #[cfg(feature = "tls")]
        let client = match target.secure {
            true => Some(tls::Client::new(&target.host, self.dial.tls.clone()).await?),
            false => None,
        };

        // 2. A stream to the server, and TLS on it.
        let stream = dial().await?;
        #[cfg(feature = "tls")]
        let stream = match &client {
            Some(client) => client.connect(stream).await?,
            None => stream,
        };

        // 3. The question and the answer.
        let shaken = handshake.shake(stream, &self.limits).await;
        #[cfg(feature = "tls")]
        let shaken = shaken.map_err(|error| match &client {
            Some(client) => client.judge(error),
            None => error,
        });
        let (stream, early, agreed) = shaken?;
        let (compression, budget) = (self.offer.compression_offered(), self.budget.clone());
        Ok(WebSocket::opened((stream, early), Role::Client, self.limits.into(), budget, compression, agreed))
    }
}
