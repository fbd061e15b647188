//! A tree of patterns: each is a path, and each node is a beginning of patterns.
//!
//! Nodes refer to each other by slot number. The child of a node by name is found in one hash table
//! for the whole tree, so that a node has the same size whether it has one child or a million; its
//! children by `*` and `**` are fields. Children by name also form a linked list, for walks that
//! visit all of them.
//!
//! # Invariants
//!
//! 1. A node that is not the root has a group or a child.
//! 2. `edges` has each child by name once, and each is linked once into the list of its parent.
//! 3. The node count of a name is the number of nodes with its symbol.
//! 4. The child by `**` of a node has no child by `*` or `**`: patterns are canonical.

use std::{hash::BuildHasher, mem};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::{
    slab::{NONE, Relocation, Slab},
    symbols::{Symbol, Symbols},
};
use crate::topic::fragments::{DEEP, Fragments, STAR};

/// The slot of the root.
pub(super) const ROOT: u32 = 0;

pub(super) struct Tree {
    nodes: Slab<Node>,
    /// Children by name, hashed by their parent and their symbol.
    edges: HashTable<u32>,
    hasher: DefaultHashBuilder,
    pub(super) symbols: Symbols,
}

/// Half of a cache line.
#[derive(Clone, Copy)]
pub(super) struct Node {
    parent: u32,
    /// The last fragment of its beginning.
    symbol: Symbol,
    /// The child by `*`.
    pub(super) star: u32,
    /// The child by `**`.
    pub(super) deep: u32,
    /// The first child by name.
    pub(super) child: u32,
    /// The siblings in the list of the parent's children by name.
    next: u32,
    previous: u32,
    /// The group of the pattern that ends here.
    pub(super) group: u32,
}

impl Node {
    fn new(parent: u32, symbol: Symbol) -> Self {
        Self {
            parent,
            symbol,
            star: NONE,
            deep: NONE,
            child: NONE,
            next: NONE,
            previous: NONE,
            group: NONE,
        }
    }

    fn links_mut(&mut self) -> [&mut u32; 6] {
        [
            &mut self.parent,
            &mut self.star,
            &mut self.deep,
            &mut self.child,
            &mut self.next,
            &mut self.previous,
        ]
    }

    pub(super) fn is_bare(&self) -> bool {
        [self.star, self.deep, self.child, self.group] == [NONE; 4]
    }
}

impl Tree {
    pub(super) fn new() -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Node::new(NONE, Symbol::ROOT));
        Self {
            nodes,
            edges: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            symbols: Symbols::new(),
        }
    }

    pub(super) fn node(&self, node: u32) -> &Node {
        &self.nodes[node]
    }

    /// Returns the child by a name.
    pub(super) fn child(&self, parent: u32, symbol: Symbol) -> Option<u32> {
        let matches = |&node: &u32| {
            let node = &self.nodes[node];
            node.parent == parent && node.symbol == symbol
        };
        let hash = hash(self.hasher, parent, symbol);
        self.edges.find(hash, matches).copied()
    }

    /// Iterates over a node and those after it in the list of its parent, with their symbols.
    pub(super) fn siblings(&self, first: u32) -> impl Iterator<Item = (u32, Symbol)> {
        let mut slot = first;
        std::iter::from_fn(move || {
            let node = (slot != NONE).then(|| &self.nodes[slot])?;
            let this = mem::replace(&mut slot, node.next);
            Some((this, node.symbol))
        })
    }

    /// Adds the path of a pattern, with its group at the end. Returns the last node.
    pub(super) fn grow(&mut self, pattern: Fragments<'_>, group: u32) -> u32 {
        let node = pattern.fold(ROOT, |node, fragment| match fragment {
            STAR => self.grow_wild(node, Symbol::STAR),
            DEEP => self.grow_wild(node, Symbol::DEEP),
            name => self.grow_named(node, name),
        });
        self.nodes[node].group = group;
        node
    }

    fn grow_wild(&mut self, parent: u32, symbol: Symbol) -> u32 {
        let child = *self.wild_child(parent, symbol);
        if child != NONE {
            return child;
        }
        let child = self.nodes.insert(Node::new(parent, symbol));
        *self.wild_child(parent, symbol) = child;
        child
    }

    fn wild_child(&mut self, parent: u32, symbol: Symbol) -> &mut u32 {
        let parent = &mut self.nodes[parent];
        if symbol == Symbol::STAR {
            &mut parent.star
        } else {
            &mut parent.deep
        }
    }

    fn grow_named(&mut self, parent: u32, name: &str) -> u32 {
        let known = self.child(parent, self.symbols.find(name));
        known.unwrap_or_else(|| {
            let symbol = self.symbols.take(name);
            let first = self.nodes[parent].child;
            let child = self.nodes.insert(Node {
                next: first,
                ..Node::new(parent, symbol)
            });
            self.nodes[parent].child = child;
            if first != NONE {
                self.nodes[first].previous = child;
            }
            self.enter(child);
            child
        })
    }

    fn enter(&mut self, node: u32) {
        let hash = |&node: &u32| {
            let Node { parent, symbol, .. } = self.nodes[node];
            hash(self.hasher, parent, symbol)
        };
        self.edges.insert_unique(hash(&node), node, hash);
    }

    /// Removes the group of a node, then the node and its ancestors up to the first that is needed.
    pub(super) fn prune(&mut self, mut node: u32) {
        self.nodes[node].group = NONE;
        while node != ROOT && self.nodes[node].is_bare() {
            let Node { parent, symbol, .. } = self.nodes[node];
            if symbol.is_name() {
                self.unlink(node);
                self.symbols.release(symbol);
            } else {
                *self.wild_child(parent, symbol) = NONE;
            }
            self.nodes.release(node);
            node = parent;
        }
    }

    /// Removes a node from the table and from the list of its siblings.
    fn unlink(&mut self, node: u32) {
        let Node {
            parent,
            symbol,
            next,
            previous,
            ..
        } = self.nodes[node];
        let hash = hash(self.hasher, parent, symbol);
        if let Ok(found) = self.edges.find_entry(hash, |&other| other == node) {
            found.remove();
        }
        if previous == NONE {
            self.nodes[parent].child = next;
        } else {
            self.nodes[previous].next = next;
        }
        if next != NONE {
            self.nodes[next].previous = previous;
        }
    }

    /// The number of nodes, with the root.
    #[cfg(test)]
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The number of nodes and names.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() + self.symbols.len()
    }

    /// The number of slots for nodes and names.
    pub(super) fn slots(&self) -> usize {
        self.nodes.slots() + self.symbols.slots()
    }

    /// Gives back unused memory, after the groups were compacted. Returns where each node is now.
    pub(super) fn compact(&mut self, groups: &Relocation) -> Relocation {
        let symbols = self.symbols.compact();
        let nodes = self.nodes.compact();
        for node in self.nodes.all_mut() {
            node.symbol = node.symbol.after(&symbols);
            node.group = groups.to(node.group);
            for link in node.links_mut() {
                *link = nodes.to(*link);
            }
        }
        self.edges = HashTable::with_capacity(self.nodes.len());
        for slot in self.nodes.all() {
            if self.nodes[slot].symbol.is_name() {
                self.enter(slot);
            }
        }
        nodes
    }
}

/// Hashes an edge with a random seed, so that chosen names cannot be made to collide.
fn hash(hasher: DefaultHashBuilder, parent: u32, symbol: Symbol) -> u64 {
    hasher.hash_one(u64::from(parent) << u32::BITS | u64::from(symbol.number()))
}
