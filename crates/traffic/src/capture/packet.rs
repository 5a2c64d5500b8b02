//! One packet: its link layer, IP and TCP; `etherparse` reads them.

use core::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};

/// What a packet is.
#[derive(Debug)]
pub(super) enum Packet<'a> {
    Segment(Segment<'a>),
    /// A part of an IP packet with TCP.
    Fragment,
    /// Its link type is not read.
    Link,
    /// Something else than TCP.
    Other,
}

/// A segment of TCP.
#[derive(Debug)]
pub(super) struct Segment<'a> {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) seq: u32,
    pub(super) ack: Option<u32>,
    pub(super) syn: bool,
    pub(super) fin: bool,
    pub(super) rst: bool,
    pub(super) payload: &'a [u8],
    /// Whether the payload goes on in the packet that was sent.
    pub(super) is_cut: bool,
}

/// Numbers of link types, from <https://www.tcpdump.org/linktypes.html>.
const NULL: u16 = 0;
const ETHERNET: u16 = 1;
const RAW: [u16; 5] = [12, 14, 101, 228, 229];
const LOOP: u16 = 108;
const LINUX_SLL: u16 = 113;
const LINUX_SLL2: u16 = 276;

/// Takes a packet apart.
pub(super) fn read(link: u16, data: &[u8]) -> Packet<'_> {
    let by_ether_type =
        |protocol: [u8; 2], data| Some(LaxSlicedPacket::from_ether_type(EtherType(u16::from_be_bytes(protocol)), data));
    let packet = match link {
        ETHERNET => LaxSlicedPacket::from_ethernet(data).ok(),
        // The protocol stands at the end of 16 bytes in the first version, and at the start of 20 in the second.
        LINUX_SLL => data.split_first_chunk::<16>().and_then(|(head, data)| by_ether_type([head[14], head[15]], data)),
        LINUX_SLL2 => data.split_first_chunk::<20>().and_then(|(head, data)| by_ether_type([head[0], head[1]], data)),
        // Four bytes say which protocol follows, in numbers and an order of the machine's own; IP says it itself.
        NULL | LOOP => data.get(4..).and_then(|data| LaxSlicedPacket::from_ip(data).ok()),
        _ if RAW.contains(&link) => LaxSlicedPacket::from_ip(data).ok(),
        _ => return Packet::Link,
    };
    packet.map_or(Packet::Other, |packet| of_ip(&packet))
}

fn of_ip<'a>(packet: &LaxSlicedPacket<'a>) -> Packet<'a> {
    let (from, to): (IpAddr, IpAddr) = match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        Some(LaxNetSlice::Ipv6(ip)) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        _ => return Packet::Other,
    };
    let Some(payload) = packet.net.as_ref().and_then(LaxNetSlice::ip_payload_ref) else { return Packet::Other };
    if payload.ip_number != etherparse::IpNumber::TCP {
        return Packet::Other;
    }
    if payload.fragmented {
        return Packet::Fragment;
    }
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { return Packet::Other };
    Packet::Segment(Segment {
        from: SocketAddr::new(from, tcp.source_port()),
        to: SocketAddr::new(to, tcp.destination_port()),
        seq: tcp.sequence_number(),
        ack: tcp.ack().then(|| tcp.acknowledgment_number()),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        payload: tcp_payload(tcp),
        is_cut: payload.incomplete,
    })
}

/// What follows the header, which lives as long as the packet.
fn tcp_payload<'a>(tcp: &etherparse::TcpSlice<'a>) -> &'a [u8] {
    tcp.slice().get(tcp.header_slice().len()..).unwrap_or_default()
}
