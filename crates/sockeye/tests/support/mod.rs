//! The other end of the wire, frame by frame: what no well-behaved library would send.
#![allow(dead_code, reason = "most test programs use some of it, and some all: nothing to expect")]

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use sockeye::{HandlerResult, Limits, Listener, Role, Serve, WebSocket};
use sockeye_proto::frame::{Header, Opcode, Parse};
use sockeye_proto::handshake::{Key, accept};
use sockeye_proto::mask::{self, MaskingKey};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::yield_now;

pub(crate) const KEY: MaskingKey = MaskingKey::new([0x37, 0xfa, 0x21, 0x3d]);

/// A frame as a client sends it.
pub(crate) fn client_frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Header::new(fin, opcode, payload.len() as u64, Some(KEY)).encode().to_vec();
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    mask::apply(KEY, 0, &mut bytes[start..]);
    bytes
}

/// A text message of a client.
pub(crate) fn text(payload: &str) -> Vec<u8> {
    client_frame(true, Opcode::TEXT, payload.as_bytes())
}

/// A client's Close with this code.
pub(crate) fn close_frame(code: u16) -> Vec<u8> {
    client_frame(true, Opcode::CLOSE, &code.to_be_bytes())
}

/// A frame as a server sends it.
pub(crate) fn server_frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    [&*Header::new(fin, opcode, payload.len() as u64, None).encode(), payload].concat()
}

/// Reads one frame and unmasks it: FIN, opcode, payload. `None` where the stream ends.
pub(crate) async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> Option<(bool, Opcode, Vec<u8>)> {
    let mut head = Vec::new();
    let header = loop {
        match Header::parse(&head) {
            Parse::Complete(header) => break header,
            Parse::Partial { missing } => {
                let start = head.len();
                head.resize(start + missing, 0);
                stream.read_exact(&mut head[start..]).await.ok()?;
            }
        }
    };
    let mut payload = vec![0; usize::try_from(header.payload_len()).unwrap()];
    stream.read_exact(&mut payload).await.ok()?;
    if let Some(key) = header.masking_key() {
        mask::apply(key, 0, &mut payload);
    }
    Some((header.fin(), header.opcode(), payload))
}

/// The code and reason of the Close frame that is the next frame, and nothing after it.
pub(crate) async fn read_close(stream: &mut (impl AsyncRead + Unpin)) -> (u16, String) {
    let (fin, opcode, payload) = read_frame(stream).await.expect("a Close frame comes");
    assert!(fin && opcode == Opcode::CLOSE, "{opcode:?} came instead of Close");
    assert!(read_frame(stream).await.is_none(), "the stream ends after the Close");
    let (code, reason) = payload.split_at(2);
    (u16::from_be_bytes(code.try_into().unwrap()), String::from_utf8(reason.to_vec()).unwrap())
}

/// Sends everything back.
pub(crate) async fn echo(mut ws: WebSocket) -> HandlerResult {
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}

/// Runs a server for as long as the test runs; says where it is.
pub(crate) async fn start<H>(serve: impl FnOnce(TcpListener) -> Serve<H>) -> SocketAddr
where
    Serve<H>: IntoFuture<Output = std::io::Result<()>, IntoFuture: Send + 'static>,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener).into_future());
    address
}

/// An echo server with the defaults.
pub(crate) async fn echo_server() -> SocketAddr {
    start(|listener| sockeye::serve(listener, echo)).await
}

/// A listener of one's own: streams within the process, as under a stopped clock nothing from outside may be waited for.
pub(crate) struct Within(mpsc::Receiver<DuplexStream>);

impl Within {
    /// The listener, and what is to be connected to it.
    pub(crate) fn new() -> (mpsc::Sender<DuplexStream>, Self) {
        let (connect, accept) = mpsc::channel(1);
        (connect, Self(accept))
    }
}

impl Listener for Within {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> std::io::Result<(DuplexStream, Option<SocketAddr>)> {
        match self.0.recv().await {
            Some(stream) => Ok((stream, Some(([192, 0, 2, 1], 1).into()))),
            None => std::future::pending().await,
        }
    }
}

/// The request of RFC 6455 §1.2, with other lines added.
pub(crate) fn request(more: &str) -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

/// Sends a request and reads the response's head: nothing of what follows it.
pub(crate) async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    read_head(stream).await
}

/// Reads an HTTP head to its end, or to the end of the stream.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// What `Sec-WebSocket-Accept` has to be for a request.
pub(crate) fn accept_for(head: &str) -> String {
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
    accept(&Key::parse(&key.parse().unwrap()).unwrap()).to_str().unwrap().to_owned()
}

/// The answer that opens the WebSocket which a request asks for.
pub(crate) fn switching(head: &str) -> String {
    let accept = accept_for(head);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// Connects as a client that writes its frames by hand.
pub(crate) async fn open(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let head = exchange(&mut stream, request("").as_bytes()).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream
}

/// A server's end over a wire that holds `capacity` bytes, and the wire's other end.
pub(crate) fn server(capacity: usize) -> (WebSocket, DuplexStream) {
    let (near, far) = tokio::io::duplex(capacity);
    (WebSocket::from_stream(near, Role::Server, Limits::default()), far)
}

/// All other tasks run until they wait.
pub(crate) async fn others_wait() {
    for _ in 0..50 {
        yield_now().await;
    }
}

/// Less than any deadline of the connection's own: who waits longer was not woken.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(1), future).await.expect("it is woken")
}

/// The same where real time passes, on a machine that may be busy.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it does not hang")
}

/// A transport that can no longer be written to, and from which nothing comes.
pub(crate) struct Broken;

impl AsyncRead for Broken {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
