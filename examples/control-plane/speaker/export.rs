//! The routes that we advertise to a neighbour: the best ones of the table (Adj-RIB-Out).

use std::{collections::HashMap, net::IpAddr};

use fixedbitset::FixedBitSet;

use super::{
    best::{Best, BestRoute, Number},
    convert,
};
use crate::{
    bgp::{
        codec::{Families, Family},
        session::{Command, Config, Up},
    },
    path::{Attributes, Path},
};

/// The number of prefixes in a round.
pub(super) const ROUND: usize = 4_096;

/// The routes that we have advertised to an established neighbour, and those that are still to be
/// advertised or withdrawn.
pub(super) struct Export {
    local_system: u32,
    peer_system: u32,
    peer: IpAddr,
    families: Families,
    /// The addresses that the neighbour reaches us by.
    next_hops: Vec<IpAddr>,
    /// The prefixes that the neighbour has from us.
    announced: FixedBitSet,
    /// The prefixes whose best route has changed since.
    changed: FixedBitSet,
    /// The families for which we still have to send the end of the table (RFC 4724).
    ends: Vec<Family>,
}

impl Export {
    pub(super) fn new(config: &Config, up: &Up, best: &Best) -> Self {
        Self {
            local_system: config.local_system,
            peer_system: config.peer_system,
            peer: config.peer.ip(),
            families: up.families,
            next_hops: config.next_hop.into_iter().chain([up.local]).collect(),
            announced: FixedBitSet::new(),
            changed: best.numbers(),
            ends: up.families.iter().collect(),
        }
    }

    pub(super) fn announced(&self) -> usize {
        self.announced.count_ones(..)
    }

    /// Returns whether a prefix is in one of the sets.
    pub(super) fn uses(&self, number: Number) -> bool {
        self.announced.contains(number) || self.changed.contains(number)
    }

    /// Notes that the best route of a prefix has changed.
    pub(super) fn change(&mut self, number: Number) {
        self.changed.grow_and_insert(number);
    }

    /// Sends all routes of a family again.
    pub(super) fn refresh(&mut self, family: Family, best: &Best) {
        let again = self.announced.ones();
        let again = again.filter(|&number| Family::of_prefix(&best.route(number).prefix) == family);
        self.changed.extend(again);
        self.ends.push(family);
    }

    /// Returns the commands of the next round. None: there is nothing to tell.
    pub(super) fn round(&mut self, best: &Best) -> Vec<Command> {
        let mut groups: HashMap<(Family, &Attributes), Vec<Number>> = HashMap::new();
        let (mut withdrawn_v4, mut withdrawn_v6) = (Vec::new(), Vec::new());
        let round: Vec<_> = self.changed.ones().take(ROUND).collect();
        for number in round {
            self.changed.remove(number);
            let BestRoute { prefix, path } = best.route(number);
            let family = Family::of_prefix(prefix);
            let path = path.as_ref();
            if let Some(path) = path.filter(|path| self.may_advertise(path, family)) {
                groups
                    .entry((family, &path.attributes))
                    .or_default()
                    .push(number);
            } else if take(&mut self.announced, number) {
                match family {
                    Family::Ipv4 => withdrawn_v4.push(*prefix),
                    Family::Ipv6 => withdrawn_v6.push(*prefix),
                }
            }
        }
        let mut commands = Vec::new();
        for ((family, attributes), numbers) in groups {
            let prefix = |&number: &Number| best.route(number).prefix;
            let attributes = convert::sent(attributes, self.local_system, self.peer_system);
            if let (Some(attributes), Some(next_hop)) = (attributes, self.next_hop(family)) {
                commands.push(Command::Announce {
                    attributes,
                    next_hop,
                    prefixes: numbers.iter().map(prefix).collect(),
                });
                self.announced.extend(numbers);
                continue;
            }
            let known = numbers.iter();
            let known = known.filter(|&&number| take(&mut self.announced, number));
            let known = known.map(prefix);
            match family {
                Family::Ipv4 => withdrawn_v4.extend(known),
                Family::Ipv6 => withdrawn_v6.extend(known),
            }
        }
        for withdrawn in [withdrawn_v4, withdrawn_v6] {
            if !withdrawn.is_empty() {
                commands.push(Command::Withdraw(withdrawn));
            }
        }
        if self.changed.is_clear() {
            commands.extend(self.ends.drain(..).map(Command::EndOfRib));
        }
        commands
    }

    /// Returns whether a route may be advertised to the neighbour. A route that comes from this
    /// neighbour may not. If the neighbour is in our system, a route from another neighbour in our
    /// system may not either. (A route with an empty path comes from our system.)
    fn may_advertise(&self, path: &Path, family: Family) -> bool {
        let is_internal = self.local_system == self.peer_system;
        let is_ours = path.attributes.path.is_empty();
        self.families.contains(family) && path.from != self.peer && !(is_internal && is_ours)
    }

    /// Returns our own address in a family, if there is one. Routes of the other family than that
    /// of the connection are advertised only if the configuration has an address for it.
    fn next_hop(&self, family: Family) -> Option<IpAddr> {
        let is_of_family = |address: &IpAddr| address.is_ipv6() == (family == Family::Ipv6);
        self.next_hops.iter().copied().find(is_of_family)
    }
}

/// Removes a number from a set. Returns whether it was in it.
fn take(set: &mut FixedBitSet, number: Number) -> bool {
    let had = set.contains(number);
    if had {
        set.remove(number);
    }
    had
}
