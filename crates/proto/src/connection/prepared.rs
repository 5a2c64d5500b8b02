//! A message for many connections: framed once, and compressed once for all that compress alike.

use core::fmt;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::encode::encode;
use crate::deflate::Settings;
use crate::frame::{Header, Opcode};
use crate::message::Message;

/// A message that is sent on many connections: see [`Connection::send_prepared`](super::Connection::send_prepared).
///
/// Servers share its frame, plain or compressed, by reference. What cannot be shared is made for each connection: a client
/// masks with keys of its own, and with context takeover a message refers to those before it.
///
/// ```
/// use sockeye_proto::connection::Prepared;
/// use sockeye_proto::{Connection, Limits};
///
/// let news = Prepared::from("the same for everybody");
/// let mut subscribers: Vec<_> = (0..3).map(|_| Connection::server(Limits::default())).collect();
/// for subscriber in &mut subscribers {
///     subscriber.send_prepared(&news)?;
/// }
/// # Ok::<(), sockeye_proto::connection::CannotSend>(())
/// ```
pub struct Prepared {
    message: Message,
    /// The frame for each way to compress that was asked for, and the plain one; a handful at most.
    frames: Mutex<Vec<(Option<Settings>, Bytes)>>,
}

impl Prepared {
    /// Prepares a message. Nothing is encoded before it is first sent.
    #[must_use]
    pub const fn new(message: Message) -> Self {
        Self { message, frames: Mutex::new(Vec::new()) }
    }

    /// The message itself.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.message
    }

    pub(super) fn len(&self) -> usize {
        self.message.len()
    }

    pub(super) const fn opcode(&self) -> Opcode {
        self.message.opcode()
    }

    pub(super) fn payload(&self) -> Bytes {
        self.message.clone().into_bytes()
    }

    /// A server's frame of the message, compressed where there are settings and it gets smaller.
    pub(super) fn frame(&self, settings: Option<Settings>) -> Bytes {
        // Held while compressing: others who want the same wait for it rather than make it again.
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, frame)) = frames.iter().find(|(made_with, _)| *made_with == settings) {
            return frame.clone();
        }
        let compressed = settings.and_then(|settings| settings.compress(self.message.as_bytes()));
        let header = |payload: &[u8]| Header::new(true, self.opcode(), payload.len() as u64, None);
        let frame = match &compressed {
            Some(payload) => encode(header(payload).compressed(), payload),
            None => encode(header(self.message.as_bytes()), self.message.as_bytes()),
        };
        frames.push((settings, frame.clone()));
        frame
    }
}

impl<M: Into<Message>> From<M> for Prepared {
    fn from(message: M) -> Self {
        Self::new(message.into())
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("message", &self.message).finish_non_exhaustive()
    }
}
