//! What is inspected: bytes in the arguments, a file, or standard input.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::path::Path;

use super::hex::{HexReader, Place};

/// Bytes to inspect, which come in pieces.
pub(super) enum Input {
    /// All at once, from the arguments; `None` once they are taken.
    Arguments(Option<Vec<u8>>),
    /// As they come.
    Stream { reader: Box<dyn Read>, name: String, content: Content },
}

/// How a stream holds the bytes.
pub(super) enum Content {
    /// Not decided: what comes first will tell.
    Unknown,
    Hex(HexReader),
    Bytes,
}

impl Input {
    /// Bytes read at once.
    const PIECE: usize = 64 << 10;

    /// Finds out what the arguments mean. `hex` and `file` are what the options of that name say.
    ///
    /// # Errors
    /// A line that says what is wrong with them.
    pub(super) fn open(arguments: &[OsString], hex: bool, file: bool) -> Result<Self, String> {
        let content = match (hex, file) {
            (true, true) => return Err("--hex and --file exclude one another".to_owned()),
            (true, false) => Content::Hex(HexReader::new(Place::START_OF_TEXT)),
            (false, true) => Content::Bytes,
            (false, false) => Content::Unknown,
        };
        match arguments {
            [] if io::stdin().is_terminal() => {
                Err("nothing to inspect: give bytes in hex, a file, or a pipe (see sockeye inspect --help)".to_owned())
            }
            [] => Ok(Self::stdin(content)),
            [dash] if dash == "-" => Ok(Self::stdin(content)),
            [name] if file => Self::file(Path::new(name), content),
            [_, extra, ..] if file => {
                Err(format!("--file takes one file; {:?} is one too many", extra.to_string_lossy()))
            }
            _ => match (read_hex(arguments), arguments) {
                (Ok(bytes), _) => Ok(Self::Arguments(Some(bytes))),
                (Err(_), [name]) if Path::new(name).exists() => Self::file(Path::new(name), content),
                (Err(error), [_]) => Err(format!("{error}, and there is no such file")),
                (Err(error), _) => Err(error),
            },
        }
    }

    fn stdin(content: Content) -> Self {
        Self::Stream { reader: Box::new(io::stdin().lock()), name: "standard input".to_owned(), content }
    }

    fn file(path: &Path, content: Content) -> Result<Self, String> {
        let name = format!("{:?}", path.to_string_lossy());
        match File::open(path) {
            Ok(file) => Ok(Self::Stream { reader: Box::new(file), name, content }),
            Err(error) => Err(cannot_read(&name, &error)),
        }
    }

    /// The next bytes, as soon as there are any; `None` at the end.
    ///
    /// # Errors
    /// A line that says what cannot be read, or which token is not hex.
    pub(super) fn read(&mut self) -> Result<Option<Vec<u8>>, String> {
        let (reader, name, content) = match self {
            Self::Arguments(bytes) => return Ok(bytes.take()),
            Self::Stream { reader, name, content } => (reader, name, content),
        };
        let mut piece = vec![0; Self::PIECE];
        let len = loop {
            match reader.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other.map_err(|error| cannot_read(name, &error))?,
            }
        };
        piece.truncate(len);
        if matches!(content, Content::Unknown) {
            *content = Content::of(&piece);
        }
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
