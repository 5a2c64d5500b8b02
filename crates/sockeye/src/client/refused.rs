//! An answer that opens no WebSocket, kept for whoever wants to know why.

use core::future::poll_fn;
use core::task::{Context, Poll};
use core::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Response;
use http::response::Parts;

use crate::error::Error;

/// So much of an answer's body is kept: a reason in JSON or a page has less.
const KEPT: usize = 16 << 10;
/// So long its body is waited for: the status alone says a lot.
const PATIENCE: Duration = Duration::from_secs(1);

/// The error for such an answer, with the beginning of its body, of which `next` gives one piece after the other.
pub(super) async fn refused(head: Parts, mut next: impl FnMut(&mut Context<'_>) -> Poll<Option<Bytes>>) -> Error {
    let mut kept = BytesMut::new();
    let reading = async {
        while kept.len() < KEPT
            && let Some(data) = poll_fn(&mut next).await
        {
            kept.extend_from_slice(&data[..data.len().min(KEPT - kept.len())]);
        }
    };
    // What has come by then is what there is.
    let _ = tokio::time::timeout(PATIENCE, reading).await;
    Error::Refused(Box::new(Response::from_parts(head, kept.freeze())))
}
