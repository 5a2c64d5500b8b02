//! What answers which path.

use http::{HeaderValue, Method, StatusCode, header};
use sockeye::{Body, Request, Response};

use super::echo::echo;
use super::page;

pub(super) fn answer(mut request: Request) -> Response {
    match request.uri().path() {
        "/echo" => match sockeye::upgrade(&mut request) {
            Ok(upgrade) => upgrade.on_upgrade(echo),
            Err(refusal) => refusal.response(),
        },
        "/healthz" => plain(StatusCode::OK, "ok\n"),
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

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
