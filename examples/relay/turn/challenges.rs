//! The limit of answers to requests without credentials.
//!
//! Anybody can send such a request with the address of a victim, to whom the answer goes, and the
//! answer is longer than the request. So each address gets a limited number of them.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// The answers for one address in a [`WINDOW`]. There may be many clients behind it, each of which
/// begins with a request without credentials.
pub(super) const MOST: u32 = 200;

const WINDOW: Duration = Duration::from_secs(1);

/// The number of addresses in a window. If there are more, those that come last are not limited:
/// each of so many gets little.
const ADDRESSES: usize = 65_536;

/// Counts the answers for each address.
#[derive(Debug)]
pub(super) struct Challenges {
    since: Instant,
    answered: HashMap<IpAddr, u32>,
}

impl Challenges {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            answered: HashMap::new(),
        }
    }

    /// Returns whether an address may get another answer, and counts it.
    pub(super) fn take(&mut self, now: Instant, ip: IpAddr) -> bool {
        if now.saturating_duration_since(self.since) >= WINDOW {
            self.since = now;
            self.answered.clear();
        }
        let network = network(ip);
        if self.answered.len() >= ADDRESSES && !self.answered.contains_key(&network) {
            return true;
        }
        let answered = self.answered.entry(network).or_default();
        *answered += 1;
        *answered <= MOST
    }
}

/// Returns the part of an address that one host may have all of: for IPv6, its first 64 bits.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}
