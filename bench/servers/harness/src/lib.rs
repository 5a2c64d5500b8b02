//! What all servers share: the command line `MODE [WORD…]`, tokio, the listener, TLS, the clients, and the loop
//! of those that are a `Stream` and a `Sink`.

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
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::unconstrained;
use tokio_rustls::TlsAcceptor;

/// What a server is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Echo,
    /// An echo that may begin before all of the message is there.
    Stream,
    /// An echo over connections that this process opens itself.
    Client,
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

/// The client of a library that has one: it sends back what it is sent, over a connection of its own.
pub trait Client: Clone + Send + Sync + 'static {
    fn client<S: Stream>(self, stream: S) -> impl Future<Output = ()> + Send;
}

/// The mode of the command line. Ends the process with the runner that started it.
pub fn mode() -> Mode {
    // Set before anything is served: no server outlives a runner that was ended from outside.
    set_parent_process_death_signal(Some(Signal::KILL)).expect("any process may ask for it");
    match env::args().nth(1).as_deref() {
        Some("echo") => Mode::Echo,
        Some("stream") => Mode::Stream,
        Some("client") => Mode::Client,
        Some("deflate") => Mode::Deflate,
        Some("deflate-takeover") => Mode::DeflateTakeover,
        Some("broadcast") => Mode::Broadcast,
        _ => panic!(
            "usage: SERVER echo|stream|deflate|deflate-takeover|broadcast [WORD…], or SERVER client PORT CONNECTIONS [WORD…]"
        ),
    }
}

/// Whether a word follows the mode: `tls`, or one that a server has for itself.
pub fn asked_for(word: &str) -> bool {
    env::args().skip(2).any(|arg| arg == word)
}

/// One thread, or with the word `2-threads` two that the tasks are shared among.
fn runtime() -> io::Result<Runtime> {
    if asked_for("2-threads") {
        return Builder::new_multi_thread().worker_threads(2).enable_all().build();
    }
    Builder::new_current_thread().enable_all().build()
}

/// Runs a future with a listener on a port of its own, which is printed.
pub fn block_on<F: Future<Output = io::Result<()>>>(serve: impl FnOnce(TcpListener) -> F) -> io::Result<()> {
    runtime()?.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?.port());
        serve(listener).await
    })
}

/// Runs as many clients as the command line says, each in a task of its own.
pub fn clients<F: Future<Output = ()> + Send + 'static>(client: impl Fn(u16) -> F) -> io::Result<()> {
    let number = |at| env::args().nth(at).and_then(|arg| arg.parse().ok()).expect("SERVER client PORT CONNECTIONS");
    let (port, connections) = (number(2), number(3));
    runtime()?.block_on(async {
        let clients: Vec<_> = (0..connections).map(|_| tokio::spawn(unconstrained(client(port)))).collect();
        for client in clients {
            client.await?;
        }
        Ok(())
    })
}

/// As [`run`], for a library that has a client, too.
pub fn run_either<H: Server + Client>(server: impl FnOnce(Mode) -> H) -> io::Result<()> {
    if mode() != Mode::Client {
        return run(server);
    }
    let client = server(Mode::Client);
    clients(|port| {
        let client = client.clone();
        async move {
            let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
            if stream.set_nodelay(true).is_ok() {
                client.client(stream).await;
            }
        }
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
