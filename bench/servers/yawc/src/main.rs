//! yawc, with the buffers of its own benchmark. UTF-8 is checked, which is off unless set.

use std::convert::Infallible;
use std::future::ready;
use std::io;

use futures_util::StreamExt;
use harness::{BACKLOG, MAX_MESSAGE, Mode, Server, Stream, broadcast, echo};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::broadcast::{Sender, channel};
use yawc::{DeflatePool, Frame, OpCode, Options, WebSocket};

#[derive(Clone)]
struct Yawc {
    options: Options,
    news: Option<Sender<Frame>>,
}

impl Server for Yawc {
    async fn connection<S: Stream>(self, stream: S) {
        let service = service_fn(|request| ready(Ok::<_, Infallible>(self.clone().upgrade(request))));
        // How a connection ends is its client's affair.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    }
}

impl Yawc {
    fn upgrade(self, request: Request<Incoming>) -> Response<http_body_util::Empty<hyper::body::Bytes>> {
        let (response, upgrade) = WebSocket::upgrade_with_options(request, self.options).expect("a request to upgrade");
        tokio::spawn(tokio::task::unconstrained(async move {
            let Ok(ws) = upgrade.await else { return };
            let is_data = |frame: &Frame| matches!(frame.opcode(), OpCode::Binary | OpCode::Text);
            match self.news {
                None => echo(ws.map(Ok::<_, Infallible>), is_data).await,
                // Apart, so that it adds nothing to the size of an echo.
                Some(news) => Box::pin(broadcast(ws.map(Ok::<_, Infallible>), news, is_data)).await,
            };
        }));
        response
    }
}

fn main() -> io::Result<()> {
    let options = Options::default()
        .with_utf8()
        // The bound is exclusive.
        .with_limits(MAX_MESSAGE + 1, 2 * MAX_MESSAGE)
        .with_read_buffer_capacity(128 << 10)
        .with_backpressure_boundary(64 << 10);
    harness::run(|mode| Yawc {
        options: match mode {
            Mode::Echo | Mode::Stream | Mode::Client | Mode::Broadcast => options.without_compression(),
            Mode::DeflateTakeover => options.with_balanced_compression(),
            // Without takeover the state belongs to messages, not to connections: the pool is made for that.
            Mode::Deflate => options
                .with_balanced_compression()
                .server_no_context_takeover()
                .client_no_context_takeover()
                .with_deflate_pool(DeflatePool::new(64)),
        },
        news: (mode == Mode::Broadcast).then(|| channel(BACKLOG).0),
    })
}
