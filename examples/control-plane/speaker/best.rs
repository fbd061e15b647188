//! The best routes of the table, as of the last look, with small numbers for their prefixes.
//!
//! What a neighbour has of a prefix is then a bit of a set ([`FixedBitSet`]): such a set of a
//! million prefixes takes 125 kB, and one of the prefixes themselves more than 20 MB, for each
//! neighbour. A [`Slab`] gives out the numbers.
//!
//! Invariant: a number belongs to its prefix until no neighbour has its bit in a set, and only then
//! to another one.

use std::collections::BTreeMap;

use fixedbitset::FixedBitSet;
use ipnet::IpNet;
use slab::Slab;

use crate::path::Path;

/// The number of a prefix.
pub(crate) type Number = usize;

#[derive(Debug, Default)]
pub(crate) struct Best {
    routes: Slab<BestRoute>,
    numbers: BTreeMap<IpNet, Number>,
    /// The numbers that may be given to other prefixes when no neighbour needs them: those of
    /// prefixes that lost their route, and perhaps have one again.
    lost: Vec<Number>,
}

#[derive(Debug)]
pub(crate) struct BestRoute {
    pub(crate) prefix: IpNet,
    /// `None` if there is no route any more.
    pub(crate) path: Option<Path>,
}

impl Best {
    /// Sets the best path to a prefix. Returns its number, if it has or had a path.
    pub(crate) fn set(&mut self, prefix: IpNet, path: Option<Path>) -> Option<Number> {
        if let Some(&number) = self.numbers.get(&prefix) {
            if path.is_none() {
                self.lost.push(number);
            }
            self.routes[number].path = path;
            return Some(number);
        }
        let path = Some(path?);
        let number = self.routes.insert(BestRoute { prefix, path });
        self.numbers.insert(prefix, number);
        Some(number)
    }

    /// Returns the route with a number, which some neighbour has in a set.
    pub(crate) fn route(&self, number: Number) -> &BestRoute {
        &self.routes[number]
    }

    /// Returns the numbers of all prefixes.
    pub(crate) fn numbers(&self) -> FixedBitSet {
        self.numbers.values().copied().collect()
    }

    /// Frees the numbers of lost prefixes that no neighbour has in a set.
    pub(crate) fn free(&mut self, is_used: impl Fn(Number) -> bool) {
        let (routes, numbers) = (&mut self.routes, &mut self.numbers);
        self.lost.retain(|&number| {
            let is_lost = routes.get(number).is_some_and(|it| it.path.is_none());
            if is_lost && is_used(number) {
                return true;
            }
            if is_lost {
                numbers.remove(&routes.remove(number).prefix);
            }
            false
        });
    }
}
