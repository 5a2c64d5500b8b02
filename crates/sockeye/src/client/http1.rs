//! The opening handshake over HTTP/1.1, of which hyper does the HTTP.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sockeye_proto::Limits;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::Error;

/// Sends the request and waits for the response.
pub(super) async fn exchange<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    limits: &Limits,
) -> hyper::Result<Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut http, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(limits.max_head())
        .max_headers(limits.max_fields())
        .handshake(TokioIo::new(stream))
        .await?;
    // Ends by itself: with the upgrade, or when `http` and the response are dropped.
    tokio::spawn(connection.with_upgrades());
    http.send_request(request).await
}

pub(super) fn http_error(error: hyper::Error) -> Error {
    Error::Http(Box::new(error))
}
