//! `sockeye inspect`: explains the bytes of frames, bit by bit.

mod hex;
mod input;

use std::ffi::OsString;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use clap::builder::FalseyValueParser;
use sockeye_dissect::{Dissector, Record, render};

use input::Input;

/// What `sockeye inspect` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Bytes in hex (spaces, commas, colons and 0x as you like), a file, or - for standard input
    ///
    /// A single argument that is not hex names a file; a file whose name is hex is written ./84. What a file or standard
    /// input holds is read as hex if it begins as ASCII text, which no good frame does, else as the bytes themselves.
    /// Without an argument standard input is read, unless it is a terminal.
    #[arg(value_name = "FILE | - | HEX")]
    input: Vec<OsString>,

    /// Takes what a file or standard input holds for hex, whatever it begins with
    #[arg(long, env = "SOCKEYE_HEX", value_parser = FalseyValueParser::new())]
    hex: bool,

    /// Takes the argument for a file's name, even if it is hex, and what is read for the bytes themselves
    #[arg(long, env = "SOCKEYE_FILE", value_parser = FalseyValueParser::new())]
    file: bool,

    /// Who sent the bytes, which decides whether they must be masked [default: by the first frame's MASK bit]
    #[arg(long, value_enum, value_name = "ROLE", env = "SOCKEYE_FROM")]
    from: Option<Role>,

    /// Says that permessage-deflate was agreed on: compressed messages are inflated
    ///
    /// =joined means that the input does not begin with the first message after the handshake; where one refers to
    /// messages that are not there, it says so. =off is what counts without the option.
    #[arg(long, value_enum, value_name = "SEEN", env = "SOCKEYE_DEFLATE", num_args = 0..=1, require_equals = true)]
    #[arg(default_value_t, default_missing_value = "start")]
    deflate: Deflate,

    /// How to show the frames: text to read, or json, one object a line
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

Examples:
  sockeye inspect 84 67 78 83 21 22 12 43 12 --from client
  sockeye inspect 0x81,0x85,0x37,0xfa,0x21,0x3d,0x7f,0x9f,0x4d,0x51,0x58
  sockeye inspect --deflate c1 07 f2 48 cd c9 c9 07 00
  sockeye inspect --all --color always capture.bin | less -R
  sockeye inspect --file ./84 --from server
  xxd -p capture.bin | sockeye inspect --hex - --format json | jq .violations

Exit status: 0 when all is well, 1 when a rule is broken or a frame is cut off, 2 for wrong usage.";

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

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> ExitCode {
    let stdout = io::stdout().lock();
    let color = use_color(args.color, stdout.is_terminal());
    let mut report = Report {
        format: args.format,
        options: render::text::Options { color, all: args.all },
        out: BufWriter::new(stdout),
        total: Total::default(),
    };
    let outcome = match Input::open(&args.input, args.hex, args.file) {
        Ok(input) => inspect(input, args.from, args.deflate, &mut report),
        Err(error) => Err(Stop::Usage(error)),
    };
    match outcome {
        // Whoever read the output has seen enough, as in `| head`.
        Ok(()) | Err(Stop::Output(ErrorKind::BrokenPipe)) if report.total.is_good() => ExitCode::SUCCESS,
        Ok(()) | Err(Stop::Output(ErrorKind::BrokenPipe)) => ExitCode::from(1),
        Err(Stop::Output(kind)) => {
            eprintln!("sockeye: cannot write the output: {kind}");
            ExitCode::from(1)
        }
        Err(Stop::Usage(line)) => {
            // What has been shown comes before what went wrong.
            let _ = report.out.flush();
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

/// Reads the input to its end and reports each frame when it is there.
fn inspect(
    mut input: Input,
    from: Option<Role>,
    deflate: Deflate,
    report: &mut Report<impl Write>,
) -> Result<(), Stop> {
    let mut dissector = match from {
        Some(Role::Client) => Dissector::new(sockeye::Role::Client),
        Some(Role::Server) => Dissector::new(sockeye::Role::Server),
        None => Dissector::assuming_sender(),
    };
    dissector = match deflate {
        Deflate::Off => dissector,
        Deflate::Start => dissector.inflating(sockeye_dissect::Deflate::FromStart),
        Deflate::Joined => dissector.inflating(sockeye_dissect::Deflate::Joined),
    };
    while let Some(bytes) = input.read().map_err(Stop::Usage)? {
        for frame in dissector.push(&bytes) {
            report.show(&frame.into())?;
        }
        report.out.flush()?;
    }
    if let Some(frame) = dissector.finish() {
        report.show(&frame.into())?;
    }
    report.end()
}

/// Shows records, and counts what is wrong with them.
struct Report<W> {
    format: Format,
    options: render::text::Options,
    out: W,
    total: Total,
}

#[derive(Default)]
struct Total {
    frames: u64,
    bytes: u64,
    violations: usize,
    cut_off: bool,
}

impl Total {
    const fn is_good(&self) -> bool {
        self.violations == 0 && !self.cut_off
    }
}

impl<W: Write> Report<W> {
    fn show(&mut self, record: &Record) -> Result<(), Stop> {
        self.total.frames += 1;
        self.total.bytes += record.size();
        self.total.violations += record.findings().len();
        self.total.cut_off |= record.is_cut_off();
        match self.format {
            Format::Json => render::json::write(record, &mut self.out)?,
            Format::Text => {
                if self.total.frames > 1 {
                    writeln!(self.out)?;
                }
                render::text::write(record, self.options, &mut self.out)?;
            }
        }
        Ok(())
    }

    /// Ends the report: text says what there was in all, if it was not one frame.
    fn end(&mut self) -> Result<(), Stop> {
        let Total { frames, bytes, violations, cut_off } = self.total;
        if matches!(self.format, Format::Text) && frames != 1 {
            let cut_off = if cut_off { ", the last frame is cut off" } else { "" };
            let before = if frames == 0 { "" } else { "\n" };
            writeln!(self.out, "{before}Frames: {frames}, bytes: {bytes}, violations: {violations}{cut_off}")?;
        }
        Ok(self.out.flush()?)
    }
}

/// `--color` decides; left to itself, a set `NO_COLOR` (no-color.org), then `CLICOLOR_FORCE`, then the terminal.
fn use_color(choice: Color, is_terminal: bool) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match choice {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if no_color => false,
        Color::Auto if is_set("CLICOLOR_FORCE") => true,
        Color::Auto => is_terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
    }
}
