//! Whatever holds traffic: told apart by how it begins.

use core::fmt;
use std::io::{self, Chain, Cursor, ErrorKind, Read};
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
    /// Bytes that are enough to tell what they begin.
    pub const ENOUGH: usize = 4;

    /// Whether a file that begins like this is a source of traffic; four bytes are enough. No WebSocket frame that keeps the
    /// rules begins like one, nor does hex.
    #[must_use]
    pub fn is_begun_by(start: &[u8]) -> bool {
        Kind::of(start).is_some()
    }

    /// Finds out what this is; `None` if it is no source of traffic. Some of it has then been read.
    ///
    /// # Errors
    /// Those of reading the first few bytes.
    pub fn recognise(mut input: R) -> io::Result<Option<Self>> {
        let mut start = Vec::new();
        read_up_to(&mut input, &mut start, Self::ENOUGH)?;
        if !Self::is_begun_by(&start) {
            return Ok(None);
        }
        Ok(Some(Self::begun(start, input)))
    }

    /// A source of which `start` has been read already, at least four bytes if there are so many.
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

impl Kind {
    fn of(start: &[u8]) -> Option<Self> {
        match *start {
            [b'{', ..] => Some(Self::Recording),
            [0xA1, 0xB2, 0xC3, 0xD4, ..] | [0xD4, 0xC3, 0xB2, 0xA1, ..] => Some(Self::Capture),
            [0xA1, 0xB2, 0x3C, 0x4D, ..] | [0x4D, 0x3C, 0xB2, 0xA1, ..] => Some(Self::Capture),
            [0x0A, 0x0D, 0x0D, 0x0A, ..] => Some(Self::Capture),
            [0x34, 0xCD, 0xB2, 0xA1, ..] | [0xA1, 0xB2, 0xCD, 0x34, ..] => Some(Self::Other(
                "a pcap of the modified kind of 1999, which is not read; tcpdump or editcap convert it",
            )),
            [0x1F, 0x8B, ..] => Some(Self::Other("compressed with gzip: give gunzip's output to sockeye inspect -")),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => {
                Some(Self::Other("compressed with zstd: give unzstd's output to sockeye inspect -"))
            }
            _ => None,
        }
    }
}

/// Reads until there are so many bytes, or no more.
fn read_up_to(input: &mut impl Read, bytes: &mut Vec<u8>, count: usize) -> io::Result<()> {
    let mut piece = [0; 512];
    while bytes.len() < count {
        let room = (count - bytes.len()).min(piece.len());
        match input.read(&mut piece[..room]) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
