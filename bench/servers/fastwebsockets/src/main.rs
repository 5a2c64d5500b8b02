//! fastwebsockets, as in its own examples of an echo server and of a client, on the transport itself instead of hyper's `Upgraded`.

use std::future::ready;
use std::io;

use fastwebsockets::{
    FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocket, WebSocketError, handshake,
    upgrade,
};
use harness::{BACKLOG, Client, MAX_MESSAGE, Mode, Server, Stream};
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::broadcast::{Sender, channel};

/// A message that goes to all.
type News = (OpCode, Vec<u8>);

#[derive(Clone)]
struct FastWebsockets {
    news: Option<Sender<News>>,
}

impl Server for FastWebsockets {
    async fn connection<S: Stream>(self, stream: S) {
        let service = service_fn(|mut request| {
            // Taken first: the future of fastwebsockets would allocate buffers that are of no use here.
            let upgraded = hyper::upgrade::on(&mut request);
            let news = self.news.clone();
            ready(upgrade::upgrade(&mut request).map(|(response, _)| {
                tokio::spawn(tokio::task::unconstrained(serve::<S>(upgraded, news)));
                response
            }))
        });
        // How a connection ends is its client's affair.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    }
}

async fn serve<S: Stream>(upgraded: OnUpgrade, news: Option<Sender<News>>) -> Result<(), WebSocketError> {
    let ws = websocket(transport::<S>(upgraded.await?), Role::Server);
    match news {
        None => echo(FragmentCollector::new(ws)).await,
        // Apart, so that it adds nothing to the size of an echo.
        Some(news) => Box::pin(publish(ws, news)).await,
    }
}

impl Client for FastWebsockets {
    async fn client<S: Stream>(self, stream: S) {
        // Ended by the load generator, which says what was wrong.
        let _ = client(stream).await;
    }
}

async fn client<S: Stream>(stream: S) -> Result<(), WebSocketError> {
    let request = Request::get("ws://localhost/")
        .header(HOST, "localhost")
        .header(UPGRADE, "websocket")
        .header(CONNECTION, "upgrade")
        .header("Sec-WebSocket-Key", handshake::generate_key())
        .header("Sec-WebSocket-Version", "13")
        .body(Empty::<Bytes>::new())
        .expect("a request");
    let (ws, _) = handshake::client(&TokioExecutor::new(), request, stream).await?;
    let stream = transport::<S>(ws.into_inner().into_inner());
    echo(FragmentCollector::new(websocket(stream, Role::Client))).await
}

fn websocket<S: Stream>(stream: S, role: Role) -> WebSocket<S> {
    let mut ws = WebSocket::after_handshake(stream, role);
    ws.set_max_message_size(MAX_MESSAGE + 1);
    ws.set_writev(true);
    ws
}

/// What hyper was given, without its buffer.
fn transport<S: Stream>(upgraded: Upgraded) -> S {
    let parts = upgraded.downcast::<TokioIo<S>>().expect("what hyper was given");
    assert!(parts.read_buf.is_empty(), "the load generator sends nothing before the handshake is over");
    parts.io.into_inner()
}

async fn echo(mut ws: FragmentCollector<impl Stream>) -> Result<(), WebSocketError> {
    loop {
        let frame = ws.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => ws.write_frame(frame).await?,
            _ => {}
        }
    }
}

/// A read that is dropped loses bytes, so reading and writing are two tasks.
async fn publish(ws: WebSocket<impl Stream>, news: Sender<News>) -> Result<(), WebSocketError> {
    let mut subscription = news.subscribe();
    let (read, mut write) = ws.split(tokio::io::split);
    let mut read = FragmentCollectorRead::new(read);
    tokio::spawn(async move {
        while let Ok((opcode, payload)) = subscription.recv().await {
            if write.write_frame(Frame::new(true, opcode, None, Payload::Owned(payload))).await.is_err() {
                break;
            }
        }
    });
    loop {
        let frame = read.read_frame(&mut |_| ready(Ok::<_, WebSocketError>(()))).await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => drop(news.send((frame.opcode, frame.payload.to_vec()))),
            _ => {}
        }
    }
}

fn main() -> io::Result<()> {
    harness::run_either(|mode| FastWebsockets { news: (mode == Mode::Broadcast).then(|| channel(BACKLOG).0) })
}
