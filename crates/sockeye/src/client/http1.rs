//! The opening handshake over HTTP/1.1, of which hyper does the HTTP.

use core::pin::Pin;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Empty;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use sockeye_proto::Limits;
use sockeye_proto::handshake::client::{Offer, Target, request, verify};
use sockeye_proto::handshake::{Agreed, HandshakeError, Key};

use super::refused::refused;
use crate::error::Error;
use crate::random;
use crate::transport::Transport;

/// The question, and what will answer it.
pub(super) struct Handshake<'a> {
    request: Request<()>,
    key: Key,
    offer: &'a Offer,
}

impl<'a> Handshake<'a> {
    /// Finds out whether what the caller wants can be asked.
    pub(super) fn new(target: &Target, offer: &'a Offer, headers: HeaderMap) -> Result<Self, HandshakeError> {
        let key = Key::new(random::bytes());
        Ok(Self { request: request(target, &key, offer, headers)?, key, offer })
    }

    /// Asks. Returns the stream, what hyper has read of it beyond the response, and what is agreed on.
    pub(super) async fn shake(self, stream: Transport, limits: &Limits) -> Result<(Transport, Bytes, Agreed), Error> {
        let Self { request, key, offer } = self;
        let response = exchange(stream, request, limits).await.map_err(http_error)?;
        match verify(&response, &key, offer) {
            Ok(agreed) => {
                let (stream, early) = take_back(response).await?;
                Ok((stream, early, agreed))
            }
            Err(HandshakeError::Status(_)) => {
                let (head, mut body) = response.into_parts();
                // What is no data is trailers, and the end.
                let next = |frame: Option<hyper::Result<Frame<Bytes>>>| frame?.ok()?.into_data().ok();
                Err(refused(head, |cx| Pin::new(&mut body).poll_frame(cx).map(next)).await)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Sends a request without a body, and waits for the response.
async fn exchange(stream: Transport, request: Request<()>, limits: &Limits) -> hyper::Result<Response<Incoming>> {
    let (mut http, connection) = client(limits).handshake(TokioIo::new(stream)).await?;
    // Ends by itself: with the upgrade, or when `http` and the response are dropped.
    tokio::spawn(connection.with_upgrades());
    http.send_request(request.map(|()| Empty::<Bytes>::new())).await
}

/// hyper, with a bound on what it reads of a response's head.
pub(super) fn client(limits: &Limits) -> Builder {
    /// It reads at least so much, and panics when told to read less.
    const LEAST: usize = 8 << 10;
    let mut client = Builder::new();
    client.max_buf_size(limits.max_head().max(LEAST)).max_headers(limits.max_fields());
    client
}

/// Takes the stream back from hyper, with the bytes it had already read.
async fn take_back(response: Response<Incoming>) -> Result<(Transport, Bytes), Error> {
    let upgraded = hyper::upgrade::on(response).await.map_err(http_error)?;
    let parts = upgraded.downcast::<TokioIo<Transport>>().expect("it is what hyper was given");
    Ok((parts.io.into_inner(), parts.read_buf))
}

fn http_error(error: hyper::Error) -> Error {
    Error::Http(Box::new(error))
}
