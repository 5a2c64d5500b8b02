//! One attempt to open a WebSocket, step by step.

use bytes::Bytes;
use http_body_util::Empty;
use sockeye_proto::Role;
use sockeye_proto::handshake::Key;
use sockeye_proto::handshake::client::{Target, request, verify};
use tokio::net::TcpStream;

use super::Connect;
use super::http1::{exchange, http_error};
use crate::error::Error;
#[cfg(not(feature = "tls"))]
use crate::error::TlsError;
use crate::random;
use crate::server::upgraded_transport;
#[cfg(feature = "tls")]
use crate::tls;
use crate::websocket::WebSocket;

impl Connect {
    pub(super) async fn open(self) -> Result<WebSocket, Error> {
        if let Some(error) = self.invalid_header {
            return Err(error.into());
        }
        let target = Target::parse(&self.url)?;
        #[cfg(not(feature = "tls"))]
        if target.secure {
            return Err(TlsError::without_feature(&target.host).into());
        }
        #[cfg(feature = "tls")]
        let client = match target.secure {
            true => Some(tls::Client::new(&target.host, self.tls).await?),
            false => None,
        };
        let key = Key::new(random::bytes());
        let request = request(&target, &key, &self.offer, self.headers)?.map(|()| Empty::<Bytes>::new());

        let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        stream.set_nodelay(true)?;
        #[cfg(feature = "tls")]
        let response = match client {
            Some(client) => exchange(client.connect(stream).await?, request, &self.limits)
                .await
                .map_err(|error| client.http_error(&error).unwrap_or_else(|| http_error(error)))?,
            None => exchange(stream, request, &self.limits).await.map_err(http_error)?,
        };
        #[cfg(not(feature = "tls"))]
        let response = exchange(stream, request, &self.limits).await.map_err(http_error)?;
        let agreed = verify(&response, &key, &self.offer)?;
        let transport = upgraded_transport(hyper::upgrade::on(response).await.map_err(http_error)?);
        let compression = self.offer.compression_offered();
        Ok(WebSocket::opened(transport, Role::Client, self.limits.into(), self.budget, compression, agreed))
    }
}
