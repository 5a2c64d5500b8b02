//! Pings and Pongs that wait for the next end of a frame: a peer that sends Pings and never reads costs [`PONGS`] and one
//! Pong, the latest.

use bytes::BytesMut;

use super::encode::append;
use super::{ControlPayload, KeySource};
use crate::frame::{Header, Opcode};

/// What waits, in the order in which it will be written.
#[derive(Default)]
pub(super) struct Controls {
    pongs: Vec<ControlPayload>,
    /// What the frames of these Pongs take, all but the latest's.
    pongs_len: usize,
    ping: Option<ControlPayload>,
    /// A Ping of the keepalive's kind.
    probe: Option<ControlPayload>,
}

/// So many bytes of Pongs wait before only the latest is kept.
const PONGS: usize = 4 << 10;

impl Controls {
    /// Queues the answer to a Ping. Each is answered, as most peers expect, for as long as the answers leave: "If an
    /// endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to previous Ping frame(s), the
    /// endpoint MAY elect to send a Pong frame for only the most recently processed Ping frame" (§5.5.3).
    pub(super) fn pong(&mut self, payload: ControlPayload) {
        if let Some(latest) = self.pongs.last_mut() {
            let len = Header::MAX_SIZE + latest.len();
            if self.pongs_len + len > PONGS {
                *latest = payload;
                return;
            }
            self.pongs_len += len;
        }
        self.pongs.push(payload);
    }

    /// Queues a Ping; it takes the place of one that waits.
    pub(super) fn ping(&mut self, payload: ControlPayload) {
        self.ping = Some(payload);
    }

    pub(super) fn probe(&mut self, payload: ControlPayload) {
        self.probe = Some(payload);
    }

    pub(super) const fn has_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// Whether the peer is alive is no longer asked.
    pub(super) fn without_probe(mut self: Box<Self>) -> Box<Self> {
        self.probe = None;
        self
    }

    /// All of it as frames. The probe is the last of them.
    pub(super) fn frames(&self, keys: Option<KeySource>) -> BytesMut {
        let mut frames = BytesMut::new();
        let pongs = self.pongs.iter().map(|pong| (Opcode::PONG, pong));
        let pings = self.ping.iter().chain(&self.probe).map(|ping| (Opcode::PING, ping));
        for (opcode, payload) in pongs.chain(pings) {
            let header = Header::new(true, opcode, payload.len() as u64, keys.map(|draw| draw()));
            append(&mut frames, header, payload);
        }
        frames
    }
}
