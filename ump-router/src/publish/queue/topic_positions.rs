//! Where in a queue the message of each topic is, for the policy
//! [`Latest`](crate::WhenFull::Latest).

use std::collections::HashMap;

use crate::{publish::received::Received, topic::Pattern};

/// Positions by topic. Entries are numbered from the beginning of the subscription, so that
/// removing the first one changes no number.
#[derive(Default)]
pub(super) struct TopicPositions {
    /// The number of the first entry in the queue.
    first: u64,
    by_topic: HashMap<Pattern, u64>,
}

impl TopicPositions {
    /// Returns the position of the entry with the same topic.
    pub(super) fn of<M>(&self, message: &Received<M>) -> Option<usize> {
        let number = self.by_topic.get(message.topic())?;
        Some(
            usize::try_from(number - self.first)
                .expect("a position within the queue fits into `usize`"),
        )
    }

    /// Notes a message that was put at a position.
    pub(super) fn insert<M>(&mut self, message: &Received<M>, position: usize) {
        let number = self.first + position as u64;
        self.by_topic.insert(message.topic().clone(), number);
    }

    /// Forgets the first entry, which has left the queue.
    pub(super) fn remove_first<M>(&mut self, message: &Received<M>) {
        self.first += 1;
        self.by_topic.remove(message.topic());
    }
}
