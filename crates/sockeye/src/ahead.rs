//! Messages that have been received and that nobody has taken yet.

use std::collections::VecDeque;

use sockeye_proto::Message;

/// At most so much is read ahead of whoever takes the messages: a handler that sleeps still answers Pings, and a peer that
/// floods it meets a full TCP window.
pub(crate) const READ_AHEAD: usize = 64 << 10;

/// The messages that wait. Mostly there is none or one, which needs no allocation, nor room for a queue.
#[derive(Default)]
pub(crate) struct Ahead {
    first: Option<Message>,
    #[expect(clippy::box_collection, reason = "an empty queue takes 32 bytes, in every connection")]
    rest: Option<Box<VecDeque<Message>>>,
    cost: usize,
}

impl Ahead {
    pub(crate) fn push(&mut self, message: Message) {
        self.cost += cost(&message);
        match self.first {
            None => self.first = Some(message),
            Some(_) => self.rest.get_or_insert_default().push_back(message),
        }
    }

    pub(crate) fn take(&mut self) -> Option<Message> {
        let message = self.first.take()?;
        self.cost -= cost(&message);
        if let Some(rest) = &mut self.rest {
            self.first = rest.pop_front();
            if rest.is_empty() {
                self.rest = None;
            }
        }
        Some(message)
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.as_ref().map_or(0, |rest| rest.len())
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
