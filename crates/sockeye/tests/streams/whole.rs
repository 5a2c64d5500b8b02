//! Messages from end to end: compressed, and out of one stream into another.

use super::{KIB, content};
use crate::support::{soon, start};
use sockeye::{Compression, Limits, Message, Role, Upgrader, WebSocket};
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn compressed_messages_stream_in_both_takeover_modes_and_beyond_the_limit() {
    for compression in [Compression::takeover(), Compression::no_takeover()] {
        let handler = |mut ws: WebSocket| async move {
            for round in 0.. {
                let Some(mut stream) = ws.recv_stream().await? else { return Ok(()) };
                if round % 3 == 2 {
                    // Left in the middle: what comes next may refer to all of it.
                    let mut some = vec![0; 10];
                    stream.read_exact(&mut some).await?;
                    drop(stream);
                    ws.send("skipped").await?;
                    continue;
                }
                let mut sum = 0_u64;
                let mut len = 0;
                let mut buffer = vec![0; 10_000];
                loop {
                    match stream.read(&mut buffer).await? {
                        0 => break,
                        count => {
                            sum = buffer[..count]
                                .iter()
                                .fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
                            len += count;
                        }
                    }
                }
                drop(stream);
                ws.send(format!("{len} {sum}")).await?;
            }
            Ok(())
        };
        let upgrader = Upgrader::default().compression(compression);
        let address = start(|listener| sockeye::serve(listener, handler).upgrader(upgrader)).await;
        let mut ws = sockeye::connect(format!("ws://{address}/")).compression(compression).await.unwrap();
        let random: Vec<u8> =
            (0..3_000_000_u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
        let messages = [
            content(100),
            vec![0; 50 << 20],
            content(3 << 20),
            random,
            content(64 * KIB),
            content(3 << 20),
            vec![],
            content(1000),
        ];
        for (round, message) in messages.into_iter().enumerate() {
            let sum = message.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
            let expected = if round % 3 == 2 { "skipped".to_owned() } else { format!("{} {sum}", message.len()) };
            if round % 3 == 2 && message.len() < 10 {
                continue;
            }
            ws.send(message).await.unwrap();
            assert_eq!(ws.recv().await.unwrap(), Some(expected.into()), "round {round}");
        }
        ws.close(1000.into(), "").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_relayed_by_copying_one_stream_into_the_other() {
    for size in [0, 1, 64 * KIB, 5_000_000] {
        let pair = |capacity| {
            let (near, far) = tokio::io::duplex(capacity);
            let end = |stream, role| WebSocket::from_stream(stream, role, Limits::default().message(8 << 20));
            (end(near, Role::Client), end(far, Role::Server))
        };
        let ((source, mut relay_in), (relay_out, mut sink)) = (pair(1000), pair(5000));
        let payload = content(size);
        let message = Message::from(payload.clone());
        let sending = tokio::spawn(async move {
            source.send(message).await.unwrap();
            source.close(1000.into(), "").await.unwrap();
        });
        let relaying = tokio::spawn(async move {
            while let Some(mut from) = relay_in.recv_stream().await.unwrap() {
                let mut to = relay_out.send_stream(from.kind());
                tokio::io::copy(&mut from, &mut to).await.unwrap();
                to.finish().await.unwrap();
            }
            relay_out.close(1000.into(), "").await.unwrap();
        });
        let received = soon(sink.recv()).await.unwrap().unwrap();
        assert!(received.len() == size && received.into_bytes() == payload);
        assert!(soon(sink.recv()).await.unwrap().is_none());
        soon(sending).await.unwrap();
        drop(sink);
        soon(relaying).await.unwrap();
    }
}
