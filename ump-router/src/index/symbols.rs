//! An interner of the names in fragments, so that the tree compares numbers.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::slab::{Relocation, Slab};

/// A fragment: the slot of its name, or one of the constants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Symbol(u32);

impl Symbol {
    /// `*`
    pub(super) const STAR: Self = Self(u32::MAX);
    /// `**`
    pub(super) const DEEP: Self = Self(u32::MAX - 1);
    /// A name that is not interned.
    pub(super) const UNKNOWN: Self = Self(u32::MAX - 2);
    /// The root, before the first fragment.
    pub(super) const ROOT: Self = Self(u32::MAX - 3);

    pub(super) fn is_name(self) -> bool {
        self.0 <= Slab::<Name>::LAST
    }

    pub(super) fn number(self) -> u32 {
        self.0
    }

    pub(super) fn after(self, moved: &Relocation) -> Self {
        Self(moved.to(self.0))
    }
}

/// The interned names.
pub(super) struct Symbols {
    names: Slab<Name>,
    by_text: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

#[derive(Default)]
struct Name {
    text: Box<str>,
    /// The number of nodes with this name.
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
        let matches = |&slot: &u32| *self.names[slot].text == *text;
        let found = self.by_text.find(self.hasher.hash_one(text), matches);
        found.map_or(Symbol::UNKNOWN, |&slot| Symbol(slot))
    }

    /// Interns a name for one more node.
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

    fn enter(&mut self, Symbol(slot): Symbol) {
        let hash = |&slot: &u32| self.hasher.hash_one(&*self.names[slot].text);
        self.by_text.insert_unique(hash(&slot), slot, hash);
    }

    /// Releases a name for one node. With the last node the name is removed.
    pub(super) fn release(&mut self, Symbol(slot): Symbol) {
        let name = &mut self.names[slot];
        name.nodes -= 1;
        if name.nodes > 0 {
            return;
        }
        let hash = self.hasher.hash_one(&*name.text);
        *name = Name::default();
        if let Ok(found) = self.by_text.find_entry(hash, |&other| other == slot) {
            found.remove();
        }
        self.names.release(slot);
    }

    /// The number of names.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The number of slots for names.
    pub(super) fn slots(&self) -> usize {
        self.names.slots()
    }

    /// Gives back unused memory. Returns where each name is now.
    pub(super) fn compact(&mut self) -> Relocation {
        let moved = self.names.compact();
        self.by_text = HashTable::with_capacity(self.names.len());
        let slots = self.names.all();
        slots.for_each(|slot| self.enter(Symbol(slot)));
        moved
    }
}
