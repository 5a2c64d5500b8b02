//! The limit on tokio: bytes go back as they came, with no protocol.

use std::cell::RefCell;
use std::io::{self, ErrorKind};

use harness::{BACKLOG, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::broadcast;

/// What answers the one key that the load generator sends.
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

thread_local! {
    /// Lent to whichever connection has bytes: one that waits holds nothing.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 * 1024]);
}

fn main() -> io::Result<()> {
    let news = (harness::mode() == Mode::Broadcast).then(|| broadcast::channel(BACKLOG).0);
    harness::block_on(|listener| async move {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // How a connection ends is its client's affair.
            match news.clone() {
                None => drop(tokio::spawn(tokio::task::unconstrained(echo(stream)))),
                Some(news) => drop(tokio::spawn(tokio::task::unconstrained(publish(stream, news)))),
            }
        }
    })
}

async fn upgrade(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    stream.write_all(RESPONSE).await
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    upgrade(&mut stream).await?;
    loop {
        stream.readable().await?;
        let unsent = BUFFER.with_borrow_mut(|buffer| match later(stream.try_read(buffer))? {
            None => Ok(Vec::new()),
            Some(0) => Err(ErrorKind::UnexpectedEof.into()),
            Some(len) => {
                let sent = later(stream.try_write(&buffer[..len]))?.unwrap_or(0);
                Ok::<_, io::Error>(buffer[sent..len].to_vec())
            }
        })?;
        if !unsent.is_empty() {
            stream.write_all(&unsent).await?;
        }
    }
}

/// Gives what comes to all, and sends what comes from all.
async fn publish(mut stream: TcpStream, news: broadcast::Sender<Vec<u8>>) -> io::Result<()> {
    upgrade(&mut stream).await?;
    let mut subscription = news.subscribe();
    let mut incoming = [0; 1024];
    loop {
        tokio::select! {
            len = stream.read(&mut incoming) => match len? {
                0 => return Ok(()),
                len => drop(news.send(incoming[..len].to_vec())),
            },
            bytes = subscription.recv() => stream.write_all(&bytes.map_err(io::Error::other)?).await?,
        }
    }
}

fn later(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(len) => Ok(Some(len)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
