//! Ordinary HTTP beside WebSockets: the bodies of its requests and responses.

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};

use super::pace::Exchange;

/// A request as [`Server::answer`](super::Server::answer) gets it. Its extensions have the [`Peer`](super::Peer) it is
/// from.
pub type Request = http::Request<Body>;

/// What answers a [`Request`].
pub type Response = http::Response<Body>;

/// The body of a [`Request`] or [`Response`]: what has been received, or what is to be sent. Made of a text or bytes,
/// or [read](Self::from_reader) from elsewhere as it is sent; the default is an empty one.
///
/// ```
/// use sockeye::{Body, Response};
///
/// let page = Response::new(Body::from("<!DOCTYPE html>…"));
/// let nothing = Response::new(Body::default());
/// ```
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Whole(Bytes),
    /// Never locked: it makes a request one that can be referred to across an await, whatever the reader is.
    Read(Mutex<Pin<Box<dyn AsyncRead + Send>>>),
    Received(Incoming),
}

/// So much is read at once for a body that is read as it is sent.
const PIECE: usize = 16 << 10;

impl Body {
    /// A body that is read as it is sent, to its end. An error cuts the response off.
    pub fn from_reader(reader: impl AsyncRead + Send + 'static) -> Self {
        Self(Kind::Read(Mutex::new(Box::pin(reader))))
    }

    pub(super) const fn received(body: Incoming) -> Self {
        Self(Kind::Received(body))
    }

    /// All of it, if that is not more than `limit` bytes.
    ///
    /// # Errors
    /// [`FileTooLarge`](io::ErrorKind::FileTooLarge) for a body that has or announces more bytes, as soon as that is
    /// known; else what reading it failed with.
    ///
    /// # Cancel safety
    /// Dropping the future loses what it has read.
    pub async fn bytes(self, limit: usize) -> io::Result<Bytes> {
        let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, format!("a body of more than {limit} bytes"));
        let mut body = self.0;
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large());
        }
        let mut bytes = BytesMut::new();
        while let Some(piece) = poll_fn(|cx| body.poll_piece(cx)).await {
            let piece = piece?;
            if piece.len() > limit - bytes.len() {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }
}

impl Kind {
    /// The next piece; trailers are passed over.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = core::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)))
            }
            Self::Read(reader) => {
                let mut piece = vec![0; PIECE];
                let mut buffer = ReadBuf::new(&mut piece);
                let reader = reader.get_mut().unwrap_or_else(PoisonError::into_inner);
                let read = ready!(reader.as_mut().poll_read(cx, &mut buffer));
                let len = buffer.filled().len();
                piece.truncate(len);
                match read {
                    Ok(()) if len == 0 => Poll::Ready(None),
                    read => Poll::Ready(Some(read.map(|()| piece.into()))),
                }
            }
            Self::Received(body) => loop {
                let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(cx)) else {
                    return Poll::Ready(None);
                };
                match frame.map(Frame::into_data) {
                    Ok(Ok(data)) => return Poll::Ready(Some(Ok(data))),
                    Ok(Err(_trailers)) => {}
                    Err(error) => return Poll::Ready(Some(Err(io::Error::other(error)))),
                }
            },
        }
    }

    fn is_end(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Read(_) => false,
            Self::Received(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Read(_) => SizeHint::new(),
            Self::Received(body) => body.size_hint(),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(bytes))
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Bytes::from_static(bytes).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        text.as_bytes().into()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Body").field(&self.0.size_hint()).finish()
    }
}

/// A response's body on its way out. hyper drops it when all of it is handed over.
pub(super) struct Outgoing {
    body: Kind,
    exchange: Option<Exchange>,
}

impl Outgoing {
    /// The exchange ends with the body, if it has not ended before.
    pub(super) fn new(body: Body, exchange: Option<Exchange>) -> Self {
        Self { body: body.0, exchange }
    }
}

impl hyper::body::Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = self.body.poll_piece(cx);
        if let Some(exchange) = &self.exchange {
            exchange.waits_for_peer(polled.is_ready());
        }
        polled.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
