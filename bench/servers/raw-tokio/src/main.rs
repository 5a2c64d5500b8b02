//! The limit on tokio: bytes go back as they came, with no protocol. With the word `whole` they go back once all of a frame
//! is there, of which nothing is read but its length: the limit of those who answer messages.

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
                Some(news) => drop(tokio::spawn(tokio::task::unconstrained(publish(stream, news)))),
                None if harness::asked_for("whole") => drop(tokio::spawn(tokio::task::unconstrained(whole(stream)))),
                None => drop(tokio::spawn(tokio::task::unconstrained(echo(stream)))),
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

async fn whole(mut stream: TcpStream) -> io::Result<()> {
    upgrade(&mut stream).await?;
    // Kept for all messages, and only ever made larger.
    let mut buffer = vec![0; 4 * 1024];
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            len => filled += len,
        }
        let mut answer = 0;
        while let Some(len) = frame_len(&buffer[answer..filled]) {
            if answer + len > filled {
                // A read that fills its buffer does not show tokio that the socket is empty.
                buffer.resize(buffer.len().max(len + 1), 0);
                break;
            }
            answer += len;
        }
        if answer > 0 {
            stream.write_all(&buffer[..answer]).await?;
            buffer.copy_within(answer..filled, 0);
            filled -= answer;
        }
    }
}

/// How long a masked frame is, header included (RFC 6455 §5.2), as soon as it can be said.
fn frame_len(bytes: &[u8]) -> Option<usize> {
    const MASKING_KEY: usize = 4;
    let (header, payload) = match bytes.get(1)? & 0x7F {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into()),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        len => (2, len.into()),
    };
    Some(header + MASKING_KEY + payload)
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
