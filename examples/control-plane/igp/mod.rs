//! The component `igp`: the topology of our system, which decides where next hops are.
//!
//! Each change of a link goes to all instances of `routes`, which choose their best paths anew.

mod topology;

use std::{convert::Infallible, sync::Arc};

use thiserror::Error;
use ump_server::{service, ump::RequestError};

pub(crate) use self::topology::{Distances, Topology, TopologyError, UnknownRouter, parse_cost};
use crate::shards::Shards;

/// Why a link is not changed, or its change has not reached all routes.
#[derive(Debug, Error)]
pub(crate) enum LinkError {
    #[error(transparent)]
    UnknownRouter(#[from] UnknownRouter),
    #[error("routes: {0}")]
    Routes(RequestError<(), Infallible>),
}

#[derive(Debug)]
pub(crate) struct Igp {
    topology: Topology,
    routes: Shards,
}

impl Igp {
    pub(crate) fn new(topology: Topology, routes: Shards) -> Self {
        Self { topology, routes }
    }
}

#[service]
impl Igp {
    /// Sets the cost of the link between two routers, or removes it. Replies with the number of
    /// prefixes whose best path has changed, when all have been chosen anew.
    pub(crate) fn set_link(
        &mut self,
        routers: [String; 2],
        cost: Option<u32>,
    ) -> Result<u64, LinkError> {
        self.topology
            .set_link(routers.each_ref().map(String::as_str), cost)?;
        let distances = Arc::new(self.topology.distances());
        let rerouted = self.routes.reroute(&distances);
        rerouted.map_err(|error| LinkError::Routes(error.without_message()))
    }

    /// Returns the routers by name, and the cost of the shortest path to each, if there is one.
    pub(crate) fn show(&self) -> Vec<(String, Option<u64>)> {
        self.topology.costs()
    }
}
