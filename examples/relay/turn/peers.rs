//! Which peers clients may talk to.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

/// The addresses that are refused unless the operator allows them: those of the server's host and
/// of its private networks, which the server can reach and its clients must not.
const REFUSED: [&str; 16] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "64:ff9b::/96",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
];

/// The addresses that nobody can allow: those of several hosts.
const NEVER: [&str; 3] = ["224.0.0.0/4", "255.255.255.255/32", "ff00::/8"];

/// Says which peers clients may have.
#[derive(Clone, Debug)]
pub(crate) struct PeerPolicy {
    refused: Vec<IpNet>,
    never: Vec<IpNet>,
    allowed: Vec<IpNet>,
    denied: Vec<IpNet>,
    own: Vec<SocketAddr>,
}

impl PeerPolicy {
    /// Creates the default: all peers but those with special addresses.
    pub(crate) fn new() -> Self {
        let parse = |ranges: &[&str]| {
            let ranges = ranges.iter().map(|range| range.parse());
            ranges.collect::<Result<_, _>>().expect("they are ranges")
        };
        Self {
            refused: parse(&REFUSED),
            never: parse(&NEVER),
            allowed: Vec::new(),
            denied: Vec::new(),
            own: Vec::new(),
        }
    }

    /// Allows ranges that are refused by default.
    pub(crate) fn allow(mut self, ranges: impl IntoIterator<Item = IpNet>) -> Self {
        self.allowed.extend(ranges);
        self
    }

    /// Refuses more ranges, even those that are allowed.
    pub(crate) fn deny(mut self, ranges: impl IntoIterator<Item = IpNet>) -> Self {
        self.denied.extend(ranges);
        self
    }

    /// Refuses the addresses of the server itself, by which it would relay to itself for ever.
    /// Unspecified ones refuse nothing: those that they stand for are needed.
    pub(crate) fn own(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.own.extend(addresses);
        self
    }

    /// Returns whether a client may get a permission for an address.
    pub(super) fn permits(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let is_in = |ranges: &[IpNet]| ranges.iter().any(|range| range.contains(&ip));
        !is_in(&self.never)
            && !is_in(&self.denied)
            && (is_in(&self.allowed) || !is_in(&self.refused))
    }

    /// Returns whether data may be sent to this address, if there is a permission.
    pub(super) fn permits_port(&self, peer: SocketAddr) -> bool {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        peer.port() != 0 && !self.own.contains(&peer)
    }
}
