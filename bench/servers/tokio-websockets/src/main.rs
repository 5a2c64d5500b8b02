//! tokio-websockets, whole messages in one frame as in its own benchmark.

use std::io;

use harness::{BACKLOG, MAX_MESSAGE, Mode, Server, Stream, broadcast, echo};
use tokio::sync::broadcast::{Sender, channel};
use tokio_websockets::{Config, Limits, Message, ServerBuilder};

#[derive(Clone)]
struct TokioWebsockets {
    news: Option<Sender<Message>>,
}

impl Server for TokioWebsockets {
    async fn connection<S: Stream>(self, stream: S) {
        let builder = ServerBuilder::new()
            .config(Config::default().frame_size(usize::MAX))
            .limits(Limits::default().max_payload_len(Some(MAX_MESSAGE)));
        let Ok((_, ws)) = builder.accept(stream).await else { return };
        let is_data = |message: &Message| message.is_binary() || message.is_text();
        match self.news {
            None => echo(ws, is_data).await,
            // Apart, so that it adds nothing to the size of an echo.
            Some(news) => Box::pin(broadcast(ws, news, is_data)).await,
        };
    }
}

fn main() -> io::Result<()> {
    harness::run(|mode| TokioWebsockets { news: (mode == Mode::Broadcast).then(|| channel(BACKLOG).0) })
}
