//! The component `routes`: one shard of the table, with all the paths to each of its prefixes.
//!
//! Its longest-prefix match is [`prefix_trie`]'s, for both kinds of addresses. Invariants: no prefix is without a path, there is one from each neighbour at
//! most, and the first is the best.

use std::{fmt, net::IpAddr, ops::ControlFlow};

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;
use ump_server::{Client, Refused, ReplyContext, thread::Handler};

use crate::{
    path::Path,
    statistics::{self, Note},
};

/// What a shard can be told, and asked.
#[derive(Debug)]
pub(crate) enum Op {
    /// Its neighbour announces a path, in the place of the one before.
    Announce(IpNet, Path),
    Withdraw(IpNet, IpAddr),
    /// All that came from there is gone.
    Forget(IpAddr),
    /// Where to send a packet.
    Lookup(IpAddr),
    /// What there is within a prefix, up to so many.
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

/// The best path to a prefix, and how many others there are.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) prefix: IpNet,
    pub(crate) best: Path,
    pub(crate) others: usize,
}

/// How much there is.
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
    statistics: statistics::Notes,
}

impl Table {
    pub(crate) fn new(statistics: statistics::Notes) -> Self {
        Self {
            paths: JointPrefixMap::new(),
            statistics,
        }
    }

    fn announce(&mut self, prefix: IpNet, path: Path) -> Note {
        let paths = self.paths.entry(prefix).or_default();
        let before = paths.first().cloned();
        paths.retain(|known| known.from != path.from);
        let place = paths.partition_point(|known| known.rank() < path.rank());
        paths.insert(place, path);
        Note::Announced {
            best_changed: paths.first() != before.as_ref(),
        }
    }

    fn withdraw(&mut self, prefix: IpNet, from: IpAddr) -> Note {
        let Some(paths) = self.paths.get_mut(&prefix) else {
            return Note::WithdrawnInVain;
        };
        let Some(place) = paths.iter().position(|path| path.from == from) else {
            return Note::WithdrawnInVain;
        };
        paths.remove(place);
        if paths.is_empty() {
            self.paths.remove(&prefix);
        }
        Note::Withdrawn {
            best_changed: place == 0,
        }
    }

    fn forget(&mut self, from: IpAddr) -> Note {
        let (mut paths, mut best_changed) = (0, 0);
        for known in self.paths.values_mut() {
            if let Some(place) = known.iter().position(|path| path.from == from) {
                known.remove(place);
                paths += 1;
                best_changed += u64::from(place == 0);
            }
        }
        self.paths.retain(|_, paths| !paths.is_empty());
        Note::Lost {
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

    /// `Break` if there is nobody to note it.
    fn note(&self, note: Note) -> ControlFlow<(), Reply> {
        self.statistics.note(note)?;
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
                let note = self.announce(prefix, path);
                self.note(note)?
            }
            Op::Withdraw(prefix, from) => {
                let note = self.withdraw(prefix, from);
                self.note(note)?
            }
            Op::Forget(from) => {
                let note = self.forget(from);
                self.note(note)?
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
        // Most of it is posted, and nobody waits.
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
