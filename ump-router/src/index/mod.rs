//! Which values a message reaches.
//!
//! ```text
//!   values ──── those of one pattern are a ring ────► groups ──── one for each pattern ────► nodes of two trees
//!      by key                                           by text                                by parent and name
//! ```
//!
//! A topic finds the group of its own text by one look into a table, and those of the patterns with wildcards in their tree. A pattern with wildcards
//! finds what it meets in both trees. So the patterns without wildcards, which are nearly all of them, cost a topic nothing but that look.
//!
//! # Invariants
//!
//! 1. A group has a value, and is at the end of its pattern's path: in `topics` if that is concrete, else in `wild`.
//! 2. Each value is in the ring of one group.
//! 3. Of all places at least a quarter is used, unless there are fewer than `FEW`; without values there are two nodes, the roots.
//!
//! The tables have random seeds: who chooses names cannot choose which of them fall together.

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

/// Fewer places than this are not worth being given back one by one.
const FEW: usize = 256;

/// Values by patterns: which of them does a message reach?
///
/// A pattern can have any number of values; they are told apart by the [`TopicKey`] that [`insert`](Self::insert) returns.
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
/// # What it costs
///
/// To find the values for a topic takes one look into a table, and a way through a tree of those patterns that have wildcards. On this way a beginning of a pattern is
/// visited once at most, and only if the topic has a beginning that fits it; at each there is at most one look for each fragment of the topic. So what does
/// not fit from its first wildcard on costs nothing, however much there is, and chains of `**` cost no more than they are long, times the length
/// of the topic. For a pattern with wildcards it is the same in a tree of all patterns, only that at a wildcard all that can follow has to be looked at.
///
/// Finding allocates nothing, and changes nothing: many threads can do it at the same time.
///
/// Inserting and removing take a time proportional to the length of the pattern on average: like a hash table, it moves to other memory when it has grown or shrunk
/// much. Without values it has nearly no memory; else not more than four times what is used, and what tables keep free.
pub struct TopicIndex<T> {
    values: Values<T>,
    groups: Groups,
    /// Paths of the patterns without wildcards.
    topics: Tree,
    /// Paths of those with wildcards.
    wild: Tree,
}

impl<T> TopicIndex<T> {
    /// Without any values.
    #[must_use]
    pub fn new() -> Self {
        Self {
            values: Values::new(),
            groups: Groups::new(),
            topics: Tree::new(),
            wild: Tree::new(),
        }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.all().len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a value, behind those that the same pattern has already.
    ///
    /// # Panics
    ///
    /// There are 4 billion values, patterns, or beginnings of patterns.
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

    /// Removes a value, unless that has been done.
    pub fn remove(&mut self, key: TopicKey) -> Option<T> {
        let removed = self.values.remove(key, &mut self.groups)?;
        if self.groups[removed.group].first == NONE {
            let Group { pattern, node, .. } = self.groups.remove(removed.group);
            self.tree_mut(&pattern).prune(node);
        }
        self.compact();
        Some(removed.value)
    }

    /// Gives back memory if three quarters of it are not used, or all. So whoever removes pays for a constant number of moves.
    fn compact(&mut self) {
        let (used, places) = (self.used(), self.places());
        if !self.is_empty() && (used > places / 4 || places < FEW) {
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

    /// How many values, groups, nodes and names there are.
    fn used(&self) -> usize {
        self.len() + self.groups.len() + self.topics.len() + self.wild.len()
    }

    /// For how many there is memory.
    fn places(&self) -> usize {
        let trees = self.topics.places() + self.wild.places();
        self.values.places() + self.groups.places() + trees
    }

    /// The value, unless it has been removed.
    #[must_use]
    pub fn get(&self, key: TopicKey) -> Option<&T> {
        Some(&self.values.get(key)?.value)
    }

    /// The value, unless it has been removed.
    #[must_use]
    pub fn get_mut(&mut self, key: TopicKey) -> Option<&mut T> {
        Some(&mut self.values.get_mut(key)?.value)
    }

    /// The pattern of a value, unless it has been removed.
    #[must_use]
    pub fn pattern(&self, key: TopicKey) -> Option<&Pattern> {
        Some(&self.groups[self.values.get(key)?.group].pattern)
    }

    /// Calls once for each value whose pattern [fits](Pattern::matches) the topic.
    ///
    /// Values with the same pattern come in the order in which they were inserted, patterns in any.
    ///
    /// # Errors
    ///
    /// The text is no topic.
    pub fn for_each_matching<'a>(
        &'a self,
        topic: &str,
        f: impl FnMut(&'a T),
    ) -> Result<(), TopicError> {
        Topic::check(topic)?;
        self.walk_topic(topic, f);
        Ok(())
    }

    /// Calls once for each value whose pattern [meets](Pattern::intersects) this one.
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

    /// All values and their patterns, in no particular order.
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
