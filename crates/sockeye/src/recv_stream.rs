//! One message of any size, read as it arrives.

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use bytes::{Buf, Bytes};
use sockeye_proto::{Message, MessageKind};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use crate::error::Error;
use crate::shared::Handle;
use crate::stream::{PIECE, Reading};

/// A message that is read as it arrives, as an [`AsyncRead`] and [`AsyncBufRead`] that ends where the message ends. Made by `recv_stream` of a
/// [`WebSocket`](crate::WebSocket::recv_stream) or a [`Receiver`](crate::Receiver).
///
/// At most 256 KiB of it is held beside the piece that is being read, also within one frame of 10 GB: a reader that waits
/// holds the peer back through TCP.
/// The message may be of any size; [`Limits::message`](crate::Limits::message) is for those that are taken whole. Of a
/// text every byte is checked before it is given; a piece may end within a character, the message does not.
///
/// Dropping it skips what is left of the message.
///
/// # Errors
/// Reading fails as [`recv`](crate::Receiver::recv) does, with that [`Error`](crate::Error) inside: a message that breaks
/// off does not look like one that has ended.
///
/// # Cancel safety
/// Dropping the future of a read loses nothing.
///
/// ```
/// # use sockeye::{Limits, MessageKind, Role, WebSocket};
/// # use tokio::io::AsyncReadExt;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (near, far) = tokio::io::duplex(1024);
/// # let client = WebSocket::from_stream(near, Role::Client, Limits::default());
/// # let mut server = WebSocket::from_stream(far, Role::Server, Limits::default());
/// client.send("你好").await?;
/// let mut stream = server.recv_stream().await?.expect("a message begins");
/// assert_eq!(stream.kind(), MessageKind::Text);
/// let mut text = String::new();
/// stream.read_to_string(&mut text).await?;
/// assert_eq!(text, "你好");
/// # Ok(()) }
/// ```
pub struct RecvStream<'a> {
    handle: &'a Handle,
    kind: MessageKind,
    /// What has been taken from the connection and not been read.
    piece: Bytes,
    /// The length of the message, if it was there as a whole.
    whole: Option<usize>,
    /// Whether more of it is to come.
    arriving: bool,
}

/// A message that has begun.
pub(crate) enum Begun {
    /// All of it has arrived.
    Whole(Message),
    /// More is to come than this piece.
    Arriving(MessageKind, Bytes),
}

impl<'a> RecvStream<'a> {
    pub(crate) fn new(handle: &'a Handle, begun: Begun) -> Self {
        match begun {
            Begun::Whole(message) => {
                let (kind, whole) = (message.kind(), Some(message.len()));
                Self { handle, kind, piece: message.into_bytes(), whole, arriving: false }
            }
            Begun::Arriving(kind, piece) => Self { handle, kind, piece, whole: None, arriving: true },
        }
    }

    /// Text or binary.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        self.kind
    }

    /// The length that the header of the frame now arriving declares, in bytes: of the whole message if that is one frame,
    /// as most are, and compressed if the message is. `None` once the message has ended.
    #[must_use]
    pub fn frame_len(&self) -> Option<u64> {
        match self.whole {
            Some(len) => Some(len as u64),
            None => self.handle.turn().begun().filter(|_| self.arriving).map(|begun| begun.frame_len),
        }
    }

    /// The next piece of the message as it has arrived, without copying it: 256 KiB at most, and never empty. `None`: the
    /// message has ended. A piece that is kept keeps up to 256 KiB, which those around it share.
    ///
    /// ```
    /// # use sockeye::{Limits, Role, WebSocket};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), sockeye::Error> {
    /// # let (near, far) = tokio::io::duplex(1024);
    /// # let client = WebSocket::from_stream(near, Role::Client, Limits::default());
    /// # let server = WebSocket::from_stream(far, Role::Server, Limits::default());
    /// # client.send("你好").await?;
    /// let (sender, mut receiver) = server.split();
    /// let mut incoming = receiver.recv_stream().await?.expect("a message begins");
    /// let mut outgoing = sender.send_stream(incoming.kind());
    /// while let Some(piece) = incoming.read_piece().await? {
    ///     outgoing.write_piece(piece).await?;
    /// }
    /// outgoing.finish().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As reading has them.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn read_piece(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| self.poll_piece(cx)).await?;
        self.whole = None;
        let piece = self.piece.split_to(self.piece.len().min(PIECE));
        Ok((!piece.is_empty()).then_some(piece))
    }

    /// Waits until there is a piece of the message, or its end.
    fn poll_piece(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        while self.piece.is_empty() && self.arriving {
            let piece = ready!(self.handle.poll_read(cx, Reading::Pieces, |driver| driver.take_piece()));
            self.arriving = matches!(piece, Ok(Some(_)));
            self.piece = piece?.unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for RecvStream<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let piece = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = piece.len().min(buf.remaining());
        buf.put_slice(&piece[..count]);
        self.consume(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for RecvStream<'_> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_piece(cx))?;
        Poll::Ready(Ok(&this.piece))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        self.piece.advance(count);
        if self.piece.is_empty() {
            self.whole = None;
            // Not to keep its memory while waiting for the next.
            self.piece = Bytes::new();
        }
    }
}

impl Drop for RecvStream<'_> {
    fn drop(&mut self) {
        if self.arriving {
            self.handle.turn().read_as(Reading::Nobody);
        }
    }
}

impl fmt::Debug for RecvStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvStream").field("kind", &self.kind).field("arriving", &self.arriving).finish_non_exhaustive()
    }
}
