//! The topology without the rest: its distances are those that trying all ways gives.

#[path = "../../control-plane/igp/topology.rs"]
#[allow(dead_code, reason = "the control plane uses the rest")]
mod topology;

use std::{fmt::Write as _, net::IpAddr};

use ipnet::IpNet;
use proptest::prelude::*;
use topology::Topology;

use crate::path::Interior;

const ROUTERS: usize = 6;

/// Some of these contain others.
const NETWORKS: [&str; 5] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "2001:db8::/32",
];

const NEXT_HOPS: [&str; 6] = [
    "10.1.2.3",
    "10.1.2.4",
    "10.1.3.4",
    "10.2.3.4",
    "11.1.2.3",
    "2001:db8::1",
];

/// The cost of the way from the first router to each, by Bellman and Ford.
fn costs(links: &[(usize, usize, u32)]) -> [Option<u64>; ROUTERS] {
    let mut costs = [None; ROUTERS];
    costs[0] = Some(0);
    for _ in 0..ROUTERS {
        for &(a, b, cost) in links {
            for (from, to) in [(a, b), (b, a)] {
                let way = costs[from].map(|before: u64| before + u64::from(cost));
                costs[to] = [costs[to], way].into_iter().flatten().min();
            }
        }
    }
    costs
}

proptest! {
    #[test]
    fn a_next_hop_costs_the_shortest_way_to_its_network(
        links in prop::collection::vec((0..ROUTERS, 0..ROUTERS, 1..=u32::MAX), 0..9),
        networks in prop::collection::vec((0..ROUTERS, 0..NETWORKS.len()), 0..9),
    ) {
        // The last one of several links between two routers counts.
        let mut last: Vec<(usize, usize, u32)> = Vec::new();
        let mut text = "self r0\n".to_owned();
        for (a, b, cost) in links {
            if a != b {
                last.retain(|&(from, to, _)| (from, to) != (a, b) && (from, to) != (b, a));
                last.push((a, b, cost));
                let _ = writeln!(text, "link r{a} r{b} {cost}");
            }
        }
        for &(router, network) in &networks {
            let _ = writeln!(text, "network r{router} {}", NETWORKS[network]);
        }
        let distances = text.parse::<Topology>().expect("a topology").distances();
        let costs = costs(&last);
        for next_hop in NEXT_HOPS.map(|it| it.parse::<IpAddr>().expect("an address")) {
            let ways = networks.iter().filter_map(|&(router, network)| {
                let network: IpNet = NETWORKS[network].parse().expect("a prefix");
                let length = network.contains(&next_hop).then_some(network.prefix_len())?;
                Some((std::cmp::Reverse(length), costs[router]?))
            });
            let expected = ways.min().map_or(Interior::Unresolved, |(_, cost)| Interior::Cost(cost));
            prop_assert_eq!(distances.of(next_hop), expected, "{} in\n{}", next_hop, &text);
        }
    }
}
