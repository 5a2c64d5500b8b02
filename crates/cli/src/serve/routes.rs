//! What answers which path.

use http::{HeaderValue, Method, StatusCode, header};
use sockeye::{Request, Response};

use super::echo::echo;
use super::metrics::Numbers;
use super::page;
use crate::answer::plain;
use crate::live::Live;

/// All that is answered.
pub(super) struct Routes {
    /// What is counted, unless somebody else counts in this process.
    numbers: Option<Numbers>,
    live: Live,
}

impl Routes {
    pub(super) const fn new(numbers: Option<Numbers>, live: Live) -> Self {
        Self { numbers, live }
    }

    pub(super) fn answer(&self, mut request: Request) -> Response {
        match request.uri().path() {
            "/echo" => match sockeye::upgrade(&mut request) {
                Ok(upgrade) => self.live.watch(upgrade, &request).on_upgrade(echo),
                Err(refusal) => refusal.response(),
            },
            "/inspect/feed" => self.live.feed(request),
            "/inspect/composer" => self.live.composer(request),
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

/// What is answered to those whom the page plays.
pub(super) fn inside(mut request: Request) -> Response {
    match request.uri().path() {
        "/echo" => match sockeye::upgrade(&mut request) {
            Ok(upgrade) => upgrade.on_upgrade(echo),
            Err(refusal) => refusal.response(),
        },
        _ => plain(StatusCode::NOT_FOUND, "there is nothing here; an echo is at /echo\n"),
    }
}
