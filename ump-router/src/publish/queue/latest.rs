//! Where in a queue the message of each topic is, for the policy
//! [`Latest`](crate::WhenFull::Latest).
//!
//! A new message takes the place of the older one of its topic, so that a topic that changes often
//! does not fall behind the others. But if a message came between that covers the topic too, the
//! new one comes after it: a subscriber that keeps a table of the last values would end with the
//! older one otherwise.

use std::collections::{HashMap, VecDeque};

use super::entry::{Entry, Slot, join_gaps};
use crate::{publish::received::Received, topic::Pattern};

/// The slots by topic. They are numbered from the beginning of the subscription, so that removing
/// the first one changes no number.
#[derive(Default)]
pub(super) struct Latest {
    /// The number of the first slot in the queue.
    first: u64,
    by_topic: HashMap<Pattern, u64>,
    /// The numbers of the messages on patterns with wildcards, in order.
    wild: VecDeque<u64>,
    /// How many slots are holes. The first and the last one are messages.
    holes: usize,
}

/// Where a new message goes.
pub(super) enum Place {
    /// Into the slot at this position, whose message has the same topic.
    Of(usize),
    /// Behind all others. The slot at this position, whose message has the same topic, becomes a
    /// hole.
    LastInsteadOf(usize),
}

impl Latest {
    /// Returns how many slots are holes.
    pub(super) fn holes(&self) -> usize {
        self.holes
    }

    /// Returns where a message goes, if an older one of its topic is in the queue.
    pub(super) fn place<M>(
        &self,
        message: &Received<M>,
        slots: &VecDeque<Slot<M>>,
    ) -> Option<Place> {
        let topic = message.topic();
        let number = *self.by_topic.get(topic)?;
        let position = self.position(number);
        let is_covered = if topic.is_concrete() {
            let later = self.wild.iter().rev();
            let mut later = later.take_while(|wild| **wild > number);
            later.any(|&wild| match &slots[self.position(wild)] {
                Slot::Message(between) => between.message.topic().intersects(topic),
                Slot::Hole(_) => false,
            })
        } else {
            // It may cover any of those between.
            position + 1 < slots.len()
        };
        Some(if is_covered {
            Place::LastInsteadOf(position)
        } else {
            Place::Of(position)
        })
    }

    fn position(&self, number: u64) -> usize {
        usize::try_from(number - self.first).expect("a position in the queue fits into `usize`")
    }

    /// Notes a message that was put into the slot at a position, the last one.
    pub(super) fn insert<M>(&mut self, message: &Received<M>, position: usize) {
        let number = self.first + position as u64;
        let topic = message.topic();
        match self.by_topic.get_mut(topic) {
            Some(known) => *known = number,
            None => {
                self.by_topic.insert(topic.clone(), number);
            }
        }
        if !topic.is_concrete() {
            self.wild.push_back(number);
        }
    }

    /// Notes that the slot at a position, whose message has this topic, became a hole.
    pub(super) fn dig<M>(&mut self, message: &Received<M>, position: usize) {
        self.holes += 1;
        if !message.topic().is_concrete() {
            let number = self.first + position as u64;
            if let Ok(at) = self.wild.binary_search(&number) {
                self.wild.remove(at);
            }
        }
    }

    /// Forgets the first slot, a message, which has left the queue.
    pub(super) fn remove_first<M>(&mut self, message: &Received<M>) {
        if !message.topic().is_concrete() {
            self.wild.pop_front();
        }
        self.by_topic.remove(message.topic());
        self.first += 1;
    }

    /// Forgets the first slot, a hole, which has left the queue.
    pub(super) fn remove_first_hole(&mut self) {
        self.holes -= 1;
        self.first += 1;
    }

    /// Removes the holes if they are more than the messages. So the amortised cost of a message is
    /// constant.
    pub(super) fn fill_holes<M>(&mut self, slots: &mut VecDeque<Slot<M>>) {
        if self.holes <= slots.len() / 2 {
            return;
        }
        let mut missed = 0;
        slots.retain_mut(|slot| match slot {
            Slot::Message(entry) => {
                entry.missed = join_gaps(entry.missed, std::mem::take(&mut missed));
                true
            }
            Slot::Hole(gap) => {
                missed = join_gaps(missed, *gap);
                false
            }
        });
        debug_assert_eq!(missed, 0, "the last slot is a message");
        self.holes = 0;
        self.wild.clear();
        for (number, slot) in (self.first..).zip(slots.iter()) {
            let Slot::Message(Entry { message, .. }) = slot else {
                continue;
            };
            if let Some(known) = self.by_topic.get_mut(message.topic()) {
                *known = number;
            }
            if !message.topic().is_concrete() {
                self.wild.push_back(number);
            }
        }
    }
}
