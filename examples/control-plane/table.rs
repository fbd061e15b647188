//! The component `routes`: one shard of the routing table, with all paths to each of its prefixes.
//!
//! [`prefix_trie`] provides the longest-prefix match. Invariants: each prefix has at least one path
//! and at most one from each neighbour, and the first path is the best.

use std::{collections::BTreeSet, fmt, net::IpAddr, ops::ControlFlow};

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;
use ump_server::service;

use crate::{
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
    /// The prefixes whose best path has changed since the last look. `None` if nobody looks.
    changed: Option<BTreeSet<IpNet>>,
    statistics: StatisticsClient,
}

impl Table {
    /// Creates an empty table, which notes changes of best paths if somebody looks at them.
    pub(crate) fn new(statistics: StatisticsClient, notes_changes: bool) -> Self {
        Self {
            paths: JointPrefixMap::new(),
            changed: notes_changes.then(BTreeSet::new),
            statistics,
        }
    }

    fn note(&mut self, prefix: IpNet, best_changed: bool) {
        if let (Some(changed), true) = (&mut self.changed, best_changed) {
            changed.insert(prefix);
        }
    }

    /// Removes a path. Returns its place, if it exists: the first one is the best.
    fn remove(&mut self, prefix: IpNet, from: IpAddr) -> Option<usize> {
        let paths = self.paths.get_mut(&prefix)?;
        let place = paths.iter().position(|path| path.from == from)?;
        paths.remove(place);
        if paths.is_empty() {
            self.paths.remove(&prefix);
        }
        Some(place)
    }
}

/// Announcements, withdrawals and forgotten neighbours are counted. `Break` if the statistics have
/// ended.
#[service]
impl Table {
    /// Adds a path, or replaces the one from the same neighbour.
    #[post]
    pub(crate) fn announce(&mut self, prefix: IpNet, path: Path) -> ControlFlow<()> {
        let paths = self.paths.entry(prefix).or_default();
        let before = paths.first().cloned();
        paths.retain(|known| known.from != path.from);
        let place = paths.partition_point(|known| known.rank() < path.rank());
        paths.insert(place, path);
        let best_changed = paths.first() != before.as_ref();
        self.note(prefix, best_changed);
        self.statistics.count(Record::Announced { best_changed })
    }

    #[post]
    pub(crate) fn withdraw(&mut self, prefix: IpNet, from: IpAddr) -> ControlFlow<()> {
        let record = match self.remove(prefix, from) {
            Some(place) => {
                let best_changed = place == 0;
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
            if let Some(place) = known.iter().position(|path| path.from == from) {
                known.remove(place);
                paths += 1;
                best_changed += u64::from(place == 0);
                if let (Some(changed), 0) = (&mut self.changed, place) {
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

    /// Finds the route of an address.
    pub(crate) fn lookup(&self, address: IpAddr) -> Option<Route> {
        self.paths.get_lpm(&IpNet::from(address)).and_then(route)
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
        let best = |prefix| {
            let paths = self.paths.get(&prefix);
            (prefix, paths.and_then(|paths| paths.first()).cloned())
        };
        taken.take(limit).map(best).collect()
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
    let (best, others) = paths.split_first()?;
    Some(Route {
        prefix,
        best: best.clone(),
        others: others.len(),
    })
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
