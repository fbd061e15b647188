//! A slab: values in numbered slots, which keep their numbers until the slab is compacted.

use std::{
    mem,
    ops::{Index, IndexMut},
};

/// The number of no slot.
pub(super) const NONE: u32 = u32::MAX;

pub(super) struct Slab<T> {
    slots: Vec<T>,
    /// Slots without a value; what they hold does not matter.
    free: Vec<u32>,
}

impl<T> Slab<T> {
    /// The greatest number of a slot. Numbers above it have other meanings.
    pub(super) const LAST: u32 = NONE - 8;

    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// The number of values.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The number of slots, used or not.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            self[slot] = value;
            return slot;
        }
        let slot = u32::try_from(self.slots.len()).unwrap_or(NONE);
        assert!(
            slot <= Self::LAST,
            "a `TopicIndex` is full: it holds too many patterns or beginnings of patterns"
        );
        self.slots.push(value);
        slot
    }

    /// Frees a slot that nothing refers to any more.
    pub(super) fn release(&mut self, slot: u32) {
        self.free.push(slot);
    }

    /// Moves the values into the first slots, and gives back the memory. Returns where each value
    /// is now.
    pub(super) fn compact(&mut self) -> Relocation {
        let mut slots = vec![0; self.slots.len()];
        for slot in mem::take(&mut self.free) {
            slots[slot as usize] = NONE;
        }
        let (mut old, mut new) = (0, 0);
        self.slots.retain(|_| {
            let is_used = slots[old] != NONE;
            if is_used {
                slots[old] = new;
                new += 1;
            }
            old += 1;
            is_used
        });
        self.slots.shrink_to_fit();
        Relocation(slots)
    }

    /// All slots of a compact slab.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> + use<T> {
        debug_assert!(self.free.is_empty(), "the slab is compact");
        (0..).take(self.slots.len())
    }

    /// All values of a compact slab.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut T> {
        debug_assert!(self.free.is_empty(), "the slab is compact");
        self.slots.iter_mut()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        &self.slots[slot as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.slots[slot as usize]
    }
}

/// The new slot of each value after a slab was compacted.
pub(super) struct Relocation(Vec<u32>);

impl Relocation {
    /// Returns the new number of a slot. A number of no slot stays what it is.
    pub(super) fn to(&self, slot: u32) -> u32 {
        self.0.get(slot as usize).copied().unwrap_or(slot)
    }
}
