//! What a server keeps of a WebSocket for as long as it lives.

use std::sync::Arc;

use super::admission::Permit;
use super::connection::Visit;
use super::drain::Member;
use super::pace::Exchange;
use crate::metrics::Traffic;
use crate::websocket::WebSocket;

/// A WebSocket's place in its server. The transport holds on to it and so does the handler: it is given up when both have
/// ended.
pub(crate) struct Seat {
    member: Option<Member>,
    traffic: Traffic,
    _permit: Option<Permit>,
    _exchange: Option<Exchange>,
}

impl Seat {
    /// None for a WebSocket that nobody takes note of.
    pub(super) fn take(
        visit: Option<Arc<Visit>>,
        permit: Option<Permit>,
        member: Option<Member>,
        is_stream: bool,
    ) -> Option<Arc<Self>> {
        let traffic = Traffic::opened(is_stream);
        let permit = permit.or_else(|| visit.as_ref()?.take_permit());
        let exchange = visit.and_then(|visit| visit.take_exchange());
        let is_noted = cfg!(feature = "metrics") || member.is_some() || permit.is_some() || exchange.is_some();
        is_noted.then(|| Arc::new(Self { member, traffic, _permit: permit, _exchange: exchange }))
    }

    pub(crate) const fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Says which WebSocket it is.
    pub(super) fn is(&self, ws: &WebSocket) {
        if let Some(member) = &self.member {
            member.is(ws.shared());
        }
    }
}
