//! The component `routes`: one shard of the routing table, with all paths to each of its prefixes.
//!
//! [`prefix_trie`] provides the longest-prefix match. Invariants: each prefix has at least one path
//! and at most one from each neighbour, and the first path is the best, unless its next hop is
//! unresolved: then none can be used.

use std::{collections::BTreeSet, fmt, net::IpAddr, ops::ControlFlow, sync::Arc};

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;
use ump_server::service;

use crate::{
    igp::Distances,
    path::Path,
    statistics::{Record, StatisticsClient},
};

/// The best path to a prefix, and the number of the others.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) prefix: IpNet,
    pub(crate) best: Path,
    pub(crate) others: usize,
}

/// The size of the table.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) v4: usize,
    pub(crate) v6: usize,
    pub(crate) paths: usize,
}

#[derive(Debug)]
pub(crate) struct Table {
    paths: JointPrefixMap<IpNet, Vec<Path>>,
    /// Where next hops are. `None`: all are equally near.
    distances: Option<Arc<Distances>>,
    /// The prefixes whose best path has changed since the last look. `None` if nobody looks.
    changed: Option<BTreeSet<IpNet>>,
    statistics: StatisticsClient,
}

impl Table {
    /// Creates an empty table, which notes changes of best paths if somebody looks at them.
    pub(crate) fn new(
        statistics: StatisticsClient,
        distances: Option<Arc<Distances>>,
        notes_changes: bool,
    ) -> Self {
        Self {
            paths: JointPrefixMap::new(),
            distances,
            changed: notes_changes.then(BTreeSet::new),
            statistics,
        }
    }

    fn note(&mut self, prefix: IpNet, best_changed: bool) {
        if let (Some(changed), true) = (&mut self.changed, best_changed) {
            changed.insert(prefix);
        }
    }

    /// Removes a path. Returns whether it was the best, if it exists.
    fn remove(&mut self, prefix: IpNet, from: IpAddr) -> Option<bool> {
        let paths = self.paths.get_mut(&prefix)?;
        let was_best = remove(paths, from)?;
        if paths.is_empty() {
            self.paths.remove(&prefix);
        }
        Some(was_best)
    }
}

/// Announcements, withdrawals and forgotten neighbours are counted. `Break` if the statistics have
/// ended.
#[service]
impl Table {
    /// Adds a path, or replaces the one from the same neighbour.
    #[post]
    pub(crate) fn announce(&mut self, prefix: IpNet, mut path: Path) -> ControlFlow<()> {
        if let Some(distances) = &self.distances {
            path.interior = distances.of(path.attributes.next_hop);
        }
        let paths = self.paths.entry(prefix).or_default();
        let before = best(paths).cloned();
        paths.retain(|known| known.from != path.from);
        let place = paths.partition_point(|known| known.rank() < path.rank());
        paths.insert(place, path);
        let best_changed = best(paths) != before.as_ref();
        self.note(prefix, best_changed);
        self.statistics.count(Record::Announced { best_changed })
    }

    #[post]
    pub(crate) fn withdraw(&mut self, prefix: IpNet, from: IpAddr) -> ControlFlow<()> {
        let record = match self.remove(prefix, from) {
            Some(best_changed) => {
                self.note(prefix, best_changed);
                Record::Withdrawn { best_changed }
            }
            None => Record::SpuriousWithdrawal,
        };
        self.statistics.count(record)
    }

    /// Removes all paths from a neighbour.
    #[post]
    pub(crate) fn forget(&mut self, from: IpAddr) -> ControlFlow<()> {
        let (mut paths, mut best_changed) = (0, 0);
        for (prefix, known) in self.paths.iter_mut() {
            if let Some(was_best) = remove(known, from) {
                paths += 1;
                best_changed += u64::from(was_best);
                if let (Some(changed), true) = (&mut self.changed, was_best) {
                    changed.insert(prefix);
                }
            }
        }
        self.paths.retain(|_, paths| !paths.is_empty());
        self.statistics.count(Record::Lost {
            paths,
            best_changed,
        })
    }

    /// Chooses the best paths anew, as the ways to their next hops have changed. Returns the number
    /// of prefixes whose best path is another.
    pub(crate) fn reroute(&mut self, distances: Arc<Distances>) -> u64 {
        let mut best_changed = 0;
        for (prefix, paths) in self.paths.iter_mut() {
            let before = best(paths).map(|path| path.from);
            for path in paths.iter_mut() {
                path.interior = distances.of(path.attributes.next_hop);
            }
            paths.sort_by_cached_key(Path::rank);
            if best(paths).map(|path| path.from) != before {
                best_changed += 1;
                if let Some(changed) = &mut self.changed {
                    changed.insert(prefix);
                }
            }
        }
        self.distances = Some(distances);
        best_changed
    }

    /// Finds the route of an address: the longest prefix with a path that can be used.
    pub(crate) fn lookup(&self, address: IpAddr) -> Option<Route> {
        let address = IpNet::from(address);
        let longest = self.paths.get_lpm(&address)?;
        route(longest).or_else(|| {
            let from_short_to_long = self.paths.cover(&address);
            from_short_to_long.filter_map(route).last()
        })
    }

    /// Lists the routes within a prefix, up to a limit.
    pub(crate) fn show(&self, within: IpNet, limit: usize) -> Vec<Route> {
        let routes = self.paths.children(&within).filter_map(route);
        routes.take(limit).collect()
    }

    /// Takes up to `limit` prefixes whose best path has changed, with that path if there is one.
    pub(crate) fn take_changes(&mut self, limit: usize) -> Vec<(IpNet, Option<Path>)> {
        let changed = self.changed.iter_mut();
        let taken = changed.flat_map(|changed| std::iter::from_fn(|| changed.pop_first()));
        let with_best = |prefix| {
            let paths = self.paths.get(&prefix);
            (prefix, paths.and_then(|paths| best(paths)).cloned())
        };
        taken.take(limit).map(with_best).collect()
    }

    pub(crate) fn count(&self) -> Count {
        let v4 = self
            .paths
            .keys()
            .filter(|prefix| matches!(prefix, IpNet::V4(_)))
            .count();
        Count {
            v4,
            v6: self.paths.len() - v4,
            paths: self.paths.values().map(Vec::len).sum(),
        }
    }
}

fn route((prefix, paths): (IpNet, &Vec<Path>)) -> Option<Route> {
    Some(Route {
        prefix,
        best: best(paths)?.clone(),
        others: paths.len() - 1,
    })
}

/// Returns the best path, if one can be used.
fn best(paths: &[Path]) -> Option<&Path> {
    paths.first().filter(|path| path.is_resolved())
}

/// Removes the path from a neighbour. Returns whether it was the best, if it exists.
fn remove(paths: &mut Vec<Path>, from: IpAddr) -> Option<bool> {
    let place = paths.iter().position(|path| path.from == from)?;
    let was_resolved = paths.remove(place).is_resolved();
    Some(place == 0 && was_resolved)
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            prefix,
            best,
            others,
        } = self;
        write!(f, "{prefix} {best}")?;
        match others {
            0 => Ok(()),
            others => write!(f, "; {others} more"),
        }
    }
}
