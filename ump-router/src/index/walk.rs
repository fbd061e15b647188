//! Which nodes of the tree a topic or pattern meets.
//!
//! The tree is gone through from the root, and with each node goes the set of positions in the pattern asked for that the names on the way to this
//! node can have led to. So a node is visited once at most, however many ways lead there: no value is reported twice, and `**` on either side is no trap. Nothing
//! is allocated; the depth is that of the tree, [`Topic::MAX_FRAGMENTS`] at most.
//!
//! # Budget
//!
//! A step is to look at a node, or to look for one. At each node that is visited there are as many steps more as the topic has fragments at most: one for
//! each name that can come next. If what can come next is a wildcard, there is a step for each child.

use super::{
    slab::NONE,
    symbols::{Symbol, Symbols},
    tree::{Node, ROOT, Tree},
};
use crate::topic::{
    Fragments, Topic,
    grammar::{DEEP, STAR},
    positions::Positions,
};

/// A topic or pattern in symbols of the tree.
pub(super) struct Route {
    length: usize,
    /// Those of the names.
    symbols: [Symbol; Topic::MAX_FRAGMENTS],
    /// For each fragment how much further the next one is with the same symbol; 0 if there is none.
    next_same: [u8; Topic::MAX_FRAGMENTS],
    /// Where there is `*`.
    star: Positions,
    /// Where there is `**`.
    deep: Positions,
}

impl Route {
    /// Only the first fragments count, as many as a topic has at most.
    pub(super) fn new(fragments: Fragments<'_>, symbols: &Symbols) -> Self {
        let mut route = Self {
            length: 0,
            symbols: [Symbol::UNKNOWN; Topic::MAX_FRAGMENTS],
            next_same: [0; Topic::MAX_FRAGMENTS],
            star: Positions::NONE,
            deep: Positions::NONE,
        };
        for (at, fragment) in fragments.take(Topic::MAX_FRAGMENTS).enumerate() {
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

    /// Those with a name after them.
    fn named(&self, reached: Positions) -> Positions {
        let others = self.star.or(self.deep).or(self.end());
        reached.without(others)
    }

    /// Where one fragment leads, whatever it is.
    fn past_any(&self, reached: Positions) -> Positions {
        let deep = reached.and(self.deep);
        let others = reached.without(self.deep).without(self.end());
        self.past_nothing(deep.or(others.advanced()))
    }

    /// Where a name leads that is known to nobody.
    fn past_unknown(&self, reached: Positions) -> Positions {
        let star = reached.and(self.star).advanced();
        self.past_nothing(star.or(reached.and(self.deep)))
    }

    /// Where no fragment leads: `**` can stand for nothing. (No other follows it immediately, in canonical form.)
    fn past_nothing(&self, reached: Positions) -> Positions {
        reached.or(reached.and(self.deep).advanced())
    }

    /// Those of `among` that have the same name after them as the lowest.
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
    /// Calls for each group whose pattern meets this one. Returns the number of steps.
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
    /// `reached` is where the names on the way to this node can have led; if nowhere, there is nothing to be found.
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

    /// The children by the names that come next.
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

    /// All children by name, as the next name can be any.
    fn visit_all(&mut self, first: u32, reached: Positions) {
        let unknown = self.route.past_unknown(reached);
        let named = self.route.named(reached);
        for (child, symbol) in self.tree.siblings(first) {
            self.steps += 1;
            let is_it = |at: &usize| self.route.symbols[*at] == symbol;
            let led = named
                .iter()
                .filter(is_it)
                .fold(Positions::NONE, |led, at| led.or(Positions::only(at)));
            self.visit(child, unknown.or(self.route.past_nothing(led.advanced())));
        }
    }
}
