//! Captures made by hand: TCP segments in IP, in frames of any link type, in pcap or pcapng.

use std::net::{IpAddr, SocketAddr};

/// A segment, and the packet around it.
#[derive(Clone, Debug)]
pub(crate) struct Tcp {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) seq: u32,
    pub(crate) ack: Option<u32>,
    pub(crate) flags: u8,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const CLIENT: &str = "10.0.0.1:50000";
pub(crate) const SERVER: &str = "10.0.0.2:8080";

impl Tcp {
    pub(crate) fn new(from: &str, to: &str, seq: u32, payload: &[u8]) -> Self {
        let address = |text: &str| text.parse().unwrap();
        Self { from: address(from), to: address(to), seq, ack: None, flags: 0, payload: payload.to_vec() }
    }

    pub(crate) fn flags(self, flags: u8) -> Self {
        Self { flags, ..self }
    }

    pub(crate) fn ack(self, ack: u32) -> Self {
        Self { ack: Some(ack), ..self }
    }

    fn segment(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(self.from.port().to_be_bytes());
        bytes.extend(self.to.port().to_be_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.ack.unwrap_or_default().to_be_bytes());
        // Six words of header: an option of no meaning is there to be passed over.
        bytes.extend([6 << 4, self.flags | u8::from(self.ack.is_some()) << 4, 0xFF, 0xFF, 0, 0, 0, 0, 1, 1, 1, 0]);
        bytes.extend(&self.payload);
        bytes
    }

    /// The IP packet.
    pub(crate) fn ip(&self) -> Vec<u8> {
        let segment = self.segment();
        match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let len = u16::try_from(20 + segment.len()).unwrap().to_be_bytes();
                let mut bytes = vec![0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, 6, 0, 0];
                bytes.extend(from.octets());
                bytes.extend(to.octets());
                [bytes, segment].concat()
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                // With a hop-by-hop and a destination header before TCP.
                let extensions = [60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0];
                let len = u16::try_from(extensions.len() + segment.len()).unwrap().to_be_bytes();
                let mut bytes = vec![0x60, 0, 0, 0, len[0], len[1], 0, 64];
                bytes.extend(from.octets());
                bytes.extend(to.octets());
                [&bytes, extensions.as_slice(), &segment].concat()
            }
            _ => panic!("both ends speak one IP"),
        }
    }

    pub(crate) fn ether_type(&self) -> [u8; 2] {
        if self.from.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xDD] }
    }

    pub(crate) fn ethernet(&self) -> Vec<u8> {
        let mut frame = [&[2u8; 12][..], &self.ether_type(), &self.ip()].concat();
        // Short frames are filled up.
        frame.resize(frame.len().max(60), 0xEE);
        frame
    }
}

/// How a pcap is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pcap {
    pub(crate) big_endian: bool,
    pub(crate) nanos: bool,
    pub(crate) link: u16,
    pub(crate) snaplen: usize,
}

pub(crate) const PLAIN: Pcap = Pcap { big_endian: false, nanos: false, link: 1, snaplen: 262_144 };

impl Pcap {
    fn u32(self, number: u32) -> [u8; 4] {
        if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn u16(self, number: u16) -> [u8; 2] {
        if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    /// A file with a packet each millisecond.
    pub(crate) fn file(self, packets: &[Vec<u8>]) -> Vec<u8> {
        let magic: u32 = if self.nanos { 0xA1B2_3C4D } else { 0xA1B2_C3D4 };
        let mut file = [self.u32(magic).as_slice(), &self.u16(2), &self.u16(4), &[0; 8]].concat();
        file.extend(self.u32(self.snaplen as u32));
        file.extend(self.u32(self.link.into()));
        for (i, packet) in packets.iter().enumerate() {
            let fraction = i as u32 * if self.nanos { 1_000_000 } else { 1000 };
            let there = packet.len().min(self.snaplen);
            for number in [1_795_000_000, fraction, there as u32, packet.len() as u32] {
                file.extend(self.u32(number));
            }
            file.extend(&packet[..there]);
        }
        file
    }

    /// The same as pcapng: an interface, statistics in between, which are passed over.
    pub(crate) fn ng_file(self, packets: &[Vec<u8>]) -> Vec<u8> {
        let block = |kind: u32, body: &[u8]| {
            let padding = vec![0; (4 - body.len() % 4) % 4];
            let len = self.u32((12 + body.len() + padding.len()) as u32);
            [&self.u32(kind)[..], &len, body, &padding, &len].concat()
        };
        let name = [&self.u16(4)[..], &self.u16(6), b"by hand\0"[..6].as_ref(), &[0, 0], &[0; 4]].concat();
        let section = [&self.u32(0x1A2B_3C4D)[..], &self.u16(1), &self.u16(0), &[0xFF; 8], &name].concat();
        let mut file = block(0x0A0D_0D0A, &section);
        let resolution = if self.nanos { [9, 0, 0, 0] } else { [6, 0, 0, 0] };
        let options = [&self.u16(9)[..], &self.u16(1), &resolution, &[0; 4]].concat();
        let interface = [&self.u16(self.link)[..], &[0; 2], &self.u32(self.snaplen as u32), &options].concat();
        file.extend(block(1, &interface));
        for (i, packet) in packets.iter().enumerate() {
            let units = (1_795_000_000_000 + i as u64) * if self.nanos { 1_000_000 } else { 1000 };
            let there = packet.len().min(self.snaplen);
            let numbers = [0, (units >> 32) as u32, units as u32, there as u32, packet.len() as u32];
            let head: Vec<u8> = numbers.iter().flat_map(|&number| self.u32(number)).collect();
            file.extend(block(6, &[&head, &packet[..there]].concat()));
            file.extend(block(5, &[0; 12]));
        }
        file
    }
}
