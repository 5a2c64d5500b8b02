//! Messages that have been received and that nobody has taken yet.

use std::collections::VecDeque;

use sockeye_proto::Message;

/// At most so much is read ahead of whoever takes the messages: a handler that sleeps still answers Pings, and a peer that
/// floods it meets a full TCP window.
pub(crate) const READ_AHEAD: usize = 64 << 10;

/// The messages that wait. Mostly there is none or one, which needs no allocation.
#[derive(Default)]
pub(crate) struct Ahead {
    first: Option<Message>,
    rest: VecDeque<Message>,
    cost: usize,
}

impl Ahead {
    pub(crate) fn push(&mut self, message: Message) {
        self.cost += cost(&message);
        match self.first {
            None => self.first = Some(message),
            Some(_) => self.rest.push_back(message),
        }
    }

    pub(crate) fn take(&mut self) -> Option<Message> {
        let message = self.first.take()?;
        self.cost -= cost(&message);
        self.first = self.rest.pop_front();
        if self.rest.is_empty() && self.rest.capacity() > 0 {
            self.rest = VecDeque::new();
        }
        Some(message)
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The memory they hold, in bytes.
    pub(crate) const fn cost(&self) -> usize {
        self.cost
    }
}

/// Empty messages cost something, too: a peer may send nothing else.
fn cost(message: &Message) -> usize {
    size_of::<Message>() + message.len()
}
