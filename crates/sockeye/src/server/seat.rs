//! What a server keeps of a WebSocket for as long as it lives, and of a request that may become one.
//!
//! ```text
//! Note (of the request) --response sent--> Seat (of the transport and the handler) + span
//! ```
//! All of it is optional, and in one allocation: what opens a connection is small, since it leaves a hole in the heap
//! among what stays (1,725 bytes of resident memory a connection, and 1,805 with a span of 40 bytes in the task that
//! waits for the upgrade).

use core::mem;
use std::sync::Arc;

use tracing::Span;

use super::admission::Permit;
use super::connection::Visit;
use super::drain::{Drain, Member};
use super::pace::Exchange;
use crate::metrics::Traffic;
use crate::tap::{Ends, Tap};
use crate::transport::Transport;
use crate::websocket::WebSocket;

/// What is noted of a request that is for a WebSocket.
pub(super) struct Note {
    span: Span,
    visit: Option<Arc<Visit>>,
    /// A stream's, beside that of its connection.
    permit: Option<Permit>,
    drain: Option<Drain>,
    member: Option<Member>,
    /// Where what goes over it is copied to.
    taps: Vec<(Tap, Ends)>,
}

impl Note {
    /// None where nobody takes note of anything.
    pub(super) fn take(
        span: Span,
        visit: Option<Arc<Visit>>,
        permit: Option<Permit>,
        drain: Option<Drain>,
    ) -> Option<Box<Self>> {
        let is_noted = cfg!(feature = "metrics") || visit.is_some() || drain.is_some() || !span.is_disabled();
        is_noted.then(|| Box::new(Self { span, visit, permit, drain, member: None, taps: Vec::new() }))
    }

    /// One where nothing else is taken note of.
    pub(super) fn empty() -> Box<Self> {
        Box::new(Self { span: Span::none(), visit: None, permit: None, drain: None, member: None, taps: Vec::new() })
    }

    /// The WebSocket is to be watched.
    pub(super) fn watch(&mut self, tap: Tap, ends: Ends) {
        self.taps.push((tap, ends));
    }

    /// Puts the taps around what carries the WebSocket, of which these bytes have come already.
    pub(super) fn tapped(&mut self, transport: Transport, early: &[u8]) -> Transport {
        mem::take(&mut self.taps)
            .into_iter()
            .fold(transport, |transport, (tap, ends)| tap.opened(transport, early, ends))
    }

    /// The request will become a WebSocket: a drain waits for it from here on.
    pub(super) fn enter(&mut self) {
        self.member = self.drain.take().map(|drain| drain.enter());
    }

    /// It has become one. `early`: so many bytes of its frames have come already.
    pub(super) fn sit(self, is_stream: bool, early: usize) -> Box<Along> {
        let Self { span, visit, permit, member, .. } = self;
        let permit = permit.or_else(|| visit.as_ref()?.take_permit());
        let exchange = visit.and_then(|visit| visit.take_exchange());
        let traffic = Traffic::opened(is_stream);
        traffic.received(early);
        let seat = Arc::new(Seat { member, traffic, _permit: permit, _exchange: exchange });
        Box::new(Along { span, seat })
    }
}

/// A WebSocket's place in its server. The transport holds on to it and so does the handler: it is given up when both
/// have ended.
pub(crate) struct Seat {
    member: Option<Member>,
    traffic: Traffic,
    _permit: Option<Permit>,
    _exchange: Option<Exchange>,
}

impl Seat {
    pub(crate) const fn traffic(&self) -> &Traffic {
        &self.traffic
    }
}

/// What goes along with a handler.
pub(super) struct Along {
    span: Span,
    seat: Arc<Seat>,
}

impl Along {
    pub(super) const fn span(&self) -> &Span {
        &self.span
    }

    pub(super) const fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Says which WebSocket it is.
    pub(super) fn is(&self, ws: &WebSocket) {
        if let Some(member) = &self.seat.member {
            member.is(ws.shared());
        }
    }
}
