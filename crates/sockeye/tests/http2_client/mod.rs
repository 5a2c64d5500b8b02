//! WebSockets over HTTP/2: the client against servers made of the h2 crate.

mod opening;
mod sharing;
mod stream;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{echo, in_time};
use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::{Request, Response};
use sockeye::{Connect, HttpVersion, Limits, Message, Role, WebSocket};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// So much can come on a stream that is not read.
const WINDOW: usize = 256 << 10;

/// One request, and what answers it.
struct Asked {
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
}

impl Asked {
    fn path(&self) -> String {
        self.request.uri().path().to_owned()
    }

    /// Opens the WebSocket: both directions of its stream.
    fn accept(self) -> (SendStream<Bytes>, RecvStream) {
        self.answer(Response::new(()))
    }

    fn answer(mut self, response: Response<()>) -> (SendStream<Bytes>, RecvStream) {
        (self.respond.send_response(response, false).unwrap(), self.request.into_body())
    }

    /// Opens the WebSocket, as a stream of bytes.
    fn stream(self) -> DuplexStream {
        let (sending, receiving) = self.accept();
        bridge(sending, receiving)
    }
}

/// A stream of HTTP/2 as one of bytes, for as long as its tasks run.
fn bridge(mut sending: SendStream<Bytes>, mut receiving: RecvStream) -> DuplexStream {
    let (ours, theirs) = duplex(64 << 10);
    let (mut read, mut write) = tokio::io::split(theirs);
    tokio::spawn(async move {
        while let Some(Ok(data)) = receiving.data().await {
            if write.write_all(&data).await.is_err() {
                return;
            }
            let _ = receiving.flow_control().release_capacity(data.len());
        }
        let _ = write.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match read.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(len) => send_all(&mut sending, &buffer[..len]).await,
            }
        }
        let _ = sending.send_data(Bytes::new(), true);
    });
    ours
}

/// Sends as the client's window allows. Gives how much when the stream ends before.
async fn send_all(sending: &mut SendStream<Bytes>, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        sending.reserve_capacity(bytes.len());
        let room = match sending.capacity() {
            0 => match core::future::poll_fn(|cx| sending.poll_capacity(cx)).await {
                Some(Ok(room)) => room,
                _ => return,
            },
            room => room,
        };
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        if sending.send_data(Bytes::copy_from_slice(now), false).is_err() {
            return;
        }
        bytes = later;
    }
}

fn takes_websockets() -> Builder {
    let mut builder = Builder::new();
    builder.enable_connect_protocol();
    builder
}

/// Serves one connection; gives its requests.
fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    builder: Builder,
) -> mpsc::UnboundedReceiver<Asked> {
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
            return;
        };
        while let Some(Ok((request, respond))) = connection.accept().await {
            if tell.send(Asked { request, respond }).is_err() {
                connection.graceful_shutdown();
            }
        }
    });
    told
}

/// Listens for connections without TLS, and answers their requests as told. Counts the connections.
async fn serving(
    builder: impl Fn() -> Builder + Send + 'static,
    answer: impl Fn(Asked) + Clone + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let (mut requests, answer) = (serve_connection(stream, builder()), answer.clone());
            tokio::spawn(async move {
                while let Some(asked) = requests.recv().await {
                    answer(asked);
                }
            });
        }
    });
    (address, connections)
}

/// Serves a WebSocket that sends everything back.
fn echoing(asked: Asked) {
    let limits = Limits::default().message(64 << 20);
    let ws = WebSocket::from_stream(asked.stream(), Role::Server, limits);
    tokio::spawn(async move {
        let _ = echo(ws).await;
    });
}

fn over_http2(address: SocketAddr, path: &str) -> Connect {
    sockeye::connect(format!("ws://{address}{path}")).http_version(HttpVersion::H2).max_message(64 << 20)
}

async fn comes_back(ws: &mut WebSocket, message: impl Into<Message>) {
    let message = message.into();
    ws.send(message.clone()).await.unwrap();
    assert!(in_time(ws.recv()).await.unwrap() == Some(message));
}
