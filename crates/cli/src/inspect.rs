//! `sockeye inspect`: explains the bytes of frames, bit by bit, and whole connections out of recordings and captures.

mod hex;
mod input;
mod traffic;

use std::ffi::OsString;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use clap::builder::FalseyValueParser;
use sockeye_dissect::{Dissector, Frame, Record, render};

use crate::view::{Color, Connections, Filter, Format, Report};
use input::{Bytes, Input};

/// What `sockeye inspect` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Bytes in hex (spaces, commas, colons and 0x as you like), a file, or - for standard input
    ///
    /// A single argument that is not hex names a file; a file whose name is hex is written ./84. What a file or standard
    /// input holds is a recording, a capture (pcap, pcapng), hex if it begins as ASCII text, which no good frame does, or
    /// else the bytes of frames themselves. Without an argument standard input is read, unless it is a terminal.
    #[arg(value_name = "FILE | - | HEX")]
    input: Vec<OsString>,

    /// Takes what a file or standard input holds for hex, whatever it begins with
    #[arg(long, env = "SOCKEYE_HEX", value_parser = FalseyValueParser::new())]
    hex: bool,

    /// Takes the argument for a file's name, even if it is hex, and what is read for the bytes of frames themselves
    #[arg(long, env = "SOCKEYE_FILE", value_parser = FalseyValueParser::new())]
    file: bool,

    /// Who sent the bytes, which decides whether they must be masked [default: by the first frame's MASK bit]
    #[arg(long, value_enum, value_name = "ROLE", env = "SOCKEYE_FROM")]
    from: Option<Role>,

    /// Says that permessage-deflate was agreed on: compressed messages are inflated
    ///
    /// =joined means that the input does not begin with the first message after the handshake; where one refers to
    /// messages that are not there, it says so. =off is what counts without the option. Where there is a handshake, it
    /// tells.
    #[arg(long, value_enum, value_name = "SEEN", env = "SOCKEYE_DEFLATE", num_args = 0..=1, require_equals = true)]
    #[arg(default_value_t, default_missing_value = "start")]
    deflate: Deflate,

    /// Takes connections whose beginning is missing for WebSockets, and the first bytes for the start of a frame
    #[arg(long, env = "SOCKEYE_JOINED", value_parser = FalseyValueParser::new())]
    joined: bool,

    /// Shows what matches, and judges nothing else: 'text client', 'connection=2 not ping', 'length>1000 or violation'
    ///
    /// What stands side by side must all match; or, not and brackets are understood.
    /// Words: client server frame request response opaque gap text binary continuation close ping pong control data
    /// reserved fin masked compressed violation hint.
    /// Comparisons (= != < <= > >=): connection frame message opcode length code port; also address=IP, text~WORDS and
    /// payload~HEX (contains).
    #[arg(long, value_name = "EXPR", env = "SOCKEYE_FILTER", value_parser = Filter::parse)]
    filter: Option<Filter>,

    /// How to show what there is
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "SOCKEYE_FORMAT")]
    format: Format,

    /// Shows payloads and texts to their ends; else long ones are shortened
    #[arg(long, env = "SOCKEYE_ALL", value_parser = FalseyValueParser::new())]
    all: bool,

    /// Whether to use colours; auto means on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", env = "SOCKEYE_COLOR")]
    color: Color,
}

const EXAMPLES: &str = "\
For each frame: the figure of RFC 6455 filled in, the bit operations that read its header, the payload unmasked, its
text, its place in a message, and every broken rule with its section. A frame is shown as soon as its last byte is in.
Of a recording or capture: each connection, its handshake, and then its frames, both ways.

Examples:
  sockeye inspect 84 67 78 83 21 22 12 43 12 --from client
  sockeye inspect 0x81,0x85,0x37,0xfa,0x21,0x3d,0x7f,0x9f,0x4d,0x51,0x58
  sockeye inspect --deflate c1 07 f2 48 cd c9 c9 07 00
  sockeye inspect --all --color always capture.bin | less -R
  sockeye inspect --file ./84 --from server
  xxd -p capture.bin | sockeye inspect --hex - --format json | jq .violations
  sockeye inspect capture.pcapng --format lines --filter 'port=8080 not ping'
  tcpdump -i lo -w - tcp port 8080 | sockeye inspect -

Exit status: 0 when all is well, 1 when a rule is broken, a frame is cut off, bytes are missing or a file is damaged, 2 for
wrong usage.";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    Client,
    Server,
}

/// Whether permessage-deflate was agreed on, and from where on the stream is there.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Deflate {
    /// It was not agreed on
    #[default]
    #[value(aliases = ["0", "false", "no"])]
    Off,
    /// From the first message on
    #[value(aliases = ["1", "true", "yes", "on"])]
    Start,
    /// From some later one on
    Joined,
}

impl Deflate {
    const fn seen(self) -> Option<sockeye_dissect::Deflate> {
        match self {
            Self::Off => None,
            Self::Start => Some(sockeye_dissect::Deflate::FromStart),
            Self::Joined => Some(sockeye_dissect::Deflate::Joined),
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: Args) -> ExitCode {
    let stdout = io::stdout().lock();
    let options = render::text::Options { color: args.color.is_used(stdout.is_terminal()), all: args.all };
    let mut report = Report::new(args.format, options, BufWriter::new(stdout));
    let inspected = match Input::open(&args.input, args.hex, args.file) {
        Ok(Input::Bytes(bytes)) => frames(bytes, &args, &mut report).map(|()| true),
        Ok(Input::Traffic(source, name)) => {
            let connections = Connections::new(args.joined, args.deflate.seen(), args.filter.as_ref());
            traffic::inspect(*source, &name, connections, &mut report).map_err(Stop::from)
        }
        Err(error) => Err(Stop::Usage(error)),
    };
    match inspected {
        Ok(true) if report.is_good() => ExitCode::SUCCESS,
        // Whoever read the output has seen enough, as in `| head`.
        Err(Stop::Output(ErrorKind::BrokenPipe)) if report.is_good() => ExitCode::SUCCESS,
        Ok(_) | Err(Stop::Output(ErrorKind::BrokenPipe)) => ExitCode::from(1),
        Err(Stop::Output(kind)) => {
            eprintln!("sockeye: cannot write the output: {kind}");
            ExitCode::from(1)
        }
        Err(Stop::Usage(line)) => {
            // What has been shown comes before what went wrong.
            let _ = report.flush();
            eprintln!("sockeye: {line}");
            ExitCode::from(2)
        }
    }
}

/// Why reading ends early.
enum Stop {
    /// What was asked for cannot be read; the line that says why.
    Usage(String),
    /// Nobody takes the output.
    Output(ErrorKind),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error.kind())
    }
}

/// Reads the frames of one direction to their end and reports each when it is there.
fn frames(mut bytes: Bytes, args: &Args, report: &mut Report<impl Write>) -> Result<(), Stop> {
    let mut dissector = match args.from {
        Some(Role::Client) => Dissector::new(sockeye::Role::Client),
        Some(Role::Server) => Dissector::new(sockeye::Role::Server),
        None => Dissector::assuming_sender(),
    };
    dissector = args.deflate.seen().into_iter().fold(dissector, Dissector::inflating);
    let show = |frame: Frame, report: &mut Report<_>| {
        let record = Record::from(frame);
        let matches = args.filter.as_ref().is_none_or(|filter| filter.matches(&record, None));
        if matches { report.show(&record) } else { Ok(()) }
    };
    while let Some(piece) = bytes.read().map_err(Stop::Usage)? {
        for frame in dissector.push(&piece) {
            show(frame, report)?;
        }
        report.flush()?;
    }
    if let Some(frame) = dissector.finish() {
        show(frame, report)?;
    }
    Ok(report.end()?)
}
