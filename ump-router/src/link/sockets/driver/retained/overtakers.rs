//! Changes that were sent to a peer before older messages of this process.
//!
//! What a link brings is passed on at once, and messages of this process wait in the outbox of
//! their type. A peer that knows no stamps would take the older message for the newer one.

use std::collections::HashMap;

use crate::{
    link::wire::Stamp,
    topic::{Pattern, Topic},
};

/// How many topics there may be. Further changes are gaps.
const MAX: usize = 4096;

/// The newest change of each topic that was sent before messages in an outbox, until that is empty.
#[derive(Default)]
pub(in super::super) struct Overtakers(HashMap<Topic, Stamp>);

impl Overtakers {
    /// Adds a change that is about to be sent. Returns false if there is no room for its topic.
    pub(in super::super) fn push(&mut self, topic: &Topic, stamp: Stamp) -> bool {
        if let Some(known) = self.0.get_mut(topic) {
            *known = stamp.max(*known);
            return true;
        }
        let has_room = self.0.len() < MAX;
        if has_room {
            self.0.insert(topic.clone(), stamp);
        }
        has_room
    }

    /// Returns whether a newer change of a topic was sent.
    pub(in super::super) fn have(&self, topic: &Pattern, stamp: Stamp) -> bool {
        let newer = topic.as_topic().and_then(|topic| self.0.get(topic));
        newer.is_some_and(|newer| *newer > stamp)
    }

    /// No message waits that was made before one of them.
    pub(in super::super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(time: u64) -> Stamp {
        Stamp { time, router: 1 }
    }

    #[test]
    fn an_older_message_of_the_topic_is_overtaken() {
        let mut overtakers = Overtakers::default();
        let (a, b): (Topic, Topic) = ("a".parse().unwrap(), "b".parse().unwrap());
        assert!(overtakers.push(&a, stamp(5)));
        assert!(overtakers.push(&a, stamp(3)));
        assert!(overtakers.have(&Pattern::from(&a), stamp(4)));
        assert!(!overtakers.have(&Pattern::from(&a), stamp(6)));
        assert!(!overtakers.have(&Pattern::from(&b), stamp(4)));
        overtakers.clear();
        assert!(!overtakers.have(&Pattern::from(&a), stamp(4)));
    }

    #[test]
    fn topics_without_room_are_refused() {
        let mut overtakers = Overtakers::default();
        for number in 0..MAX {
            assert!(overtakers.push(&format!("a/{number}").parse().unwrap(), stamp(1)));
        }
        assert!(!overtakers.push(&"b".parse().unwrap(), stamp(1)));
        assert!(overtakers.push(&"a/0".parse().unwrap(), stamp(2)));
    }
}
