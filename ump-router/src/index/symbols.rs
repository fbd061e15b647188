//! A number for each name that occurs in a fragment, so that what is compared in the tree is numbers.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::slab::{Moved, Slab};

/// Stands for a fragment: the place of its name, or one of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Symbol(u32);

impl Symbol {
    /// `*`
    pub(super) const STAR: Self = Self(u32::MAX);
    /// `**`
    pub(super) const DEEP: Self = Self(u32::MAX - 1);
    /// Of a name that does not occur.
    pub(super) const UNKNOWN: Self = Self(u32::MAX - 2);
    /// What stands before the first fragment.
    pub(super) const ROOT: Self = Self(u32::MAX - 3);

    pub(super) fn is_name(self) -> bool {
        self.0 <= Slab::<Name>::LAST
    }

    pub(super) fn number(self) -> u32 {
        self.0
    }

    pub(super) fn after(self, moved: &Moved) -> Self {
        Self(moved.to(self.0))
    }
}

/// The names that occur.
pub(super) struct Symbols {
    names: Slab<Name>,
    by_text: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

#[derive(Default)]
struct Name {
    text: Box<str>,
    /// How many nodes have it.
    nodes: u32,
}

impl Symbols {
    pub(super) fn new() -> Self {
        Self {
            names: Slab::new(),
            by_text: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(super) fn find(&self, text: &str) -> Symbol {
        let is_it = |&place: &u32| *self.names[place].text == *text;
        let found = self.by_text.find(self.hasher.hash_one(text), is_it);
        found.map_or(Symbol::UNKNOWN, |&place| Symbol(place))
    }

    /// For one more node.
    pub(super) fn take(&mut self, text: &str) -> Symbol {
        let mut symbol = self.find(text);
        if symbol == Symbol::UNKNOWN {
            symbol = Symbol(self.names.insert(Name {
                text: text.into(),
                nodes: 0,
            }));
            self.enter(symbol);
        }
        self.names[symbol.0].nodes += 1;
        symbol
    }

    fn enter(&mut self, Symbol(place): Symbol) {
        let hash = |&place: &u32| self.hasher.hash_one(&*self.names[place].text);
        self.by_text.insert_unique(hash(&place), place, hash);
    }

    /// One node less has it.
    pub(super) fn release(&mut self, Symbol(place): Symbol) {
        let name = &mut self.names[place];
        name.nodes -= 1;
        if name.nodes > 0 {
            return;
        }
        let hash = self.hasher.hash_one(&*name.text);
        *name = Name::default();
        if let Ok(found) = self.by_text.find_entry(hash, |&other| other == place) {
            found.remove();
        }
        self.names.release(place);
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// For how many there is memory in use.
    pub(super) fn places(&self) -> usize {
        self.names.places()
    }

    /// Gives back all memory that is not needed. Returns for each number what it is now.
    pub(super) fn compact(&mut self) -> Moved {
        let moved = self.names.compact();
        self.by_text = HashTable::with_capacity(self.names.len());
        let places = self.names.all();
        places.for_each(|place| self.enter(Symbol(place)));
        moved
    }
}
