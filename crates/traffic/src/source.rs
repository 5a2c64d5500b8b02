//! Whatever holds traffic: told apart by how it begins.

use core::fmt;
use std::io::{self, Chain, Cursor, Read};
use std::time::SystemTime;

use crate::capture::Capture;
use crate::recording::Reader;
use crate::{Damage, Piece};

/// A recording or a capture.
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
#[non_exhaustive]
pub enum Source<R: Read> {
    /// [A recording](crate::recording).
    Recording(Reader<Begun<R>>),
    /// [A capture](crate::capture) in pcap or pcapng.
    Capture(Capture<Begun<R>>),
    /// One of these, compressed; or of a kind that is not read. What that is.
    Other(Option<&'static str>),
}

/// What was read to see what it is, and the rest.
pub type Begun<R> = Chain<Cursor<Vec<u8>>, R>;

impl<R: Read> fmt::Debug for Source<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recording(_) => "Source::Recording",
            Self::Capture(_) => "Source::Capture",
            Self::Other(_) => "Source::Other",
        })
    }
}

impl<R: Read> Source<R> {
    /// Whether a file that begins like this is a source of traffic; `None` as long as that takes more bytes, four at most.
    ///
    /// No WebSocket frame that keeps the rules begins like one, nor does hex.
    #[must_use]
    pub fn is_begun_by(start: &[u8]) -> Option<bool> {
        if Kind::of(start).is_some() {
            return Some(true);
        }
        let may_become_one = |(magic, _): &(&[u8], Kind)| magic.len() > start.len() && magic.starts_with(start);
        if KINDS.iter().any(may_become_one) { None } else { Some(false) }
    }

    /// Finds out what this is; `None` if it is no source of traffic. Some of it has then been read.
    ///
    /// # Errors
    /// Those of reading the first few bytes.
    pub fn recognise(mut input: R) -> io::Result<Option<Self>> {
        let mut start = Vec::new();
        while Self::is_begun_by(&start).is_none() {
            if input.by_ref().take(1).read_to_end(&mut start)? == 0 {
                break;
            }
        }
        Ok((Self::is_begun_by(&start) == Some(true)).then(|| Self::begun(start, input)))
    }

    /// A source of which `start` has been read already, as much as [tells what it is](Self::is_begun_by).
    pub fn begun(start: Vec<u8>, input: R) -> Self {
        match Kind::of(&start) {
            Some(Kind::Recording) => Self::Recording(Reader::new(Cursor::new(start).chain(input))),
            Some(Kind::Capture) => Self::Capture(Capture::new(Cursor::new(start).chain(input))),
            Some(Kind::Other(what)) => Self::Other(Some(what)),
            None => Self::Other(Some("no recording and no capture")),
        }
    }

    /// When it began: what times count from. Known once something was read.
    #[must_use]
    pub fn started(&self) -> Option<SystemTime> {
        match self {
            Self::Recording(reader) => reader.started(),
            Self::Capture(capture) => capture.started(),
            Self::Other(_) => None,
        }
    }
}

impl<R: Read> Iterator for Source<R> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        match self {
            Self::Recording(reader) => reader.next(),
            Self::Capture(capture) => capture.next(),
            Self::Other(what) => {
                let what = what.take()?;
                Some(Piece::Damage(Damage { offset: 0, line: None, why: what.to_owned() }))
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Recording,
    Capture,
    Other(&'static str),
}

/// How files begin.
const KINDS: [(&[u8], Kind); 10] = [
    (b"{", Kind::Recording),
    (&[0xA1, 0xB2, 0xC3, 0xD4], Kind::Capture),
    (&[0xD4, 0xC3, 0xB2, 0xA1], Kind::Capture),
    (&[0xA1, 0xB2, 0x3C, 0x4D], Kind::Capture),
    (&[0x4D, 0x3C, 0xB2, 0xA1], Kind::Capture),
    (&[0x0A, 0x0D, 0x0D, 0x0A], Kind::Capture),
    (&[0x34, 0xCD, 0xB2, 0xA1], MODIFIED),
    (&[0xA1, 0xB2, 0xCD, 0x34], MODIFIED),
    (&[0x1F, 0x8B], Kind::Other("compressed with gzip: give gunzip's output to sockeye inspect -")),
    (&[0x28, 0xB5, 0x2F, 0xFD], Kind::Other("compressed with zstd: give unzstd's output to sockeye inspect -")),
];
const MODIFIED: Kind =
    Kind::Other("a pcap of the modified kind of 1999, which is not read; tcpdump or editcap convert it");

impl Kind {
    fn of(start: &[u8]) -> Option<Self> {
        KINDS.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, kind)| *kind)
    }
}
