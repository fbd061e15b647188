//! Sessions in virtual time: what expires when, and what is relayed.

use std::time::Duration;

use ump_server::sans_io::Link;

use crate::{
    client::{Client, udp},
    stun::{
        Method,
        attribute::{Attribute, Family},
        channel_data,
    },
    turn::{Config, EndReason, Limits},
    world::{SERVER, World, address, config},
};

const SECOND: Duration = Duration::from_secs(1);

/// Returns a world with an allocation and a peer.
fn with_allocation() -> (World, Client, std::net::SocketAddr, std::net::SocketAddr) {
    let mut world = World::ideal();
    let peer = address(9, 9_000);
    world.add_port(peer);
    let mut client = Client::new(&mut world, address(2, 2_000), "alice");
    let relayed = client.allocate(&mut world);
    (world, client, relayed, peer)
}

#[test]
fn a_binding_request_returns_the_clients_address() {
    let mut world = World::ideal();
    let mut client = Client::new(&mut world, address(2, 2_000), "nobody");
    let request = client.write(Method::BINDING, &|request| request);
    let response = client.exchange(&mut world, &request);
    assert_eq!(response.code, 0);
    assert_eq!(
        response.address(Attribute::XOR_MAPPED_ADDRESS),
        client.address
    );
}

#[test]
fn data_is_relayed_both_ways() {
    let (mut world, mut client, relayed, peer) = with_allocation();
    assert_eq!(client.permit(&mut world, peer), 0);
    client.indicate(&mut world, peer, b"ping");
    world.run_for(SECOND);
    assert_eq!(world.received(peer), [(relayed, b"ping".to_vec())]);
    world.send(peer, relayed, *b"pong");
    world.run_for(SECOND);
    assert_eq!(client.indicated(&mut world), [(peer, b"pong".to_vec())]);

    assert_eq!(client.bind(&mut world, 0x4001, peer), 0);
    let data = channel_data::write(0x4001, b"ping").unwrap();
    world.send(client.address, SERVER, data);
    world.run_for(SECOND);
    assert_eq!(world.received(peer), [(relayed, b"ping".to_vec())]);
    world.send(peer, relayed, *b"");
    world.run_for(SECOND);
    let data = channel_data::write(0x4001, b"").unwrap();
    assert_eq!(world.received(client.address), [(SERVER, data)]);
}

#[test]
fn two_clients_reach_each_other_by_their_relayed_addresses() {
    let (mut world, mut alice, of_alice, _) = with_allocation();
    let mut bob = Client::new(&mut world, address(3, 3_000), "bob");
    let of_bob = bob.allocate(&mut world);
    assert_eq!(alice.permit(&mut world, of_bob), 0);
    assert_eq!(bob.permit(&mut world, of_alice), 0);
    alice.indicate(&mut world, of_bob, b"hello");
    world.run_for(SECOND);
    assert_eq!(bob.indicated(&mut world), [(of_alice, b"hello".to_vec())]);
}

#[test]
fn an_allocation_expires_unless_refreshed() {
    let (mut world, mut client, ..) = with_allocation();
    world.run_for(SECOND * 590);
    assert_eq!(world.allocations(), 1);
    let response = client.refresh(&mut world, 700);
    assert_eq!((response.code, response.lifetime()), (0, 700));
    world.run_for(SECOND * 690);
    assert_eq!(world.allocations(), 1);
    assert!(world.ended.is_empty());
    world.run_for(SECOND * 10);
    assert_eq!(world.allocations(), 0);
    assert_eq!(world.ended, [(client.address, EndReason::Expired)]);
    assert!(world.relayed.is_empty(), "its socket is closed");
    assert_eq!(world.shared.quota().used(), 0);
}

#[test]
fn lifetimes_have_limits() {
    let (mut world, mut client, ..) = with_allocation();
    assert_eq!(client.refresh(&mut world, 1).lifetime(), 600);
    assert_eq!(client.refresh(&mut world, 1_000_000).lifetime(), 3_600);
    assert_eq!(client.refresh(&mut world, 0).lifetime(), 0);
    assert_eq!(world.ended, [(client.address, EndReason::Deleted)]);
    // There is none any more.
    assert_eq!(client.refresh(&mut world, 600).code, 437);
    client.allocate(&mut world);
}

#[test]
fn a_permission_lasts_five_minutes() {
    let (mut world, mut client, relayed, peer) = with_allocation();
    assert_eq!(client.refresh(&mut world, 3_600).code, 0);
    let reaches = |world: &mut World, client: &mut Client| {
        world.send(peer, relayed, *b"in");
        client.indicate(world, peer, b"out");
        world.run_for(SECOND);
        let arrived = (client.indicated(world).len(), world.received(peer).len());
        assert_eq!(arrived.0, arrived.1, "it is for both directions");
        arrived.0 == 1
    };
    assert!(!reaches(&mut world, &mut client));
    assert_eq!(client.permit(&mut world, address(9, 1)), 0); // the port does not matter
    world.run_for(SECOND * 290);
    assert!(reaches(&mut world, &mut client));
    world.run_for(SECOND * 10);
    assert!(!reaches(&mut world, &mut client));
    for _ in 0..3 {
        assert_eq!(client.permit(&mut world, peer), 0);
        world.run_for(SECOND * 150);
        assert!(reaches(&mut world, &mut client));
        assert_eq!(client.permit(&mut world, peer), 0);
        world.run_for(SECOND * 290);
        assert!(reaches(&mut world, &mut client));
        assert_eq!(client.refresh(&mut world, 3_600).code, 0);
    }
}

#[test]
fn a_channel_lasts_ten_minutes_and_its_permission_five() {
    let (mut world, mut client, relayed, peer) = with_allocation();
    assert_eq!(client.refresh(&mut world, 3_600).code, 0);
    let to_peer = |world: &mut World, client: &Client| {
        let data = channel_data::write(0x4001, b"out").unwrap();
        world.send(client.address, SERVER, data);
        world.run_for(SECOND);
        world.received(peer).len() == 1
    };
    let to_client = |world: &mut World, client: &Client| {
        world.send(peer, relayed, *b"in");
        world.run_for(SECOND);
        world.received(client.address).len() == 1
    };
    assert_eq!(client.bind(&mut world, 0x4001, peer), 0);
    world.run_for(SECOND * 290);
    assert!(to_peer(&mut world, &client) && to_client(&mut world, &client));
    world.run_for(SECOND * 20);
    assert!(to_peer(&mut world, &client));
    assert!(
        !to_client(&mut world, &client),
        "the permission has expired"
    );
    world.run_for(SECOND * 290);
    assert!(!to_peer(&mut world, &client));
    // The number is free again.
    assert_eq!(client.bind(&mut world, 0x4001, address(9, 9_001)), 0);
}

#[test]
fn a_stale_nonce_is_renewed() {
    let (mut world, mut client, ..) = with_allocation();
    assert_eq!(client.refresh(&mut world, 3_600).code, 0);
    let first = client.nonce.clone();
    world.run_for(SECOND * 600);
    // `ask` repeats the request with the new nonce.
    assert_eq!(client.refresh(&mut world, 600).code, 0);
    assert_ne!(client.nonce, first);
    let mut other = client;
    other.nonce = first;
    let request = other.write(Method::REFRESH, &|request| request);
    let response = other.exchange(&mut world, &request);
    assert_eq!(response.code, 438);
    // It is that of this client only.
    let mut thief = Client::new(&mut world, address(3, 3_000), "alice");
    thief.nonce = response.get(Attribute::NONCE);
    let request = thief.write(Method::ALLOCATE, &udp);
    assert_eq!(thief.exchange(&mut world, &request).code, 438);
}

#[test]
fn sha_256_is_used_if_the_client_chooses_it() {
    let mut world = World::ideal();
    let mut client = Client::new(&mut world, address(2, 2_000), "alice").modern();
    client.allocate(&mut world);
    assert_eq!(client.refresh(&mut world, 0).code, 0);
}

#[test]
fn an_offer_that_was_changed_is_refused() {
    let mut world = World::ideal();
    let mut client = Client::new(&mut world, address(2, 2_000), "alice");
    for algorithms in [&[0, 1, 0, 0][..], &[0, 2, 0, 0], &[]] {
        let response = client.ask(&mut world, Method::ALLOCATE, &|request| {
            let request = udp(request).attribute(Attribute::PASSWORD_ALGORITHMS, algorithms);
            request.attribute(Attribute::PASSWORD_ALGORITHM, &[0, 1, 0, 0])
        });
        assert_eq!(response.code, 400);
    }
    assert_eq!(world.allocations(), 0);
}

#[test]
fn the_quotas_are_kept_and_given_back() {
    let limits = Limits {
        allocations: 3,
        allocations_per_user: 2,
        ..Limits::default()
    };
    let mut world = World::new(Config { limits, ..config() }, 1, Link::new());
    let users = ["alice", "alice", "alice", "bob", "bob"];
    let mut clients: Vec<_> = (2..)
        .zip(users)
        .map(|(host, user)| Client::new(&mut world, address(host, 2_000), user))
        .collect();
    let codes: Vec<_> = clients
        .iter_mut()
        .map(|client| client.ask(&mut world, Method::ALLOCATE, &udp).code)
        .collect();
    assert_eq!(codes, [0, 0, 486, 0, 508]);
    assert_eq!(world.shared.quota().used(), 3);
    assert_eq!(clients[0].refresh(&mut world, 0).code, 0);
    clients[2].allocate(&mut world);
    assert_eq!(clients[2].refresh(&mut world, 0).code, 0);
    clients[4].allocate(&mut world);
    world.run_for(SECOND * 700);
    assert_eq!((world.allocations(), world.shared.quota().used()), (0, 0));
}

#[test]
fn a_socket_that_cannot_be_opened_is_508() {
    let mut world = World::ideal();
    world.has_sockets = false;
    let mut client = Client::new(&mut world, address(2, 2_000), "alice");
    assert_eq!(client.ask(&mut world, Method::ALLOCATE, &udp).code, 508);
    assert_eq!(world.ended, [(client.address, EndReason::NoSocket)]);
    assert_eq!(world.shared.quota().used(), 0);
    world.has_sockets = true;
    client.allocate(&mut world);
}

#[test]
fn a_draining_server_makes_no_allocations_and_keeps_those_it_has() {
    let (mut world, mut client, relayed, peer) = with_allocation();
    world.shared.drain();
    let mut late = Client::new(&mut world, address(3, 3_000), "bob");
    assert_eq!(late.ask(&mut world, Method::ALLOCATE, &udp).code, 508);
    assert_eq!(client.refresh(&mut world, 600).code, 0);
    assert_eq!(client.permit(&mut world, peer), 0);
    client.indicate(&mut world, peer, b"still here");
    world.run_for(SECOND);
    assert_eq!(world.received(peer), [(relayed, b"still here".to_vec())]);
}

#[test]
fn a_shutdown_closes_every_socket() {
    let (mut world, client, ..) = with_allocation();
    world.simulation.shut_down(0);
    world.run_for(SECOND);
    assert_eq!(world.ended, [(client.address, EndReason::Stopped)]);
    assert!(world.relayed.is_empty());
    assert!(world.simulation.tasks(0).is_empty());
}

#[test]
fn many_allocations_end_at_their_times() {
    let limits = Limits {
        allocations_per_user: 400,
        ..Limits::default()
    };
    let config = Config { limits, ..config() };
    let mut world = World::new(config, 1, Link::new());
    for n in 0..400 {
        let host = 2 + u8::try_from(n % 200).expect("a small number");
        let mut client = Client::new(&mut world, address(host, 2_000 + n), "alice");
        client.allocate(&mut world);
    }
    assert_eq!((world.allocations(), world.relayed.len()), (400, 400));
    // Each took a second, so those of the first hundred seconds have expired.
    world.run_for(SECOND * 300);
    let expired = world.ended.len();
    assert!((90..=110).contains(&expired), "{expired}");
    assert_eq!(world.allocations() + expired, 400);
    assert_eq!(world.relayed.len(), world.allocations());
    world.run_for(SECOND * 301);
    assert!(world.ended.iter().all(|it| it.1 == EndReason::Expired));
    assert_eq!(world.ended.len(), 400);
    assert_eq!(world.simulation.tasks(0).len(), 1, "the listener is left");
    assert_eq!(world.simulation.stats(0).group.stuck, 0);
}

#[test]
fn the_family_of_an_allocation_is_that_of_its_peers() {
    let families = vec![Family::V4, Family::V6];
    let mut world = World::new(
        Config {
            families,
            ..config()
        },
        1,
        Link::new(),
    );
    let mut client = Client::new(&mut world, address(2, 2_000), "alice");
    let response = client.ask(&mut world, Method::ALLOCATE, &|request| {
        udp(request).attribute(Attribute::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])
    });
    assert_eq!(response.code, 0);
    assert_eq!(
        client.permit(&mut world, "[2001:db8::1]:1".parse().unwrap()),
        0
    );
    assert_eq!(client.permit(&mut world, address(9, 1)), 443);
}
