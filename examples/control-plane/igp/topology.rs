//! The routers of our system, the links between them and the networks at them, and what it costs to
//! get there.
//!
//! ```text
//! self edge                     our own router, in the first line
//! link edge core 10             a link and its cost, the same in both directions
//! network core 192.0.2.0/24     a network at a router: where next hops are
//! ```
//!
//! Blank lines and lines that begin with `#` are ignored. [`petgraph`] has the graph and finds the
//! shortest paths, [`prefix_trie`] the network of a next hop.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    str::FromStr,
};

use ipnet::IpNet;
use petgraph::{
    algo::dijkstra,
    graph::{EdgeReference, NodeIndex, UnGraph},
};
use prefix_trie::joint::JointPrefixMap;
use thiserror::Error;

use crate::path::Interior;

#[derive(Clone, Debug)]
pub(crate) struct Topology {
    /// The routers by name, and the links by cost: at most one between two routers.
    graph: UnGraph<String, u32>,
    routers: BTreeMap<String, NodeIndex>,
    networks: Vec<(IpNet, NodeIndex)>,
    own: NodeIndex,
}

/// The fault of a topology. Lines count from 1.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {line}: {fault}")]
pub(crate) struct TopologyError {
    line: usize,
    fault: Fault,
}

#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum Fault {
    #[error("the first one names our router: self NAME")]
    NoSelf,
    #[error("it is not `link A B COST` or `network ROUTER PREFIX`")]
    Unknown,
    #[error("{0:?} is not a cost from 1 to 4294967295")]
    BadCost(String),
    #[error("{0:?} is not a prefix such as 10.0.0.0/8")]
    BadPrefix(String),
    #[error("the ends of the link are the same router")]
    Loop,
}

/// There is no router with this name.
#[derive(Clone, Debug, Error)]
#[error("there is no router {0:?} in the topology")]
pub(crate) struct UnknownRouter(pub(super) String);

impl FromStr for Topology {
    type Err = TopologyError;

    fn from_str(text: &str) -> Result<Self, TopologyError> {
        let lines = text.lines().map(str::trim).enumerate();
        let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let (first, line) = lines.next().unwrap_or_default();
        let words: Vec<_> = line.split_whitespace().collect();
        let ["self", own] = words[..] else {
            let (line, fault) = (first + 1, Fault::NoSelf);
            return Err(TopologyError { line, fault });
        };
        let mut topology = Self::new(own);
        for (index, line) in lines {
            let added = topology.add(line);
            let line = index + 1;
            added.map_err(|fault| TopologyError { line, fault })?;
        }
        Ok(topology)
    }
}

/// Parses the cost of a link.
pub(crate) fn parse_cost(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&cost| cost != 0)
}

impl Topology {
    fn new(own: &str) -> Self {
        let mut graph = UnGraph::default();
        let index = graph.add_node(own.to_owned());
        Self {
            graph,
            routers: BTreeMap::from([(own.to_owned(), index)]),
            networks: Vec::new(),
            own: index,
        }
    }

    fn add(&mut self, line: &str) -> Result<(), Fault> {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["link", a, b, _] if a == b => Err(Fault::Loop),
            ["link", a, b, cost] => {
                let cost = parse_cost(cost).ok_or_else(|| Fault::BadCost(cost.to_owned()))?;
                let (a, b) = (self.router(a), self.router(b));
                self.graph.update_edge(a, b, cost);
                Ok(())
            }
            ["network", router, prefix] => {
                let bad_prefix = |_| Fault::BadPrefix(prefix.to_owned());
                let prefix: IpNet = prefix.parse().map_err(bad_prefix)?;
                let router = self.router(router);
                self.networks.push((prefix.trunc(), router));
                Ok(())
            }
            _ => Err(Fault::Unknown),
        }
    }

    fn router(&mut self, name: &str) -> NodeIndex {
        if let Some(&known) = self.routers.get(name) {
            return known;
        }
        let index = self.graph.add_node(name.to_owned());
        self.routers.insert(name.to_owned(), index);
        index
    }

    /// Adds a network that our own router is connected to.
    pub(crate) fn connect(&mut self, network: IpNet) {
        self.networks.push((network, self.own));
    }

    /// Sets the cost of the link between two routers, or removes it.
    ///
    /// # Errors
    /// Returns [`UnknownRouter`] if one of them is not in the topology.
    pub(super) fn set_link(
        &mut self,
        [a, b]: [&str; 2],
        cost: Option<u32>,
    ) -> Result<(), UnknownRouter> {
        let router = |name: &str| {
            let known = self.routers.get(name).copied();
            known.ok_or_else(|| UnknownRouter(name.to_owned()))
        };
        let (from, to) = (router(a)?, router(b)?);
        if let Some(cost) = cost.filter(|_| from != to) {
            self.graph.update_edge(from, to, cost);
        } else if let Some(link) = self.graph.find_edge(from, to) {
            self.graph.remove_edge(link);
        }
        Ok(())
    }

    /// Returns the routers by name, and the cost of the shortest path to each, if there is one.
    pub(super) fn costs(&self) -> Vec<(String, Option<u64>)> {
        let costs = self.shortest_paths();
        let routers = self.routers.iter();
        routers
            .map(|(name, router)| (name.clone(), costs.get(router).copied()))
            .collect()
    }

    /// Returns the cost of each network that can be reached.
    pub(crate) fn distances(&self) -> Distances {
        let costs = self.shortest_paths();
        let mut networks = JointPrefixMap::<IpNet, u64>::new();
        for (network, router) in &self.networks {
            if let Some(&cost) = costs.get(router) {
                let known = networks.entry(*network).or_insert(cost);
                *known = cost.min(*known);
            }
        }
        Distances { networks }
    }

    fn shortest_paths(&self) -> HashMap<NodeIndex, u64> {
        let cost = |link: EdgeReference<'_, u32>| u64::from(*link.weight());
        let costs = dijkstra(&self.graph, self.own, None, cost);
        costs.into_iter().collect()
    }
}

/// What it costs to reach each network of our system, by the shortest path.
#[derive(Debug)]
pub(crate) struct Distances {
    networks: JointPrefixMap<IpNet, u64>,
}

impl Distances {
    /// Returns the cost of a next hop: that of the longest network with its address.
    pub(crate) fn of(&self, next_hop: IpAddr) -> Interior {
        match self.networks.get_lpm(&next_hop.into()) {
            Some((_, &cost)) => Interior::Cost(cost),
            None => Interior::Unresolved,
        }
    }
}
