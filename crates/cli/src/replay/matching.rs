//! What an end said when it was recorded, and what it says now, side by side.

use core::time::Duration;
use std::collections::VecDeque;

use http::HeaderValue;
use sockeye_dissect::{Conversation, Item, Record};
use sockeye_proto::Role;
use sockeye_proto::frame::Opcode;
use sockeye_proto::handshake::Key;

use super::difference::{Difference, between};

/// One connection twice.
#[derive(Debug)]
pub(super) struct Matching {
    /// Whose part we play.
    own: Role,
    exact: bool,
    recorded: Side,
    now: Side,
    compared: u64,
    key: Option<Key>,
}

/// A connection, and what its other end has said there that the same end has not said on the other side yet.
#[derive(Debug, Default)]
struct Side {
    conversation: Conversation,
    ahead: VecDeque<Record>,
    pongs: VecDeque<Record>,
    /// Bytes that are ahead.
    bytes: u64,
}

/// So many bytes may be ahead.
const MOST_AHEAD: u64 = 64 << 20;
/// So many Pongs that nobody has expected are kept, in case somebody will.
const MOST_PONGS: usize = 4096;

/// In which order a record stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    Main,
    Pong,
    /// In none that can be compared.
    Apart,
}

impl Matching {
    pub(super) fn new(own: Role, exact: bool) -> Self {
        Self { own, exact, recorded: Side::default(), now: Side::default(), compared: 0, key: None }
    }

    /// We say this, where that was recorded.
    pub(super) fn say(&mut self, recorded: &[u8], now: &[u8], time: Duration) {
        // Both are only followed for what they agree on.
        self.recorded.conversation.push(self.own, time, recorded);
        self.now.conversation.push(self.own, time, now);
    }

    /// The other end said this when it was recorded.
    pub(super) fn was_said(&mut self, bytes: &[u8], time: Duration) -> Result<(), Difference> {
        let records = self.recorded.conversation.push(self.own.peer(), time, bytes);
        self.put(records, true)
    }

    /// The other end says this now.
    pub(super) fn is_said(&mut self, bytes: &[u8], time: Duration) -> Result<(), Difference> {
        let records = self.now.conversation.push(self.own.peer(), time, bytes);
        self.put(records, false)
    }

    /// The key of the request that has been said now.
    pub(super) const fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// Whether all that was recorded so far has been said.
    pub(super) fn is_even(&self) -> bool {
        self.recorded.ahead.is_empty() && self.recorded.pongs.is_empty()
    }

    /// Whether much was recorded that has not been said.
    pub(super) const fn is_far_behind(&self) -> bool {
        self.recorded.bytes > MOST_AHEAD / 4
    }

    /// Frames and heads that are alike so far.
    pub(super) const fn compared(&self) -> u64 {
        self.compared
    }

    /// What was recorded and has not been said, for this reason.
    pub(super) fn missing(&mut self, why: String) -> Difference {
        let recorded = self.recorded.ahead.pop_front().or_else(|| self.recorded.pongs.pop_front());
        Difference::new(why, recorded, None)
    }

    /// What has been said beyond all that was recorded.
    pub(super) fn more(&mut self) -> Option<Difference> {
        let came = self.now.ahead.pop_front()?;
        Some(Difference::new("something came behind all that was recorded", None, Some(came)))
    }

    fn lane(&self, record: &Record) -> Lane {
        match &record.item {
            Item::Head(_) => Lane::Main,
            Item::Frame(_) if self.exact => Lane::Main,
            Item::Frame(frame) => match frame.opcode() {
                Some(Opcode::PING) => Lane::Apart,
                Some(Opcode::PONG) => Lane::Pong,
                _ => Lane::Main,
            },
            _ => Lane::Apart,
        }
    }

    fn put(&mut self, records: Vec<Record>, is_recorded: bool) -> Result<(), Difference> {
        for record in records {
            if let (Item::Head(head), false) = (&record.item, is_recorded) {
                let key = head.values("Sec-WebSocket-Key").next();
                self.key = key.and_then(|key| HeaderValue::from_bytes(key).ok()).and_then(|key| Key::parse(&key));
            }
            let lane = self.lane(&record);
            let side = if is_recorded { &mut self.recorded } else { &mut self.now };
            match lane {
                Lane::Main => {
                    side.bytes = side.bytes.saturating_add(record.size());
                    side.ahead.push_back(record);
                }
                Lane::Pong => side.pongs.push_back(record),
                Lane::Apart => {}
            }
        }
        while let (Some(_), Some(_)) = (self.recorded.ahead.front(), self.now.ahead.front()) {
            let pair = self.recorded.ahead.pop_front().zip(self.now.ahead.pop_front());
            let Some((recorded, came)) = pair else { break };
            self.recorded.bytes -= recorded.size();
            self.now.bytes -= came.size();
            if let Some(why) = between(&recorded, &came, self.exact) {
                return Err(Difference::new(why, Some(recorded), Some(came)));
            }
            self.compared += 1;
        }
        self.match_pongs();
        if self.now.bytes > MOST_AHEAD {
            let why = format!("more than {MOST_AHEAD} bytes came ahead of what was recorded");
            return Err(Difference::new(why, None, self.now.ahead.pop_front()));
        }
        Ok(())
    }

    /// A Pong has come when it, or a later one, has: an end may answer the latest Ping alone (RFC 6455 §5.5.3).
    fn match_pongs(&mut self) {
        let mut unexpected = VecDeque::new();
        while let Some(came) = self.now.pongs.pop_front() {
            let is_it = |recorded: &Record| between(recorded, &came, false).is_none();
            match self.recorded.pongs.iter().position(is_it) {
                Some(at) => {
                    self.recorded.pongs.drain(..=at);
                    self.compared += 1;
                }
                None => unexpected.push_back(came),
            }
        }
        unexpected.drain(..unexpected.len().saturating_sub(MOST_PONGS));
        self.now.pongs = unexpected;
    }
}
