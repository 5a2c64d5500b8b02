//! What answers which path.

use http::{HeaderValue, Method, StatusCode, header};
use sockeye::{Body, Request, Response};

use super::echo::echo;
use super::metrics::Numbers;
use super::page;

/// All that is answered.
pub(super) struct Routes {
    /// What is counted, unless somebody else counts in this process.
    numbers: Option<Numbers>,
}

impl Routes {
    /// Before the server is built, which is when counting begins.
    pub(super) fn new() -> Self {
        Self { numbers: Numbers::install() }
    }

    pub(super) fn answer(&self, mut request: Request) -> Response {
        match request.uri().path() {
            "/echo" => match sockeye::upgrade(&mut request) {
                Ok(upgrade) => upgrade.on_upgrade(echo),
                Err(refusal) => refusal.response(),
            },
            "/healthz" => plain(StatusCode::OK, "ok\n"),
            "/metrics" => plain(StatusCode::OK, self.numbers.as_ref().map(Numbers::text).unwrap_or_default()),
            path => match page::find(path) {
                Some(_) if !matches!(*request.method(), Method::GET | Method::HEAD) => {
                    let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "this is read with GET\n");
                    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                    answer
                }
                Some(file) => file.response(),
                None => plain(StatusCode::NOT_FOUND, "there is nothing here; the page is at /\n"),
            },
        }
    }
}

fn plain(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut answer = Response::new(text.into());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
