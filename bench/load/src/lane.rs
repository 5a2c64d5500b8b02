//! One connection's place in the traffic, both ways.

use std::error::Error;

use crate::arriving::Arriving;
use crate::frame;
use crate::traffic::Traffic;
use crate::transport::Transport;

/// As much as stays in the second level of the cache from the read to the comparison.
pub const READ_BYTES: usize = 256 * 1024;

pub struct Lane<T> {
    pub transport: T,
    /// The place in the cycle of frames, and how many bytes from there on are due.
    send_at: usize,
    due: usize,
    arriving: Arriving,
}

impl<T: Transport> Lane<T> {
    /// Begins somewhere in the cycle, so that neighbours do not send the same.
    pub fn new(transport: T, traffic: &Traffic, begin: usize) -> Self {
        let message = begin % traffic.messages;
        let arriving = Arriving::new(&traffic.expected, message);
        Self { transport, send_at: message * traffic.frame, due: 0, arriving }
    }

    /// Begins to send some more messages, each of which will be answered.
    pub fn send(&mut self, messages: usize, traffic: &Traffic) -> Result<(), Box<dyn Error>> {
        self.expect(messages, traffic);
        self.due += messages * traffic.frame;
        self.pump(traffic)
    }

    /// Awaits some more messages that come unasked.
    pub fn expect(&mut self, messages: usize, traffic: &Traffic) {
        self.arriving.expect(messages, &traffic.expected);
    }

    /// Goes on sending, as far as there is room.
    pub fn pump(&mut self, traffic: &Traffic) -> Result<(), Box<dyn Error>> {
        while self.due > 0 {
            let sent = self.transport.send(traffic.frames(self.send_at, self.due))?;
            if sent == 0 {
                break;
            }
            self.send_at = traffic.frames_after(self.send_at, sent);
            self.due -= sent;
        }
        Ok(self.transport.flush()?)
    }

    /// Answers the Pings that have come while nothing was due; nothing else may have.
    pub fn answer_pings(&mut self, buffer: &mut [u8]) -> Result<(), Box<dyn Error>> {
        const PING: u8 = 0x89;
        const PONG: u8 = 0x8A;
        const KEY: [u8; 4] = [1, 2, 3, 4];
        while let Some(len) = self.transport.recv(buffer)? {
            let mut bytes = &buffer[..len];
            while let Some((PING, payload)) = frame::parse(bytes) {
                self.transport.send(&frame::masked(PONG, KEY, &bytes[payload.clone()]))?;
                bytes = &bytes[payload.end..];
            }
            if !bytes.is_empty() {
                return Err("what came unasked is no Ping".into());
            }
            if T::SHORT_READ_IS_THE_LAST {
                break;
            }
        }
        Ok(self.transport.flush()?)
    }

    /// Reads and verifies all that has arrived; returns how many messages that completes.
    pub fn recv(&mut self, traffic: &Traffic, buffer: &mut [u8]) -> Result<usize, Box<dyn Error>> {
        let mut completed = 0;
        while let Some(len) = self.transport.recv(buffer)? {
            completed += self.arriving.take(&mut buffer[..len], &traffic.expected)?;
            if T::SHORT_READ_IS_THE_LAST && len < buffer.len() {
                break;
            }
        }
        Ok(completed)
    }
}
