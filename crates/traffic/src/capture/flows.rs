//! Connections by their addresses: who is the client, when one begins and ends.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::HashMap;

use sockeye_proto::Role;

use super::packet::Segment;
use super::stream::{Next, Stream};
use crate::{Ending, Ends, Event, What};

/// All connections of a capture that have not ended.
#[derive(Debug, Default)]
pub(super) struct Flows {
    flows: HashMap<[SocketAddr; 2], Flow>,
    /// Connections that were opened.
    opened: u64,
    /// Segments so far, which tells what was heard of last.
    segments: u64,
    /// When the last one came.
    latest: Duration,
    /// Bytes that wait in all streams.
    waiting: usize,
}

/// A connection. Its ends stand in the order of their addresses.
#[derive(Debug, Default)]
struct Flow {
    /// Its number, once it has sent something, and the end that is the client.
    opened: Option<(u64, usize)>,
    /// The end that sent a SYN, or the other one of who answered it.
    client: Option<usize>,
    streams: [Stream; 2],
    /// Who ended first.
    closed_by: Option<usize>,
    /// The last segment it had.
    latest: u64,
}

/// Connections that are followed at once.
const MAX_FLOWS: usize = 1 << 16;
/// Bytes that wait in all streams.
const MAX_WAITING: usize = 64 << 20;

impl Flows {
    /// Takes a segment; gives what happens by it.
    pub(super) fn take(&mut self, segment: &Segment<'_>, time: Duration, mut give: impl FnMut(Event)) {
        self.segments += 1;
        self.latest = time;
        let ends = if segment.from <= segment.to { [segment.from, segment.to] } else { [segment.to, segment.from] };
        let from = usize::from(segment.from != ends[0]);
        let data_begins = segment.seq.wrapping_add(u32::from(segment.syn));
        // The same addresses once more: what was there before has ended unseen.
        if segment.syn
            && self.flows.get(&ends).is_some_and(|flow| flow.streams[from].is_other(data_begins))
            && let Some(mut flow) = self.flows.remove(&ends)
        {
            flow.drain(ends, true, time, &mut self.opened, &mut give);
            flow.end(time, Ending::Closed(None), &mut give);
        }
        if !self.flows.contains_key(&ends) {
            self.keep_few(time, &mut give);
        }
        let flow = self.flows.entry(ends).or_default();
        flow.latest = self.segments;
        if segment.syn {
            let client = if segment.ack.is_some() { 1 - from } else { from };
            flow.client.get_or_insert(client);
            flow.streams[from].begin(data_begins);
        }
        let before = flow.waiting();
        if let Some(ack) = segment.ack {
            flow.streams[1 - from].acknowledge(ack);
        }
        if !segment.payload.is_empty() || segment.fin {
            flow.streams[from].take(data_begins, segment.payload, segment.fin);
        }
        if segment.fin {
            flow.closed_by.get_or_insert(from);
        }
        let too_much = (self.waiting + flow.waiting()).saturating_sub(before) > MAX_WAITING;
        flow.drain(ends, too_much || segment.rst, time, &mut self.opened, &mut give);
        self.waiting = (self.waiting + flow.waiting()).saturating_sub(before);
        let has_ended = segment.rst || flow.streams.iter().all(Stream::has_ended);
        if has_ended && let Some(flow) = self.flows.remove(&ends) {
            self.waiting = self.waiting.saturating_sub(flow.waiting());
            let ending = match segment.rst {
                true => Ending::Reset(flow.role(from)),
                false => Ending::Closed(flow.closed_by.and_then(|by| flow.role(by))),
            };
            flow.end(time, ending, &mut give);
        }
    }

    /// The capture is over: what waits is given, with the gaps before it. Nobody knows how the connections went on.
    pub(super) fn finish(&mut self, mut give: impl FnMut(Event)) {
        let mut flows: Vec<_> = self.flows.drain().collect();
        flows.sort_by_key(|(_, flow)| flow.latest);
        let time = self.latest;
        self.waiting = 0;
        for (ends, mut flow) in flows {
            flow.drain(ends, true, time, &mut self.opened, &mut give);
        }
    }

    /// Makes room for one more: those that never sent anything go first, then those that have been silent for longest.
    fn keep_few(&mut self, time: Duration, give: &mut impl FnMut(Event)) {
        if self.flows.len() < MAX_FLOWS {
            return;
        }
        let mut order: Vec<_> =
            self.flows.iter().map(|(ends, flow)| (flow.opened.is_some(), flow.latest, *ends)).collect();
        order.sort_unstable();
        // Many at once, as to find them takes its time.
        for (_, _, ends) in order.into_iter().take(MAX_FLOWS / 8) {
            if let Some(flow) = self.flows.remove(&ends) {
                self.waiting = self.waiting.saturating_sub(flow.waiting());
                flow.end(time, Ending::GivenUp, give);
            }
        }
    }
}

impl Flow {
    const fn waiting(&self) -> usize {
        self.streams[0].waiting() + self.streams[1].waiting()
    }

    /// Gives all that comes next, in both directions.
    fn drain(
        &mut self,
        ends: [SocketAddr; 2],
        all: bool,
        time: Duration,
        opened: &mut u64,
        give: &mut impl FnMut(Event),
    ) {
        for from in [0, 1] {
            while let Some(next) = self.streams[from].next(all) {
                let (connection, client) = *self.opened.get_or_insert_with(|| {
                    *opened += 1;
                    let bytes = if let Next::Bytes(bytes) = &next { bytes.as_slice() } else { &[] };
                    let client = self.client.unwrap_or_else(|| guess_client(bytes, from, ends));
                    let ends = Ends {
                        client: Some(ends[client].to_string()),
                        server: Some(ends[1 - client].to_string()),
                        target: None,
                        joined: self.client.is_none(),
                    };
                    give(Event { connection: *opened, time, what: What::Opened(ends) });
                    (*opened, client)
                });
                let from = if from == client { Role::Client } else { Role::Server };
                let what = match next {
                    Next::Bytes(bytes) => What::Bytes { from, bytes: bytes.into(), redacted: false },
                    Next::Missing(bytes) => What::Missing { from, bytes },
                };
                give(Event { connection, time, what });
            }
        }
    }

    fn end(self, time: Duration, ending: Ending, give: &mut impl FnMut(Event)) {
        if let Some((connection, _)) = self.opened {
            give(Event { connection, time, what: What::Ended(ending) });
        }
    }

    fn role(&self, end: usize) -> Option<Role> {
        let (_, client) = self.opened?;
        Some(if end == client { Role::Client } else { Role::Server })
    }
}

/// Which end is the client, where the SYN is missing: by the first bytes that one has sent, else by the ports.
fn guess_client(bytes: &[u8], from: usize, ends: [SocketAddr; 2]) -> usize {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE "];
    if METHODS.iter().any(|method| bytes.starts_with(method)) {
        return from;
    }
    if bytes.starts_with(b"HTTP/1.") {
        return 1 - from;
    }
    // A good frame has no RSV2 and RSV3, and a known opcode; its MASK bit tells who sent it.
    if let [first, second, ..] = *bytes
        && first & 0x30 == 0
        && matches!(first & 0x0F, 0x0..=0x2 | 0x8..=0xA)
    {
        return if second & 0x80 == 0 { 1 - from } else { from };
    }
    usize::from(ends[0].port() < ends[1].port())
}
