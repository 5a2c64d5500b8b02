//! A copy of what goes over connections, for whoever wants to watch them: raw bytes with their times, as they come from the
//! network, before they are unmasked, and as they go there, masked.
//!
//! ```text
//! Tap ──open──> Line, one for each connection ──bytes──> Channel, bounded ──Event──> Watch
//!                 ^
//!              Tapped: a transport around the transport
//! ```
//! A connection that is watched has another transport around its own, and one that is not has none: nothing in the driver
//! knows of it, and no instruction is spent where nobody watches.
//!
//! The channel between the two is bounded, in bytes. What finds no room there is not copied, but counted, and the watch is
//! told where how many bytes are [missing](What::Missing): a watch that is slow, or hangs, takes nothing from the connections
//! but the time of a copy. Whoever would rather have connections wait than lose something can: see [`Line::poll_room`].
//!
//! ```
//! use sockeye::tap::{Begins, Ends, Tap, What};
//! use sockeye::{Limits, Role, WebSocket};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sockeye::Error> {
//! let (tap, mut watch) = Tap::new(1 << 20);
//! # let (near, far) = tokio::io::duplex(1024);
//! # let client = WebSocket::from_stream(far, Role::Client, Limits::default());
//! let ends = Ends { client: Some("127.0.0.1:50000".into()), begins: Begins::Frames(None), ..Ends::default() };
//! let mut server = WebSocket::from_stream(tap.stream(near, Role::Server, ends), Role::Server, Limits::default());
//! client.send("hi").await?;
//! server.recv().await?;
//!
//! assert!(matches!(watch.recv().await.unwrap().what, What::Opened(_)));
//! let What::Bytes { from: Role::Client, bytes } = watch.recv().await.unwrap().what else { panic!() };
//! assert_eq!(bytes[..2], [0x81, 0x82]); // FIN and text, MASK and 2 bytes; the key comes next
//! # Ok(()) }
//! ```

mod channel;
mod event;
mod line;
mod stream;
mod watch;

use core::fmt;
use std::sync::Arc;

use sockeye_proto::Role;

use crate::transport::Transport;
use channel::Writers;
pub use event::{Begins, Ending, Ends, Event, Lost, What};
pub use line::Line;
pub use stream::Tapped;
pub use watch::Watch;

/// Where what goes over connections is copied to. Clones are the same tap.
#[derive(Clone)]
pub struct Tap {
    writers: Arc<Writers>,
}

impl Tap {
    /// A tap, and the watch on it, with a channel of so many bytes between them: of what goes over the connections, and some
    /// 50 for each read and write. 64 KiB at least.
    #[must_use]
    pub fn new(capacity: usize) -> (Self, Watch) {
        let (writers, reader) = channel::channel(capacity);
        (Self { writers }, Watch::new(reader))
    }

    /// Notes that a connection is there. It is watched until the line is dropped.
    ///
    /// Where the channel is full the whole connection is left out, and [counted](Self::lost).
    #[must_use]
    pub fn open(&self, ends: Ends) -> Line {
        Line::open(&self.writers, None, ends)
    }

    /// The same, with a number of the caller's, who gives no two connections the same one: several taps then know a connection
    /// by one number.
    #[must_use]
    pub fn open_as(&self, number: u64, ends: Ends) -> Line {
        Line::open(&self.writers, Some(number), ends)
    }

    /// A connection whose bytes go over a stream: what is read from it and written to it is watched. `role` is ours.
    pub fn stream<S>(&self, stream: S, role: Role, ends: Ends) -> Tapped<S> {
        Tapped::new(stream, role, self.open(ends))
    }

    /// The same for a WebSocket that a server has opened, some bytes of whose frames have come with the head.
    pub(crate) fn opened(&self, transport: Transport, early: &[u8], ends: Ends) -> Transport {
        let mut line = self.open(ends);
        if !early.is_empty() {
            line.push(Role::Client, early);
        }
        Transport::of(Tapped::new(transport, Role::Server, line))
    }

    /// What did not find its way to the watch so far.
    #[must_use]
    pub fn lost(&self) -> Lost {
        self.writers.lost()
    }

    /// Whether the watch is gone: everything is lost from then on.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.writers.is_closed()
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("is_closed", &self.is_closed()).field("lost", &self.lost()).finish()
    }
}
