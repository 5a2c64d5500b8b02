//! Compressed messages (RFC 7692).
//!
//! Each message goes out compressed from a fresh state, in advance: valid whatever was agreed on, since a compressor may
//! always refrain from referring back. What the server compresses is its own affair.

mod message;
pub mod echo;
pub mod memory;

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use message::{Inflate, Message};

use crate::frame::{self, FIN, RSV1};
use crate::upgrade;

/// A connection on which messages are compressed, with at most one in flight.
struct Lane {
    stream: TcpStream,
    /// The message that is in flight, or the next one.
    next: usize,
    arrived: Vec<u8>,
}

/// An answer that has come whole.
struct Answer<'a> {
    compressed: bool,
    payload: &'a [u8],
}

impl Lane {
    /// Opens a connection; returns with it what was agreed on.
    fn open(port: u16, takeover: bool, next: usize) -> Result<(Self, String), Box<dyn Error>> {
        let offer = if takeover {
            "permessage-deflate"
        } else {
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        };
        let (stream, agreed) = upgrade::open(port, Some(offer))?;
        let agreed = agreed.ok_or("the server does not agree to compress")?;
        Ok((Self { stream, next, arrived: Vec::new() }, agreed))
    }

    fn send(&mut self, messages: &[Message]) -> Result<(), Box<dyn Error>> {
        let frame = &messages[self.next].frame;
        // An empty connection always has room for so little.
        if self.stream.write(frame)? == frame.len() { Ok(()) } else { Err("no room for a small frame".into()) }
    }

    /// Reads what has arrived. `None` as long as the answer is not whole.
    fn recv(&mut self) -> Result<Option<Answer<'_>>, Box<dyn Error>> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err("the server closes".into()),
            Ok(len) => self.arrived.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let Some((first, range)) = frame::parse(&self.arrived) else { return Ok(None) };
        if range.end < self.arrived.len() {
            return Err("more came back than was asked for".into());
        }
        if first & !RSV1 != FIN | 1 {
            return Err(format!("an answer begins with {first:#04x}").into());
        }
        Ok(Some(Answer { compressed: first & RSV1 != 0, payload: &self.arrived[range] }))
    }

    /// Is done with the answer: the next message's turn.
    fn advance(&mut self, messages: &[Message]) {
        self.arrived.clear();
        self.next = (self.next + 1) % messages.len();
    }
}

/// Compares an answer with the message that was sent.
fn verify(answer: &Answer<'_>, inflate: &mut Inflate, message: &Message) -> Result<(), Box<dyn Error>> {
    let same = if answer.compressed {
        inflate.message(answer.payload)? == message.payload
    } else {
        answer.payload == message.payload
    };
    if same { Ok(()) } else { Err("an answer inflates to something else".into()) }
}
