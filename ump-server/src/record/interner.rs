//! Interns things that live forever, so that one word can name two of them.
//!
//! A worker meets few of them, again and again. It looks them up in a cache of its own, and takes
//! the lock only for a new one. A reader always takes the lock.

use std::{collections::BTreeMap, fmt, ptr};

use crate::sync::Mutex;

/// The interned things, by number. Zero stands for none.
pub(super) struct Interner<T: ?Sized + 'static>(Mutex<Vec<&'static T>>);

impl<T: ?Sized> Interner<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(super) fn get(&self, number: u32) -> Option<&'static T> {
        let place = (number as usize).checked_sub(1)?;
        self.0.lock().get(place).copied()
    }

    fn add(&self, item: &'static T) -> u32 {
        let mut items = self.0.lock();
        items.push(item);
        u32::try_from(items.len()).expect("a program has fewer than 2^32 kinds and call sites")
    }
}

impl<T: ?Sized> fmt::Debug for Interner<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interner").finish_non_exhaustive()
    }
}

/// The cache of the one writer of an interner. Things at different addresses are different.
#[derive(Debug, Default)]
pub(super) struct InternerCache {
    last: (Key, u32),
    known: BTreeMap<Key, u32>,
}

/// The address and size of a thing.
type Key = (usize, usize);

impl InternerCache {
    #[inline]
    pub(super) fn number<T: ?Sized>(&mut self, interner: &Interner<T>, item: &'static T) -> u32 {
        let key = (ptr::from_ref(item).addr(), size_of_val(item));
        if self.last.0 != key {
            self.last = (key, self.look_up(interner, key, item));
        }
        self.last.1
    }

    fn look_up<T: ?Sized>(&mut self, interner: &Interner<T>, key: Key, item: &'static T) -> u32 {
        *self.known.entry(key).or_insert_with(|| interner.add(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stands_for_the_same_thing_for_ever() {
        let interner = Interner::<str>::new();
        let mut index = InternerCache::default();
        let numbers: Vec<u32> = ["a", "b", "a", "c", "b"]
            .into_iter()
            .map(|item| index.number(&interner, item))
            .collect();
        let items: Vec<_> = numbers.iter().map(|&number| interner.get(number)).collect();
        assert_eq!(
            items,
            [Some("a"), Some("b"), Some("a"), Some("c"), Some("b")]
        );
        assert_eq!(numbers[0], numbers[2]);
    }

    #[test]
    fn zero_stands_for_nothing() {
        let interner = Interner::<str>::new();
        assert_eq!(interner.get(0), None);
        let mut index = InternerCache::default();
        assert_eq!(index.number(&interner, "a"), 1);
        assert_eq!(interner.get(0), None);
    }
}
