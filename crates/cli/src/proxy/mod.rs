//! `sockeye proxy`: stands between clients and one server, lets every byte pass, and shows what they are.

mod connection;
mod opening;
mod relay;
mod way;
#[cfg_attr(not(target_os = "linux"), path = "no_splice.rs")]
mod splice;
mod lines;
mod view;
mod ui;
mod record;

use core::time::Duration;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Instant, SystemTime};

use clap::builder::FalseyValueParser;
use sockeye::tap::{Begins, Ends};
use sockeye_traffic::recording::Options;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use crate::certificate::{self, Certificate};
use crate::listening::{Stop, address, at_least_one, listen, log_filter, log_to_stderr};
use crate::upstream::{self, Upstream};
use crate::view::{Color, Filter, Format};
use lines::Watchers;
use record::Recording;

/// What `sockeye proxy` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Clients connect to the proxy, and the proxy for each of them to the one server of --to. What it relays stays as it is, byte
for byte: fragments, masks, RSV bits, order and timing. Of the request only Host changes, to the server's; of ordinary HTTP
requests also what concerns their connection. What a client sends behind its request waits for the server's valid 101.
SIGINT or SIGTERM ends it.

Examples:
  sockeye proxy --to ws://127.0.0.1:9001
  sockeye proxy --to wss://echo.example.com/chat --listen 127.0.0.1:9000 --bits --filter 'not ping'
  sockeye proxy --to ws://127.0.0.1:9001 --record chat.jsonl
  sockeye proxy --to ws://127.0.0.1:9001 --ui 127.0.0.1:8082
  sockeye proxy --to wss://127.0.0.1:8443 --ca cert.pem --tls-generate=proxy.pem")]
pub(crate) struct Args {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "SOCKEYE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8081", value_parser = address)]
    listen: String,

    /// The server: ws://HOST:PORT or wss://HOST:PORT; a path or query in it replaces the one that is asked for
    #[arg(long, env = "SOCKEYE_TO", value_name = "URL", value_parser = upstream::url)]
    to: String,

    #[command(flatten)]
    upstream: upstream::Args,

    #[command(flatten)]
    certificate: certificate::Args,

    #[command(flatten)]
    shown: Shown,

    #[command(flatten)]
    ui: ui::Args,

    /// Records every byte, with its time, to this new file, which only its owner may read; sockeye inspect and replay read it
    #[arg(long, env = "SOCKEYE_RECORD", value_name = "FILE")]
    record: Option<PathBuf>,

    /// The most bytes that the recording may have; at that it ends, and the proxy goes on
    #[arg(long, env = "SOCKEYE_RECORD_LIMIT", value_name = "BYTES", default_value_t = Options::default().limit)]
    record_limit: u64,

    /// Records credentials (cookies, tokens, passwords) in heads of HTTP as they are; else they become *
    #[arg(long, env = "SOCKEYE_RECORD_CREDENTIALS", value_parser = FalseyValueParser::new())]
    record_credentials: bool,

    /// So long may it take from a connection to its whole request, or, for a WebSocket, to the server's answer
    #[arg(long, env = "SOCKEYE_TIMEOUT", value_name = "SECONDS", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,

    /// The most connections; when there are so many, others wait to be accepted
    #[arg(long, env = "SOCKEYE_MAX_CONNECTIONS", value_name = "N", default_value_t = 4096, value_parser = at_least_one)]
    max_connections: usize,

    /// Threads that relay; one for each processor unless set
    #[arg(long, env = "SOCKEYE_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// What is logged to standard error: error, warn, info, debug, or a filter such as sockeye=debug
    #[arg(long, env = "SOCKEYE_LOG", value_name = "LEVEL", default_value = "warn", value_parser = log_filter)]
    log: String,
}

/// What is shown on the terminal.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
struct Shown {
    /// Shows nothing of what is relayed
    #[arg(long, short, env = "SOCKEYE_QUIET", value_parser = FalseyValueParser::new())]
    #[arg(conflicts_with_all = ["bits", "filter", "all"])]
    quiet: bool,

    /// Shows every frame bit by bit: short for --format text
    #[arg(long, env = "SOCKEYE_BITS", value_parser = FalseyValueParser::new())]
    bits: bool,

    /// Shows what matches: 'text client', 'connection=2 not ping', 'length>1000 or violation'; as sockeye inspect --filter
    #[arg(long, value_name = "EXPR", env = "SOCKEYE_FILTER", value_parser = Filter::parse)]
    filter: Option<Filter>,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Lines, value_name = "FORMAT", env = "SOCKEYE_FORMAT")]
    format: Format,

    /// Shows payloads and texts to their ends; else long ones are shortened
    #[arg(long, env = "SOCKEYE_ALL", value_parser = FalseyValueParser::new())]
    all: bool,

    /// Whether to use colours; auto means on a terminal, and heeds NO_COLOR and CLICOLOR_FORCE
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", env = "SOCKEYE_COLOR")]
    color: Color,
}

impl Shown {
    const fn format(&self) -> Format {
        if self.bits { Format::Text } else { self.format }
    }
}

/// What all connections have in common.
struct Proxy {
    upstream: Upstream,
    tls: Option<TlsAcceptor>,
    watchers: Watchers,
    timeout: Duration,
    /// Connections so far.
    connections: AtomicU64,
}

impl Proxy {
    /// The next connection's number.
    fn number(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Who a connection is between.
    fn ends(&self, client: Option<String>) -> Ends {
        let (server, target) = (Some(self.upstream.address()), Some(self.upstream.url().to_owned()));
        Ends { client, server, target, begins: Begins::Handshake }
    }
}

/// Tells when the proxy stops; while one is there, a connection is.
type Stopped = watch::Receiver<()>;

/// Those who are told of the last connection's end, each in a thread of its own.
#[derive(Default)]
struct Threads {
    view: Option<thread::JoinHandle<()>>,
    recording: Option<Recording>,
}

/// So long a view may take to show what is left when the proxy stops: somebody may have stopped reading.
const LAST_LOOK: Duration = Duration::from_secs(1);
/// So long nothing is accepted when that has failed, as it does where the process may open no more files.
const PAUSE: Duration = Duration::from_millis(100);

/// Relays until it is told to stop.
pub(crate) fn run(args: Args) -> ExitCode {
    log_to_stderr(&args.log);
    let upstream = match Upstream::new(&args.to, &args.upstream) {
        Ok(upstream) => upstream,
        Err(wrong) => {
            eprintln!("sockeye: {wrong}");
            return ExitCode::from(2);
        }
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = args.threads {
        runtime.worker_threads(threads.into());
    }
    let mut threads = Threads::default();
    let relayed = match runtime.enable_all().build() {
        // Dropped with it is what the threads wait for.
        Ok(runtime) => runtime.block_on(relay(args, upstream, &mut threads)),
        Err(error) => Err(error.to_string()),
    };
    threads.finish();
    match relayed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sockeye: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn relay(args: Args, upstream: Upstream, threads: &mut Threads) -> Result<(), String> {
    // Before anybody can know the address, so that no signal finds us unprepared.
    let mut stop = Stop::new().map_err(|error| error.to_string())?;
    let listener = listen(&args.listen).await.map_err(|error| error.to_string())?;
    let at = listener.local_addr().map_err(|error| error.to_string())?;
    if upstream.is_at(at).await {
        return Err(format!("--to {} leads back to the proxy itself", args.to));
    }
    let certificate = Certificate::of(&args.certificate, at.ip())?;
    let started = (Instant::now(), SystemTime::now());
    let mut watchers = Watchers::default();
    if let Some(path) = &args.record {
        let options = Options { limit: args.record_limit, credentials: args.record_credentials };
        let (recorder, recording) = record::start(path, options, started.0)?;
        (watchers.recorder, threads.recording) = (Some(recorder), Some(recording));
    }
    view::listening(&args.shown, certificate.as_ref().map_or("ws", |_| "wss"), at, &args.to);
    let page = ui::Page::new(&args.ui, started, args.shown.format()).await.map_err(|error| error.to_string())?;
    watchers.views.extend(page.as_ref().map(ui::Page::tap));
    if !args.shown.quiet {
        let (tap, thread) = view::start(args.shown, started).map_err(|error| error.to_string())?;
        watchers.views.push(tap);
        threads.view = Some(thread);
    }
    let tls = certificate.map(Certificate::into_acceptor);
    let timeout = Duration::from_secs(args.timeout.into());
    let proxy = Arc::new(Proxy { upstream, tls, watchers, timeout, connections: AtomicU64::new(0) });
    if let Some(page) = page {
        page.serve(&proxy);
    }
    let (stopping, stopped) = watch::channel(());
    tokio::select! {
        () = accept(listener, proxy, args.max_connections, stopped) => {}
        () = stop.asked() => {}
    }
    let _ = stopping.send(());
    tokio::select! {
        () = stopping.closed() => {}
        () = stop.asked() => {}
    }
    Ok(())
}

/// Accepts clients, one after the other.
async fn accept(listener: TcpListener, proxy: Arc<Proxy>, most: usize, stopped: Stopped) {
    let places = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
    loop {
        // It is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, address)) => {
                let number = proxy.number();
                let connection = connection::serve(stream, address, number, Arc::clone(&proxy), stopped.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            // The connection's own: it was gone before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl Threads {
    /// Waits for them, but not for ever.
    fn finish(self) {
        if let Some(view) = self.view {
            let until = Instant::now() + LAST_LOOK;
            while !view.is_finished() && Instant::now() < until {
                thread::sleep(Duration::from_millis(1));
            }
        }
        if let Some(recording) = self.recording {
            recording.finish();
        }
    }
}
