//! How connections end: cut off in every state, over TCP and TLS, at both ends; and closing as a value.

use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use std::io;
use std::time::Duration;

use crate::support::{client_frame, open, read_close, read_frame, read_head, server_frame, start, switching};
use sockeye::{CloseCode, Closed, ClosedBy, Error, ErrorKind, Limits, Message, Role, WebSocket};
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::unbounded_channel;

/// Where the connection stands when the transport ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Idle,
    InAHeader,
    InAPayload,
    /// Between two fragments.
    InAMessage,
    /// The peer does not read, and we wait for room to send.
    Sending,
    CloseSent,
    Exchanged,
    Failed,
}

/// How the peer ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// FIN: it writes no more, and reads on. Over TLS without a close_notify.
    HalfClose,
    /// RST.
    Reset,
    /// FIN in the middle of what TLS calls a record.
    #[cfg(feature = "tls")]
    Torn,
}

const STANDINGS: [Standing; 8] = [
    Standing::Idle,
    Standing::InAHeader,
    Standing::InAPayload,
    Standing::InAMessage,
    Standing::Sending,
    Standing::CloseSent,
    Standing::Exchanged,
    Standing::Failed,
];

impl Standing {
    const fn is_open(self) -> bool {
        !matches!(self, Self::CloseSent | Self::Exchanged | Self::Failed)
    }
}

/// The peer's end of the wire.
enum Peer {
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::TlsStream<TcpStream>>),
}

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

impl Peer {
    fn stream(&mut self) -> &mut dyn Duplex {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream,
        }
    }

    fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_mut().0,
        }
    }
}

/// A frame as the peer of this end sends it.
fn frame_for(role: Role, fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    match role {
        Role::Server => client_frame(fin, opcode, payload),
        Role::Client => server_frame(fin, opcode, payload),
    }
}

/// The 101 for the request that comes.
async fn switch(mut stream: &mut dyn Duplex) {
    let head = read_head(&mut stream).await;
    stream.write_all(switching(&head).as_bytes()).await.unwrap();
}

/// Our end of a connection over TCP, and the peer's.
async fn over_tcp(role: Role) -> (WebSocket, Peer) {
    match role {
        Role::Server => {
            let (give, mut given) = unbounded_channel();
            let address = start(|listener| {
                sockeye::serve(listener, move |ws: WebSocket| {
                    give.send(ws).unwrap();
                    async { Ok(()) }
                })
            })
            .await;
            let peer = Peer::Tcp(open(address).await);
            (given.recv().await.unwrap(), peer)
        }
        Role::Client => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("ws://{}/", listener.local_addr().unwrap());
            let serving = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                switch(&mut stream).await;
                stream
            };
            let (ws, stream) = tokio::join!(sockeye::connect(url).into_future(), serving);
            (ws.unwrap(), Peer::Tcp(stream))
        }
    }
}

/// What our end is told.
struct Told {
    /// The messages, in one string.
    messages: String,
    /// What `recv` says after them.
    error: Option<Error>,
    close: Result<(), Error>,
    closed: Closed,
}

/// Uses the connection until it ends. One who is late begins once the peer has done all it does.
async fn ours(
    ws: WebSocket,
    standing: Standing,
    mut peer_is_done: tokio::sync::watch::Receiver<bool>,
    late: bool,
) -> Told {
    if late {
        peer_is_done.wait_for(|done| *done).await.unwrap();
    }
    let (sender, mut receiver) = ws.split();
    let closing = sender.clone();
    let other_half = tokio::spawn(async move {
        match standing {
            Standing::Sending => {
                let error = loop {
                    if let Err(error) = closing.send(vec![0; 1 << 20]).await {
                        break error;
                    }
                };
                assert!(matches!(error, Error::Closed | Error::Io(_)), "{error:?}");
            }
            Standing::CloseSent => drop(closing.close(CloseCode::NORMAL, "done").await),
            _ => {}
        }
    });
    let mut messages = String::new();
    let error = loop {
        match receiver.recv().await {
            Ok(Some(Message::Text(text))) => messages += &text,
            Ok(Some(other)) => panic!("{other:?}"),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert!(receiver.recv().await.unwrap().is_none(), "it is told once");
    let too_late = sender.send("too late").await.unwrap_err();
    assert!(matches!(too_late, Error::Closed | Error::Io(_)), "{too_late:?}");
    assert!(matches!(sender.ping().await, Err(Error::Closed)));
    other_half.await.unwrap();
    let close = sender.close(CloseCode::GOING_AWAY, "").await;
    Told { messages, error, close, closed: sender.closed().await }
}

/// Brings the connection to where it stands, and ends it. What it reads after that, up to the end.
async fn theirs(mut peer: Peer, role: Role, standing: Standing, ending: Ending) -> Vec<u8> {
    let frame = |fin, opcode, payload: &[u8]| frame_for(role, fin, opcode, payload);
    let mut bytes = ["one", "two", "three"].map(|text| frame(true, Opcode::TEXT, text.as_bytes())).concat();
    match standing {
        Standing::Idle | Standing::CloseSent | Standing::Sending => {}
        Standing::InAHeader => bytes.extend_from_slice(&frame(true, Opcode::BINARY, &[0; 300])[..3]),
        Standing::InAPayload => bytes.extend_from_slice(&frame(true, Opcode::BINARY, &[0; 300])[..200]),
        Standing::InAMessage => bytes.extend_from_slice(&frame(false, Opcode::TEXT, "你".as_bytes())),
        Standing::Exchanged => bytes.extend_from_slice(&frame(true, Opcode::CLOSE, b"\x03\xE9bye")),
        Standing::Failed => bytes.extend_from_slice(&frame(true, Opcode::from_bits(3), b"")),
    }
    peer.stream().write_all(&bytes).await.unwrap();
    peer.stream().flush().await.unwrap();
    let close = match standing {
        Standing::CloseSent => Some(&b"\x03\xE8done"[..]),
        Standing::Exchanged => Some(&b"\x03\xE9bye"[..]),
        Standing::Failed => Some(&b"\x03\xEA"[..]),
        _ => None,
    };
    if let Some(expected) = close {
        let (_, opcode, payload) = read_frame(&mut peer.stream()).await.expect("a Close comes");
        assert_eq!((opcode, &payload[..expected.len()]), (Opcode::CLOSE, expected));
    }
    if standing == Standing::Sending {
        // One byte of the first frame has come: the rest of it is on its way, or waits.
        peer.stream().read_u8().await.unwrap();
    }
    match ending {
        Ending::HalfClose => peer.tcp().shutdown().await.unwrap(),
        Ending::Reset => {
            peer.tcp().set_zero_linger().unwrap();
            return Vec::new();
        }
        #[cfg(feature = "tls")]
        Ending::Torn => {
            peer.tcp().write_all(&[0x17, 0x03, 0x03, 0x00]).await.unwrap();
            peer.tcp().shutdown().await.unwrap();
        }
    }
    // Our end ends, too: with a reset where it has not read all, or was not read from.
    let mut rest = Vec::new();
    let _ = peer.tcp().read_to_end(&mut rest).await;
    rest
}

/// Ends a connection in one way, in one state, and says what our end should be told.
async fn ends(ws: WebSocket, peer: Peer, role: Role, standing: Standing, ending: Ending, late: bool, who: &str) {
    let (done, is_done) = tokio::sync::watch::channel(false);
    let story = async {
        let theirs = async {
            let acting = theirs(peer, role, standing, ending);
            if late && ending != Ending::Reset {
                // It reads on until our end has ended, which is then to begin.
                let _ = tokio::join!(acting, async { done.send(true) });
            } else {
                acting.await;
                // Nobody waits for it who is not late.
                let _ = done.send(true);
            }
        };
        tokio::join!(ours(ws, standing, is_done, late), theirs).0
    };
    let told = tokio::time::timeout(Duration::from_secs(20), story).await.unwrap_or_else(|_| panic!("{who}: no end"));
    assert_eq!(told.messages, "onetwothree", "{who}");

    let clean = standing == Standing::Exchanged;
    let (by, code) = match standing {
        Standing::CloseSent => (ClosedBy::Us, 1000),
        Standing::Exchanged => (ClosedBy::Peer, 1001),
        Standing::Failed => (ClosedBy::Us, 1002),
        _ => (ClosedBy::Nobody, 1006),
    };
    let closed = &told.closed;
    assert_eq!((closed.by(), closed.code().as_u16(), closed.is_clean()), (by, code, clean), "{who}");
    // Whoever asks how it ended is told the same.
    for error in [told.error.as_ref(), told.close.as_ref().err()] {
        assert_eq!(error.is_none(), clean, "{who}: {error:?}");
        let Some(error) = error else { continue };
        assert!(!error.is_timeout(), "{who}: {error:?}");
        match error {
            Error::Protocol(_) if standing == Standing::Failed => {
                assert_eq!(error.kind(), ErrorKind::Peer, "{who}");
                assert_eq!(error.close_code(), Some(CloseCode::PROTOCOL_ERROR), "{who}");
                continue;
            }
            Error::Aborted => assert_ne!(ending, Ending::Reset, "{who}"),
            Error::Io(error) => {
                use io::ErrorKind::{BrokenPipe, ConnectionReset};
                let is_it =
                    error.kind() == ConnectionReset || standing == Standing::Sending && error.kind() == BrokenPipe;
                assert!(ending == Ending::Reset && is_it, "{who}: {error:?}");
            }
            _ => panic!("{who}: {error:?}"),
        }
        assert_eq!(
            (error.kind(), error.close_code()),
            (ErrorKind::Network, Some(CloseCode::ABNORMAL_CLOSURE)),
            "{who}"
        );
    }
}

#[tokio::test]
async fn tcp_half_closed_or_reset_in_any_state_is_told_after_the_messages_that_came_before() {
    for role in [Role::Server, Role::Client] {
        for standing in STANDINGS {
            for ending in [Ending::HalfClose, Ending::Reset] {
                for late in [false, true] {
                    // A closing handshake takes two who are there; and one who is late sends to nobody.
                    if late && (!standing.is_open() || standing == Standing::Sending) {
                        continue;
                    }
                    let who = format!("{role:?}, {standing:?}, {ending:?}, {}", if late { "late" } else { "there" });
                    let (ws, peer) = over_tcp(role).await;
                    ends(ws, peer, role, standing, ending, late, &who).await;
                }
            }
        }
    }
}

#[cfg(feature = "tls")]
mod tls {
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair};
    use sockeye::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
    use sockeye::rustls::{ClientConfig, RootCertStore, ServerConfig};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// A server's configuration, and that of a client who trusts it.
    fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let server = ServerConfig::builder().with_no_client_auth();
        let server = server.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        (Arc::new(server), Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
    }

    /// Our end of a connection over TLS, and the peer's.
    async fn over_tls(role: Role) -> (WebSocket, Peer) {
        let (server, client) = configs();
        match role {
            Role::Server => {
                let (give, mut given) = unbounded_channel();
                let handler = move |ws: WebSocket| {
                    give.send(ws).unwrap();
                    async { Ok(()) }
                };
                let address = start(|listener| sockeye::serve(listener, handler).tls(server)).await;
                let stream = TcpStream::connect(address).await.unwrap();
                let name = ServerName::try_from("127.0.0.1").unwrap();
                let mut stream = TlsConnector::from(client).connect(name, stream).await.unwrap();
                let head = crate::support::exchange(&mut stream, crate::support::request("").as_bytes()).await;
                assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
                (given.recv().await.unwrap(), Peer::Tls(Box::new(stream.into())))
            }
            Role::Client => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let url = format!("wss://{}/", listener.local_addr().unwrap());
                let serving = async {
                    let (stream, _) = listener.accept().await.unwrap();
                    let mut stream = TlsAcceptor::from(server).accept(stream).await.unwrap();
                    switch(&mut stream).await;
                    stream.flush().await.unwrap();
                    stream
                };
                let (ws, stream) = tokio::join!(sockeye::connect(url).tls(client).into_future(), serving);
                (ws.unwrap(), Peer::Tls(Box::new(stream.into())))
            }
        }
    }

    #[tokio::test]
    async fn tls_without_a_close_notify_torn_or_reset_in_any_state_ends_as_tcp_does() {
        for role in [Role::Server, Role::Client] {
            for standing in STANDINGS {
                for ending in [Ending::HalfClose, Ending::Torn, Ending::Reset] {
                    let who = format!("TLS, {role:?}, {standing:?}, {ending:?}");
                    let (ws, peer) = over_tls(role).await;
                    ends(ws, peer, role, standing, ending, false, &who).await;
                }
            }
        }
    }
}

// --- closing as a value ---

fn end(stream: DuplexStream, role: Role) -> WebSocket {
    WebSocket::from_stream(stream, role, Limits::default())
}

fn pair() -> (WebSocket, WebSocket) {
    let (near, far) = tokio::io::duplex(1024);
    (end(near, Role::Client), end(far, Role::Server))
}

/// Who began, the code and the reason, and whether it was clean, in one line.
fn line(closed: &Closed) -> String {
    let clean = if closed.is_clean() { "clean" } else { "not clean" };
    format!("{:?} {} {:?} {clean}", closed.by(), closed.code().as_u16(), closed.reason())
}

#[tokio::test(start_paused = true)]
async fn both_ends_close_at_once_and_each_says_that_it_began_and_what_the_other_said() {
    let (client, server) = pair();
    let (here, there) =
        tokio::join!(client.close(CloseCode::NORMAL, "from here"), server.close(CloseCode::GOING_AWAY, "from there"));
    here.unwrap();
    there.unwrap();
    assert_eq!(line(&client.closed().await), "Us 1000 \"from here\" clean");
    assert_eq!(line(&server.closed().await), "Us 1001 \"from there\" clean");
    assert_eq!(client.close_reason().unwrap().reason(), "from there");
    assert_eq!(server.close_reason().unwrap().reason(), "from here");
}

#[tokio::test(start_paused = true)]
async fn the_peer_s_code_and_reason_are_echoed_and_told() {
    for role in [Role::Server, Role::Client] {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut ws = end(near, role);
        let body = [&4001_u16.to_be_bytes()[..], "再见".as_bytes()].concat();
        far.write_all(&frame_for(role, true, Opcode::CLOSE, &body)).await.unwrap();
        let peer = async {
            // A server ends its side by itself; a client waits for the server to do so.
            let (_, opcode, payload) = read_frame(&mut far).await.unwrap();
            assert_eq!((opcode, payload), (Opcode::CLOSE, body.clone()), "{role:?}");
            drop(far);
        };
        let (received, ()) = tokio::join!(ws.recv(), peer);
        assert_eq!(received.unwrap(), None, "{role:?}");
        assert_eq!(ws.close_reason().unwrap().to_string(), "4001: 再见");
        assert_eq!(line(&ws.closed().await), "Peer 4001 \"再见\" clean");
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_without_a_code_is_1005_and_is_answered_with_one_without() {
    for role in [Role::Server, Role::Client] {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut ws = end(near, role);
        far.write_all(&frame_for(role, true, Opcode::CLOSE, b"")).await.unwrap();
        let peer = async {
            assert_eq!(read_frame(&mut far).await.unwrap(), (true, Opcode::CLOSE, Vec::new()), "{role:?}");
            drop(far);
        };
        let (received, ()) = tokio::join!(ws.recv(), peer);
        assert_eq!(received.unwrap(), None, "{role:?}");
        assert_eq!(ws.close_reason().unwrap().code(), CloseCode::NO_STATUS_RECEIVED);
        assert_eq!(line(&ws.closed().await), "Peer 1005 \"\" clean");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_websocket_that_is_dropped_says_1001_and_ends() {
    for role in [Role::Server, Role::Client] {
        let (near, mut far) = tokio::io::duplex(1024);
        drop(end(near, role));
        assert_eq!(read_close(&mut far).await, (1001, String::new()), "{role:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_is_written_before_the_close_of_a_websocket_that_is_dropped_while_the_wire_is_full() {
    for role in [Role::Server, Role::Client] {
        let (near, mut far) = tokio::io::duplex(16);
        let ws = end(near, role);
        ws.send("x".repeat(10_000)).await.unwrap();
        drop(ws);
        // The peer takes its time, but less than the 10 s that closing may take.
        tokio::time::sleep(Duration::from_secs(9)).await;
        let (fin, opcode, payload) = read_frame(&mut far).await.unwrap();
        assert_eq!((fin, opcode, payload.len()), (true, Opcode::TEXT, 10_000), "{role:?}");
        let (_, opcode, payload) = read_frame(&mut far).await.unwrap();
        assert_eq!((opcode, &payload[..]), (Opcode::CLOSE, &b"\x03\xE9"[..]), "{role:?}");
        no_tasks_are_left(2).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_websocket_that_is_dropped_while_the_wire_is_full_is_given_up_after_10_seconds() {
    for role in [Role::Server, Role::Client] {
        let (near, mut far) = tokio::io::duplex(16);
        let ws = end(near, role);
        ws.send("x".repeat(10_000)).await.unwrap();
        drop(ws);
        let dropped = tokio::time::Instant::now();
        // The peer never reads: its writes fail once the transport is given back.
        let ping = frame_for(role, true, Opcode::PING, b"");
        while far.write_all(&ping).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(dropped.elapsed() < Duration::from_secs(20), "{role:?}");
        }
        assert_eq!(dropped.elapsed().as_secs(), 10, "{role:?}");
        no_tasks_are_left(0).await;
    }
}

/// All tasks but the one that waits for the peer's end of the wire, dropped only at the end of a test, and the one that keeps
/// its deadline.
async fn no_tasks_are_left(but: usize) {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(alive <= but, "{alive} tasks are left");
}

#[tokio::test(start_paused = true)]
async fn close_waits_behind_all_that_was_accepted_and_is_not_clean_if_that_never_left() {
    let (near, far) = tokio::io::duplex(64);
    let ws = end(near, Role::Server);
    ws.send("x".repeat(10_000)).await.unwrap();
    let started = tokio::time::Instant::now();
    let error = ws.close(CloseCode::NORMAL, "").await.unwrap_err();
    assert!(matches!(error, Error::Timeout(sockeye::Phase::Closing)), "{error:?}");
    assert_eq!(started.elapsed(), Duration::from_secs(10));
    assert_eq!(line(&ws.closed().await), "Us 1000 \"\" not clean");
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn closed_reads_ahead_no_more_than_64_kib_and_loses_nothing() {
    let (near, far) = tokio::io::duplex(1024);
    let (mut server, client) = (end(near, Role::Server), end(far, Role::Client));
    let sending = tokio::spawn(async move {
        for number in 0..1000_u32 {
            let text = format!("{number:>1000}");
            client.send(text).await.unwrap();
        }
        client.close(CloseCode::NORMAL, "").await.unwrap();
    });
    // Polled for a second, and given up.
    assert!(tokio::time::timeout(Duration::from_secs(1), server.closed()).await.is_err());
    for number in 0..1000_u32 {
        let text = server.recv().await.unwrap().expect("a message").into_bytes();
        assert!(text[..] == *format!("{number:>1000}").as_bytes(), "message {number}");
    }
    assert_eq!(server.recv().await.unwrap(), None);
    sending.await.unwrap();
    let mut closed = pin!(server.closed());
    let closed = poll_fn(|cx| Poll::Ready(closed.as_mut().poll(cx))).await;
    let Poll::Ready(closed) = closed else { panic!("it has ended") };
    assert_eq!(line(&closed), "Peer 1000 \"\" clean");
}
