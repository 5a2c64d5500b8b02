//! What answers which path.

use http::StatusCode;
use sockeye::{Request, Response};

use super::echo::echo;
use super::metrics::Numbers;
use crate::answer::plain;
use crate::live::Live;
use crate::page;

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
            _ => page::answer(&request)
                .unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "there is nothing here; the page is at /\n")),
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
