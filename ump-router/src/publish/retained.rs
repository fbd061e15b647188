//! The retained messages: the last one of each topic whose publisher asked for it.

use std::collections::{HashMap, hash_map::Entry};

use super::received::Received;
use crate::{
    index::{TopicIndex, TopicKey},
    topic::{Pattern, Topic},
};

#[derive(Debug)]
pub(super) struct Retained<M> {
    messages: TopicIndex<Received<M>>,
    keys: HashMap<Topic, TopicKey>,
}

impl<M> Retained<M> {
    pub(super) fn new() -> Self {
        Self {
            messages: TopicIndex::new(),
            keys: HashMap::new(),
        }
    }

    /// Retains a message. Returns the former one of its topic.
    pub(super) fn replace(&mut self, topic: &Topic, message: Received<M>) -> Option<Received<M>> {
        match self.keys.entry(topic.clone()) {
            Entry::Occupied(entry) => {
                let former = self.messages.get_mut(*entry.get());
                Some(std::mem::replace(
                    former.expect("each key has its message in the index"),
                    message,
                ))
            }
            Entry::Vacant(entry) => {
                entry.insert(self.messages.insert(message.topic(), message.clone()));
                None
            }
        }
    }

    pub(super) fn remove(&mut self, topic: &Topic) -> Option<Received<M>> {
        let key = self.keys.remove(topic)?;
        self.messages.remove(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Received<M>> {
        self.messages.iter().map(|(_, message)| message)
    }

    pub(super) fn for_each(&self, pattern: &Pattern, f: impl FnMut(&Received<M>)) {
        self.messages.for_each_intersecting(pattern, f);
    }
}
