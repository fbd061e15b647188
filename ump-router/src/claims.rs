//! The server of each topic, and its standbys.
//!
//! ```text
//!         claim, topic is vacant           release
//!   ────────────────────────────► serving ─────────► released
//!         claim, topic is taken      ▲                 ▲
//!   ────────────────────────────► standby ─────────────┘
//!                                    all before it are released
//! ```
//!
//! A bridge can claim a topic before all others. Then the server becomes the first standby.
//!
//! # Invariants
//!
//! 1. A claimed topic has exactly one server. All other claimants are standbys, in the order in
//!    which they came; those that have served come first.
//! 2. A topic without claimants takes no memory.
//! 3. Once the topics were looked up by a pattern, they are in an index: each claimed topic once,
//!    under the key that its claimants have.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::{
    index::{TopicIndex, TopicKey},
    topic::{Pattern, Topic},
};

#[derive(Debug)]
pub(crate) struct Claims<T> {
    topics: HashMap<Topic, Claimants<T>>,
    /// Made by the first look-up by a pattern.
    index: Option<TopicIndex<Topic>>,
}

/// The claimants of one topic.
#[derive(Debug)]
struct Claimants<T> {
    server: Entry<T>,
    standbys: VecDeque<Entry<T>>,
    /// The key of the topic in the index, if there is one.
    key: Option<TopicKey>,
}

#[derive(Debug)]
struct Entry<T> {
    id: ClaimId,
    claimant: T,
}

/// Identifies a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClaimId(pub(crate) u64);

/// The role of a claimant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Serving,
    Standby,
}

/// A claim that was released.
#[derive(Debug)]
pub(crate) struct Released<T> {
    pub(crate) claimant: T,
    /// The role that it had.
    pub(crate) role: Role,
    /// Whether a standby took over.
    pub(crate) has_successor: bool,
}

impl<T> Claims<T> {
    pub(crate) fn new() -> Self {
        Self {
            topics: HashMap::new(),
            index: None,
        }
    }

    /// Claims a topic.
    ///
    /// # Errors
    /// Returns the claimant if the topic is taken and it does not want to stand by.
    pub(crate) fn claim(
        &mut self,
        topic: &Topic,
        id: ClaimId,
        claimant: T,
        stand_by: bool,
    ) -> Result<Role, T> {
        let entry = Entry { id, claimant };
        match self.topics.get_mut(topic) {
            None => {
                let index = self.index.as_mut();
                let claimants = Claimants {
                    server: entry,
                    standbys: VecDeque::new(),
                    key: index.map(|index| index.insert(&topic.into(), topic.clone())),
                };
                self.topics.insert(topic.clone(), claimants);
                Ok(Role::Serving)
            }
            Some(claimants) if stand_by => {
                claimants.standbys.push_back(entry);
                Ok(Role::Standby)
            }
            Some(_) => Err(entry.claimant),
        }
    }

    /// Claims a topic before all that have it: its server becomes the first standby. Returns
    /// whether it had one.
    #[cfg(all(feature = "bridge", unix, not(any(loom, shuttle))))]
    pub(crate) fn claim_first(&mut self, topic: &Topic, id: ClaimId, claimant: T) -> bool {
        let Some(claimants) = self.topics.get_mut(topic) else {
            let _ = self.claim(topic, id, claimant, true);
            return false;
        };
        let former = std::mem::replace(&mut claimants.server, Entry { id, claimant });
        claimants.standbys.push_front(former);
        true
    }

    /// Releases a claim. Returns `None` if it was released before.
    pub(crate) fn release(&mut self, topic: &str, id: ClaimId) -> Option<Released<T>> {
        let claimants = self.topics.get_mut(topic)?;
        if claimants.server.id != id {
            let mut standbys = claimants.standbys.iter();
            let position = standbys.position(|standby| standby.id == id)?;
            let standby = claimants.standbys.remove(position)?;
            return Some(Released {
                claimant: standby.claimant,
                role: Role::Standby,
                has_successor: false,
            });
        }
        let successor = claimants.standbys.pop_front();
        let has_successor = successor.is_some();
        let server = if let Some(successor) = successor {
            std::mem::replace(&mut claimants.server, successor)
        } else {
            let last = self.topics.remove(topic)?;
            if let (Some(index), Some(key)) = (&mut self.index, last.key) {
                index.remove(key);
            }
            last.server
        };
        Some(Released {
            claimant: server.claimant,
            role: Role::Serving,
            has_successor,
        })
    }

    /// Returns the server of a topic.
    pub(crate) fn server(&self, topic: &str) -> Option<&T> {
        let claimants = self.topics.get(topic)?;
        Some(&claimants.server.claimant)
    }

    /// Returns the servers of all topics that match a pattern, or `None` if there is no
    /// [index](Self::make_index) yet.
    pub(crate) fn matching(&self, pattern: &Pattern) -> Option<Vec<&T>> {
        let mut matching = Vec::new();
        self.index
            .as_ref()?
            .for_each_intersecting(pattern, |topic| {
                matching.extend(self.server(topic.as_str()));
            });
        Some(matching)
    }

    /// Makes an index of the topics, for look-ups by pattern. It takes a time in proportion to
    /// their number, once.
    pub(crate) fn make_index(&mut self) {
        if self.index.is_some() {
            return;
        }
        let mut index = TopicIndex::new();
        for (topic, claimants) in &mut self.topics {
            claimants.key = Some(index.insert(&topic.into(), topic.clone()));
        }
        self.index = Some(index);
    }

    pub(crate) fn role(&self, topic: &str, id: ClaimId) -> Option<Role> {
        let claimants = self.topics.get(topic)?;
        if claimants.server.id == id {
            return Some(Role::Serving);
        }
        let mut standbys = claimants.standbys.iter();
        let is_standby = standbys.any(|standby| standby.id == id);
        is_standby.then_some(Role::Standby)
    }

    /// Iterates over all claimants; those of one topic come in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Topic, &T, Role)> {
        self.topics.iter().flat_map(|(topic, claimants)| {
            let standbys = claimants.standbys.iter();
            let standbys = standbys.map(|standby| (&standby.claimant, Role::Standby));
            std::iter::once((&claimants.server.claimant, Role::Serving))
                .chain(standbys)
                .map(move |(claimant, role)| (topic, claimant, role))
        })
    }

    /// Releases all claims. Returns the claimants.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        self.index = None;
        self.topics
            .drain()
            .flat_map(|(_, claimants)| std::iter::once(claimants.server).chain(claimants.standbys))
            .map(|entry| entry.claimant)
            .collect()
    }
}
