//! fastwebsockets, as in its own example of an echo server, on the transport itself instead of hyper's `Upgraded`.

use std::future::ready;
use std::io;

use fastwebsockets::{
    FragmentCollector, FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocket, WebSocketError, upgrade,
};
use harness::{BACKLOG, MAX_MESSAGE, Mode, Server, Stream};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
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
    let stream = transport::<S>(upgraded.await?);
    let mut ws = WebSocket::after_handshake(stream, Role::Server);
    ws.set_max_message_size(MAX_MESSAGE + 1);
    ws.set_writev(true);
    match news {
        None => echo(FragmentCollector::new(ws)).await,
        // Apart, so that it adds nothing to the size of an echo.
        Some(news) => Box::pin(publish(ws, news)).await,
    }
}

/// What hyper was given, without its buffer.
fn transport<S: Stream>(upgraded: Upgraded) -> S {
    let parts = upgraded.downcast::<TokioIo<S>>().expect("what hyper was given");
    assert!(parts.read_buf.is_empty(), "the load generator waits for the response before it sends more");
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
    harness::run(|mode| FastWebsockets { news: (mode == Mode::Broadcast).then(|| channel(BACKLOG).0) })
}
