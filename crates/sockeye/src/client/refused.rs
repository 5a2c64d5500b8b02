//! An answer that opens no WebSocket, kept for whoever wants to know why.

use core::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Body;

use crate::error::Error;

/// So much of an answer's body is kept: a reason in JSON or a page has less.
const KEPT: usize = 16 << 10;
/// So long its body is waited for: the status alone says a lot.
const PATIENCE: Duration = Duration::from_secs(1);

/// The error for such an answer, with the beginning of its body.
pub(super) async fn refused<B: Body<Data = Bytes> + Unpin>(response: Response<B>) -> Error {
    let (head, mut body) = response.into_parts();
    let mut kept = BytesMut::new();
    let reading = async {
        while kept.len() < KEPT
            && let Some(Ok(frame)) = body.frame().await
        {
            let data = frame.data_ref().map_or(&[][..], |data| data);
            kept.extend_from_slice(&data[..data.len().min(KEPT - kept.len())]);
        }
    };
    // What has come by then is what there is.
    let _ = tokio::time::timeout(PATIENCE, reading).await;
    Error::Refused(Box::new(Response::from_parts(head, kept.freeze())))
}
