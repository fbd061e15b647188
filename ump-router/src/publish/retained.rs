//! The last value of each topic whose publisher asked for it to be kept.

use std::collections::{HashMap, hash_map::Entry};

use super::received::Received;
use crate::{
    index::{TopicIndex, TopicKey},
    topic::{Pattern, Topic},
};

#[derive(Debug)]
pub(super) struct Retained<M> {
    values: TopicIndex<Received<M>>,
    keys: HashMap<Topic, TopicKey>,
}

impl<M> Retained<M> {
    pub(super) fn new() -> Self {
        Self {
            values: TopicIndex::new(),
            keys: HashMap::new(),
        }
    }

    /// Gives back the former value.
    pub(super) fn keep(&mut self, topic: &Topic, value: Received<M>) -> Option<Received<M>> {
        match self.keys.entry(topic.clone()) {
            Entry::Occupied(entry) => {
                let kept = self.values.get_mut(*entry.get());
                Some(std::mem::replace(kept.expect("its key is kept"), value))
            }
            Entry::Vacant(entry) => {
                entry.insert(self.values.insert(value.topic(), value.clone()));
                None
            }
        }
    }

    pub(super) fn forget(&mut self, topic: &Topic) -> Option<Received<M>> {
        let key = self.keys.remove(topic)?;
        self.values.remove(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Received<M>> {
        self.values.iter().map(|(_, value)| value)
    }

    pub(super) fn for_each(&self, pattern: &Pattern, f: impl FnMut(&Received<M>)) {
        self.values.for_each_meeting(pattern, f);
    }
}
