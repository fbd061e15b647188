//! Assigns prefixes to the instances of `routes`.
//!
//! The first bits of its address assign a prefix to an instance: 8 bits of IPv4, 16 bits of IPv6.
//! Shorter prefixes belong to the first instance. So a lookup asks two instances at the same time,
//! and the longer match is the result.

use std::{convert::Infallible, net::IpAddr, ops::ControlFlow, sync::Arc};

use ipnet::IpNet;
use ump_server::{
    Client,
    system::Balancer,
    ump::{Ask, Request, RequestError, Typed},
};

use crate::{
    igp::Distances,
    path::Path,
    statistics::{Record, StatisticsClient},
    table::{
        Count, Route, TableAnnounce, TableCount, TableForget, TableLookup, TableRefusal,
        TableReply, TableRequest, TableReroute, TableShow, TableTakeChanges, TableWithdraw,
    },
};

type Instance = Client<TableRequest, TableReply, TableRefusal>;

/// Why the request `M` has no reply.
pub(crate) type Error<M> = RequestError<M, Infallible>;

/// The clients of all instances.
#[derive(Clone, Debug)]
pub(crate) struct Shards {
    spread: Balancer<TableRequest, TableReply, TableRefusal>,
    statistics: StatisticsClient,
    is_urgent: bool,
}

impl Shards {
    pub(crate) fn new(
        spread: Balancer<TableRequest, TableReply, TableRefusal>,
        statistics: StatisticsClient,
    ) -> Self {
        Self {
            spread,
            statistics,
            is_urgent: false,
        }
    }

    /// Makes requests urgent: an operator's commands overtake the updates in the queues.
    pub(crate) fn urgent(self) -> Self {
        let is_urgent = true;
        Self { is_urgent, ..self }
    }

    /// Posts a path to the instance of its prefix, and waits while its queue is full; `Break` if it
    /// has ended.
    pub(crate) fn announce(&self, prefix: IpNet, path: Path) -> ControlFlow<()> {
        post(self.instance_of(&prefix), TableAnnounce { prefix, path })
    }

    pub(crate) fn withdraw(&self, prefix: IpNet, from: IpAddr) -> ControlFlow<()> {
        post(self.instance_of(&prefix), TableWithdraw { prefix, from })
    }

    /// Removes all paths from a neighbour, in all instances.
    pub(crate) fn forget(&self, from: IpAddr) -> ControlFlow<()> {
        self.spread
            .instances()
            .iter()
            .try_for_each(|instance| post(instance, TableForget { from }))
    }

    /// Finds the longest prefix with the address in it.
    pub(crate) fn lookup(&self, address: IpAddr) -> Result<Option<Route>, Error<TableLookup>> {
        let instances = [self.short_prefixes(), self.instance_of(&address.into())];
        let asked =
            instances.map(|instance| self.ask(instance, TableLookup { address }).submit().wait());
        let mut best: Option<Route> = None;
        for reply in asked {
            if let Some(found) = reply?.wait()? {
                let longest = best.as_ref().map(|best| best.prefix.prefix_len());
                if longest < Some(found.prefix.prefix_len()) {
                    best = Some(found);
                }
            }
        }
        let _ = self.statistics.count(Record::LookedUp {
            found: best.is_some(),
        });
        Ok(best)
    }

    /// Lists the routes within a prefix, in order, up to a limit.
    pub(crate) fn show(&self, within: IpNet, limit: usize) -> Result<Vec<Route>, Error<TableShow>> {
        let mut routes = Vec::new();
        for instance in self.spread.instances() {
            routes.extend(self.ask(instance, TableShow { within, limit }).wait()?);
        }
        routes.sort_by_key(|route| route.prefix);
        routes.truncate(limit);
        Ok(routes)
    }

    /// Chooses all best paths anew. Returns the number of prefixes whose best path is another.
    pub(crate) fn reroute(&self, distances: &Arc<Distances>) -> Result<u64, Error<TableReroute>> {
        let mut best_changed = 0;
        for instance in self.spread.instances() {
            let distances = Arc::clone(distances);
            best_changed += self.ask(instance, TableReroute { distances }).wait()?;
        }
        let _ = self.statistics.count(Record::Rerouted { best_changed });
        Ok(best_changed)
    }

    /// Takes the best paths that have changed, at most `limit` at a time.
    pub(crate) fn take_changes(
        &self,
        limit: usize,
    ) -> Result<Vec<(IpNet, Option<Path>)>, Error<TableTakeChanges>> {
        let mut changes = Vec::new();
        for instance in self.spread.instances() {
            loop {
                let more = self.ask(instance, TableTakeChanges { limit }).wait()?;
                let is_last = more.len() < limit;
                changes.extend(more);
                if is_last {
                    break;
                }
            }
        }
        Ok(changes)
    }

    pub(crate) fn count(&self) -> Result<Count, Error<TableCount>> {
        let mut total = Count::default();
        for instance in self.spread.instances() {
            let count = self.ask(instance, TableCount).wait()?;
            total.v4 += count.v4;
            total.v6 += count.v6;
            total.paths += count.paths;
        }
        Ok(total)
    }

    fn ask<'a, M: Ask<TableRequest, TableReply, TableRefusal>>(
        &self,
        instance: &'a Instance,
        message: M,
    ) -> Typed<Request<'a, TableRequest, TableReply, TableRefusal>, M> {
        let request = instance.ask(message);
        if self.is_urgent {
            request.urgent()
        } else {
            request
        }
    }

    fn instance_of(&self, prefix: &IpNet) -> &Instance {
        let (bits, first) = match prefix.addr() {
            IpAddr::V4(address) => (8, u16::from(address.octets()[0])),
            IpAddr::V6(address) => (16, address.segments()[0]),
        };
        if prefix.prefix_len() < bits {
            self.short_prefixes()
        } else {
            self.spread.by_key(&(bits, first))
        }
    }

    fn short_prefixes(&self) -> &Instance {
        &self.spread.instances()[0]
    }
}

fn post<M: Ask<TableRequest, TableReply, TableRefusal>>(
    instance: &Instance,
    message: M,
) -> ControlFlow<()> {
    match instance.ask(message).post().wait() {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}
