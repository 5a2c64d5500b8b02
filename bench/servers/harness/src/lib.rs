//! What all servers share: the command line `MODE [WORD…]`, one thread of tokio, the listener, TLS, and the loop of those
//! that are a `Stream` and a `Sink`.

mod batch;
mod broadcast;
mod tls;

use std::env;
use std::future::Future;
use std::io;
use std::net::Ipv4Addr;

pub use batch::echo;
pub use broadcast::{BACKLOG, broadcast};
use rustix::process::{Signal, set_parent_process_death_signal};
pub use tls::tls_config;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::unconstrained;
use tokio_rustls::TlsAcceptor;

/// What a server is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Echo,
    Deflate,
    DeflateTakeover,
    Broadcast,
}

/// The largest message that any server takes: four times what is sent.
pub const MAX_MESSAGE: usize = 64 << 20;

/// What a connection is read from and written to.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for S {}

/// A server's own part: one connection, from the request to the end.
pub trait Server: Clone + Send + Sync + 'static {
    fn connection<S: Stream>(self, stream: S) -> impl Future<Output = ()> + Send;
}

/// The mode of the command line. Ends the process with the runner that started it.
pub fn mode() -> Mode {
    // Set before anything is served: no server outlives a runner that was ended from outside.
    set_parent_process_death_signal(Some(Signal::KILL)).expect("any process may ask for it");
    match env::args().nth(1).as_deref() {
        Some("echo") => Mode::Echo,
        Some("deflate") => Mode::Deflate,
        Some("deflate-takeover") => Mode::DeflateTakeover,
        Some("broadcast") => Mode::Broadcast,
        _ => panic!("usage: SERVER echo|deflate|deflate-takeover|broadcast [WORD…]"),
    }
}

/// Whether a word follows the mode: `tls`, or one that a server has for itself.
pub fn asked_for(word: &str) -> bool {
    env::args().skip(2).any(|arg| arg == word)
}

/// Runs a future on one thread, with a listener on a port of its own, which is printed.
pub fn block_on<F: Future<Output = io::Result<()>>>(serve: impl FnOnce(TcpListener) -> F) -> io::Result<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?.port());
        serve(listener).await
    })
}

/// Serves each connection in a task of its own.
pub fn run<H: Server>(server: impl FnOnce(Mode) -> H) -> io::Result<()> {
    let server = server(mode());
    let acceptor = asked_for("tls").then(|| TlsAcceptor::from(tls_config()));
    block_on(|listener| async move {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let server = server.clone();
            // Two tasks, so that one without TLS is not as large as one with it.
            match acceptor.clone() {
                None => drop(tokio::spawn(unconstrained(server.connection(stream)))),
                Some(acceptor) => drop(tokio::spawn(unconstrained(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        server.connection(stream).await;
                    }
                }))),
            }
        }
    })
}
