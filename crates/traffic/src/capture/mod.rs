//! Captures: packets in pcap or pcapng, and the TCP streams put together from them.
//!
//! ```text
//! file  ->  packets (pcap-parser)  ->  packet: link, IP, TCP (etherparse)  ->  flows  ->  stream: order, gaps  =>  events
//! ```
//!
//! Link types: Ethernet (with VLAN tags), Linux cooked v1 and v2, BSD loopback, raw IP. IPv4, and IPv6 with extension
//! headers. Fragments of IP are left out, with a [note](crate::Note::Fragments).
//!
//! Who the client is, the SYN tells; where it is missing, the first bytes do (a request comes from a client, a masked
//! frame too), else the port: that of a server is the smaller one.

mod flows;
mod packet;
mod packets;
mod stream;

use std::collections::VecDeque;
use std::io::Read;
use std::time::SystemTime;

use crate::{Note, Piece};
use flows::Flows;
use packet::Packet;
use packets::Packets;

/// Reads a capture: each packet as soon as it is there.
///
/// Memory is bounded: by the largest packet (16 MiB), by what of all streams waits for bytes before it (64 MiB), and by
/// 65,536 connections at once.
#[derive(Debug)]
pub struct Capture<R: Read> {
    packets: Packets<R>,
    flows: Flows,
    left_out: LeftOut,
    ready: VecDeque<Piece>,
    has_ended: bool,
}

/// Packets of which no more is made.
#[derive(Debug, Default)]
struct LeftOut {
    fragments: u64,
    cut: u64,
    link: Option<(u64, u16)>,
}

impl<R: Read> Capture<R> {
    /// A reader of what this gives; nothing is read yet.
    pub fn new(input: R) -> Self {
        Self {
            packets: Packets::new(input),
            flows: Flows::default(),
            left_out: LeftOut::default(),
            ready: VecDeque::new(),
            has_ended: false,
        }
    }

    /// When the first packet was captured: what times count from. Known once it was read.
    #[must_use]
    pub fn started(&self) -> Option<SystemTime> {
        self.packets.started()
    }
}

impl<R: Read> Iterator for Capture<R> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        while self.ready.is_empty() && !self.has_ended {
            let ready = &mut self.ready;
            let give = |event| ready.push_back(Piece::Event(event));
            match self.packets.next() {
                Some(Ok(captured)) => match packet::read(captured.link, captured.data) {
                    Packet::Segment(segment) => {
                        self.left_out.cut += u64::from(segment.is_cut);
                        self.flows.take(&segment, captured.time, give);
                    }
                    Packet::Fragment => self.left_out.fragments += 1,
                    Packet::Link => {
                        let (count, _) = self.left_out.link.unwrap_or_default();
                        self.left_out.link = Some((count + 1, captured.link));
                    }
                    Packet::Other => {}
                },
                ended => {
                    self.has_ended = true;
                    self.flows.finish(give);
                    let LeftOut { fragments, cut, link } = self.left_out;
                    let notes = [
                        (fragments > 0).then_some(Note::Fragments(fragments)),
                        (cut > 0).then_some(Note::CutPackets(cut)),
                        link.map(|(count, link)| Note::Link(count, link)),
                    ];
                    self.ready.extend(notes.into_iter().flatten().map(Piece::Note));
                    self.ready.extend(ended.and_then(Result::err).map(Piece::Damage));
                }
            }
        }
        self.ready.pop_front()
    }
}
