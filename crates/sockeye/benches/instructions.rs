//! How many instructions a connection takes beside its transport, counted by callgrind: a driven handler that sends back
//! what it receives, over a transport in memory that gives a batch of frames with every other read.
//!
//! ```text
//! cargo bench -p sockeye --bench instructions           prints the counts; needs valgrind
//! cargo bench -p sockeye --bench instructions -- FILE   writes them to a file
//! cargo xtask instructions                              compares them with those kept in instructions.txt
//! ```
//! What is counted, and why it does not depend on the machine, is told in the core's benchmark of the same name.

#[path = "../../proto/benches/counting/mod.rs"]
mod counting;

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::hint::black_box;
use std::io;
use std::process::ExitCode;

use counting::Workload;
use sockeye::tap::Ends;
use sockeye::{Limits, Role, Tap, WebSocket};
use sockeye_proto::frame::{Header, Opcode};
use sockeye_proto::mask::MaskingKey;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Something to do, and how many messages one run of it is made of.
struct Work {
    items: usize,
    run: Box<dyn FnMut()>,
}

const WORKLOADS: [Workload; 8] = [
    echo("echo 32 B", || echoing(1, 32, own)),
    echo("echo 16 × 32 B", || echoing(16, 32, own)),
    echo("echo 1 KiB", || echoing(1, 1 << 10, own)),
    echo("echo 32 B, lent", || echoing(1, 32, lent)),
    echo("echo 16 × 32 B, lent", || echoing(16, 32, lent)),
    echo("echo 1 KiB, lent", || echoing(1, 1 << 10, lent)),
    echo("echo 32 B, watched", || watched(true)),
    echo("echo 32 B, no longer watched", || watched(false)),
];

const fn echo(name: &'static str, make: fn() -> Work) -> Workload {
    Workload { name, unit: "message", per: 1, make }
}

fn main() -> ExitCode {
    counting::main(&WORKLOADS)
}

type Handler = Pin<Box<dyn Future<Output = Result<(), sockeye::Error>>>>;

fn own(mut ws: WebSocket) -> Handler {
    Box::pin(sockeye::drive(async move {
        while let Some(message) = ws.recv().await? {
            ws.send(message).await?;
        }
        Ok(())
    }))
}

fn lent(mut ws: WebSocket) -> Handler {
    Box::pin(sockeye::drive(async move {
        let (mut incoming, mut outgoing) = ws.halves();
        while let Some(message) = incoming.recv().await? {
            outgoing.send(message).await?;
        }
        Ok(())
    }))
}

const BATCHES: usize = 1_000;

/// So many messages of this length come with each read, and are sent back.
fn echoing(batch: usize, len: usize, handler: fn(WebSocket) -> Handler) -> Work {
    repeating(batch, handler(over(wire(batch, len))))
}

/// The same with a tap on the connection, while there is a watch on it, and after.
fn watched(is_there: bool) -> Work {
    let (tap, watch) = Tap::new(64 << 20);
    let mut watch = Some(watch).filter(|_| is_there);
    let mut work = repeating(1, own(over(tap.stream(wire(1, 32), Role::Server, Ends::default()))));
    let run = move || {
        (work.run)();
        if let Some(watch) = &mut watch {
            while let Some(event) = watch.try_recv() {
                black_box(event);
            }
        }
    };
    Work { items: work.items, run: Box::new(run) }
}

fn wire(batch: usize, len: usize) -> Wire {
    let header = Header::new(true, Opcode::BINARY, len as u64, Some(MaskingKey::new([0x37, 0xFA, 0x21, 0x3D])));
    let frame = [&header.encode()[..], &vec![7; len]].concat();
    Wire { bytes: frame.repeat(batch), gives: false }
}

fn over(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> WebSocket {
    // No Pings: there is no runtime with a timer.
    WebSocket::from_stream(stream, Role::Server, Limits::default().ping(None))
}

/// Polls a handler once for each batch.
fn repeating(batch: usize, mut handler: Handler) -> Work {
    let mut cx = Context::from_waker(Waker::noop());
    let run = move || {
        for _ in 0..BATCHES {
            assert!(handler.as_mut().poll(&mut cx).is_pending());
        }
    };
    Work { items: batch * BATCHES, run: Box::new(run) }
}

/// Gives the same bytes with every other read, and takes whatever is written.
struct Wire {
    bytes: Vec<u8>,
    gives: bool,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.gives = !self.gives;
        if !self.gives {
            return Poll::Pending;
        }
        buf.put_slice(&self.bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(black_box(buf).len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
