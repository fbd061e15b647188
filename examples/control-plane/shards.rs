//! Which instance of `routes` has what.
//!
//! A prefix belongs to an instance by the first bits of its address, 8 of IPv4 and 16 of IPv6; those that are shorter belong to the first instance together. So a
//! lookup asks two of them, at the same time, and the longer match is the right one.

use std::{net::IpAddr, ops::ControlFlow};

use ipnet::IpNet;
use ump_server::{
    Refused,
    system::Spread,
    ump::{RequestError, WaitReply},
};

use crate::{
    statistics::{Note, Notes},
    table::{Count, Op, Reply, Route, RoutesClient},
};

type Asked = WaitReply<Reply, Refused, Error>;

pub(crate) type Error = RequestError<Op, Refused>;

/// Clients of all instances.
#[derive(Clone, Debug)]
pub(crate) struct Shards {
    spread: Spread<Op, Reply, Refused>,
    notes: Notes,
    is_urgent: bool,
}

impl Shards {
    pub(crate) fn new(spread: Spread<Op, Reply, Refused>, notes: Notes) -> Self {
        Self {
            spread,
            notes,
            is_urgent: false,
        }
    }

    /// The same, but what it asks overtakes the updates in the queues: an operator is not to wait for them.
    pub(crate) fn urgent(self) -> Self {
        let is_urgent = true;
        Self { is_urgent, ..self }
    }

    /// Tells the one who has the prefix; waits if its queue is full. `Break` if it is gone.
    pub(crate) fn post(&self, prefix: IpNet, op: Op) -> ControlFlow<()> {
        post(self.of_prefix(&prefix), op)
    }

    /// Tells all of them to forget what came from there.
    pub(crate) fn forget(&self, from: IpAddr) -> ControlFlow<()> {
        self.spread
            .instances()
            .iter()
            .try_for_each(|instance| post(instance, Op::Forget(from)))
    }

    /// The route of the longest prefix with the address in it.
    pub(crate) fn lookup(&self, address: IpAddr) -> Result<Option<Route>, Error> {
        let short = self.ask(self.of_short(), Op::Lookup(address))?;
        let long = self.ask(self.of_prefix(&IpNet::from(address)), Op::Lookup(address))?;
        let mut best: Option<Route> = None;
        for reply in [short, long] {
            if let Reply::Found(Some(found)) = reply.wait()? {
                let longest = best.as_ref().map(|best| best.prefix.prefix_len());
                if longest < Some(found.prefix.prefix_len()) {
                    best = Some(found);
                }
            }
        }
        let _ = self.notes.note(Note::LookedUp {
            found: best.is_some(),
        });
        Ok(best)
    }

    /// What there is within a prefix, in order, up to so many.
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

    fn of_prefix(&self, prefix: &IpNet) -> &RoutesClient {
        let (bits, first) = match prefix.addr() {
            IpAddr::V4(address) => (8, u16::from(address.octets()[0])),
            IpAddr::V6(address) => (16, address.segments()[0]),
        };
        if prefix.prefix_len() < bits {
            self.of_short()
        } else {
            self.spread.by_key(&(bits, first))
        }
    }

    fn of_short(&self) -> &RoutesClient {
        &self.spread.instances()[0]
    }
}

fn post(instance: &RoutesClient, op: Op) -> ControlFlow<()> {
    match instance.post(op).wait() {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}
