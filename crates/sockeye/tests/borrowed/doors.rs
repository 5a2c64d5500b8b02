//! The same, whether messages are lent or received to be kept.

use super::pair;
use crate::support::{client_frame, server_frame, soon, text};
use sockeye::Message;
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a peer sends, and how the connection takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Recv,
    Halves,
}

/// All that can be seen of a connection whose peer sends these bytes and then nothing: what was received, how that ended,
/// and what came back.
async fn story(bytes: &[u8], capacity: usize, door: Door, drives: bool) -> (Vec<Message>, String, Vec<u8>) {
    let (mut ws, peer) = pair(capacity);
    let (mut from_us, mut to_us) = tokio::io::split(peer);
    let server = async move {
        let mut received = Vec::new();
        let end = match door {
            Door::Recv => loop {
                match ws.recv().await {
                    Ok(Some(message)) => {
                        let _ = ws.send(message.clone()).await;
                        received.push(message);
                    }
                    end => break format!("{:?}", end.map(drop)),
                }
            },
            Door::Halves => {
                let (mut incoming, mut outgoing) = ws.halves();
                loop {
                    match incoming.recv().await {
                        Ok(Some(message)) => {
                            let _ = outgoing.send(message).await;
                            received.push(message.to_message());
                        }
                        end => break format!("{:?}", end.map(drop)),
                    }
                }
            }
        };
        (received, end)
    };
    let server = async { if drives { sockeye::drive(server).await } else { server.await } };
    let writing = async {
        let _ = to_us.write_all(bytes).await;
        let _ = to_us.shutdown().await;
    };
    let mut back = Vec::new();
    let ((received, end), (), _) = soon(async { tokio::join!(server, writing, from_us.read_to_end(&mut back)) }).await;
    (received, end, back)
}

#[tokio::test(start_paused = true)]
async fn any_three_frames_in_any_cut_come_to_the_same_through_either_door() {
    let frames = [
        text("好"),
        text(""),
        client_frame(true, Opcode::BINARY, &[7; 150]),
        client_frame(false, Opcode::TEXT, b"be"),
        client_frame(true, Opcode::CONTINUATION, b"gun"),
        client_frame(true, Opcode::PING, b"?"),
        client_frame(true, Opcode::PONG, b"!"),
        client_frame(true, Opcode::CLOSE, &1000_u16.to_be_bytes()),
        // Bad UTF-8, a frame that is not masked, a bit that was not agreed on, a message over the limit.
        client_frame(true, Opcode::TEXT, &[0xff]),
        server_frame(true, Opcode::TEXT, b"bare"),
        [0xc1, 0x80, 0, 0, 0, 0].to_vec(),
        client_frame(true, Opcode::BINARY, &[0; 301]),
    ];
    let mut stories = 0;
    for first in &frames {
        for second in &frames {
            for third in &frames {
                let bytes = [&first[..], second, third].concat();
                for (capacity, drives) in [(4096, true), (4096, false), (5, true), (5, false)] {
                    let expected = story(&bytes, capacity, Door::Recv, drives).await;
                    let lent = story(&bytes, capacity, Door::Halves, drives).await;
                    assert_eq!(lent, expected, "{bytes:x?} over {capacity} bytes, driven: {drives}");
                    stories += 1;
                }
            }
        }
    }
    assert_eq!(stories, 12 * 12 * 12 * 4);
}
