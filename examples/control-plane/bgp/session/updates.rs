//! The routes of an established session, in both directions.

use std::{net::IpAddr, time::Instant};

use ipnet::IpNet;

use super::{
    super::codec::{self, Attributes, Code, Family, Fault, Update},
    Event, Session,
};

/// The number of the attribute `AS_PATH`.
const AS_PATH: u8 = 2;

impl Session {
    /// Takes the routes of an UPDATE. Those that cannot be used are withdrawn.
    pub(super) fn on_update(&mut self, mut update: Update) {
        self.counters.updates_in += 1;
        let Some(connection) = self.established() else {
            return;
        };
        let (families, local) = (connection.families, connection.local);
        // A family that was not negotiated is ignored.
        let is_known = |prefix: &IpNet| families.contains(Family::of_prefix(prefix));
        update.withdrawn.retain(is_known);
        for group in &mut update.reachable {
            group.prefixes.retain(is_known);
        }
        update.reachable.retain(|group| !group.prefixes.is_empty());
        if let Some(attributes) = &update.attributes {
            let path = &attributes.path;
            let (ours, theirs) = (self.config.local_system, self.config.peer_system);
            // A confederation keeps its segments to itself (RFC 5065, 5), and zero is no system
            // (RFC 7607, 2).
            let is_foreign = !self.config.is_internal()
                && (path.first() != Some(theirs) || path.has_confederation());
            let is_malformed = is_foreign || path.systems().any(|system| system == 0);
            if is_malformed {
                update.faults.push(Fault {
                    attribute: AS_PATH,
                    code: Code::MALFORMED_PATH,
                    withdraws: true,
                });
            }
            // A route that has passed this system, or leads to it (RFC 4271, 9.1.2 and 5.1.3).
            let is_loop = path.systems().any(|system| system == ours);
            for group in std::mem::take(&mut update.reachable) {
                if is_malformed || is_loop || Some(group.next_hop) == local {
                    update.withdrawn.extend(group.prefixes);
                } else {
                    update.reachable.push(group);
                }
            }
        }
        if update.reachable.is_empty() {
            update.attributes = None;
        }
        self.counters.faults += update.faults.len() as u64;
        self.tell(Event::Update(update));
    }

    pub(super) fn announce(
        &mut self,
        now: Instant,
        attributes: &Attributes,
        next_hop: IpAddr,
        prefixes: &[IpNet],
    ) {
        let Some(connection) = self.established() else {
            return;
        };
        let format = connection.format;
        match codec::announcements(attributes, next_hop, prefixes, format) {
            Ok(messages) => self.send_updates(now, messages),
            // What the neighbour has of these routes is out of date.
            Err(codec::TooLong) => self.withdraw(now, prefixes),
        }
    }

    pub(super) fn withdraw(&mut self, now: Instant, prefixes: &[IpNet]) {
        self.send_updates(now, codec::withdrawals(prefixes));
    }

    pub(super) fn end_of_rib(&mut self, now: Instant, family: Family) {
        self.send_updates(now, vec![codec::end_of_rib(family)]);
    }

    fn send_updates(&mut self, now: Instant, messages: Vec<Vec<u8>>) {
        let Some(stream) = self.established().map(|it| it.stream) else {
            return;
        };
        for message in messages {
            self.counters.updates_out += 1;
            self.send_bytes(stream, message);
        }
        self.delay_keepalive(now, stream);
    }
}
