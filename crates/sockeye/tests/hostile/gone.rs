//! Peers that are gone.

use std::time::Duration;

use super::{ASLEEP, Doing, End, WIRE, controls, is_timeout, limits, warm_up};
use crate::heap;
use sockeye::Phase;
use sockeye_proto::frame::Opcode;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::time::sleep;

/// How a peer is gone.
#[derive(Clone, Copy, Debug)]
enum Gone {
    /// It reads, and never says a word.
    Mute,
    /// It does not read, and nothing fits into the wire any more.
    Deaf,
    /// It does not read, and the wire takes what we write.
    Dead,
    /// It sends a byte a minute.
    ByteAMinute,
}

#[test]
fn a_peer_that_is_gone_is_given_up_after_40_seconds_or_10_where_we_close() {
    warm_up();
    for (end, doing) in End::all() {
        for gone in [Gone::Mute, Gone::Deaf, Gone::Dead, Gone::ByteAMinute] {
            if doing == Doing::Sending && matches!(gone, Gone::Mute) {
                // Who reads all there is keeps one who sends without end busy for ever.
                continue;
            }
            let who = format!("{gone:?}, {end:?}, {doing:?}");
            let capacity = if matches!(gone, Gone::Deaf) { 256 } else { WIRE };
            let (_, peak) = heap::told(&who, async {
                let (told, said) = end.meet(limits(), doing, capacity, |stream| gone.act(stream, end, doing)).await;
                match doing {
                    Doing::Closing => is_timeout(&told, Phase::Closing, 10, &who),
                    _ => is_timeout(&told, Phase::Keepalive, 40, &who),
                }
                match (gone, doing) {
                    (Gone::Mute, Doing::Closing) => assert_eq!(said, "Close 1000 at 0, end at 10", "{who}"),
                    (Gone::Mute, _) => assert_eq!(said, "Ping at 20, end at 40", "{who}"),
                    _ => {}
                }
            });
            println!("{who}: {peak} bytes at most");
            assert!(peak < 256 << 10, "{who}: {peak} bytes");
        }
    }
}

impl Gone {
    async fn act(self, mut stream: DuplexStream, end: End, doing: Doing) -> String {
        if doing == Doing::Streaming || matches!(self, Self::ByteAMinute) {
            // The message that our end will be in the middle of.
            let begun = [&end.header_for(true, Opcode::BINARY, 1000)[..], &[0; 10]].concat();
            stream.write_all(&begun).await.unwrap();
        }
        match self {
            Self::Mute => controls(&mut stream).await,
            Self::Deaf | Self::Dead => {
                sleep(2 * ASLEEP).await;
                String::new()
            }
            Self::ByteAMinute => {
                for _ in 0..20 {
                    sleep(Duration::from_secs(60)).await;
                    if stream.write_all(&[0]).await.is_err() {
                        break;
                    }
                }
                String::new()
            }
        }
    }
}
