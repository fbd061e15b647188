//! The values of all groups.
//!
//! They are stored without gaps: when one is removed, the last one moves into its slot. Keys are
//! serial numbers and are never used again.
//!
//! The values of a group form a ring in the order in which they were inserted; the group has the
//! first.

use std::{hash::BuildHasher, iter, num::NonZeroU64};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{
    groups::Groups,
    slab::{NONE, Relocation},
};

/// Identifies a value in a [`TopicIndex`](super::TopicIndex).
///
/// It is valid only for the index that it comes from, which never uses it again for another value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicKey(NonZeroU64);

pub(super) struct Values<T> {
    entries: Vec<Entry<T>>,
    /// The slot of each value.
    by_key: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The number of keys that were made.
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
        Some(&self.entries[self.slot(key)?])
    }

    pub(super) fn get_mut(&mut self, key: TopicKey) -> Option<&mut Entry<T>> {
        let slot = self.slot(key)?;
        Some(&mut self.entries[slot])
    }

    fn slot(&self, key: TopicKey) -> Option<usize> {
        let matches = |&slot: &u32| self.entries[slot as usize].key == key;
        let found = self.by_key.find(self.hasher.hash_one(key), matches);
        found.map(|&slot| slot as usize)
    }

    /// Iterates over the values of a group, from its first.
    pub(super) fn ring(&self, first: u32) -> impl Iterator<Item = &T> {
        let entry = move |slot: u32| (slot, &self.entries[slot as usize]);
        let next = move |&(_, entry_before): &(u32, &Entry<T>)| {
            (entry_before.next != first).then(|| entry(entry_before.next))
        };
        iter::successors(Some(entry(first)), next).map(|(_, entry)| &entry.value)
    }

    /// Adds a value as the last of its group.
    pub(super) fn insert(&mut self, value: T, group: u32, groups: &mut Groups) -> TopicKey {
        self.keys += 1;
        let key = TopicKey(NonZeroU64::new(self.keys).expect("keys are counted from one"));
        let slot = u32::try_from(self.entries.len()).unwrap_or(NONE);
        assert_ne!(slot, NONE, "a `TopicIndex` holds at most {NONE} values");
        let first = &mut groups[group].first;
        if *first == NONE {
            *first = slot;
        }
        let previous = match self.entries.get(*first as usize) {
            Some(first) => first.previous,
            None => slot,
        };
        self.entries.push(Entry {
            value,
            group,
            key,
            next: *first,
            previous,
        });
        self.link(slot);
        let hash = |&slot: &u32| self.hasher.hash_one(self.entries[slot as usize].key);
        self.by_key.insert_unique(hash(&slot), slot, hash);
        key
    }

    /// Links the neighbours of an entry to its slot.
    fn link(&mut self, slot: u32) {
        let Entry { next, previous, .. } = self.entries[slot as usize];
        self.entries[previous as usize].next = slot;
        self.entries[next as usize].previous = slot;
    }

    /// Removes a value. Its group may have none left.
    pub(super) fn remove(&mut self, key: TopicKey, groups: &mut Groups) -> Option<Entry<T>> {
        let matches = |&slot: &u32| self.entries[slot as usize].key == key;
        let found = self.by_key.find_entry(self.hasher.hash_one(key), matches);
        let (slot, _) = found.ok()?.remove();
        self.unlink(slot, groups);
        self.make_last(slot, groups);
        self.entries.pop()
    }

    fn unlink(&mut self, slot: u32, groups: &mut Groups) {
        let Entry {
            group,
            next,
            previous,
            ..
        } = self.entries[slot as usize];
        self.entries[previous as usize].next = next;
        self.entries[next as usize].previous = previous;
        let first = &mut groups[group].first;
        if *first == slot {
            *first = if next == slot { NONE } else { next };
        }
    }

    /// Swaps an unlinked entry with the last one.
    fn make_last(&mut self, slot: u32, groups: &mut Groups) {
        let last = self.entries.len() - 1;
        if slot as usize == last {
            return;
        }
        self.entries.swap(slot as usize, last);
        let moved = &mut self.entries[slot as usize];
        if moved.next as usize == last {
            (moved.next, moved.previous) = (slot, slot); // it is alone
        }
        let hash = self.hasher.hash_one(moved.key);
        if let Some(known) = self.by_key.find_mut(hash, |&known| known as usize == last) {
            *known = slot;
        }
        let first = &mut groups[moved.group].first;
        if *first as usize == last {
            *first = slot;
        }
        self.link(slot);
    }

    /// The number of slots.
    pub(super) fn slots(&self) -> usize {
        self.entries.capacity()
    }

    /// Gives back unused memory, after the groups were compacted.
    pub(super) fn compact(&mut self, groups: &Relocation) {
        for entry in &mut self.entries {
            entry.group = groups.to(entry.group);
        }
        self.entries.shrink_to_fit();
        let hash = |&slot: &u32| self.hasher.hash_one(self.entries[slot as usize].key);
        self.by_key.shrink_to_fit(hash);
    }
}
