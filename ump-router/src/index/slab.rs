//! Values at places that stay the same until all are moved together.

use std::{
    mem,
    ops::{Index, IndexMut},
};

/// No place.
pub(super) const NONE: u32 = u32::MAX;

pub(super) struct Slab<T> {
    slots: Vec<T>,
    /// What is in these does not matter.
    free: Vec<u32>,
}

impl<T> Slab<T> {
    /// The greatest number of a place. What is above means something else.
    pub(super) const LAST: u32 = NONE - 8;

    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// How many places there are, used or not.
    pub(super) fn places(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(place) = self.free.pop() {
            self[place] = value;
            return place;
        }
        let place = u32::try_from(self.slots.len()).unwrap_or(NONE);
        assert!(place <= Self::LAST, "the index is full");
        self.slots.push(value);
        place
    }

    /// The value is not needed any more, and nobody knows its place.
    pub(super) fn release(&mut self, place: u32) {
        self.free.push(place);
    }

    /// Closes the gaps, and gives back the memory.
    pub(super) fn compact(&mut self) -> Moved {
        let mut places = vec![0; self.slots.len()];
        for place in mem::take(&mut self.free) {
            places[place as usize] = NONE;
        }
        let (mut old, mut new) = (0, 0);
        self.slots.retain(|_| {
            let is_used = places[old] != NONE;
            if is_used {
                places[old] = new;
                new += 1;
            }
            old += 1;
            is_used
        });
        self.slots.shrink_to_fit();
        Moved(places)
    }

    /// All places, when there are no gaps.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> + use<T> {
        debug_assert!(self.free.is_empty(), "it is compact");
        (0..).take(self.slots.len())
    }

    /// All values, when there are no gaps.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut T> {
        debug_assert!(self.free.is_empty(), "it is compact");
        self.slots.iter_mut()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, place: u32) -> &T {
        &self.slots[place as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, place: u32) -> &mut T {
        &mut self.slots[place as usize]
    }
}

/// Where everything is after the gaps were closed.
pub(super) struct Moved(Vec<u32>);

impl Moved {
    /// What is no place stays what it is.
    pub(super) fn to(&self, place: u32) -> u32 {
        self.0.get(place as usize).copied().unwrap_or(place)
    }
}
