//! Messages of any size, as they arrive and as they are written, against a peer that reads and writes single frames.

#![expect(clippy::cast_possible_truncation, reason = "numbers that are written as bytes")]

mod receiving;
mod sending;
mod whole;

use crate::support::{client_frame, soon};
use sockeye_proto::frame::Opcode;

const KIB: usize = 1 << 10;

/// Polled no more often than there can be reason to.
async fn calmly<T>(future: impl Future<Output = T>) -> T {
    let (mut future, mut polls) = (std::pin::pin!(future), 0);
    soon(std::future::poll_fn(|cx| {
        polls += 1;
        assert!(polls < 1000, "it wakes itself again and again");
        future.as_mut().poll(cx)
    }))
    .await
}

/// Bytes that are no two alike next to each other, and ASCII.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| b'a' + ((at * 7 + at / 253) % 26) as u8).collect()
}

/// A message in frames of this size, with a Ping behind each but the last; how many Pings.
fn in_frames(opcode: Opcode, payload: &[u8], size: usize) -> (Vec<u8>, usize) {
    let chunks: Vec<&[u8]> = if payload.is_empty() { vec![payload] } else { payload.chunks(size).collect() };
    let mut bytes = Vec::new();
    for (number, chunk) in chunks.iter().enumerate() {
        let fin = number + 1 == chunks.len();
        bytes.extend(client_frame(fin, if number == 0 { opcode } else { Opcode::CONTINUATION }, chunk));
        if !fin {
            bytes.extend(client_frame(true, Opcode::PING, &(number as u32).to_be_bytes()));
        }
    }
    (bytes, chunks.len() - 1)
}
