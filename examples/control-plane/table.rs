//! The component `routes`: one shard of the routing table, with all paths to each of its prefixes.
//!
//! [`prefix_trie`] provides the longest-prefix match. Invariants: each prefix has at least one path
//! and at most one from each neighbour, and the first path is the best.

use std::{fmt, net::IpAddr, ops::ControlFlow};

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;
use ump_server::{Client, Refused, ReplyContext, thread::Handler};

use crate::{
    path::Path,
    statistics::{self, Record},
};

/// A request to a shard.
#[derive(Debug)]
pub(crate) enum Op {
    /// Adds a path, or replaces the one from the same neighbour.
    Announce(IpNet, Path),
    Withdraw(IpNet, IpAddr),
    /// Removes all paths from a neighbour.
    Forget(IpAddr),
    /// Finds the route of an address.
    Lookup(IpAddr),
    /// Lists the routes within a prefix, up to a limit.
    Show(IpNet, usize),
    Count,
}

#[derive(Debug)]
pub(crate) enum Reply {
    Done,
    Found(Option<Route>),
    Routes(Vec<Route>),
    Count(Count),
}

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

pub(crate) type RoutesClient = Client<Op, Reply, Refused>;

#[derive(Debug)]
pub(crate) struct Table {
    paths: JointPrefixMap<IpNet, Vec<Path>>,
    recorder: statistics::Recorder,
}

impl Table {
    pub(crate) fn new(recorder: statistics::Recorder) -> Self {
        Self {
            paths: JointPrefixMap::new(),
            recorder,
        }
    }

    fn announce(&mut self, prefix: IpNet, path: Path) -> Record {
        let paths = self.paths.entry(prefix).or_default();
        let before = paths.first().cloned();
        paths.retain(|known| known.from != path.from);
        let place = paths.partition_point(|known| known.rank() < path.rank());
        paths.insert(place, path);
        Record::Announced {
            best_changed: paths.first() != before.as_ref(),
        }
    }

    fn withdraw(&mut self, prefix: IpNet, from: IpAddr) -> Record {
        let Some(paths) = self.paths.get_mut(&prefix) else {
            return Record::SpuriousWithdrawal;
        };
        let Some(place) = paths.iter().position(|path| path.from == from) else {
            return Record::SpuriousWithdrawal;
        };
        paths.remove(place);
        if paths.is_empty() {
            self.paths.remove(&prefix);
        }
        Record::Withdrawn {
            best_changed: place == 0,
        }
    }

    fn forget(&mut self, from: IpAddr) -> Record {
        let (mut paths, mut best_changed) = (0, 0);
        for known in self.paths.values_mut() {
            if let Some(place) = known.iter().position(|path| path.from == from) {
                known.remove(place);
                paths += 1;
                best_changed += u64::from(place == 0);
            }
        }
        self.paths.retain(|_, paths| !paths.is_empty());
        Record::Lost {
            paths,
            best_changed,
        }
    }

    fn count(&self) -> Count {
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

    /// Records an event; `Break` if the statistics have ended.
    fn record(&self, record: Record) -> ControlFlow<(), Reply> {
        self.recorder.record(record)?;
        ControlFlow::Continue(Reply::Done)
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

impl Handler<Op, Reply, Refused> for Table {
    fn proc_req(&mut self, op: Op, rctx: ReplyContext<'_, Reply, Refused>) -> ControlFlow<()> {
        let reply = match op {
            Op::Announce(prefix, path) => {
                let record = self.announce(prefix, path);
                self.record(record)?
            }
            Op::Withdraw(prefix, from) => {
                let record = self.withdraw(prefix, from);
                self.record(record)?
            }
            Op::Forget(from) => {
                let record = self.forget(from);
                self.record(record)?
            }
            Op::Lookup(address) => {
                Reply::Found(self.paths.get_lpm(&IpNet::from(address)).and_then(route))
            }
            Op::Show(within, limit) => {
                let routes = self.paths.children(&within).filter_map(route);
                Reply::Routes(routes.take(limit).collect())
            }
            Op::Count => Reply::Count(self.count()),
        };
        // Most requests are posts, which have no caller.
        let _ = rctx.reply(reply);
        ControlFlow::Continue(())
    }
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
