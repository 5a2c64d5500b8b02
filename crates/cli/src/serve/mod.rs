//! `sockeye serve`: the page, an echo, and a word for those who watch over it.

mod echo;
mod metrics;
mod routes;

use core::time::Duration;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use sockeye::{Compression, Limits, OriginPolicy, Server, ServerBuilder};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::listening::{Stop, address, at_least_one, listen, log_filter, log_to_stderr};
use crate::live::{Live, Token, inside};
use crate::tls;
use metrics::Numbers;
use routes::Routes;

/// What `sockeye serve` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Serves / (the page), /echo (a WebSocket that sends everything back), /healthz and /metrics (Prometheus' format),
over HTTP/1.1 and HTTP/2. The page shows its own connections bit by bit, by /inspect/feed and /inspect/composer.
SIGINT or SIGTERM closes every connection with 1001 and exits with 0; a second one exits at once.
SIGHUP reads the certificate and its key again.

Example: sockeye serve --listen 127.0.0.1:8080
         sockeye serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem
         sockeye serve --inspect
         sockeye serve --max-connections 10000 --max-connections-per-address 100 --drain 30")]
pub(crate) struct Args {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "SOCKEYE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8080", value_parser = address)]
    listen: String,

    /// The most bytes a message to /echo may have
    #[arg(long, env = "SOCKEYE_MAX_MESSAGE", value_name = "BYTES", default_value_t = 64 << 20)]
    max_message: usize,

    /// Compress messages (permessage-deflate) where the client offers it
    #[arg(long, env = "SOCKEYE_COMPRESSION")]
    compression: bool,

    /// Serve https and wss with the certificate in this PEM file, its issuers' behind it
    #[arg(long, env = "SOCKEYE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, in a PEM file
    #[arg(long, env = "SOCKEYE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Let pages of this origin connect, besides those of this server; * for any. May be given several times
    #[arg(long, env = "SOCKEYE_ALLOW_ORIGIN", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    allow_origin: Vec<String>,

    /// The most connections; when there are so many, others wait to be accepted. No bound unless given
    #[arg(long, env = "SOCKEYE_MAX_CONNECTIONS", value_name = "N", value_parser = at_least_one)]
    max_connections: Option<usize>,

    /// The most connections from one IPv4 address or one /64 of IPv6; others are closed. No bound unless given
    #[arg(long, env = "SOCKEYE_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N", value_parser = at_least_one)]
    max_connections_per_address: Option<usize>,

    /// When it stops, close the WebSockets spread over so many seconds, each at a moment of its own
    #[arg(long, env = "SOCKEYE_DRAIN", value_name = "SECONDS", default_value_t = 0)]
    drain: u32,

    /// Let the page show what goes over all WebSockets, bit by bit, to whoever has the token in the URL that is printed
    #[arg(long, env = "SOCKEYE_INSPECT", value_parser = FalseyValueParser::new())]
    inspect: bool,

    /// The token of --inspect, in place of one drawn at random: 16 or more letters, digits, - . _ ~
    #[arg(long, env = "SOCKEYE_INSPECT_TOKEN", value_name = "TOKEN", requires = "inspect", value_parser = Token::parse)]
    #[arg(hide_env_values = true)]
    inspect_token: Option<Token>,

    /// Threads that serve; one for each processor unless set
    #[arg(long, env = "SOCKEYE_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// What is logged to standard error: error, warn, info, debug, or a filter such as sockeye=debug
    #[arg(long, env = "SOCKEYE_LOG", value_name = "LEVEL", default_value = "warn", value_parser = log_filter)]
    log: String,
}

/// An origin as browsers write it (RFC 6454 §6.2), or all of them.
fn origin(text: &str) -> Result<String, String> {
    let host = text.split_once("://").map_or("", |(_, host)| host);
    if text == "*" || (!host.is_empty() && !host.contains(['/', '?', '#', '@', ' '])) {
        Ok(text.to_owned())
    } else {
        Err("an origin is needed, such as https://example.com or http://localhost:3000, or *".into())
    }
}

/// Serves until it is told to stop.
pub(crate) fn run(args: Args) -> ExitCode {
    log_to_stderr(&args.log);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = args.threads {
        runtime.worker_threads(threads.into());
    }
    let served = runtime.enable_all().build().and_then(|runtime| runtime.block_on(serve(args)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> io::Result<()> {
    // Before the server is built, which is when counting begins.
    let numbers = Numbers::install();
    // Before anybody can know the address, so that no signal finds us unprepared.
    let mut stop = Stop::new()?;
    let certificate = args.tls_cert.as_deref().zip(args.tls_key.as_deref());
    let mut builder = builder(&args);
    if let Some((cert, key)) = certificate {
        builder = builder.tls(tls::config(cert, key)?);
    }
    let server = builder.build();
    if let Some((cert, key)) = certificate {
        tokio::spawn(reload(server.clone(), cert.to_owned(), key.to_owned(), signal(SignalKind::hangup())?));
    }
    let listener = listen(&args.listen).await?;
    let scheme = if certificate.is_some() { "https" } else { "http" };
    // Standard output may be closed; the server serves all the same.
    let address = listener.local_addr()?;
    let _ = writeln!(io::stdout(), "listening on {scheme}://{address}");
    let token = token(&args)?;
    if let Some(token) = &token {
        if !address.ip().is_loopback() && certificate.is_none() {
            warn!("without TLS whoever sees the network sees the token of --inspect, and what it guards");
        }
        let _ = writeln!(io::stdout(), "inspect at {}", token.url(scheme, address));
    }
    let (door, inside) = inside();
    tokio::spawn(composed(&args, &server).answer(inside, |request| core::future::ready(routes::inside(request))));
    let routes = Routes::new(numbers, Live::of_server(token, address.to_string(), door));

    tokio::select! {
        served = server.answer(listener, move |request| core::future::ready(routes.answer(request))) => return served,
        () = stop.asked() => {}
    }
    let drain = server.drain().begin().spread(Duration::from_secs(args.drain.into()));
    tokio::select! {
        left = drain.into_future() => {
            if left > 0 {
                warn!(left, "left without a closing handshake");
            }
        }
        () = stop.asked() => {}
    }
    Ok(())
}

fn token(args: &Args) -> io::Result<Option<Token>> {
    match &args.inspect_token {
        _ if !args.inspect => Ok(None),
        Some(token) => Ok(Some(token.clone())),
        None => Token::draw().map(Some),
    }
}

/// The same server for those whom the page plays: in memory, so without TLS and without a place among the connections;
/// and it asks for no sign of life, as nobody who writes frames by hand answers in time.
fn composed(args: &Args, server: &Server) -> Server {
    let limits = Limits::default().message(args.max_message).ping(None);
    builder(args).max_connections(usize::MAX).limits(limits).drain(server.drain()).build()
}

fn builder(args: &Args) -> ServerBuilder {
    let origins = &args.allow_origin;
    let origin = if origins.iter().any(|origin| origin == "*") {
        OriginPolicy::Any
    } else {
        OriginPolicy::SameHostOr(origins.clone())
    };
    Server::builder()
        .limits(Limits::default().message(args.max_message))
        .compression(if args.compression { Compression::no_takeover() } else { Compression::OFF })
        .origin(origin)
        .max_connections(args.max_connections.unwrap_or(usize::MAX))
        .max_connections_per_address(args.max_connections_per_address.unwrap_or(usize::MAX))
}

/// Reads the certificate again whenever SIGHUP says so. One that cannot be used leaves the old one in its place.
async fn reload(server: Server, cert: PathBuf, key: PathBuf, mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        match tls::config(&cert, &key) {
            Ok(config) => {
                server.set_tls(config);
                info!("the certificate was read again");
            }
            Err(error) => error!(%error, "the certificate stays as it was"),
        }
    }
}
