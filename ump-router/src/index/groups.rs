//! The different patterns that have values, by text.
//!
//! Only one concrete pattern matches a topic: the topic itself. It is found here by one look,
//! however many patterns there are. The trees are for wildcards on either side.

use std::{
    hash::BuildHasher,
    mem,
    ops::{Index, IndexMut},
};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::slab::{NONE, Relocation, Slab};
use crate::topic::Pattern;

/// All values with one pattern.
pub(super) struct Group {
    pub(super) pattern: Pattern,
    /// The node in its tree.
    pub(super) node: u32,
    /// The first of its values.
    pub(super) first: u32,
}

impl Group {
    fn new(pattern: Pattern) -> Self {
        Self {
            pattern,
            node: NONE,
            first: NONE,
        }
    }
}

pub(super) struct Groups {
    all: Slab<Group>,
    by_text: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Groups {
    pub(super) fn new() -> Self {
        Self {
            all: Slab::new(),
            by_text: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(super) fn find(&self, text: &str) -> Option<u32> {
        let matches = |&slot: &u32| self.all[slot].pattern == *text;
        let hash = self.hasher.hash_one(text);
        self.by_text.find(hash, matches).copied()
    }

    /// Adds a group for a pattern that has none.
    pub(super) fn insert(&mut self, pattern: Pattern) -> u32 {
        let slot = self.all.insert(Group::new(pattern));
        self.enter(slot);
        slot
    }

    fn enter(&mut self, slot: u32) {
        let hash = |&slot: &u32| self.hasher.hash_one(self.all[slot].pattern.as_str());
        self.by_text.insert_unique(hash(&slot), slot, hash);
    }

    pub(super) fn remove(&mut self, slot: u32) -> Group {
        let group = mem::replace(&mut self.all[slot], Group::new(Pattern::default()));
        let hash = self.hasher.hash_one(group.pattern.as_str());
        if let Ok(found) = self.by_text.find_entry(hash, |&other| other == slot) {
            found.remove();
        }
        self.all.release(slot);
        group
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn slots(&self) -> usize {
        self.all.slots()
    }

    /// Gives back unused memory. Returns where each group is now.
    pub(super) fn compact(&mut self) -> Relocation {
        let moved = self.all.compact();
        self.by_text = HashTable::with_capacity(self.all.len());
        self.all.all().for_each(|slot| self.enter(slot));
        moved
    }

    /// All groups, after they were compacted.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        self.all.all_mut()
    }
}

impl Index<u32> for Groups {
    type Output = Group;

    fn index(&self, slot: u32) -> &Group {
        &self.all[slot]
    }
}

impl IndexMut<u32> for Groups {
    fn index_mut(&mut self, slot: u32) -> &mut Group {
        &mut self.all[slot]
    }
}
