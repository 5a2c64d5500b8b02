//! One message of 10 GB, sent and received as a stream, in a few megabytes of memory.
//!
//! Run it with `cargo run --release --bin stream -p sockeye-examples`, or with another size in GB behind `--`. It prints
//! the time, and on Linux the most memory that sender and receiver, both in this process, have ever held.

use std::time::Instant;

use sockeye::{MessageKind, WebSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What the message consists of, over and over: 0 to 250. 251 is prime, so that no two neighbouring blocks are alike.
const PERIOD: u8 = 251;

#[tokio::main]
async fn main() -> Result<()> {
    let gigabytes: u64 = std::env::args().nth(1).map_or(Ok(10), |argument| argument.parse())?;
    let size = gigabytes * 1_000_000_000;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}/", listener.local_addr()?);
    tokio::spawn(sockeye::serve(listener, receive).into_future());

    let started = Instant::now();
    let mut ws = sockeye::connect(url).await?;
    let mut stream = ws.send_stream(MessageKind::Binary);
    let pattern = (0..PERIOD).collect::<Vec<u8>>().repeat(256);
    let mut sent = 0;
    while sent < size {
        let piece = &pattern[..usize::try_from(size - sent).map_or(pattern.len(), |rest| rest.min(pattern.len()))];
        stream.write_all(piece).await?;
        sent += piece.len() as u64;
    }
    stream.finish().await?;
    println!("sent {sent} bytes in one message");
    while let Some(answer) = ws.recv().await? {
        println!("the receiver says: {}", answer.as_text().unwrap_or("?"));
    }
    println!("{:.1} s", started.elapsed().as_secs_f64());
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    }
    Ok(())
}

/// Reads one message, checks each byte of it, and says how many there were.
async fn receive(mut ws: WebSocket) -> Result<()> {
    let Some(mut stream) = ws.recv_stream().await? else {
        return Ok(());
    };
    let mut buffer = vec![0; 64 << 10];
    let mut received = 0_u64;
    let mut expected = (0..PERIOD).cycle();
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        if !buffer[..count].iter().zip(&mut expected).all(|(&byte, expected)| byte == expected) {
            return Err(format!("not what was sent, near byte {received}").into());
        }
        received += count as u64;
    }
    drop(stream);
    ws.send(format!("{received} bytes, as they were sent")).await?;
    Ok(())
}
