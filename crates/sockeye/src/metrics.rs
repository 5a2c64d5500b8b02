//! What is counted, through the `metrics` facade: whoever has the feature on and a recorder installed gets the numbers,
//! nobody else pays for them. [`Server`](crate::Server) lists them.

use sockeye_proto::CloseCode;
use sockeye_proto::handshake::Refusal;

#[cfg(feature = "metrics")]
mod names {
    pub(super) const CONNECTIONS_OPEN: &str = "sockeye_connections_open";
    pub(super) const CONNECTIONS_REFUSED: &str = "sockeye_connections_refused_total";
    pub(super) const HANDSHAKES_FAILED: &str = "sockeye_handshakes_failed_total";
    pub(super) const REQUESTS_REFUSED: &str = "sockeye_requests_refused_total";
    pub(super) const OPENED: &str = "sockeye_websockets_opened_total";
    pub(super) const OPEN: &str = "sockeye_websockets_open";
    pub(super) const CLOSED: &str = "sockeye_websockets_closed_total";
    pub(super) const RECEIVED: &str = "sockeye_received_bytes_total";
    pub(super) const SENT: &str = "sockeye_sent_bytes_total";
}

/// Says what each number is.
#[cfg(feature = "metrics")]
pub(crate) fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge};
    describe_gauge!(names::CONNECTIONS_OPEN, "Connections that are open");
    describe_counter!(
        names::CONNECTIONS_REFUSED,
        "Connections over the limit for an address, and stops at the limit for all"
    );
    describe_counter!(names::HANDSHAKES_FAILED, "Connections that ended before any request could be answered");
    describe_counter!(names::REQUESTS_REFUSED, "Requests for a WebSocket that were refused");
    describe_counter!(names::OPENED, "WebSockets that were opened, by version of HTTP");
    describe_gauge!(names::OPEN, "WebSockets that are open");
    describe_counter!(names::CLOSED, "WebSockets that have ended, by close code");
    describe_counter!(names::RECEIVED, Unit::Bytes, "Bytes received on WebSockets");
    describe_counter!(names::SENT, Unit::Bytes, "Bytes sent on WebSockets");
}

#[cfg(feature = "metrics")]
pub(crate) fn connections(change: f64) {
    metrics::gauge!(names::CONNECTIONS_OPEN).increment(change);
}

#[cfg(feature = "metrics")]
pub(crate) fn connection_refused(reason: &'static str) {
    metrics::counter!(names::CONNECTIONS_REFUSED, "reason" => reason).increment(1);
}

#[cfg(feature = "metrics")]
pub(crate) fn handshake_failed(reason: &'static str) {
    metrics::counter!(names::HANDSHAKES_FAILED, "reason" => reason).increment(1);
}

#[cfg(feature = "metrics")]
pub(crate) fn request_refused(refusal: &Refusal) {
    metrics::counter!(names::REQUESTS_REFUSED, "reason" => format!("{refusal:?}").to_ascii_lowercase()).increment(1);
}

/// Codes that applications make up are counted together, as peers could make up thousands.
#[cfg(feature = "metrics")]
pub(crate) fn closed(code: CloseCode) {
    let code = match code.as_u16() {
        3000..4000 => "3xxx".to_owned(),
        4000.. => "4xxx".to_owned(),
        code => code.to_string(),
    };
    metrics::counter!(names::CLOSED, "code" => code).increment(1);
}

/// One open WebSocket, and its traffic.
#[cfg(feature = "metrics")]
pub(crate) struct Traffic {
    open: metrics::Gauge,
    received: metrics::Counter,
    sent: metrics::Counter,
}

#[cfg(feature = "metrics")]
impl Traffic {
    pub(crate) fn opened(is_stream: bool) -> Self {
        metrics::counter!(names::OPENED, "http" => if is_stream { "2" } else { "1.1" }).increment(1);
        let open = metrics::gauge!(names::OPEN);
        open.increment(1.0);
        Self { open, received: metrics::counter!(names::RECEIVED), sent: metrics::counter!(names::SENT) }
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received.increment(bytes as u64);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.increment(bytes as u64);
    }
}

#[cfg(feature = "metrics")]
impl Drop for Traffic {
    fn drop(&mut self) {
        self.open.decrement(1.0);
    }
}

/// The same where nobody counts.
#[cfg(not(feature = "metrics"))]
mod uncounted {
    use super::{CloseCode, Refusal};

    pub(crate) const fn describe() {}
    pub(crate) const fn connections(_: f64) {}
    pub(crate) const fn connection_refused(_: &'static str) {}
    pub(crate) const fn handshake_failed(_: &'static str) {}
    pub(crate) const fn request_refused(_: &Refusal) {}
    pub(crate) const fn closed(_: CloseCode) {}

    pub(crate) struct Traffic;

    impl Traffic {
        pub(crate) const fn opened(_: bool) -> Self {
            Self
        }

        #[expect(clippy::unused_self, reason = "as where somebody counts")]
        pub(crate) const fn received(&self, _: usize) {}

        #[expect(clippy::unused_self, reason = "as where somebody counts")]
        pub(crate) const fn sent(&self, _: usize) {}
    }
}

#[cfg(not(feature = "metrics"))]
pub(crate) use uncounted::{
    Traffic, closed, connection_refused, connections, describe, handshake_failed, request_refused,
};
