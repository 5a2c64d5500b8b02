//! What answers which path.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use sockeye::Upgrader;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::echo::echo;
use super::page;

/// All that the server answers, and what its handlers need.
#[derive(Debug)]
pub(super) struct Routes {
    upgrader: Upgrader,
    stop: CancellationToken,
    tasks: TaskTracker,
}

type Answer = Response<Full<Bytes>>;

impl Routes {
    /// `stop` ends the WebSockets, `tasks` counts them.
    pub(super) fn new(upgrader: Upgrader, stop: CancellationToken, tasks: TaskTracker) -> Self {
        Self { upgrader, stop, tasks }
    }

    pub(super) fn answer<B>(&self, mut request: Request<B>) -> Answer {
        match request.uri().path() {
            "/echo" => self.echo(&mut request),
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

    fn echo<B>(&self, request: &mut Request<B>) -> Answer {
        match self.upgrader.upgrade(request) {
            Ok(upgrade) => {
                let (stop, task) = (self.stop.clone(), self.tasks.token());
                upgrade.on_upgrade(move |ws| async move {
                    let ended = echo(ws, stop).await;
                    drop(task);
                    ended
                })
            }
            Err(refusal) => refusal.response(),
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
