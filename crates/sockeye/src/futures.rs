//! `Stream` and `Sink`, for the combinators of the futures crates.

use core::pin::Pin;
use core::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;
use sockeye_proto::{CloseCode, CloseReason, Message};

use crate::error::Error;
use crate::receiver::Receiver;
use crate::reconnect::{Event, Events, Reconnecting};
use crate::sender::{Sender, Slot};
use crate::shared::Reads;
use crate::waiters::Wants;
use crate::websocket::WebSocket;

/// Ends where [`recv`](Receiver::recv) gives `None`. A stream that was polled waits for a whole message, also when nobody
/// polls it any more, until [`recv_stream`](Receiver::recv_stream) is called: a message over the limit fails in between.
impl Stream for Receiver {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.handle.poll_recv(cx).map(Result::transpose)
    }
}

/// Ends where [`recv`](WebSocket::recv) gives `None`. A stream that was polled waits for a whole message, also when nobody
/// polls it any more, until [`recv_stream`](WebSocket::recv_stream) is called: a message over the limit fails in between.
impl Stream for WebSocket {
    type Item = Result<Message, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.shared().poll_recv(cx).map(Result::transpose)
    }
}

/// Ends behind the last event.
impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.poll_recv(cx)
    }
}

/// Ends behind the last event.
impl Stream for Reconnecting {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        self.events().poll_recv(cx)
    }
}

impl FusedStream for Receiver {
    fn is_terminated(&self) -> bool {
        self.handle.turn().is_told()
    }
}

impl FusedStream for WebSocket {
    fn is_terminated(&self) -> bool {
        self.shared().turn().is_told()
    }
}

/// Takes one message at a time; it is queued with the next call. Flushing waits until all of it is with the system's network
/// stack; closing closes the connection with 1000.
impl Sink<Message> for Sender {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_slot(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.slot.message = Some(message);
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_slot(cx))?;
        let Self { handle, slot } = &mut *self;
        let position = *slot.flushing.get_or_insert_with(|| handle.turn().connection.accepted());
        let flushed = ready!(handle.poll_watch(cx, &mut slot.place, Reads::Ahead, |driver| driver.flushed(position)));
        slot.flushing = None;
        Poll::Ready(flushed)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if !self.is_closed() {
            ready!(self.poll_slot(cx))?;
        }
        let Self { handle, slot } = &mut *self;
        handle.poll_watch(cx, &mut slot.place, Reads::Ahead, |driver| {
            driver.close(CloseReason::new(CloseCode::NORMAL, "").expect("it may be sent"));
            driver.has_ended().then(|| driver.ended())
        })
    }
}

impl Sender {
    /// Queues what the sink has taken.
    fn poll_slot(&mut self, cx: &Context<'_>) -> Poll<Result<(), Error>> {
        let Slot { message, place, .. } = &mut self.slot;
        let Some(len) = message.as_ref().map(Message::len) else {
            return Poll::Ready(Ok(()));
        };
        let accepted = ready!(self.handle.poll_accept(cx, place, Wants::Room(len), |turn| {
            turn.connection.send(message.take().expect("it was there a moment ago"))?;
            turn.leave()
        }));
        // Of no use any more if it was not accepted.
        *message = None;
        Poll::Ready(accepted)
    }
}

/// As a [`Sender`] takes them.
impl Sink<Message> for WebSocket {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.sink().poll_ready(cx)
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        self.sink().start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.sink().poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.sink().poll_close(cx)
    }
}
