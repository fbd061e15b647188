//! Which entries of a table are removals, and which of them are forgotten.
//!
//! One peer has a share of them only. So it cannot push those of others out, whose messages would
//! come back.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use super::super::access::Owner;
use crate::topic::Topic;

/// How long, and how many, removed topics are remembered.
pub(super) const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
pub(super) const MAX: usize = 1 << 14;

/// How many of one peer are remembered.
pub(super) const MAX_OF_PEER: usize = MAX / 4;

/// When a message was removed or expired, and the number of the entry.
pub(super) type Key = (Instant, u64);

#[derive(Default)]
pub(super) struct Removals {
    all: BTreeMap<Key, Topic>,
    by_owner: HashMap<Owner, BTreeSet<Key>>,
}

impl Removals {
    /// Adds a removal, of this process if it has no owner.
    pub(super) fn insert(&mut self, key: Key, topic: Topic, owner: Option<&Owner>) {
        self.all.insert(key, topic);
        if let Some(owner) = owner {
            self.by_owner.entry(owner.clone()).or_default().insert(key);
        }
    }

    pub(super) fn remove(&mut self, key: Key, owner: Option<&Owner>) {
        self.all.remove(&key);
        let Some(owner) = owner else {
            return;
        };
        if let Some(keys) = self.by_owner.get_mut(owner) {
            keys.remove(&key);
            if keys.is_empty() {
                self.by_owner.remove(owner);
            }
        }
    }

    /// Returns the topic of one to be forgotten, after one of this owner was added.
    pub(super) fn to_forget(&self, now: Instant, owner: Option<&Owner>) -> Option<&Topic> {
        let of_owner = owner.and_then(|owner| self.by_owner.get(owner));
        if let Some(keys) = of_owner.filter(|keys| keys.len() > MAX_OF_PEER) {
            return self.all.get(keys.first()?);
        }
        let ((since, _), oldest) = self.all.first_key_value()?;
        let is_old = now.saturating_duration_since(*since) >= REMEMBERED;
        (is_old || self.all.len() > MAX).then_some(oldest)
    }
}
