//! One attempt to open a WebSocket, step by step.

use sockeye_proto::Role;
use sockeye_proto::handshake::client::Target;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Connect;
use super::http1::Handshake;
use crate::error::Error;
#[cfg(not(feature = "tls"))]
use crate::error::TlsError;
#[cfg(feature = "tls")]
use crate::tls;
use crate::transport::Transport;
use crate::websocket::WebSocket;

impl Connect {
    /// Finds the server, and asks it.
    pub(super) async fn open(mut self) -> Result<WebSocket, Error> {
        let target = self.target()?;
        let (dial, limits) = (self.dial.clone(), self.limits);
        self.attempt(&target, async || dial.dial(&target, &limits).await).await
    }

    /// Asks over a stream that somebody else has opened.
    pub(super) async fn open_over<S>(self, stream: S) -> Result<WebSocket, Error>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let target = Target::parse(&self.url)?;
        let stream = Transport::Other(Box::pin(stream));
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

    async fn attempt(
        self,
        target: &Target,
        dial: impl AsyncFnOnce() -> Result<Transport, Error>,
    ) -> Result<WebSocket, Error> {
        // 1. What cannot be asked is found out before anything is sent.
        if let Some(error) = self.invalid {
            return Err(error.into());
        }
        let handshake = Handshake::new(target, &self.offer, self.headers)?;
        #[cfg(not(feature = "tls"))]
        if target.secure {
            return Err(TlsError::without_feature(&target.host).into());
        }
        #[cfg(feature = "tls")]
        let client = match target.secure {
            true => Some(tls::Client::new(&target.host, self.dial.tls).await?),
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
        let compression = self.offer.compression_offered();
        Ok(WebSocket::opened((stream, early), Role::Client, self.limits.into(), self.budget, compression, agreed))
    }
}
