//! A WebSocket over a stream on which somebody else has done the opening handshake.

use bytes::Bytes;
use sockeye_proto::deflate::Compression;
use sockeye_proto::handshake::Agreed;
use sockeye_proto::{Limits, Role};
use tokio::io::{AsyncRead, AsyncWrite};

use super::WebSocket;
use crate::budget::Budget;
use crate::transport::Transport;

/// A WebSocket whose opening handshake is done already, by means of your own: from [`WebSocket::builder`].
///
/// ```
/// use http::{Request, Response};
/// use sockeye::{Compression, Message, Role, WebSocket};
/// use sockeye_proto::handshake::server::{Options, accept_request};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// # let (stream, far) = tokio::io::duplex(1024);
/// # let request = Request::get("/").header("Host", "a").header("Upgrade", "websocket").header("Connection", "Upgrade")
/// #     .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==").header("Sec-WebSocket-Version", "13")
/// #     .header("Sec-WebSocket-Protocol", "chat").header("Sec-WebSocket-Extensions", "permessage-deflate").body(())?;
/// // `request` was read from `stream`, and some bytes beyond it: they may be the beginning of a frame.
/// let bytes_read_beyond_it = &b"\x81\x82\0\0\0\0"[..];
/// let compression = Compression::no_takeover();
/// let options = Options::default().subprotocols(["chat"]).compression(compression);
/// let (response, agreed) = accept_request(&request, &options)?;
/// // `response` was written to `stream`.
/// # let client = async { tokio::io::AsyncWriteExt::write_all(&mut { far }, b"hi").await };
/// let mut ws = WebSocket::builder(Role::Server)
///     .agreed(agreed)
///     .compression(compression)
///     .early(bytes_read_beyond_it)
///     .over(stream);
/// # client.await?;
/// assert_eq!(ws.subprotocol(), Some("chat"));
/// assert_eq!(ws.recv().await?, Some(Message::from("hi")));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "there is no WebSocket before `over`"]
pub struct WebSocketBuilder {
    role: Role,
    limits: Limits,
    agreed: Agreed,
    compression: Compression,
    early: Bytes,
    budget: Option<Budget>,
}

impl WebSocketBuilder {
    pub(super) fn new(role: Role) -> Self {
        let (limits, compression) = (Limits::default(), Compression::default());
        Self { role, limits, agreed: Agreed::default(), compression, early: Bytes::new(), budget: None }
    }

    /// The limits on the connection.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// What the handshake has agreed on, subprotocol and compression; neither unless set. For one who does the handshake with
    /// the functions of [`sockeye_proto::handshake`].
    pub fn agreed(self, agreed: Agreed) -> Self {
        Self { agreed, ..self }
    }

    /// The subprotocol that was agreed on; none unless set.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.agreed.subprotocol = Some(name.into());
        self
    }

    /// How to compress, if the handshake [has agreed](Self::agreed) to; what was offered or accepted then.
    pub fn compression(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    /// Bytes that whoever did the handshake has read beyond its end; none unless set.
    pub fn early(self, bytes: impl Into<Bytes>) -> Self {
        Self { early: bytes.into(), ..self }
    }

    /// A bound on what all connections that share it hold, besides the limits on each; none unless set.
    pub fn budget(self, budget: &Budget) -> Self {
        Self { budget: Some(budget.clone()), ..self }
    }

    /// The WebSocket, over this stream.
    pub fn over(self, stream: impl AsyncRead + AsyncWrite + Send + 'static) -> WebSocket {
        let Self { role, limits, agreed, compression, early, budget } = self;
        WebSocket::opened((Transport::of(stream), early), role, limits.into(), budget, &compression, agreed)
    }
}
