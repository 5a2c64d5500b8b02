//! `sockeye replay`: says again what one end of recorded connections has said, and compares what the other end answers.

mod player;
mod line;
mod matching;
mod difference;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use http::{HeaderName, HeaderValue};
use sockeye_dissect::render::safe;
use sockeye_traffic::Source;

use crate::certificate::{self, Certificate};
use crate::listening::{address, listen};
use crate::stream::words;
use crate::upstream::{self, Upstream};
use crate::view::{Color, Format};
use difference::Differences;
use player::{Pace, Peer, Player};

/// What `sockeye replay` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --to it is the client of every WebSocket that was recorded, with --listen the server: each client that connects is
served as the next one was. Bytes are sent as they were, at the times they were sent, but never before all has come that had
come by then. Of requests Host changes, as through the proxy, and of answers Sec-WebSocket-Accept.
What comes back is compared: the answer's status, subprotocol and extensions (of a request: method and target instead of a
status), then frame by frame FIN, RSV, opcode and payload, compressed ones by what they inflate to. Where a Pong stands
between other frames does not count, nor do Pings, which depend on clocks. --exact counts everything behind the head.
A connection is left at its first difference, which is shown.

Examples:
  sockeye replay chat.jsonl --to ws://127.0.0.1:9001
  sockeye replay chat.jsonl --to wss://staging.example.com --as-fast-as-possible --header 'Cookie: session=1'
  sockeye replay chat.jsonl --listen 127.0.0.1:9001 --speed 10

Exit status: 0 where nothing differs, 1 where something does, or the file is damaged or has nothing to replay, 2 for wrong
usage.")]
#[command(group = clap::ArgGroup::new("peer").args(["to", "listen"]).required(true))]
pub(crate) struct Args {
    /// A recording of sockeye proxy --record, or a capture (pcap, pcapng)
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Plays the clients, against this server; a path or query in the URL replaces the recorded one
    #[arg(long, env = "SOCKEYE_TO", value_name = "URL", value_parser = upstream::url)]
    to: Option<String>,

    /// Plays the server, for clients that connect to this address
    #[arg(long, env = "SOCKEYE_LISTEN", value_name = "ADDR", value_parser = address)]
    listen: Option<String>,

    #[command(flatten)]
    upstream: upstream::Args,

    #[command(flatten)]
    certificate: certificate::Args,

    /// Sends this field in requests, in place of the recorded one of its name. May be given several times
    #[arg(long, env = "SOCKEYE_HEADER", value_name = "NAME: VALUE", value_parser = field, conflicts_with = "listen")]
    header: Vec<(HeaderName, HeaderValue)>,

    /// Replays only this connection, by its number. May be given several times
    #[arg(long, env = "SOCKEYE_CONNECTION", value_name = "N", value_delimiter = ',')]
    connection: Vec<u64>,

    /// So many times as fast as it was recorded
    #[arg(long, env = "SOCKEYE_SPEED", value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    speed: f64,

    /// Waits for nothing but what has to come first
    #[arg(long, env = "SOCKEYE_AS_FAST_AS_POSSIBLE", value_parser = FalseyValueParser::new(), conflicts_with = "speed")]
    as_fast_as_possible: bool,

    /// Compares the payloads of compressed frames as they are, and the order of all frames, Pings and Pongs included
    #[arg(long, env = "SOCKEYE_EXACT", value_parser = FalseyValueParser::new())]
    exact: bool,

    /// So long may it take until something comes that is to come
    #[arg(long, env = "SOCKEYE_TIMEOUT", value_name = "SECONDS", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,

    /// How to show what differs: text and lines are the same
    #[arg(long, value_enum, default_value_t = Format::Lines, value_name = "FORMAT", env = "SOCKEYE_FORMAT")]
    format: Format,

    /// Whether to use colours; auto means on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", env = "SOCKEYE_COLOR")]
    color: Color,
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("a field is needed, such as 'Cookie: session=1'")?;
    let name = HeaderName::try_from(name).map_err(|_| format!("{name:?} is no name of a field"))?;
    let value = HeaderValue::try_from(value.trim()).map_err(|_| "its value is none of HTTP's".to_owned())?;
    Ok((name, value))
}

fn speed(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor| (0.001..=1e6).contains(factor));
    factor.ok_or_else(|| "a factor from 0.001 to 1000000 is needed".to_owned())
}

/// Runs the command.
pub(crate) fn run(args: Args) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let replayed = match runtime {
        Ok(runtime) => runtime.block_on(replay(args)),
        Err(error) => Err((2, error.to_string())),
    };
    match replayed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err((status, why)) => {
            eprintln!("sockeye: {why}");
            ExitCode::from(status)
        }
    }
}

/// Replays. Whether all is well; or why nothing can be replayed, with the exit status that says so.
async fn replay(args: Args) -> Result<bool, (u8, String)> {
    let name = args.file.display().to_string();
    let unread = |why: &str| (2, format!("{name}: {}", safe(why)));
    let file = File::open(&args.file).map_err(|error| unread(&words(&error)))?;
    let source = Source::recognise(file).map_err(|error| unread(&words(&error)))?;
    let source = source.ok_or_else(|| unread("no recording and no capture"))?;
    let is_json = args.format == Format::Json;
    let peer = match (&args.to, &args.listen) {
        (Some(to), _) => {
            let upstream = Upstream::new(to, &args.upstream).map_err(|why| (2, why))?;
            Peer::Server(Box::new(upstream), args.header)
        }
        (None, at) => {
            let listener = listen(at.as_deref().unwrap_or_default()).await.map_err(|error| (1, error.to_string()))?;
            let at = listener.local_addr().map_err(|error| (1, error.to_string()))?;
            let certificate = Certificate::of(&args.certificate, at.ip()).map_err(|why| (1, why))?;
            let scheme = if certificate.is_some() { "wss" } else { "ws" };
            let line = match is_json {
                true => format!("{{\"record\":\"listening\",\"url\":\"{scheme}://{at}\"}}"),
                false => format!("listening on {scheme}://{at}"),
            };
            let mut stdout = io::stdout();
            let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
            Peer::Clients(listener, certificate.map(Certificate::into_acceptor))
        }
    };
    let pace = if args.as_fast_as_possible { Pace::Free } else { Pace::Recorded(args.speed) };
    let color = args.color.is_used(io::stdout().is_terminal());
    let differences = Differences::new(is_json, color);
    let player = Player::new(peer, pace, args.exact, args.timeout, args.connection, differences);
    let is_good = player.play(source, &name).await;
    Ok(is_good)
}
