//! An index of values by pattern: finds the values whose patterns match a topic or intersect a
//! pattern.
//!
//! ```text
//!   values ──── the values of a pattern form a ring ────► groups ──── one for each pattern ────► nodes of two trees
//!      by key                                               by text                                by parent and name
//! ```
//!
//! To look up a topic, the group of its own text is found in a hash table, and the patterns with
//! wildcards that match it in their tree. To look up a pattern with wildcards, both trees are
//! walked. So patterns without wildcards, which are nearly all of them, cost a topic one look into
//! the hash table.
//!
//! # Invariants
//!
//! 1. A group has a value, and is at the end of its pattern's path: in `topics` if the pattern is
//!    concrete, otherwise in `wild`.
//! 2. Each value is in the ring of one group.
//! 3. At least a quarter of all slots is used, unless there are fewer than `MIN_SLOTS`. Without
//!    values there are two nodes, the roots.
//!
//! The hash tables have random seeds, so that chosen names cannot be made to collide.

mod groups;
mod slab;
mod symbols;
#[cfg(test)]
mod tests;
mod tree;
mod values;
mod walk;

use std::fmt;

pub use self::values::TopicKey;
use self::{
    groups::{Group, Groups},
    slab::NONE,
    tree::Tree,
    values::Values,
};
use crate::topic::{Fragments, Pattern, Topic, TopicError};

/// With fewer slots than this, memory is not given back until all values are removed.
const MIN_SLOTS: usize = 256;

/// An index of values by pattern.
///
/// A pattern can have any number of values. The [`TopicKey`] that [`insert`](Self::insert) returns
/// identifies a value.
///
/// ```
/// use ump_router::index::TopicIndex;
///
/// let mut index = TopicIndex::new();
/// let all = index.insert(&"price/**".parse()?, "all prices");
/// index.insert(&"price/*/eur".parse()?, "prices in euros");
/// index.insert(&"weather".parse()?, "the weather");
///
/// let mut found = Vec::new();
/// index.for_each_matching("price/gold/eur", |value| found.push(*value))?;
/// found.sort();
/// assert_eq!(found, ["all prices", "prices in euros"]);
///
/// assert_eq!(index.remove(all), Some("all prices"));
/// # Ok::<_, ump_router::TopicError>(())
/// ```
///
/// # Cost
///
/// A lookup of a topic takes one look into a hash table, and a walk through a tree of the patterns
/// that have wildcards. The walk visits a node, which is a beginning of a pattern, at most once,
/// and only if it matches a beginning of the topic; at each node there is at most one hash lookup
/// for each fragment of the topic. So patterns that do not match up to their first wildcard cost
/// nothing, however many there are, and a chain of `**` costs at most its length times the length
/// of the topic. A lookup of a pattern with wildcards walks a tree of all patterns in the same way,
/// except that at a wildcard it visits all children.
///
/// A lookup allocates nothing and needs `&self`: many threads can look up at the same time.
///
/// Inserting and removing take a time proportional to the length of the pattern on average; like a
/// hash table, the index moves to other memory when it has grown or shrunk much. It uses at most
/// four times the memory that its values need, besides the free slots of hash tables, and nearly
/// none without values.
pub struct TopicIndex<T> {
    values: Values<T>,
    groups: Groups,
    /// Paths of the patterns without wildcards.
    topics: Tree,
    /// Paths of those with wildcards.
    wild: Tree,
}

impl<T> TopicIndex<T> {
    /// Creates an index without values.
    #[must_use]
    pub fn new() -> Self {
        Self {
            values: Values::new(),
            groups: Groups::new(),
            topics: Tree::new(),
            wild: Tree::new(),
        }
    }

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.all().len()
    }

    /// Returns whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a value, after those that the same pattern has already.
    ///
    /// # Panics
    /// Panics if there are more than 4 billion values, patterns, or beginnings of patterns.
    pub fn insert(&mut self, pattern: &Pattern, value: T) -> TopicKey {
        let known = self.groups.find(pattern.as_str());
        let group = known.unwrap_or_else(|| self.add_group(pattern));
        self.values.insert(value, group, &mut self.groups)
    }

    fn add_group(&mut self, pattern: &Pattern) -> u32 {
        let group = self.groups.insert(pattern.clone());
        let node = self.tree_mut(pattern).grow(pattern.fragments(), group);
        self.groups[group].node = node;
        group
    }

    fn tree_mut(&mut self, pattern: &Pattern) -> &mut Tree {
        if pattern.is_concrete() {
            &mut self.topics
        } else {
            &mut self.wild
        }
    }

    /// Removes and returns a value, unless it was removed before.
    pub fn remove(&mut self, key: TopicKey) -> Option<T> {
        let removed = self.values.remove(key, &mut self.groups)?;
        if self.groups[removed.group].first == NONE {
            let Group { pattern, node, .. } = self.groups.remove(removed.group);
            self.tree_mut(&pattern).prune(node);
        }
        self.compact();
        Some(removed.value)
    }

    /// Gives back memory if three quarters of it are unused, or if there are no values. So the
    /// amortised cost of a removal is constant.
    fn compact(&mut self) {
        let (used, slots) = (self.used(), self.slots());
        if !self.is_empty() && (used > slots / 4 || slots < MIN_SLOTS) {
            return;
        }
        let groups = self.groups.compact();
        self.values.compact(&groups);
        let topics = self.topics.compact(&groups);
        let wild = self.wild.compact(&groups);
        for group in self.groups.all_mut() {
            let tree = if group.pattern.is_concrete() {
                &topics
            } else {
                &wild
            };
            group.node = tree.to(group.node);
        }
    }

    /// The number of values, groups, nodes and names.
    fn used(&self) -> usize {
        self.len() + self.groups.len() + self.topics.len() + self.wild.len()
    }

    /// The number of these that there is memory for.
    fn slots(&self) -> usize {
        let trees = self.topics.slots() + self.wild.slots();
        self.values.slots() + self.groups.slots() + trees
    }

    /// Returns a value, unless it was removed.
    #[must_use]
    pub fn get(&self, key: TopicKey) -> Option<&T> {
        Some(&self.values.get(key)?.value)
    }

    /// Returns a value mutably, unless it was removed.
    #[must_use]
    pub fn get_mut(&mut self, key: TopicKey) -> Option<&mut T> {
        Some(&mut self.values.get_mut(key)?.value)
    }

    /// Returns the pattern of a value, unless the value was removed.
    #[must_use]
    pub fn pattern(&self, key: TopicKey) -> Option<&Pattern> {
        Some(&self.groups[self.values.get(key)?.group].pattern)
    }

    /// Calls `f` once for each value whose pattern [matches](Pattern::matches) the topic.
    ///
    /// Values with the same pattern come in the order in which they were inserted, patterns in any.
    ///
    /// # Errors
    /// The text is not a topic.
    pub fn for_each_matching<'a>(
        &'a self,
        topic: &str,
        f: impl FnMut(&'a T),
    ) -> Result<(), TopicError> {
        Topic::check(topic)?;
        self.walk_topic(topic, f);
        Ok(())
    }

    /// Calls `f` once for each value whose pattern [intersects](Pattern::intersects) this one.
    ///
    /// Values with the same pattern come in the order in which they were inserted, patterns in any.
    pub fn for_each_intersecting<'a>(&'a self, pattern: &Pattern, f: impl FnMut(&'a T)) {
        if pattern.is_concrete() {
            self.walk_topic(pattern.as_str(), f);
        } else {
            self.walk_pattern(pattern, f);
        }
    }

    fn walk_topic<'a>(&'a self, topic: &str, mut f: impl FnMut(&'a T)) -> usize {
        if let Some(group) = self.groups.find(topic) {
            self.each(group, &mut f);
        }
        self.wild
            .walk(Fragments::of(topic), |group| self.each(group, &mut f))
    }

    fn walk_pattern<'a>(&'a self, pattern: &Pattern, mut f: impl FnMut(&'a T)) -> usize {
        let mut each = |group| self.each(group, &mut f);
        self.topics.walk(pattern.fragments(), &mut each)
            + self.wild.walk(pattern.fragments(), &mut each)
    }

    fn each<'a>(&'a self, group: u32, f: impl FnMut(&'a T)) {
        self.values.ring(self.groups[group].first).for_each(f);
    }

    /// Iterates over all values with their patterns, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&Pattern, &T)> {
        let pattern = |group| &self.groups[group].pattern;
        let entries = self.values.all().iter();
        entries.map(move |entry| (pattern(entry.group), &entry.value))
    }
}

impl<T> Default for TopicIndex<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for TopicIndex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TopicIndex");
        shown.field("len", &self.len()).finish_non_exhaustive()
    }
}
