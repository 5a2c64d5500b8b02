//! tokio-tungstenite. With the word `4k` its read buffer has 4 KiB: it zeroes all of it, 128 KiB unless set, before each
//! read.

use std::io;

use futures_util::{SinkExt, StreamExt};
use harness::{BACKLOG, Client, Mode, Server, Stream, broadcast, echo};
use tokio::sync::broadcast::{Sender, channel};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

#[derive(Clone)]
struct Tungstenite {
    config: WebSocketConfig,
    news: Option<Sender<Message>>,
}

impl Server for Tungstenite {
    async fn connection<S: Stream>(self, stream: S) {
        let Ok(ws) = tokio_tungstenite::accept_async_with_config(stream, Some(self.config)).await else { return };
        match self.news {
            None => echo(ws, is_data).await,
            // Apart, so that it adds nothing to the size of an echo.
            Some(news) => Box::pin(broadcast(ws, news, is_data)).await,
        };
    }
}

impl Client for Tungstenite {
    async fn client<S: Stream>(self, stream: S) {
        let opened = tokio_tungstenite::client_async_with_config("ws://localhost/", stream, Some(self.config)).await;
        let Ok((mut ws, _)) = opened else { return };
        while let Some(Ok(message)) = ws.next().await {
            if is_data(&message) && ws.send(message).await.is_err() {
                break;
            }
        }
    }
}

fn is_data(message: &Message) -> bool {
    message.is_binary() || message.is_text()
}

fn main() -> io::Result<()> {
    let max = Some(harness::MAX_MESSAGE);
    let config = WebSocketConfig::default().max_message_size(max).max_frame_size(max);
    let config = if harness::asked_for("4k") { config.read_buffer_size(4096) } else { config };
    harness::run_either(|mode| Tungstenite { config, news: (mode == Mode::Broadcast).then(|| channel(BACKLOG).0) })
}
