//! The opening handshake over HTTP/2 (RFC 8441), of which the h2 crate does the HTTP.
//!
//! A WebSocket is one stream of the connection: see [`stream`]. Several may share one: see [`shared`].

mod shared;
mod stream;

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Ping;
use h2::client::{Builder, Connection, SendRequest};
use h2::ext::Protocol;
use http::Request;
use sockeye_proto::Limits;
use sockeye_proto::handshake::client::{Offer, PROTOCOL, verify_extended_connect};
use sockeye_proto::handshake::{Agreed, HandshakeError};
use tracing::debug;

pub use self::shared::Http2;
use self::shared::Slot;
use self::stream::Http2Stream;
use super::refused::refused;
use crate::error::Error;
use crate::transport::Transport;

/// So much may come on each stream before it is read: what a WebSocket that nobody reads costs at most.
const WINDOW: u32 = 256 << 10;

/// So much may come on all streams together: any number, as the windows of the streams bound it. A smaller window would let
/// streams that are not read hold up those that are.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// So much the smallness of DATA frames may cost that are not read, a frame counted as 256 bytes: those of some 70
/// WebSockets of which each has its window full of small messages. h2 ends the connection of a server that goes beyond.
const SMALL_FRAMES: usize = 128 << 20;

/// Begins HTTP/2 on a stream, and waits until the server has said that it takes WebSockets over it.
pub(super) async fn begin(stream: Transport, limits: &Limits) -> Result<SendRequest<Bytes>, Error> {
    let (requests, mut connection) = Builder::new()
        .enable_push(false)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(Http2Stream::HELD)
        .data_frame_budget(SMALL_FRAMES)
        .max_header_list_size(u32::try_from(limits.max_head()).unwrap_or(u32::MAX))
        .handshake(stream)
        .await
        .map_err(http_error)?;
    expect_extended_connect(&requests, &mut connection).await?;
    // Ends by itself: when the server ends it, or when there is neither a stream nor anybody who could open one.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%error, "an HTTP/2 connection ended");
        }
    });
    Ok(requests)
}

/// Waits for the server's settings (RFC 8441 §3). They are the first that a server sends (RFC 9113 §3.4): whoever has
/// answered a Ping has said all that they have to say.
async fn expect_extended_connect(
    requests: &SendRequest<Bytes>,
    connection: &mut Connection<Transport>,
) -> Result<(), Error> {
    let mut pings = connection.ping_pong().expect("it is asked for once");
    pings.send_ping(Ping::opaque()).map_err(http_error)?;
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut *connection).poll(cx) {
            return Poll::Ready(Err(ended.map_or_else(http_error, |()| Error::Aborted)));
        }
        if requests.is_extended_connect_protocol_enabled() {
            return Poll::Ready(Ok(()));
        }
        pings.poll_pong(cx).map(|pong| match pong {
            Ok(_) => Err(HandshakeError::ExtendedConnect.into()),
            Err(error) => Err(http_error(error)),
        })
    })
    .await
}

/// Asks for a WebSocket. Returns its stream, and what is agreed on.
async fn ask(
    requests: SendRequest<Bytes>,
    mut request: Request<()>,
    offer: &Offer,
    slot: Option<Slot>,
) -> Result<(Transport, Agreed), Error> {
    request.extensions_mut().insert(Protocol::from_static(PROTOCOL));
    let mut requests = requests.ready().await.map_err(http_error)?;
    let (response, sending) = requests.send_request(request, false).map_err(http_error)?;
    let response = response.await.map_err(http_error)?;
    let verdict = verify_extended_connect(&response, offer);
    let (head, mut receiving) = response.into_parts();
    match verdict {
        Ok(agreed) => {
            let stream = Http2Stream::new(sending, receiving, slot);
            Ok((Transport::of(stream), agreed))
        }
        Err(HandshakeError::Status(_)) => {
            let next = |cx: &mut Context<'_>| {
                let data = ready!(receiving.poll_data(cx)).and_then(Result::ok);
                let _ = receiving.flow_control().release_capacity(data.as_ref().map_or(0, Bytes::len));
                Poll::Ready(data)
            };
            Err(refused(head, next).await)
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens a WebSocket that has the connection for itself.
pub(super) async fn open(
    stream: Transport,
    request: Request<()>,
    offer: &Offer,
    limits: &Limits,
) -> Result<(Transport, Bytes, Agreed), Error> {
    let requests = begin(stream, limits).await?;
    let (stream, agreed) = ask(requests, request, offer, None).await?;
    Ok((stream, Bytes::new(), agreed))
}

fn http_error(error: h2::Error) -> Error {
    match error.is_io() {
        true => error.into_io().map_or(Error::Aborted, Error::Io),
        false => Error::Http(Box::new(error)),
    }
}
