//! What is inspected: bytes in the arguments, a file, or standard input.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::path::Path;

use sockeye_traffic::Source;

use super::hex::{HexReader, Place};

/// What is to be inspected.
pub(super) enum Input {
    /// The bytes of frames that one end has sent.
    Bytes(Bytes),
    /// A recording or a capture, and its name.
    Traffic(Box<Source<Box<dyn Read>>>, String),
}

/// Bytes of frames, which come in pieces.
pub(super) enum Bytes {
    /// All at once, from the arguments; `None` once they are taken.
    Arguments(Option<Vec<u8>>),
    /// As they come.
    Stream(Stream),
}

/// A file or standard input.
pub(super) struct Stream {
    reader: Box<dyn Read>,
    name: String,
    /// What was read to see what it is.
    first: Option<Vec<u8>>,
    content: Content,
}

/// How a stream holds the bytes.
pub(super) enum Content {
    Hex(HexReader),
    Bytes,
}

impl Input {
    /// Finds out what the arguments mean, and what a stream begins with. `hex` and `file` are what the options of that
    /// name say.
    ///
    /// # Errors
    /// A line that says what is wrong with them.
    pub(super) fn open(arguments: &[OsString], hex: bool, file: bool) -> Result<Self, String> {
        let content = match (hex, file) {
            (true, true) => return Err("--hex and --file exclude one another".to_owned()),
            (true, false) => Some(Content::Hex(HexReader::new(Place::START_OF_TEXT))),
            (false, true) => Some(Content::Bytes),
            (false, false) => None,
        };
        match arguments {
            [] if io::stdin().is_terminal() => {
                Err("nothing to inspect: give bytes in hex, a file, or a pipe (see sockeye inspect --help)".to_owned())
            }
            [] => Self::stdin(content),
            [dash] if dash == "-" => Self::stdin(content),
            [name] if file => Self::file(Path::new(name), content),
            [_, extra, ..] if file => {
                Err(format!("--file takes one file; {:?} is one too many", extra.to_string_lossy()))
            }
            _ => match (read_hex(arguments), arguments) {
                (Ok(bytes), _) => Ok(Self::Bytes(Bytes::Arguments(Some(bytes)))),
                (Err(_), [name]) if Path::new(name).exists() => Self::file(Path::new(name), content),
                (Err(error), [_]) => Err(format!("{error}, and there is no such file")),
                (Err(error), _) => Err(error),
            },
        }
    }

    fn stdin(content: Option<Content>) -> Result<Self, String> {
        Self::stream(Box::new(io::stdin()), "standard input".to_owned(), content)
    }

    fn file(path: &Path, content: Option<Content>) -> Result<Self, String> {
        let name = format!("{:?}", path.to_string_lossy());
        let file = File::open(path).map_err(|error| cannot_read(&name, &error))?;
        Self::stream(Box::new(file), name, content)
    }

    /// A stream; what it begins with tells how it holds what, unless that is said.
    fn stream(mut reader: Box<dyn Read>, name: String, content: Option<Content>) -> Result<Self, String> {
        if let Some(content) = content {
            return Ok(Self::Bytes(Bytes::Stream(Stream { reader, name, first: None, content })));
        }
        let mut first = read_piece(&mut reader, &name)?;
        loop {
            match Source::<Box<dyn Read>>::is_begun_by(&first) {
                Some(true) => return Ok(Self::Traffic(Box::new(Source::begun(first, reader)), name)),
                Some(false) => break,
                None => match read_piece(&mut reader, &name)? {
                    more if more.is_empty() => break,
                    more => first.extend(more),
                },
            }
        }
        let content = Content::of(&first);
        Ok(Self::Bytes(Bytes::Stream(Stream { reader, name, first: Some(first), content })))
    }
}

/// Reads what there is, at least a byte unless it is the end.
fn read_piece(reader: &mut dyn Read, name: &str) -> Result<Vec<u8>, String> {
    const PIECE: usize = 64 << 10;
    let mut piece = vec![0; PIECE];
    let len = loop {
        match reader.read(&mut piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => break other.map_err(|error| cannot_read(name, &error))?,
        }
    };
    piece.truncate(len);
    Ok(piece)
}

impl Bytes {
    /// The next bytes, as soon as there are any; `None` at the end.
    ///
    /// # Errors
    /// A line that says what cannot be read, or which token is not hex.
    pub(super) fn read(&mut self) -> Result<Option<Vec<u8>>, String> {
        let Stream { reader, name, first, content } = match self {
            Self::Arguments(bytes) => return Ok(bytes.take()),
            Self::Stream(stream) => stream,
        };
        let piece = match first.take() {
            Some(first) => first,
            None => read_piece(reader, name)?,
        };
        let len = piece.len();
        let Content::Hex(hex) = content else {
            return Ok(Some(piece).filter(|piece| !piece.is_empty()));
        };
        let mut bytes = Vec::new();
        let read = if len == 0 { hex.end_token() } else { hex.push(&piece, &mut bytes) };
        read.map_err(|error| format!("{name}: {error}"))?;
        Ok((len > 0).then_some(bytes))
    }
}

impl Content {
    /// Hex, if all that comes first is ASCII text. A frame that keeps the rules of RFC 6455 begins with a byte above 0x80
    /// or below 0x03, which text does not.
    fn of(piece: &[u8]) -> Self {
        let is_text = piece.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
        if is_text { Self::Hex(HexReader::new(Place::START_OF_TEXT)) } else { Self::Bytes }
    }
}

/// Arguments that are all hex, as the bytes they stand for.
fn read_hex(arguments: &[OsString]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for (i, argument) in arguments.iter().enumerate() {
        let mut hex = HexReader::new(Place::Argument(i + 1));
        hex.push(argument.to_string_lossy().as_bytes(), &mut bytes)?;
        hex.end_token()?;
    }
    Ok(bytes)
}

/// One line: the system's words, without its number.
fn cannot_read(name: &str, error: &io::Error) -> String {
    let words = error.to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    format!("cannot read {name}: {words}")
}
