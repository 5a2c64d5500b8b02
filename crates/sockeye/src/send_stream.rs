//! One message of any size, sent as it is written.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use bytes::BytesMut;
use sockeye_proto::utf8::Validator;
use sockeye_proto::{CloseCode, CloseReason, MessageKind};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::error::Error;
use crate::shared::{Handle, Reads};
use crate::waiters::{Place, Wants};

/// A message that is sent as it is written, as an [`AsyncWrite`]: in frames of up to 64 KiB (RFC 6455 §5.4), in as much
/// memory. Made by `send_stream` of a [`WebSocket`](crate::WebSocket::send_stream) or a [`Sender`](crate::Sender).
///
/// [`finish`](Self::finish), or `shutdown` of [`AsyncWriteExt`], ends the message. Flushing sends what has been written so far as a frame
/// and waits until that is with the system's network stack. The message is not compressed. What is written to a text has
/// to be UTF-8; a write or a frame may end within a character, the message may not.
///
/// From its first frame on other messages wait, as nothing but control frames can be sent in the middle of a message.
/// **Dropping it unfinished** leaves no other way than to close the connection, with 1011, if a frame has been sent by then.
///
/// ```
/// # use sockeye::{Limits, MessageKind, Role, WebSocket};
/// # use tokio::io::AsyncWriteExt;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (near, far) = tokio::io::duplex(1024);
/// # let client = WebSocket::from_stream(near, Role::Client, Limits::default());
/// # let mut server = WebSocket::from_stream(far, Role::Server, Limits::default());
/// let mut stream = client.send_stream(MessageKind::Text);
/// stream.write_all("你".as_bytes()).await?;
/// stream.flush().await?; // a frame
/// stream.write_all("好".as_bytes()).await?;
/// stream.finish().await?; // and the last one
/// assert_eq!(server.recv().await?, Some("你好".into()));
/// # Ok(()) }
/// ```
///
/// # Cancel safety
/// Dropping the future of a write, a flush or `shutdown` loses nothing of what was written before.
pub struct SendStream<'a> {
    handle: &'a Handle,
    kind: MessageKind,
    validator: Validator,
    /// What has been written and is not queued yet.
    gathered: BytesMut,
    progress: Progress,
    /// The position a flush waits for.
    flushing: Option<u64>,
    place: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// No frame has been sent.
    Unsent,
    /// The first frame has been sent.
    Begun,
    /// The last one has; all that was accepted up to this position is still to be written.
    Finished { position: u64 },
    /// It failed: nothing more can be written.
    Failed,
}

/// A frame is sent when so much has been written.
const FRAGMENT: usize = 64 << 10;

impl<'a> SendStream<'a> {
    pub(crate) fn new(handle: &'a Handle, kind: MessageKind) -> Self {
        Self {
            handle,
            kind,
            validator: Validator::default(),
            gathered: BytesMut::new(),
            progress: Progress::Unsent,
            flushing: None,
            place: None,
        }
    }

    /// Ends the message with what was written last, and waits until all of it is with the system's network stack.
    ///
    /// # Errors
    /// [`Error::Closed`] once a Close has been sent or received, [`Error::Io`] when writing fails, also with
    /// [`InvalidData`](io::ErrorKind::InvalidData) for a text that ends within a character.
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream.
    pub async fn finish(mut self) -> Result<(), Error> {
        self.shutdown().await.map_err(|error| match error.downcast() {
            Ok(error) => error,
            Err(error) => Error::Io(error),
        })
    }

    /// Queues what has been gathered as a frame.
    fn poll_frame(&mut self, cx: &Context<'_>, fin: bool) -> Poll<io::Result<()>> {
        let wants = match self.progress {
            Progress::Unsent => Wants::Room(self.gathered.len()),
            Progress::Begun => Wants::RoomInMessage(self.gathered.len()),
            Progress::Finished { .. } | Progress::Failed => return Poll::Ready(Err(over())),
        };
        let (kind, gathered) = (self.kind, &mut self.gathered);
        let accepted = self.handle.poll_accept(cx, &mut self.place, wants, |turn| {
            turn.connection.send_fragment(kind, core::mem::take(gathered).freeze(), fin)?;
            let position = turn.connection.accepted();
            turn.leave().map(|()| position)
        });
        self.progress = match ready!(accepted) {
            Ok(position) if fin => Progress::Finished { position },
            Ok(_) => Progress::Begun,
            Err(error) => {
                self.progress = Progress::Failed;
                return Poll::Ready(Err(error.into()));
            }
        };
        Poll::Ready(Ok(()))
    }

    fn poll_flushed(&mut self, cx: &Context<'_>, position: u64) -> Poll<io::Result<()>> {
        let flushed = self.handle.poll_watch(cx, &mut self.place, Reads::Ahead, |driver| driver.flushed(position));
        flushed.map_err(io::Error::from)
    }
}

impl AsyncWrite for SendStream<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.gathered.len() >= FRAGMENT {
            ready!(this.poll_frame(cx, false))?;
        } else if matches!(this.progress, Progress::Finished { .. } | Progress::Failed) {
            return Poll::Ready(Err(over()));
        }
        let piece = &bytes[..bytes.len().min(FRAGMENT - this.gathered.len())];
        if this.kind == MessageKind::Text {
            // What came before it stays right: the caller may still finish the message, or drop it.
            let mut validator = this.validator;
            validator.feed(piece).map_err(|_| no_text("not UTF-8"))?;
            this.validator = validator;
        }
        this.gathered.extend_from_slice(piece);
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.gathered.is_empty() {
            ready!(this.poll_frame(cx, false))?;
        }
        let position = *this.flushing.get_or_insert_with(|| this.handle.turn().connection.accepted());
        let flushed = ready!(this.poll_flushed(cx, position));
        this.flushing = None;
        Poll::Ready(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let position = loop {
            match this.progress {
                Progress::Finished { position } => break position,
                _ if this.kind == MessageKind::Text && this.validator.finish().is_err() => {
                    return Poll::Ready(Err(no_text("the text ends within a character")));
                }
                _ => ready!(this.poll_frame(cx, true))?,
            }
        };
        this.poll_flushed(cx, position)
    }
}

/// The peer has the beginning of a message that will never end.
impl Drop for SendStream<'_> {
    fn drop(&mut self) {
        if self.progress == Progress::Begun {
            let reason = CloseReason::new(CloseCode::INTERNAL_ERROR, "a message was given up").expect("it may be sent");
            let mut turn = self.handle.turn();
            turn.close(reason);
            drop(turn.leave());
        }
    }
}

impl fmt::Debug for SendStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendStream")
            .field("kind", &self.kind)
            .field("progress", &self.progress)
            .field("gathered", &self.gathered.len())
            .finish_non_exhaustive()
    }
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the message has ended")
}

fn no_text(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a text message has to be UTF-8 (RFC 6455 §5.6): {why}"))
}
