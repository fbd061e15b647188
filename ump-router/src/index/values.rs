//! The values, those of a group linked to each other.
//!
//! They are without gaps: where one is removed the last one takes its place. The keys that are handed out are serial numbers, which fit nothing else
//! for ever.
//!
//! The values of a group are a ring, in the order in which they came; the group knows the first.

use std::{hash::BuildHasher, iter, num::NonZeroU64};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{
    groups::Groups,
    slab::{Moved, NONE},
};

/// A value in a [`TopicIndex`](super::TopicIndex).
///
/// It means something only to the index that it comes from, which never uses it again for another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicKey(NonZeroU64);

pub(super) struct Values<T> {
    entries: Vec<Entry<T>>,
    /// Where each of them is.
    by_key: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// How many keys have been handed out.
    keys: u64,
}

pub(super) struct Entry<T> {
    pub(super) value: T,
    pub(super) group: u32,
    key: TopicKey,
    next: u32,
    previous: u32,
}

impl<T> Values<T> {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            by_key: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            keys: 0,
        }
    }

    pub(super) fn all(&self) -> &[Entry<T>] {
        &self.entries
    }

    pub(super) fn get(&self, key: TopicKey) -> Option<&Entry<T>> {
        Some(&self.entries[self.place(key)?])
    }

    pub(super) fn get_mut(&mut self, key: TopicKey) -> Option<&mut Entry<T>> {
        let place = self.place(key)?;
        Some(&mut self.entries[place])
    }

    fn place(&self, key: TopicKey) -> Option<usize> {
        let is_it = |&place: &u32| self.entries[place as usize].key == key;
        let found = self.by_key.find(self.hasher.hash_one(key), is_it);
        found.map(|&place| place as usize)
    }

    /// All of a group, by the first of them.
    pub(super) fn ring(&self, first: u32) -> impl Iterator<Item = &T> {
        let entry = move |place: u32| (place, &self.entries[place as usize]);
        let next = move |&(_, entry_before): &(u32, &Entry<T>)| {
            (entry_before.next != first).then(|| entry(entry_before.next))
        };
        iter::successors(Some(entry(first)), next).map(|(_, entry)| &entry.value)
    }

    /// Becomes the last of its group.
    pub(super) fn insert(&mut self, value: T, group: u32, groups: &mut Groups) -> TopicKey {
        self.keys += 1;
        let key = TopicKey(NonZeroU64::new(self.keys).expect("they count from one"));
        let place = u32::try_from(self.entries.len()).unwrap_or(NONE);
        assert_ne!(place, NONE, "the index is full");
        let first = &mut groups[group].first;
        if *first == NONE {
            *first = place;
        }
        let previous = match self.entries.get(*first as usize) {
            Some(first) => first.previous,
            None => place,
        };
        self.entries.push(Entry {
            value,
            group,
            key,
            next: *first,
            previous,
        });
        self.link(place);
        let hash = |&place: &u32| self.hasher.hash_one(self.entries[place as usize].key);
        self.by_key.insert_unique(hash(&place), place, hash);
        key
    }

    /// Tells its neighbours where it is.
    fn link(&mut self, place: u32) {
        let Entry { next, previous, .. } = self.entries[place as usize];
        self.entries[previous as usize].next = place;
        self.entries[next as usize].previous = place;
    }

    /// Its group may have none left.
    pub(super) fn remove(&mut self, key: TopicKey, groups: &mut Groups) -> Option<Entry<T>> {
        let is_it = |&place: &u32| self.entries[place as usize].key == key;
        let found = self.by_key.find_entry(self.hasher.hash_one(key), is_it);
        let (place, _) = found.ok()?.remove();
        self.unlink(place, groups);
        self.make_last(place, groups);
        self.entries.pop()
    }

    fn unlink(&mut self, place: u32, groups: &mut Groups) {
        let Entry {
            group,
            next,
            previous,
            ..
        } = self.entries[place as usize];
        self.entries[previous as usize].next = next;
        self.entries[next as usize].previous = previous;
        let first = &mut groups[group].first;
        if *first == place {
            *first = if next == place { NONE } else { next };
        }
    }

    /// What is unlinked changes places with the last.
    fn make_last(&mut self, place: u32, groups: &mut Groups) {
        let last = self.entries.len() - 1;
        if place as usize == last {
            return;
        }
        self.entries.swap(place as usize, last);
        let moved = &mut self.entries[place as usize];
        if moved.next as usize == last {
            (moved.next, moved.previous) = (place, place); // it is alone
        }
        let hash = self.hasher.hash_one(moved.key);
        if let Some(known) = self.by_key.find_mut(hash, |&known| known as usize == last) {
            *known = place;
        }
        let first = &mut groups[moved.group].first;
        if *first as usize == last {
            *first = place;
        }
        self.link(place);
    }

    /// For how many there is memory.
    pub(super) fn places(&self) -> usize {
        self.entries.capacity()
    }

    /// Gives back all memory that is not needed; the groups have moved too.
    pub(super) fn compact(&mut self, groups: &Moved) {
        for entry in &mut self.entries {
            entry.group = groups.to(entry.group);
        }
        self.entries.shrink_to_fit();
        let hash = |&place: &u32| self.hasher.hash_one(self.entries[place as usize].key);
        self.by_key.shrink_to_fit(hash);
    }
}
