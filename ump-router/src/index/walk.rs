//! Finds the nodes of a tree that intersect a topic or pattern.
//!
//! The walk starts at the root. At each node it keeps the set of positions in the searched pattern
//! that the path to this node can lead to. So it visits a node at most once, however many ways lead
//! there: no value is reported twice, and `**` on either side does not make it exponential. It
//! allocates nothing, and recurses as deep as the tree, [`MAX_FRAGMENTS`] at most.
//!
//! # Number of steps
//!
//! A step visits a node or looks one up. At each visited node there are at most as many lookups as
//! the topic has fragments: one for each name that can come next. If a wildcard can come next,
//! there is a step for each child.

use super::{
    slab::NONE,
    symbols::{Symbol, Symbols},
    tree::{Node, ROOT, Tree},
};
use crate::topic::{
    fragments::{DEEP, Fragments, STAR},
    grammar::MAX_FRAGMENTS,
    positions::Positions,
};

/// A topic or pattern in the symbols of a tree.
pub(super) struct Route {
    length: usize,
    /// The symbols of the names.
    symbols: [Symbol; MAX_FRAGMENTS],
    /// For each fragment the distance to the next one with the same symbol; 0 if there is none.
    next_same: [u8; MAX_FRAGMENTS],
    /// The positions of `*`.
    star: Positions,
    /// The positions of `**`.
    deep: Positions,
}

impl Route {
    /// Only the first [`MAX_FRAGMENTS`] fragments count.
    pub(super) fn new(fragments: Fragments<'_>, symbols: &Symbols) -> Self {
        let mut route = Self {
            length: 0,
            symbols: [Symbol::UNKNOWN; MAX_FRAGMENTS],
            next_same: [0; MAX_FRAGMENTS],
            star: Positions::NONE,
            deep: Positions::NONE,
        };
        for (at, fragment) in fragments.take(MAX_FRAGMENTS).enumerate() {
            match fragment {
                STAR => route.star.insert(at),
                DEEP => route.deep.insert(at),
                name => route.symbols[at] = symbols.find(name),
            }
            route.length = at + 1;
        }
        route.link();
        route
    }

    fn link(&mut self) {
        for at in 0..self.length {
            let later = self.symbols[at + 1..self.length].iter();
            let distance = later
                .zip(1..)
                .find(|(symbol, _)| **symbol == self.symbols[at]);
            self.next_same[at] = distance.map_or(0, |(_, distance)| distance);
        }
    }

    fn end(&self) -> Positions {
        Positions::only(self.length)
    }

    /// The positions with a name after them.
    fn named(&self, reached: Positions) -> Positions {
        let others = self.star.or(self.deep).or(self.end());
        reached.without(others)
    }

    /// Where any one fragment leads.
    fn past_any(&self, reached: Positions) -> Positions {
        let deep = reached.and(self.deep);
        let others = reached.without(self.deep).without(self.end());
        self.past_nothing(deep.or(others.advanced()))
    }

    /// Where a name leads that is not in the pattern.
    fn past_unknown(&self, reached: Positions) -> Positions {
        let star = reached.and(self.star).advanced();
        self.past_nothing(star.or(reached.and(self.deep)))
    }

    /// Adds where no fragment leads: `**` can match none. (In canonical form no other wildcard
    /// follows it.)
    fn past_nothing(&self, reached: Positions) -> Positions {
        reached.or(reached.and(self.deep).advanced())
    }

    /// The positions of `among` with the same name after them as the lowest.
    fn same(&self, among: Positions) -> Positions {
        let mut at = among.lowest();
        let mut same = Positions::only(at);
        while self.next_same[at] > 0 {
            at += usize::from(self.next_same[at]);
            same.insert(at);
        }
        same.and(among)
    }
}

impl Tree {
    /// Calls `found` for each group whose pattern intersects this one. Returns the number of steps.
    pub(super) fn walk(&self, pattern: Fragments<'_>, found: impl FnMut(u32)) -> usize {
        if self.node(ROOT).is_bare() {
            return 0;
        }
        let route = Route::new(pattern, &self.symbols);
        let mut walk = Walk {
            tree: self,
            route: &route,
            found,
            steps: 0,
        };
        walk.visit(ROOT, route.past_nothing(Positions::FIRST));
        walk.steps
    }
}

struct Walk<'a, F> {
    tree: &'a Tree,
    route: &'a Route,
    found: F,
    steps: usize,
}

impl<F: FnMut(u32)> Walk<'_, F> {
    /// Visits a node. `reached` is the set of positions that the path to it can lead to.
    fn visit(&mut self, node: u32, reached: Positions) {
        if reached.is_empty() {
            return;
        }
        self.steps += 1;
        let (tree, route) = (self.tree, self.route);
        let Node {
            star,
            deep,
            child,
            group,
            ..
        } = *tree.node(node);
        if group != NONE && reached.contains(route.length) {
            (self.found)(group);
        }
        if deep != NONE {
            let existing = Positions::up_to(route.length);
            self.visit(deep, reached.and_above().and(existing));
        }
        if star != NONE {
            self.visit(star, route.past_any(reached));
        }
        if child == NONE {
            return;
        }
        if reached.and(route.star.or(route.deep)).is_empty() {
            self.visit_named(node, route.named(reached));
        } else {
            self.visit_all(child, reached);
        }
    }

    /// Visits the children by the names that come next.
    fn visit_named(&mut self, node: u32, mut reached: Positions) {
        while !reached.is_empty() {
            self.steps += 1;
            let symbol = self.route.symbols[reached.lowest()];
            let same = self.route.same(reached);
            reached = reached.without(same);
            if symbol == Symbol::UNKNOWN {
                continue; // there is no such child anywhere
            }
            if let Some(child) = self.tree.child(node, symbol) {
                self.visit(child, self.route.past_nothing(same.advanced()));
            }
        }
    }

    /// Visits all children by name, because any name can come next.
    fn visit_all(&mut self, first: u32, reached: Positions) {
        let unknown = self.route.past_unknown(reached);
        let named = self.route.named(reached);
        for (child, symbol) in self.tree.siblings(first) {
            self.steps += 1;
            let matches = |at: &usize| self.route.symbols[*at] == symbol;
            let led = named
                .iter()
                .filter(matches)
                .fold(Positions::NONE, |led, at| led.or(Positions::only(at)));
            self.visit(child, unknown.or(self.route.past_nothing(led.advanced())));
        }
    }
}
