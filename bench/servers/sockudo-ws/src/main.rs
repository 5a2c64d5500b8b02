//! sockudo-ws, through its `WebSocketStream` and its own pub/sub.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use harness::{MAX_MESSAGE, Mode, Server, Stream, echo};
use sockudo_ws::deflate::negotiate_server_deflate;
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::pubsub::PubSub;
use sockudo_ws::stream::CompressedWebSocketStream;
use sockudo_ws::{Compression, Config, Message, WebSocketStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::unbounded_channel;

#[derive(Clone)]
struct Sockudo {
    compression: Compression,
    pubsub: Option<Arc<PubSub>>,
}

impl Server for Sockudo {
    async fn connection<S: Stream>(self, stream: S) {
        self.serve(stream).await;
    }
}

impl Sockudo {
    async fn serve(self, mut stream: impl Stream) -> Option<()> {
        let config = Config::builder().max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE).build();
        let mut head = BytesMut::with_capacity(1024);
        let (key, deflate) = loop {
            if stream.read_buf(&mut head).await.ok()? == 0 {
                return None;
            }
            if let Some((request, _)) = parse_request(&head).ok()? {
                let policy = self.compression.to_deflate_config();
                let deflate = request.extensions.zip(policy);
                let deflate = deflate.and_then(|(offers, policy)| negotiate_server_deflate(offers, &policy));
                break (generate_accept_key(request.key), deflate);
            }
        };
        let extensions = deflate.as_ref().map(|deflate| deflate.to_response_header());
        stream.write_all(&build_response(&key, None, extensions.as_deref())).await.ok()?;
        // Not held while the connection lives.
        drop(head);
        // Boxed is what would add to the size of a plain echo.
        match (deflate, self.pubsub) {
            (Some(deflate), _) => {
                Box::pin(echo(CompressedWebSocketStream::server(stream, config, deflate.config), is_data)).await
            }
            (None, None) => echo(WebSocketStream::server(stream, config), is_data).await,
            (None, Some(pubsub)) => Box::pin(publish(WebSocketStream::server(stream, config), &pubsub)).await,
        }
    }
}

async fn publish(mut ws: WebSocketStream<impl Stream>, pubsub: &PubSub) -> Option<()> {
    let (sender, mut news) = unbounded_channel();
    pubsub.subscribe(pubsub.create_subscriber(sender), "all");
    loop {
        tokio::select! {
            message = ws.next() => {
                let message = message?.ok()?;
                if is_data(&message) {
                    pubsub.publish("all", message);
                }
            }
            message = news.recv() => {
                ws.feed(message?).await.ok()?;
                while let Ok(message) = news.try_recv() {
                    ws.feed(message).await.ok()?;
                }
                ws.flush().await.ok()?;
            }
        }
    }
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Binary(_) | Message::Text(_))
}

fn main() -> io::Result<()> {
    harness::run(|mode| Sockudo {
        compression: match mode {
            Mode::Deflate => Compression::Shared,
            Mode::DeflateTakeover => Compression::Dedicated,
            Mode::Echo | Mode::Stream | Mode::Client | Mode::Broadcast => Compression::Disabled,
        },
        pubsub: (mode == Mode::Broadcast).then(|| Arc::new(PubSub::new())),
    })
}
