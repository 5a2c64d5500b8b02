//! One message of any size, sent as it is written.

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use bytes::{Bytes, BytesMut};
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
    frames: Frames<'a>,
    validator: Validator,
    /// What has been written and is not queued yet.
    gathered: BytesMut,
    /// The position a flush waits for.
    flushing: Option<u64>,
}

/// The frames of a message, one after the other.
struct Frames<'a> {
    handle: &'a Handle,
    kind: MessageKind,
    progress: Progress,
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
            frames: Frames { handle, kind, progress: Progress::Unsent, place: None },
            validator: Validator::default(),
            gathered: BytesMut::new(),
            flushing: None,
        }
    }

    /// Sends a piece of the message as a frame of its own, behind what was written before. A large one is not copied; an
    /// empty one sends nothing.
    ///
    /// # Errors
    /// [`Error::Closed`] once a Close has been sent or received, [`Error::Io`] when writing fails, also with
    /// [`InvalidData`](io::ErrorKind::InvalidData) for a piece that makes a text something else than UTF-8.
    ///
    /// # Cancel safety
    /// Dropping the future before it is ready sends nothing of the piece.
    pub async fn write_piece(&mut self, piece: impl Into<Bytes>) -> Result<(), Error> {
        let mut piece = piece.into();
        let validator = self.fed(&piece).map_err(Error::Io)?;
        if piece.is_empty() {
            return Ok(());
        }
        poll_fn(|cx| {
            if !self.gathered.is_empty() {
                ready!(self.poll_gathered(cx, false))?;
            }
            self.frames.poll_send(cx, piece.len(), || core::mem::take(&mut piece), false)
        })
        .await
        .map_err(of_io)?;
        self.validator = validator;
        Ok(())
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
        self.shutdown().await.map_err(of_io)
    }

    /// What comes of the validator with these bytes behind those before. What came before stays right if they are not: the
    /// caller may still finish the message, or drop it.
    fn fed(&self, bytes: &[u8]) -> io::Result<Validator> {
        let mut validator = self.validator;
        if self.frames.kind == MessageKind::Text {
            validator.feed(bytes).map_err(|_| no_text("not UTF-8"))?;
        }
        Ok(validator)
    }

    /// Queues what has been gathered as a frame.
    fn poll_gathered(&mut self, cx: &Context<'_>, fin: bool) -> Poll<io::Result<()>> {
        let Self { frames, gathered, .. } = self;
        frames.poll_send(cx, gathered.len(), || core::mem::take(gathered).freeze(), fin)
    }
}

impl Frames<'_> {
    /// Queues a frame, whose payload is taken when there is room for so much.
    fn poll_send(
        &mut self,
        cx: &Context<'_>,
        len: usize,
        payload: impl FnOnce() -> Bytes,
        fin: bool,
    ) -> Poll<io::Result<()>> {
        let wants = match self.progress {
            Progress::Unsent => Wants::Room(len),
            Progress::Begun => Wants::RoomInMessage(len),
            Progress::Finished { .. } | Progress::Failed => return Poll::Ready(Err(over())),
        };
        let accepted = self.handle.poll_accept(cx, &mut self.place, wants, |turn| {
            turn.connection.send_fragment(self.kind, payload(), fin)?;
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
            ready!(this.poll_gathered(cx, false))?;
        } else if matches!(this.frames.progress, Progress::Finished { .. } | Progress::Failed) {
            return Poll::Ready(Err(over()));
        }
        let piece = &bytes[..bytes.len().min(FRAGMENT - this.gathered.len())];
        this.validator = this.fed(piece)?;
        this.gathered.extend_from_slice(piece);
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.gathered.is_empty() {
            ready!(this.poll_gathered(cx, false))?;
        }
        let handle = this.frames.handle;
        let position = *this.flushing.get_or_insert_with(|| handle.turn().connection.accepted());
        let flushed = ready!(this.frames.poll_flushed(cx, position));
        this.flushing = None;
        Poll::Ready(flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let position = loop {
            match this.frames.progress {
                Progress::Finished { position } => break position,
                _ if this.frames.kind == MessageKind::Text && this.validator.finish().is_err() => {
                    return Poll::Ready(Err(no_text("the text ends within a character")));
                }
                _ => ready!(this.poll_gathered(cx, true))?,
            }
        };
        this.frames.poll_flushed(cx, position)
    }
}

/// The peer has the beginning of a message that will never end.
impl Drop for Frames<'_> {
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
            .field("kind", &self.frames.kind)
            .field("progress", &self.frames.progress)
            .field("gathered", &self.gathered.len())
            .finish_non_exhaustive()
    }
}

/// The error that an [`AsyncWrite`] has told as one of I/O.
fn of_io(error: io::Error) -> Error {
    error.downcast().unwrap_or_else(Error::Io)
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the message has ended")
}

fn no_text(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a text message has to be UTF-8 (RFC 6455 §5.6): {why}"))
}
