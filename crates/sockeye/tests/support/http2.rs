//! The other end of HTTP/2: the `h2` crate as a client, whose streams open WebSockets by extended CONNECT (RFC 8441).
#![allow(dead_code, reason = "most test programs use some of it, and some all: nothing to expect")]

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::client::{ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{Method, Request, Response, StatusCode};
use sockeye::{Limits, Role, WebSocket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection of HTTP/2.
#[derive(Clone)]
pub(crate) struct Http2(SendRequest<Bytes>);

impl Http2 {
    /// Over a stream on which nothing has been said yet. Waits for the server's settings.
    pub(crate) async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self::with(&h2::client::Builder::new(), stream).await
    }

    pub(crate) async fn with(
        builder: &h2::client::Builder,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let (client, connection) = builder.handshake(stream).await.unwrap();
        tokio::spawn(async move {
            // Tests look at the streams.
            let _ = connection.await;
        });
        let mut client = client.ready().await.unwrap();
        while !client.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
            client = client.ready().await.unwrap();
        }
        Self(client)
    }

    /// Sends a request's head; the stream stays open for what is to be sent on it.
    pub(crate) async fn send(
        &self,
        request: Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.0.clone().ready().await?.send_request(request, end)
    }

    /// The status and the body of a response.
    pub(crate) async fn fetch(&self, request: Request<()>) -> Result<(Response<()>, Vec<u8>), h2::Error> {
        let (response, _stream) = self.send(request, true).await?;
        let (head, mut body) = response.await?.into_parts();
        let mut bytes = Vec::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            bytes.extend_from_slice(&data);
        }
        Ok((Response::from_parts(head, ()), bytes))
    }

    /// Asks for a WebSocket. `Err` has another status than 200.
    pub(crate) async fn open(&self, request: Request<()>) -> Result<(Response<()>, Stream), StatusCode> {
        let (response, send) = self.send(request, false).await.unwrap();
        let (head, receive) = response.await.unwrap().into_parts();
        let response = Response::from_parts(head, ());
        let is_open = response.status() == StatusCode::OK;
        if is_open { Ok((response, Stream::new(send, receive))) } else { Err(response.status()) }
    }

    /// A WebSocket on a stream of its own.
    pub(crate) async fn websocket(&self, limits: Limits) -> WebSocket {
        let (_, stream) = self.open(connect("/chat")).await.unwrap();
        WebSocket::from_stream(stream, Role::Client, limits)
    }
}

/// The request of RFC 8441 §5.1.
pub(crate) fn connect(path: &str) -> Request<()> {
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://server.example.com{path}"))
        .header("Sec-WebSocket-Version", "13")
        .body(())
        .unwrap();
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    request
}

pub(crate) fn get(path: &str) -> Request<()> {
    Request::get(format!("http://server.example.com{path}")).body(()).unwrap()
}

/// A stream's bytes in both directions, within its windows.
pub(crate) struct Stream {
    send: SendStream<Bytes>,
    receive: RecvStream,
    received: Bytes,
    has_shut_down: bool,
}

impl Stream {
    fn new(send: SendStream<Bytes>, receive: RecvStream) -> Self {
        Self { send, receive, received: Bytes::new(), has_shut_down: false }
    }

    pub(crate) fn reset(mut self, reason: Reason) {
        self.send.send_reset(reason);
    }
}

fn io_error(error: h2::Error) -> io::Error {
    io::Error::other(error)
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.received.is_empty() {
            match ready!(self.receive.poll_data(cx)) {
                Some(data) => self.received = data.map_err(io_error)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let len = self.received.len().min(buf.remaining());
        buf.put_slice(&self.received[..len]);
        self.received.advance(len);
        let _ = self.receive.flow_control().release_capacity(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.send.reserve_capacity(buf.len());
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(capacity) => capacity.map_err(io_error)?,
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
        }
        let len = buf.len().min(self.send.capacity());
        self.send.send_data(Bytes::copy_from_slice(&buf[..len]), false).map_err(io_error)?;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !core::mem::replace(&mut self.has_shut_down, true) {
            self.send.send_data(Bytes::new(), true).map_err(io_error)?;
        }
        Poll::Ready(Ok(()))
    }
}
