//! Whether the peer is still there: a Ping now and then (RFC 6455 §5.5.2), and what to make of the silence after it.
//!
//! ```text
//! Idle     the interval is over, or a probe is asked for    Queued: a Ping waits to be written
//! Queued   its last byte is written                         Written
//!          the window is over, something has moved          Queued, for another window
//!          the window is over, nothing has moved            given up
//! Written  answered                                         Idle
//!          the window is over, and we did not read          Queued: the Pong may lie unread; ask again
//!          the window is over, something has come           Queued: ask again
//!          the window is over, silence                      given up
//! ```
//! Any byte is a sign of life: a peer that is sending a long frame cannot put a Pong inside it. Each window, of
//! [`Limits::pong_time`], is judged on what has happened in it alone. A Ping that was overtaken by others may go without
//! an answer by right (§5.5.3), so that a peer that has shown life is asked again before its silence counts.

use core::time::Duration;
use std::time::Instant;

use super::ControlPayload;
use crate::limits::Limits;

#[derive(Debug)]
pub(super) struct Keepalive {
    phase: Phase,
    /// The number of the latest Ping that was asked for; the first is 1.
    number: u64,
    /// The number of the latest one that was answered.
    answered: u64,
    latency: Option<Duration>,
    /// What has happened in the window.
    heard: bool,
    wrote: bool,
    held_back: Option<HeldBack>,
}

/// That we did not read, and whether it is the peer's turn.
#[derive(Clone, Copy, Debug)]
struct HeldBack {
    /// The application waits for the peer to take what is queued.
    stuck: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No Ping is out. The next one is due then, if the question was asked and there is to be one.
    Idle { due: Option<Instant> },
    /// A Ping waits to be written. The window has an end once somebody has told the time.
    Queued { until: Option<Instant> },
    /// A Ping was written; the window ends [`Limits::pong_time`] later.
    Written { at: Instant },
}

/// What has become of a moment that was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Wait on, until the next moment.
    Wait,
    /// The Ping of this number is to be queued.
    Ask(u64),
    /// The peer has shown no sign of life.
    GiveUp,
}

impl Keepalive {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Idle { due: None },
            number: 0,
            answered: 0,
            latency: None,
            heard: false,
            wrote: false,
            held_back: None,
        }
    }

    /// The next moment to look at the clock, if there is one.
    pub(super) fn deadline(&mut self, now: impl FnOnce() -> Instant, limits: &Limits) -> Option<Instant> {
        match &mut self.phase {
            Phase::Idle { due } => {
                limits.ping_interval().map(|interval| *due.get_or_insert_with(|| later(now(), interval)))
            }
            Phase::Queued { until } => Some(*until.get_or_insert_with(|| later(now(), limits.pong_time()))),
            Phase::Written { at } => Some(later(*at, limits.pong_time())),
        }
    }

    /// Judges the moment; too early is no harm.
    pub(super) fn expired(&mut self, now: Instant, limits: &Limits) -> Verdict {
        if self.deadline(|| now, limits).is_none_or(|deadline| now < deadline) {
            return Verdict::Wait;
        }
        let window = later(now, limits.pong_time());
        let is_alive = self.heard || self.is_excused();
        match self.phase {
            Phase::Idle { .. } => self.ask(Some(window)),
            Phase::Queued { .. } if is_alive || self.wrote => {
                self.phase = Phase::Queued { until: Some(window) };
                self.begin_window();
                Verdict::Wait
            }
            // Asked again, so that the peer hears of us if it is in the same position.
            Phase::Written { .. } if is_alive => self.ask(Some(window)),
            Phase::Queued { .. } | Phase::Written { .. } => Verdict::GiveUp,
        }
    }

    /// Asks for a Ping now, or joins the one that is out: its number, and whether it is to be queued.
    pub(super) fn probe(&mut self) -> (u64, bool) {
        let idle = matches!(self.phase, Phase::Idle { .. });
        if idle {
            self.ask(None);
        }
        (self.number, idle)
    }

    fn ask(&mut self, until: Option<Instant>) -> Verdict {
        self.number += 1;
        self.phase = Phase::Queued { until };
        self.begin_window();
        Verdict::Ask(self.number)
    }

    const fn begin_window(&mut self) {
        (self.heard, self.wrote, self.held_back) = (false, false, None);
    }

    /// So many bytes have come.
    #[inline]
    pub(super) const fn hear(&mut self, bytes: usize) {
        self.heard |= bytes > 0;
    }

    /// The transport has taken bytes.
    #[inline]
    pub(super) const fn write(&mut self) {
        self.wrote = true;
    }

    /// Bytes may have come, and we have not looked.
    pub(super) const fn hold_back(&mut self, stuck: bool) {
        self.held_back = Some(HeldBack { stuck });
    }

    /// Whether silence means nothing, as we did not listen. Where we do not because the application waits for the peer to
    /// take what is queued, it is the peer who has to move: two ends that wait for each other would wait for ever.
    const fn is_excused(&self) -> bool {
        match self.held_back {
            Some(HeldBack { stuck }) => !stuck || self.wrote,
            None => false,
        }
    }

    /// The Ping's last byte was written.
    pub(super) fn ping_written(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Queued { .. }) {
            self.phase = Phase::Written { at: now };
            self.begin_window();
        }
    }

    /// How long the answer took, if this Pong is the one that is waited for.
    pub(super) fn answer(&mut self, pong: &[u8], now: Instant, limits: &Limits) -> Option<Duration> {
        let Phase::Written { at } = self.phase else { return None };
        if pong != self.number.to_be_bytes() {
            return None;
        }
        self.answered = self.number;
        self.latency = Some(now.saturating_duration_since(at));
        self.phase = Phase::Idle { due: limits.ping_interval().map(|interval| later(now, interval)) };
        self.latency
    }

    /// How long the latest answer took, if that was to the Ping of this number or a later one.
    pub(super) const fn answered(&self, number: u64) -> Option<Duration> {
        if self.answered >= number { self.latency } else { None }
    }

    /// How long the latest answer took.
    pub(super) const fn latency(&self) -> Option<Duration> {
        self.latency
    }
}

/// The payload of the Ping of this number.
pub(super) fn payload(number: u64) -> ControlPayload {
    ControlPayload::new(&number.to_be_bytes()).expect("8 bytes fit")
}

/// A moment so much later; one that no clock can tell is one that nobody waits for.
pub(super) fn later(now: Instant, time: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    now.checked_add(time).unwrap_or_else(|| now + NEVER)
}
