//! The routes of established sessions.

use std::sync::Arc;

use crate::{
    bgp::{
        codec::{
            Attributes, Code, Families, Family, Message, Reachable, Segment, SegmentKind,
            announcements,
        },
        session::{Command, Event, State},
    },
    by_hand::{ByHand, SECOND, attributes, configs},
    codec::{EXTERNAL, raw},
    network::{A, B, Network, address},
};

#[test]
fn routes_travel_and_are_withdrawn() {
    let mut network = Network::new(7, configs());
    assert!(network.establish(60 * SECOND));
    network.run(SECOND);
    network.take_events(B);
    let next_hop = address(A).ip();
    let prefixes = vec![
        "10.0.0.0/8".parse().unwrap(),
        "10.1.0.0/16".parse().unwrap(),
    ];
    let attributes = attributes(&[64_496, 65_536]);
    network.command(
        A,
        Command::Announce {
            attributes: Arc::clone(&attributes),
            next_hop,
            prefixes: prefixes.clone(),
        },
    );
    network.command(A, Command::EndOfRib(Family::Ipv4));
    network.command(A, Command::Withdraw(prefixes[..1].to_vec()));
    network.command(B, Command::Refresh(Family::Ipv6));
    network.run(SECOND);
    let events = network.take_events(B);
    let updates: Vec<_> = events
        .into_iter()
        .map(|event| match event {
            Event::Update(update) => update,
            event => panic!("{event:?}"),
        })
        .collect();
    let [announced, end, withdrawn] = &updates[..] else {
        panic!("{updates:?}");
    };
    assert_eq!(announced.attributes.as_ref(), Some(&*attributes));
    let expected = Reachable {
        next_hop,
        prefixes: prefixes.clone(),
    };
    assert_eq!(announced.reachable, [expected]);
    assert_eq!(end.end_of_rib, Some(Family::Ipv4));
    assert_eq!(withdrawn.withdrawn, prefixes[..1]);
}

#[test]
fn a_refresh_is_passed_on() {
    let mut peer = ByHand::new(|_| {});
    let stream = peer.establish();
    peer.receive(stream, &Message::RouteRefresh(Some(Family::Ipv6)).encode());
    peer.receive(stream, &raw(5, &[0, 25, 0, 70])); // EVPN, which is unknown here
    assert_eq!(peer.outputs().1, [Event::Refresh(Family::Ipv6)]);
}

#[test]
fn routes_that_cannot_be_used_are_withdrawn() {
    let prefix = "10.0.0.0/8".parse().unwrap();
    let theirs = 4_200_000_001;
    let (usual, own) = ([192, 0, 2, 2].into(), address(A).ip());
    for (path, next_hop, is_used, faults) in [
        (&[theirs, 65_000][..], usual, true, 0),
        (&[theirs, 64_496, 65_000], usual, false, 0), // a loop
        (&[theirs], own, false, 0),                   // by way of ourselves
        (&[65_000, theirs], usual, false, 1),         // not from the neighbour
        (&[], usual, false, 1),
        (&[theirs, 0], usual, false, 1), // no system
    ] {
        let mut peer = ByHand::new(|_| {});
        let stream = peer.establish();
        let messages = announcements(&attributes(path), next_hop, &[prefix], EXTERNAL).unwrap();
        peer.receive(stream, &messages[0]);
        let (_, events) = peer.outputs();
        let [Event::Update(update)] = &events[..] else {
            panic!("{events:?}");
        };
        assert_eq!(update.reachable.len(), usize::from(is_used), "{path:?}");
        assert_eq!(
            update.withdrawn,
            vec![prefix; usize::from(!is_used)],
            "{path:?}"
        );
        assert_eq!(peer.session.counters().faults, faults);
        assert_eq!(peer.session.state(), State::Established);
    }
}

#[test]
fn segments_of_a_confederation_come_from_nobody_outside() {
    let prefix = "10.0.0.0/8".parse().unwrap();
    let mut attributes = Attributes::clone(&attributes(&[4_200_000_001]));
    attributes.path.0.push(Segment {
        kind: SegmentKind::ConfederationSequence,
        systems: vec![65_001],
    });
    let mut peer = ByHand::new(|_| {});
    let stream = peer.establish();
    let next_hop = [192, 0, 2, 2].into();
    for message in announcements(&attributes, next_hop, &[prefix], EXTERNAL).unwrap() {
        peer.receive(stream, &message);
    }
    let (_, events) = peer.outputs();
    let [Event::Update(update)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(update.withdrawn, [prefix]);
    assert_eq!(update.faults[0].code, Code::MALFORMED_PATH);
    assert_eq!(peer.session.state(), State::Established);
}

#[test]
fn a_family_that_was_not_negotiated_is_ignored() {
    let mut peer = ByHand::new(|config| config.families = Families::IPV4);
    let stream = peer.establish();
    let attributes = attributes(&[4_200_000_001]);
    let prefixes = ["2001:db8::/32".parse().unwrap()];
    let next_hop = "2001:db8::1".parse().unwrap();
    for message in announcements(&attributes, next_hop, &prefixes, EXTERNAL).unwrap() {
        peer.receive(stream, &message);
    }
    let (_, events) = peer.outputs();
    let [Event::Update(update)] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(update.reachable.is_empty() && update.withdrawn.is_empty());
}
