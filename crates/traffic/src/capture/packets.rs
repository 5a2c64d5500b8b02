//! Packets out of a file, with their times and link types; `pcap-parser` reads both formats.

use core::fmt;
use core::time::Duration;
use std::io::{self, Chain, Cursor, ErrorKind, Read};
use std::time::{SystemTime, UNIX_EPOCH};

use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{Block, LegacyPcapReader, PcapBlockOwned, PcapError, PcapNGReader};

use crate::Damage;

/// The packets of a capture, one after the other.
pub(super) struct Packets<R: Read> {
    parser: Parser<R>,
    /// Where the block at hand begins, and its length: it is given back before the next one is read.
    offset: u64,
    len: usize,
    /// As much as the parser has room for.
    room: usize,
    /// Of a pcap: the link type, and the nanoseconds in a unit of its times.
    format: (u16, u64),
    /// Of the section of a pcapng at hand.
    interfaces: Vec<Interface>,
    /// The time of the first packet, since 1970.
    started: Option<Duration>,
    /// The time of the latest, for packets that have none.
    latest: Duration,
}

enum Parser<R: Read> {
    /// Before the file's header.
    New(Patient<R>),
    Pcap(LegacyPcapReader<Begun<R>>),
    PcapNg(PcapNGReader<Begun<R>>),
    Ended,
}

/// The file's header, which the parsers want in one piece, and the rest.
type Begun<R> = Chain<Cursor<Vec<u8>>, Patient<R>>;

/// A reader that is asked again when a signal comes.
struct Patient<R>(R);

impl<R: Read> Read for Patient<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u16,
    /// Units of its times in a second, and seconds to add.
    resolution: u64,
    offset: i64,
}

/// A packet, as it was captured.
#[derive(Debug)]
pub(super) struct Captured<'a> {
    /// Since the first packet.
    pub(super) time: Duration,
    /// `LINKTYPE_…`
    pub(super) link: u16,
    pub(super) data: &'a [u8],
}

/// Room for blocks at first, and at most.
const ROOM: usize = 64 << 10;
const MOST_ROOM: usize = 16 << 20;

/// How many bytes are missing of a file's header that begins like this; `None` if it is none.
fn missing_of_header(start: &[u8]) -> Option<usize> {
    const PCAPNG: [u8; 4] = [0x0A, 0x0D, 0x0D, 0x0A];
    let Some(magic) = start.first_chunk::<4>() else { return Some(4 - start.len()) };
    if *magic != PCAPNG {
        return Some(24usize.saturating_sub(start.len()));
    }
    let Some((&[_, _, _, _, a, b, c, d, e, f, g, h], _)) = start.split_first_chunk::<12>() else {
        return Some(12 - start.len());
    };
    let len = match [e, f, g, h] {
        [0x1A, 0x2B, 0x3C, 0x4D] => u32::from_be_bytes([a, b, c, d]),
        _ => u32::from_le_bytes([a, b, c, d]),
    };
    Some(usize::try_from(len).unwrap_or(usize::MAX).min(ROOM).saturating_sub(start.len()))
}

impl<R: Read> fmt::Debug for Packets<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packets").field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl<R: Read> Packets<R> {
    pub(super) const fn new(input: R) -> Self {
        Self {
            parser: Parser::New(Patient(input)),
            offset: 0,
            len: 0,
            room: ROOM,
            format: (0, 1000),
            interfaces: Vec::new(),
            started: None,
            latest: Duration::ZERO,
        }
    }

    /// When the first packet was captured.
    pub(super) fn started(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(self.started?)
    }

    /// The next packet.
    pub(super) fn next(&mut self) -> Option<Result<Captured<'_>, Damage>> {
        if let Parser::New(_) = self.parser
            && let Err(why) = self.open()
        {
            return Some(Err(self.damage(why)));
        }
        loop {
            if let Err(why) = self.find()? {
                return Some(Err(self.damage(why)));
            }
            match self.look() {
                Ok(None) => {}
                Ok(Some((time, link))) => {
                    let time = self.since_start(time);
                    // Looked at once more, because a packet that is given borrows the parser.
                    return self.data().map(|data| Ok(Captured { time, link, data }));
                }
                Err(why) => return Some(Err(self.damage(why))),
            }
        }
    }

    /// Reads the file's header.
    fn open(&mut self) -> Result<(), String> {
        let Parser::New(mut input) = core::mem::replace(&mut self.parser, Parser::Ended) else { return Ok(()) };
        let mut start = Vec::new();
        while let Some(missing) = missing_of_header(&start).filter(|&missing| missing > 0) {
            let read =
                input.by_ref().take(missing as u64).read_to_end(&mut start).map_err(|error| error.to_string())?;
            if read < missing {
                return Err("it ends within its header".to_owned());
            }
        }
        let is_pcapng = start[0] == 0x0A;
        let input = Cursor::new(start).chain(input);
        let opened = match is_pcapng {
            true => PcapNGReader::new(ROOM, input).map(Parser::PcapNg),
            false => LegacyPcapReader::new(ROOM, input).map(Parser::Pcap),
        };
        self.parser = opened.map_err(|error| words(&error).to_owned())?;
        Ok(())
    }

    /// Reads until there is a whole block; `None` at the end of the file.
    fn find(&mut self) -> Option<Result<(), String>> {
        let parser: &mut dyn PcapReaderIterator = match &mut self.parser {
            Parser::Pcap(parser) => parser,
            Parser::PcapNg(parser) => parser,
            Parser::New(_) | Parser::Ended => return None,
        };
        parser.consume(self.len);
        self.offset += self.len as u64;
        self.len = 0;
        loop {
            let there = parser.data().len();
            match parser.next() {
                Ok((len, _)) => {
                    self.len = len;
                    return Some(Ok(()));
                }
                Err(PcapError::Eof) => return None,
                Err(PcapError::UnexpectedEof) if there == 0 => return None,
                Err(PcapError::Incomplete(_) | PcapError::BufferTooSmall) if there < self.room => {
                    if parser.refill().is_err() {
                        return Some(Err("it cannot be read any further".to_owned()));
                    }
                }
                Err(PcapError::Incomplete(_) | PcapError::BufferTooSmall) => {
                    if self.room >= MOST_ROOM {
                        return Some(Err(format!("a packet of more than {MOST_ROOM} bytes: its length is damaged")));
                    }
                    self.room *= 2;
                    parser.grow(self.room);
                }
                Err(error) => return Some(Err(words(&error).to_owned())),
            }
        }
    }

    /// What the block at hand is: a packet's time, since 1970, and link type; anything else is remembered if it matters.
    fn look(&mut self) -> Result<Option<(Option<Duration>, u16)>, String> {
        let block = match &mut self.parser {
            Parser::Pcap(parser) => parser.next(),
            Parser::PcapNg(parser) => parser.next(),
            Parser::New(_) | Parser::Ended => return Ok(None),
        };
        let Ok((_, block)) = block else { return Ok(None) };
        Ok(match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.format = (link(header.network.0), if header.is_nanosecond_precision() { 1 } else { 1000 });
                None
            }
            PcapBlockOwned::Legacy(packet) => {
                let (link, unit) = self.format;
                let fraction = Duration::from_nanos(u64::from(packet.ts_usec) * unit);
                Some((Some(Duration::from_secs(packet.ts_sec.into()) + fraction), link))
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                self.interfaces.clear();
                None
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                self.interfaces.push(Interface {
                    link: link(interface.linktype.0),
                    resolution: interface.ts_resolution().filter(|&units| units > 0).unwrap_or(1_000_000),
                    offset: interface.ts_offset(),
                });
                None
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let index = usize::try_from(packet.if_id).unwrap_or(usize::MAX);
                let interface = self.interfaces.get(index);
                let interface =
                    interface.ok_or_else(|| format!("a packet of interface {index}, which is not described"))?;
                let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                Some((Some(interface.time(units)), interface.link))
            }
            PcapBlockOwned::NG(Block::SimplePacket(_)) => {
                let interface = self.interfaces.first();
                Some((None, interface.ok_or("a packet of an interface that is not described")?.link))
            }
            PcapBlockOwned::NG(_) => None,
        })
    }

    /// The bytes of the packet at hand.
    fn data(&mut self) -> Option<&[u8]> {
        let block = match &mut self.parser {
            Parser::Pcap(parser) => parser.next(),
            Parser::PcapNg(parser) => parser.next(),
            Parser::New(_) | Parser::Ended => return None,
        };
        match block.ok()?.1 {
            PcapBlockOwned::Legacy(packet) => Some(packet.data),
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let len = usize::try_from(packet.caplen).unwrap_or(usize::MAX).min(packet.data.len());
                Some(&packet.data[..len])
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                let len = usize::try_from(packet.origlen).unwrap_or(usize::MAX).min(packet.data.len());
                Some(&packet.data[..len])
            }
            _ => None,
        }
    }

    /// A time since the first packet, within what a recording can say; clocks that go back do not take us there.
    fn since_start(&mut self, time: Option<Duration>) -> Duration {
        let Some(time) = time else { return self.latest };
        let started = *self.started.get_or_insert(time);
        self.latest = time.saturating_sub(started).max(self.latest).min(Duration::from_nanos(u64::MAX));
        self.latest
    }

    fn damage(&mut self, why: String) -> Damage {
        self.parser = Parser::Ended;
        Damage { offset: self.offset, line: None, why }
    }
}

impl Interface {
    /// A time in its units, since 1970.
    fn time(self, units: u64) -> Duration {
        let fraction = u128::from(units % self.resolution) * 1_000_000_000 / u128::from(self.resolution);
        let time = Duration::from_secs(units / self.resolution)
            + Duration::from_nanos(u64::try_from(fraction).unwrap_or_default());
        let offset = Duration::from_secs(self.offset.unsigned_abs());
        if self.offset < 0 { time.saturating_sub(offset) } else { time.saturating_add(offset) }
    }
}

/// The upper bits of a link type say how long a frame's check sequence is.
fn link(number: i32) -> u16 {
    u16::try_from(number & 0xFFFF).unwrap_or_default()
}

/// What the parser says, in words that name no parser.
fn words<I>(error: &PcapError<I>) -> &'static str {
    match error {
        PcapError::UnexpectedEof | PcapError::Eof => "it ends within a packet",
        PcapError::Incomplete(_) => "it ends within its header",
        PcapError::HeaderNotRecognized => "it has no header of a pcap or pcapng",
        PcapError::ReadError => "it cannot be read any further",
        _ => "a block that cannot be read: its lengths do not agree",
    }
}
