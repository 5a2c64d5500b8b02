//! A way to a server's own `/echo` that leads nowhere else: streams in memory, on which it serves.

use core::net::SocketAddr;
use std::io;

use sockeye::Listener;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

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
    /// A connection; none once the server stops.
    pub(super) async fn open(&self) -> Option<DuplexStream> {
        let (near, far) = duplex(BUFFER);
        self.0.send(far).await.ok().map(|()| near)
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
