//! A way to a server's own `/echo` that leads nowhere else: streams in memory, on which it serves.

use core::net::SocketAddr;
use std::io;
use std::sync::Arc;

use sockeye::Listener;
use sockeye::tap::{Ends, Line, Tap};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

use super::reach::{Reach, Reached};

/// Where the server waits for those who come through the [`Door`].
pub(crate) struct Inside(mpsc::Receiver<DuplexStream>);

/// Where to come in.
#[derive(Clone)]
pub(crate) struct Door(mpsc::Sender<DuplexStream>);

/// What is on its way in memory, in each direction: about what a socket holds.
const BUFFER: usize = 64 << 10;

/// Both sides of it.
pub(crate) fn inside() -> (Door, Inside) {
    let (door, inside) = mpsc::channel(1);
    (Door(door), Inside(inside))
}

impl Door {
    /// The way in for a request with this Host, whose connection is copied to these; the first one counts for its number.
    pub(super) fn reach(self, taps: Vec<Tap>, host: String) -> Arc<Reach> {
        Arc::new(move |target| {
            let ends = Ends { target: Some(target.clone()), ..Ends::default() };
            let lines: Vec<Line> = taps.iter().map(|tap| tap.open(ends.clone())).collect();
            let (door, host) = (self.clone(), host.clone());
            Box::pin(async move {
                let number = lines.first().and_then(Line::number);
                let number = number.ok_or("too much is going on to show one more connection")?;
                let (near, far) = duplex(BUFFER);
                door.0.send(far).await.map_err(|_| "the server is about to stop")?;
                Ok(Reached { stream: Box::new(near), host, target, lines, number })
            })
        })
    }
}

impl Listener for Inside {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, Option<SocketAddr>)> {
        match self.0.recv().await {
            Some(stream) => Ok((stream, None)),
            // Nobody has the door any more.
            None => core::future::pending().await,
        }
    }
}
