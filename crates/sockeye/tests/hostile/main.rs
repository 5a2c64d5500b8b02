//! Peers that mean harm, or are gone: each ends by its deadline or its limit, costs next to no memory until then, and
//! nothing is left of it.
//!
//! Every story is told by a clock that stands still while anybody has something to do, over a wire in memory, so that the
//! times are exact; and by an allocator that counts, so that the figures are.

#[path = "../support/heap.rs"]
mod heap;
#[path = "../support/mod.rs"]
mod support;

mod alive;
mod floods;
mod gone;

use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sockeye::{CloseCode, Closed, ClosedBy, Error, ErrorKind, Limits, Phase, Role, Upgrader, WebSocket};
use sockeye_proto::frame::{Header, Opcode};
use support::{KEY, client_frame, exchange, read_frame, request, server_frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep};

/// Our end of the connection, and who makes progress on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// A server's, in its handler.
    Handler,
    /// A client's, in [`sockeye::drive`].
    Driven,
    /// A client's, where nothing happens but while a method is awaited.
    Bare,
}

/// What our end is doing while the peer does its worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// It waits in `recv`.
    Receiving,
    /// It is busy elsewhere for ten minutes, and calls `recv` then.
    Asleep,
    /// It is in the middle of a message that it takes as a stream.
    Streaming,
    /// It sends without end, waits for room in the queue, and calls `recv` once it can send no more.
    Sending,
    /// It has called `close`.
    Closing,
}

/// What our end has been told.
#[derive(Debug)]
struct Told {
    error: Option<Error>,
    closed: Closed,
    /// From the opening to the end of the connection, when its transport is given back.
    after: Duration,
    messages: usize,
    /// Bytes of streams.
    streamed: u64,
}

const ENDS: [End; 3] = [End::Handler, End::Driven, End::Bare];
const DOINGS: [Doing; 5] = [Doing::Receiving, Doing::Asleep, Doing::Streaming, Doing::Sending, Doing::Closing];
/// How long one who is asleep sleeps.
const ASLEEP: Duration = Duration::from_secs(600);
/// What a system's buffers hold for a peer that does not read.
const WIRE: usize = 32 << 10;
static ZEROS: [u8; 100 << 10] = [0; 100 << 10];

impl End {
    const fn role(self) -> Role {
        match self {
            Self::Handler => Role::Server,
            Self::Driven | Self::Bare => Role::Client,
        }
    }

    /// A frame as this end's peer sends it.
    fn frame_for(self, fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        match self.role() {
            Role::Server => client_frame(fin, opcode, payload),
            Role::Client => server_frame(fin, opcode, payload),
        }
    }

    /// The header of a frame that this end's peer claims to send; the payload's bytes may be anything.
    fn header_for(self, fin: bool, opcode: Opcode, len: u64) -> Vec<u8> {
        Header::new(fin, opcode, len, (self.role() == Role::Server).then_some(KEY)).encode().to_vec()
    }

    /// Ends and what they do, all that there are: nothing happens at an end that is not driven and does nothing.
    fn all() -> impl Iterator<Item = (Self, Doing)> {
        let all = ENDS.into_iter().flat_map(|end| DOINGS.map(|doing| (end, doing)));
        all.filter(|&case| case != (Self::Bare, Doing::Asleep))
    }

    /// Opens a connection whose other end the peer has, lives on it, and says what it was told.
    async fn meet<P: Future>(
        self,
        limits: Limits,
        doing: Doing,
        capacity: usize,
        peer: impl FnOnce(DuplexStream) -> P,
    ) -> (Told, P::Output) {
        let (near, mut far) = tokio::io::duplex(capacity);
        let (tell, mut ended) = unbounded_channel();
        let near = Near { stream: near, opened: Instant::now(), ended: tell };
        let (mut told, said) = match self {
            Self::Handler => {
                let (tell, mut told) = unbounded_channel();
                let server = tokio::spawn(serve(near, limits, move |ws| async move {
                    // Nobody listens where a test has failed.
                    let _ = tell.send(live(ws, doing).await);
                }));
                let head = exchange(&mut far, request("").as_bytes()).await;
                assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
                drop(head);
                let (told, said) = tokio::join!(told.recv(), peer(far));
                server.await.unwrap();
                (told.expect("a handler that does not panic"), said)
            }
            Self::Driven => {
                let ws = WebSocket::from_stream(near, Role::Client, limits);
                tokio::join!(sockeye::drive(live(ws, doing)), peer(far))
            }
            Self::Bare => {
                let ws = WebSocket::from_stream(near, Role::Client, limits);
                tokio::join!(live(ws, doing), peer(far))
            }
        };
        told.after = ended.recv().await.expect("the transport is given back");
        (told, said)
    }
}

/// Our end of the wire; it says when it is given back.
struct Near {
    stream: DuplexStream,
    opened: Instant,
    ended: UnboundedSender<Duration>,
}

impl Drop for Near {
    fn drop(&mut self) {
        let _ = self.ended.send(self.opened.elapsed());
    }
}

impl AsyncRead for Near {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Near {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A server of one connection: as [`sockeye::serve`], over a wire in memory.
async fn serve<F>(stream: Near, limits: Limits, handler: impl FnOnce(WebSocket) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let service = service_fn(|mut request: Request<Incoming>| {
        let upgrade = Upgrader::default().limits(limits).upgrade(&mut request).expect("a good request");
        let handler = handler.clone();
        let response: Response<Empty<Bytes>> = upgrade.on_upgrade(|ws| async move {
            handler(ws).await;
            Ok(())
        });
        core::future::ready(Ok::<_, Infallible>(response))
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    connection.with_upgrades().await.unwrap();
}

/// What one who uses the connection does with it, until it ends.
async fn live(mut ws: WebSocket, doing: Doing) -> Told {
    let (mut messages, mut streamed) = (0, 0);
    let error = match doing {
        Doing::Receiving => receive(&mut ws, &mut messages).await,
        Doing::Asleep => {
            // A connection is driven from its first use on.
            assert_eq!(ws.latency(), None);
            sleep(ASLEEP).await;
            receive(&mut ws, &mut messages).await
        }
        Doing::Streaming => stream(&mut ws, &mut messages, &mut streamed).await,
        Doing::Sending => {
            let queue = ws.sender();
            let error = loop {
                match ws.send(Bytes::from_static(&ZEROS)).await {
                    Ok(()) => assert!(queue.queued_bytes() <= ZEROS.len() + 64, "{}", queue.queued_bytes()),
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, Error::Closed), "{error:?}");
            receive(&mut ws, &mut messages).await
        }
        Doing::Closing => ws.close(CloseCode::NORMAL, "").await.err(),
    };
    // What is told is told once, and nothing can be sent any more.
    assert!(doing == Doing::Streaming || ws.recv().await.unwrap().is_none());
    assert!(matches!(ws.send("too late").await, Err(Error::Closed)));
    Told { error, closed: ws.closed().await, after: Duration::ZERO, messages, streamed }
}

async fn receive(ws: &mut WebSocket, messages: &mut usize) -> Option<Error> {
    loop {
        match ws.recv().await {
            Ok(Some(_)) => *messages += 1,
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

async fn stream(ws: &mut WebSocket, messages: &mut usize, streamed: &mut u64) -> Option<Error> {
    let mut buffer = [0; 1024];
    loop {
        let mut stream = match ws.recv_stream().await {
            Ok(Some(stream)) => stream,
            Ok(None) => return None,
            Err(error) => return Some(error),
        };
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => break,
                Ok(count) => *streamed += count as u64,
                Err(error) => return Some(error.downcast().expect("an error of ours is inside")),
            }
        }
        *messages += 1;
    }
}

/// Reads frames until the end, and says which control frames came, and when.
async fn controls(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let opened = Instant::now();
    let mut said = String::new();
    while let Some((_, opcode, payload)) = read_frame(stream).await {
        let second = opened.elapsed().as_secs();
        match opcode {
            Opcode::PING => said += &format!("Ping at {second}, "),
            Opcode::CLOSE => said += &format!("Close {} at {second}, ", u16::from_be_bytes([payload[0], payload[1]])),
            _ => {}
        }
    }
    said + &format!("end at {}", opened.elapsed().as_secs())
}

/// What is checked of every error in every story: its variant, and all that is told of it.
fn is_timeout(told: &Told, phase: Phase, seconds: u64, who: &str) {
    let error = told.error.as_ref().unwrap_or_else(|| panic!("{who}: no error, {told:?}"));
    assert!(matches!(error, Error::Timeout(given) if *given == phase), "{who}: {error:?}");
    assert!(error.is_timeout() && error.kind() == ErrorKind::Timeout, "{who}: {error:?}");
    assert_eq!(error.close_code(), Some(CloseCode::ABNORMAL_CLOSURE), "{who}");
    assert_eq!(told.after, Duration::from_secs(seconds), "{who}");
    let (by, code) = match phase {
        Phase::Closing => (ClosedBy::Us, CloseCode::NORMAL),
        _ => (ClosedBy::Nobody, CloseCode::ABNORMAL_CLOSURE),
    };
    assert_eq!((told.closed.by(), told.closed.code(), told.closed.is_clean()), (by, code, false), "{who}");
}

/// The first time a thread does something it allocates what it keeps: buffers, the date, who logs.
fn warm_up() {
    let (near, mut far) = (End::Handler, Limits::default());
    far = far.closing(Duration::from_secs(1));
    let story = near.meet(far, Doing::Closing, WIRE, |mut peer| async move {
        peer.write_all(&client_frame(true, Opcode::PING, b"?")).await.unwrap();
        drop(controls(&mut peer).await);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    drop(runtime.block_on(story));
}

fn limits() -> Limits {
    Limits::default().queue(64 << 10)
}
