//! A heap of deadlines with eight children per node. Any node can be removed, because its owner
//! always knows its index.
//!
//! This is a *d*-ary heap (D. B. Johnson, "Priority queues with update and finding minimum spanning
//! trees", 1975). With several children per node the heap is flatter, and the children are adjacent
//! in memory (`LaMarca` and Ladner, "The influence of caches on the performance of heaps", 1996).
//! Each operation that moves a node calls `moved` with its new index, so that the node can be
//! removed.
//!
//! # Invariants
//!
//! 1. No node is before its parent; the parent of `i` is `(i - 1) / CHILDREN`.
//! 2. `moved` has been called with the present index of every node.

use super::tick::Tick;

const CHILDREN: usize = 8;

/// The capacity up to which a heap keeps its memory.
const SMALL: usize = 1_024;

/// A timer's position in time: the earlier deadline first, and among equal deadlines in the order
/// of arming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node {
    pub(crate) deadline: Tick,
    /// Unique among the nodes.
    pub(crate) order: u64,
    pub(crate) place: u32,
}

pub(crate) struct Heap {
    nodes: Vec<Node>,
}

impl Heap {
    pub(crate) const fn new() -> Self {
        Self { nodes: Vec::new() }
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.nodes.capacity()
    }

    pub(crate) fn first(&self) -> Option<&Node> {
        self.nodes.first()
    }

    pub(crate) fn node(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index)
    }

    pub(crate) fn push(&mut self, node: Node, moved: impl FnMut(u32, usize)) {
        self.nodes.push(node);
        self.rise(self.nodes.len() - 1, node, moved);
    }

    /// Replaces the node at `index` with `node`.
    pub(crate) fn replace(&mut self, index: usize, node: Node, moved: impl FnMut(u32, usize)) {
        let is_before_parent = index > 0 && node < self.nodes[(index - 1) / CHILDREN];
        if is_before_parent {
            self.rise(index, node, moved);
        } else {
            self.sink(index, node, moved);
        }
    }

    pub(crate) fn remove(&mut self, index: usize, moved: impl FnMut(u32, usize)) {
        let last = self.nodes.pop().expect("the heap has a node at the index");
        if index < self.nodes.len() {
            self.replace(index, last, moved);
        }
        let capacity = self.nodes.capacity();
        if capacity > SMALL && self.nodes.len() < capacity / 4 {
            self.nodes.shrink_to(capacity / 2);
        }
    }

    fn rise(&mut self, mut index: usize, node: Node, mut moved: impl FnMut(u32, usize)) {
        while index > 0 {
            let above = (index - 1) / CHILDREN;
            let parent = self.nodes[above];
            if parent < node {
                break;
            }
            self.nodes[index] = parent;
            moved(parent.place, index);
            index = above;
        }
        self.nodes[index] = node;
        moved(node.place, index);
    }

    fn sink(&mut self, mut index: usize, node: Node, mut moved: impl FnMut(u32, usize)) {
        while let Some((below, child)) = self.first_child(index) {
            if node < child {
                break;
            }
            self.nodes[index] = child;
            moved(child.place, index);
            index = below;
        }
        self.nodes[index] = node;
        moved(node.place, index);
    }

    /// Returns the child that comes before the others, and its index.
    #[inline]
    fn first_child(&self, index: usize) -> Option<(usize, Node)> {
        let begin = index * CHILDREN + 1;
        let end = (begin + CHILDREN).min(self.nodes.len());
        let children = self.nodes.get(begin..end)?;
        let (mut at, mut first) = (begin, *children.first()?);
        for (index, child) in (begin..).zip(children).skip(1) {
            if *child < first {
                (at, first) = (index, *child);
            }
        }
        Some((at, first))
    }
}
