//! Answers to requests that anything that serves gives.

use http::{HeaderValue, StatusCode, header};
use sockeye::{Body, Response};

/// A sentence, to be read by whoever asked.
pub(crate) fn plain(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut answer = Response::new(text.into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
