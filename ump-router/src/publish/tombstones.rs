//! The stamps of removed and expired retained messages, so that older ones do not come back.

use std::collections::{BTreeMap, HashMap};

use crate::{stamp::Stamp, topic::Topic};

/// How many are remembered. If there are more, the oldest is forgotten.
const MAX: usize = 1 << 14;

/// The last removals, each with its stamp and its number.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    stamps: HashMap<Topic, (Stamp, u64)>,
    order: BTreeMap<u64, Topic>,
    last: u64,
}

impl Tombstones {
    /// Returns the stamp of the removal of a topic.
    pub(super) fn get(&self, topic: &Topic) -> Option<&Stamp> {
        self.stamps.get(topic).map(|(stamp, _)| stamp)
    }

    /// Notes a removal.
    pub(super) fn insert(&mut self, topic: Topic, stamp: Stamp) {
        self.remove(&topic);
        self.last += 1;
        self.order.insert(self.last, topic.clone());
        self.stamps.insert(topic, (stamp, self.last));
        if self.order.len() > MAX {
            if let Some((_, oldest)) = self.order.pop_first() {
                self.stamps.remove(&oldest);
            }
        }
    }

    /// A message is retained again.
    pub(super) fn remove(&mut self, topic: &Topic) {
        if let Some((_, number)) = self.stamps.remove(topic) {
            self.order.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_removal_is_forgotten() {
        let mut tombstones = Tombstones::default();
        let name = |number: usize| format!("a/{number}").parse::<Topic>().unwrap();
        let stamp = |time| Stamp { time, router: 1 };
        for number in 0..MAX {
            tombstones.insert(name(number), stamp(1));
        }
        tombstones.insert(name(0), stamp(2));
        tombstones.insert(name(MAX), stamp(3));
        assert_eq!(tombstones.get(&name(0)), Some(&stamp(2)));
        assert_eq!(tombstones.get(&name(1)), None);
        assert_eq!(tombstones.stamps.len(), MAX);
        tombstones.remove(&name(0));
        assert_eq!(tombstones.get(&name(0)), None);
        assert_eq!(tombstones.order.len(), tombstones.stamps.len());
    }
}
