//! The different patterns that have values, found by their text.
//!
//! A topic that is asked for is looked up here, as the concrete patterns that fit it are itself: one look, however many there are. The trees are for
//! what wildcards, on either side, have in common.

use std::{
    hash::BuildHasher,
    mem,
    ops::{Index, IndexMut},
};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::slab::{Moved, NONE, Slab};
use crate::topic::Pattern;

/// All values with one pattern.
pub(super) struct Group {
    pub(super) pattern: Pattern,
    /// Where it is in its tree.
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
        let is_it = |&place: &u32| self.all[place].pattern == *text;
        let hash = self.hasher.hash_one(text);
        self.by_text.find(hash, is_it).copied()
    }

    /// There is none with this pattern yet.
    pub(super) fn insert(&mut self, pattern: Pattern) -> u32 {
        let place = self.all.insert(Group::new(pattern));
        self.enter(place);
        place
    }

    fn enter(&mut self, place: u32) {
        let hash = |&place: &u32| self.hasher.hash_one(self.all[place].pattern.as_str());
        self.by_text.insert_unique(hash(&place), place, hash);
    }

    pub(super) fn remove(&mut self, place: u32) -> Group {
        let group = mem::replace(&mut self.all[place], Group::new(Pattern::default()));
        let hash = self.hasher.hash_one(group.pattern.as_str());
        if let Ok(found) = self.by_text.find_entry(hash, |&other| other == place) {
            found.remove();
        }
        self.all.release(place);
        group
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn places(&self) -> usize {
        self.all.places()
    }

    /// Gives back all memory that is not needed. Returns for each group where it is now.
    pub(super) fn compact(&mut self) -> Moved {
        let moved = self.all.compact();
        self.by_text = HashTable::with_capacity(self.all.len());
        self.all.all().for_each(|place| self.enter(place));
        moved
    }

    /// When they are compact.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        self.all.all_mut()
    }
}

impl Index<u32> for Groups {
    type Output = Group;

    fn index(&self, place: u32) -> &Group {
        &self.all[place]
    }
}

impl IndexMut<u32> for Groups {
    fn index_mut(&mut self, place: u32) -> &mut Group {
        &mut self.all[place]
    }
}
