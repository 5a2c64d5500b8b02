//! `sockeye serve`: the page, an echo, and a word for those who watch over it.

mod echo;
mod page;
mod routes;
mod tls;

use core::time::Duration;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sockeye::{Compression, Limits, Upgrader};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};
use tracing_subscriber::EnvFilter;

use routes::Routes;

/// What `sockeye serve` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Serves / (the page), /echo (a WebSocket that sends everything back) and /healthz.
SIGINT or SIGTERM closes every connection with 1001 and exits with 0; a second one exits at once.

Example: sockeye serve --listen 127.0.0.1:8080
         sockeye serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem")]
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

    /// Threads that serve; one for each processor unless set
    #[arg(long, env = "SOCKEYE_THREADS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,

    /// What is logged to standard error: error, warn, info, debug, or a filter such as sockeye=debug
    #[arg(long, env = "SOCKEYE_LOG", value_name = "LEVEL", default_value = "warn", value_parser = log_filter)]
    log: String,
}

/// `host:port`, as far as that can be told without asking for the name.
fn address(text: &str) -> Result<String, String> {
    let looks_right = text.parse::<SocketAddr>().is_ok()
        || text
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && !host.contains(':') && port.parse::<u16>().is_ok());
    if looks_right {
        Ok(text.to_owned())
    } else {
        Err("an address and a port are needed, such as 127.0.0.1:8080".into())
    }
}

fn log_filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Serves until it is told to stop.
pub(crate) fn run(args: Args) -> ExitCode {
    tracing_subscriber::fmt().with_env_filter(EnvFilter::new(&args.log)).with_writer(io::stderr).init();
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
    // Before anybody can know the address, so that no signal finds us unprepared.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => Some(tls::acceptor(cert, key)?),
        _ => None,
    };
    let listener = listen(&args.listen).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    // Standard output may be closed; the server serves all the same.
    let _ = writeln!(io::stdout(), "listening on {scheme}://{}", listener.local_addr()?);

    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let limits = Limits::default().message(args.max_message);
    let compression = if args.compression { Compression::no_takeover() } else { Compression::OFF };
    let upgrader = Upgrader::default().limits(limits).compression(compression);
    let routes = Arc::new(Routes::new(upgrader, stop.clone(), tasks.clone()));
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(connection(stream, tls.clone(), Arc::clone(&routes), stop.clone()));
                }
                Err(error) => {
                    // Out of descriptors, mostly: others have to end first.
                    warn!(%error, "cannot accept a connection for now");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        }
    }

    // Drain: no new connection, Close 1001 on the open ones, and an end to patience.
    drop(listener);
    stop.cancel();
    tasks.close();
    info!(connections = tasks.len(), "closing");
    let patience = limits.closing_time() + Duration::from_secs(1);
    tokio::select! {
        () = tasks.wait() => {}
        () = tokio::time::sleep(patience) => warn!(connections = tasks.len(), "left without a closing handshake"),
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

async fn listen(address: &str) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => "the port is in use".into(),
            io::ErrorKind::PermissionDenied => "not permitted (ports below 1024 need a privilege)".into(),
            _ => error.to_string(),
        };
        io::Error::new(error.kind(), format!("cannot listen on {address}: {why}"))
    })
}

/// One connection, up to its end or to the WebSocket it becomes.
async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, routes: Arc<Routes>, stop: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return http(stream, routes, stop).await };
    tokio::select! {
        shaken = tokio::time::timeout(HEAD_TIME, tls.accept(stream)) => match shaken {
            Ok(Ok(stream)) => http(stream, routes, stop).await,
            Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
            Err(_) => debug!("a TLS handshake took too long"),
        },
        // Nothing was asked for yet.
        () = stop.cancelled() => {}
    }
}

/// A connection's HTTP.
async fn http<S>(stream: S, routes: Arc<Routes>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service =
        service_fn(move |request| core::future::ready(Ok::<_, core::convert::Infallible>(routes.answer(request))));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = core::pin::pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended with an error");
    }
}

/// How long the TLS handshake may take, a request's head after it, and a connection may idle between two of them.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The most bytes of a request's head.
const HEAD_BYTES: usize = 8 << 10;
/// The most fields of a request's head.
const HEAD_FIELDS: usize = 128;
