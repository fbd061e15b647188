//! Assigns prefixes to the instances of `routes`.
//!
//! The first bits of its address assign a prefix to an instance: 8 bits of IPv4, 16 bits of IPv6.
//! Shorter prefixes belong to the first instance. So a lookup asks two instances at the same time,
//! and the longer match is the result.

use std::{net::IpAddr, ops::ControlFlow};

use ipnet::IpNet;
use ump_server::{
    Refused,
    system::Balancer,
    ump::{RequestError, WaitReply},
};

use crate::{
    statistics::{Record, Recorder},
    table::{Count, Op, Reply, Route, RoutesClient},
};

type Asked = WaitReply<Reply, Refused, Error>;

pub(crate) type Error = RequestError<Op, Refused>;

/// The clients of all instances.
#[derive(Clone, Debug)]
pub(crate) struct Shards {
    spread: Balancer<Op, Reply, Refused>,
    recorder: Recorder,
    is_urgent: bool,
}

impl Shards {
    pub(crate) fn new(spread: Balancer<Op, Reply, Refused>, recorder: Recorder) -> Self {
        Self {
            spread,
            recorder,
            is_urgent: false,
        }
    }

    /// Makes requests urgent: an operator's commands overtake the updates in the queues.
    pub(crate) fn urgent(self) -> Self {
        let is_urgent = true;
        Self { is_urgent, ..self }
    }

    /// Posts to the instance of a prefix, and waits while its queue is full; `Break` if it has
    /// ended.
    pub(crate) fn post(&self, prefix: IpNet, op: Op) -> ControlFlow<()> {
        post(self.instance_of(&prefix), op)
    }

    /// Removes all paths from a neighbour, in all instances.
    pub(crate) fn forget(&self, from: IpAddr) -> ControlFlow<()> {
        self.spread
            .instances()
            .iter()
            .try_for_each(|instance| post(instance, Op::Forget(from)))
    }

    /// Finds the longest prefix with the address in it.
    pub(crate) fn lookup(&self, address: IpAddr) -> Result<Option<Route>, Error> {
        let short = self.ask(self.short_prefixes(), Op::Lookup(address))?;
        let long = self.ask(self.instance_of(&IpNet::from(address)), Op::Lookup(address))?;
        let mut best: Option<Route> = None;
        for reply in [short, long] {
            if let Reply::Found(Some(found)) = reply.wait()? {
                let longest = best.as_ref().map(|best| best.prefix.prefix_len());
                if longest < Some(found.prefix.prefix_len()) {
                    best = Some(found);
                }
            }
        }
        let _ = self.recorder.record(Record::LookedUp {
            found: best.is_some(),
        });
        Ok(best)
    }

    /// Lists the routes within a prefix, in order, up to a limit.
    pub(crate) fn show(&self, within: IpNet, limit: usize) -> Result<Vec<Route>, Error> {
        let mut routes = Vec::new();
        for instance in self.spread.instances() {
            if let Reply::Routes(some) = self.ask(instance, Op::Show(within, limit))?.wait()? {
                routes.extend(some);
            }
        }
        routes.sort_by_key(|route| route.prefix);
        routes.truncate(limit);
        Ok(routes)
    }

    pub(crate) fn count(&self) -> Result<Count, Error> {
        let mut total = Count::default();
        for instance in self.spread.instances() {
            if let Reply::Count(count) = self.ask(instance, Op::Count)?.wait()? {
                total.v4 += count.v4;
                total.v6 += count.v6;
                total.paths += count.paths;
            }
        }
        Ok(total)
    }

    fn ask(&self, instance: &RoutesClient, op: Op) -> Result<Asked, Error> {
        let request = instance.request(op);
        let request = if self.is_urgent {
            request.urgent()
        } else {
            request
        };
        Ok(request.submit().wait()?)
    }

    fn instance_of(&self, prefix: &IpNet) -> &RoutesClient {
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

    fn short_prefixes(&self) -> &RoutesClient {
        &self.spread.instances()[0]
    }
}

fn post(instance: &RoutesClient, op: Op) -> ControlFlow<()> {
    match instance.post(op).wait() {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}
