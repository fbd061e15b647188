//! Requests that are refused, and requests that come twice.

use std::{net::SocketAddr, time::Duration};

use ump_server::sans_io::Link;

use crate::{
    client::{Client, udp},
    stun::{Message, Method, Writer, attribute::Attribute},
    turn::{Config, Count, Limits, PeerPolicy},
    world::{SERVER, World, address, config},
};

const SECOND: Duration = Duration::from_secs(1);

/// Adds the attributes of a request.
type Edit = fn(Writer) -> Writer;

fn client(world: &mut World) -> Client {
    Client::new(world, address(2, 2_000), "alice")
}

#[test]
fn each_faulty_allocate_gets_its_error() {
    let mut world = World::ideal();
    let mut client = client(&mut world);
    let cases: [(&str, u16, Edit); 9] = [
        ("no transport", 400, |it| it),
        ("TCP", 442, |it| {
            it.attribute(Attribute::REQUESTED_TRANSPORT, &[6, 0, 0, 0])
        }),
        ("a short transport", 400, |it| {
            it.attribute(Attribute::REQUESTED_TRANSPORT, &[17])
        }),
        ("IPv6", 440, |it| {
            udp(it).attribute(Attribute::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])
        }),
        ("no family", 440, |it| {
            udp(it).attribute(Attribute::REQUESTED_ADDRESS_FAMILY, &[9, 0, 0, 0])
        }),
        ("two ports", 508, |it| {
            udp(it).attribute(Attribute::EVEN_PORT, &[0x80])
        }),
        ("a token", 508, |it| {
            udp(it).attribute(Attribute::RESERVATION_TOKEN, &[1; 8])
        }),
        ("a short lifetime", 400, |it| {
            udp(it).attribute(Attribute::LIFETIME, &[1])
        }),
        ("an unknown attribute", 420, |it| {
            udp(it).attribute(Attribute(0x7F00), &[])
        }),
    ];
    for (what, code, edit) in cases {
        let response = client.ask(&mut world, Method::ALLOCATE, &edit);
        assert_eq!(response.code, code, "{what}");
        if code == 420 {
            let unknown = response.get(Attribute::UNKNOWN_ATTRIBUTES);
            assert_eq!(unknown.as_deref(), Some(&[0x7F, 0x00][..]));
        }
    }
    assert_eq!(world.allocations(), 0);
    assert_eq!(world.shared.quota().used(), 0);
}

#[test]
fn only_users_with_their_password_get_in() {
    let mut world = World::ideal();
    let mut stranger = Client::new(&mut world, address(2, 2_000), "mallory");
    let request = stranger.write(Method::ALLOCATE, &udp);
    stranger.nonce = stranger
        .exchange(&mut world, &request)
        .get(Attribute::NONCE);
    for method in [
        Method::ALLOCATE,
        Method::REFRESH,
        Method::CREATE_PERMISSION,
        Method::CHANNEL_BIND,
    ] {
        let request = stranger.write(method, &udp);
        assert_eq!(stranger.exchange(&mut world, &request).code, 401);
    }
    let mut incomplete = client_without_name(&mut world);
    let response = incomplete.1.exchange(&mut world, &incomplete.0);
    assert_eq!(response.code, 400);
    assert_eq!(world.allocations(), 0);
}

#[test]
fn an_address_gets_a_limited_number_of_challenges() {
    let mut world = World::ideal();
    let mut clients = [
        client(&mut world),
        Client::new(&mut world, address(3, 1), "bob"),
    ];
    let challenges = |world: &mut World, client: &mut Client, requests: usize| {
        let mut length = 0;
        for _ in 0..requests {
            let request = client.write(Method::ALLOCATE, &udp);
            length = request.len();
            world.send(client.address, SERVER, request);
            world.run_for(SECOND / 1_000);
        }
        world.run_for(SECOND / 10);
        let received = world.received(client.address);
        for (_, datagram) in &received {
            // Most of it is the cookie of RFC 8489 and the hash of the nonce.
            assert!(
                2 * datagram.len() <= 7 * length,
                "{} {length}",
                datagram.len()
            );
        }
        received.len()
    };
    let [victim, other] = &mut clients;
    assert_eq!(challenges(&mut world, victim, 500), 200);
    assert_eq!(challenges(&mut world, other, 100), 100);
    let unanswered = world.shared.counters().read().get(Count::Unanswered);
    assert_eq!(unanswered, 300);
    // A client that repeats its request gets in.
    victim.allocate(&mut world);
}

/// Returns a request that has an integrity, but names no user.
fn client_without_name(world: &mut World) -> (Vec<u8>, Client) {
    use crate::stun::{Class, Integrity, Key, TransactionId};

    let client = Client::new(world, address(3, 3_000), "alice");
    let request = Writer::new(Method::ALLOCATE, Class::Request, TransactionId([3; 12]))
        .integrity(Integrity::Sha1, &Key::short_term("secret"))
        .finish();
    (request, client)
}

#[test]
fn an_allocation_is_that_of_its_user() {
    let mut world = World::ideal();
    let mut client = client(&mut world);
    client.allocate(&mut world);
    client.set_user("bob");
    assert_eq!(client.refresh(&mut world, 0).code, 441);
    assert_eq!(client.permit(&mut world, address(9, 1)), 441);
    client.set_user("alice");
    assert_eq!(client.ask(&mut world, Method::ALLOCATE, &udp).code, 437);
    assert_eq!(client.refresh(&mut world, 0).code, 0);
    for method in [
        Method::REFRESH,
        Method::CREATE_PERMISSION,
        Method::CHANNEL_BIND,
    ] {
        assert_eq!(client.ask(&mut world, method, &|it| it).code, 437);
    }
}

#[test]
fn a_channel_has_one_peer_and_a_peer_one_channel() {
    let mut world = World::ideal();
    let mut client = client(&mut world);
    client.allocate(&mut world);
    let [peer, other] = [address(9, 1), address(9, 2)];
    assert_eq!(client.bind(&mut world, 0x4000, peer), 0);
    assert_eq!(client.bind(&mut world, 0x4000, other), 400);
    assert_eq!(client.bind(&mut world, 0x4001, peer), 400);
    assert_eq!(client.bind(&mut world, 0x4001, other), 0);
    assert_eq!(client.bind(&mut world, 0x4000, peer), 0);
    for number in [0, 0x3FFF, 0x8000, 0xFFFF] {
        assert_eq!(client.bind(&mut world, number, address(9, 3)), 400);
    }
    assert_eq!(
        client.ask(&mut world, Method::CHANNEL_BIND, &|it| it).code,
        400
    );
    assert_eq!(
        client
            .ask(&mut world, Method::CREATE_PERMISSION, &|it| it)
            .code,
        400
    );
}

#[test]
fn an_allocation_has_a_limited_number_of_peers() {
    let limits = Limits {
        permissions: 3,
        ..Limits::default()
    };
    let mut world = World::new(Config { limits, ..config() }, 1, Link::new());
    let mut client = client(&mut world);
    client.allocate(&mut world);
    for host in 11..14 {
        assert_eq!(client.permit(&mut world, address(host, 1)), 0);
    }
    assert_eq!(client.permit(&mut world, address(14, 1)), 508);
    assert_eq!(client.bind(&mut world, 0x4000, address(14, 1)), 508);
    assert_eq!(client.permit(&mut world, address(11, 1)), 0);
    for (n, port) in [(0, 1), (1, 2), (2, 3)] {
        assert_eq!(client.bind(&mut world, 0x4000 + n, address(11, port)), 0);
    }
    assert_eq!(client.bind(&mut world, 0x4003, address(11, 4)), 508);
}

#[test]
fn peers_with_special_addresses_are_refused() {
    let mut world = World::ideal();
    let mut client = client(&mut world);
    client.allocate(&mut world);
    for peer in [
        "127.0.0.1:80",
        "0.0.0.0:80",
        "10.1.2.3:80",
        "172.31.0.1:80",
        "192.168.1.1:80",
        "169.254.169.254:80",
        "100.64.0.1:80",
        "224.0.0.1:80",
        "255.255.255.255:80",
    ] {
        let peer: SocketAddr = peer.parse().unwrap();
        assert_eq!(client.permit(&mut world, peer), 403, "{peer}");
        assert_eq!(client.bind(&mut world, 0x4000, peer), 403, "{peer}");
    }
    // The server itself may be a peer's host, but not a peer.
    assert_eq!(client.bind(&mut world, 0x4000, SERVER), 403);
    assert_eq!(client.permit(&mut world, SERVER), 0);
    client.indicate(&mut world, SERVER, b"loop");
    world.run_for(SECOND);
    assert_eq!(world.shared.counters().read().get(Count::ClientDropped), 1);
}

#[test]
fn ranges_are_allowed_and_denied() {
    let net = |net: &str| net.parse().unwrap();
    let peers = PeerPolicy::new()
        .allow([net("10.0.0.0/8"), net("224.0.0.0/4")])
        .deny([net("10.9.0.0/16"), net("203.0.113.0/24")]);
    let mut world = World::new(Config { peers, ..config() }, 1, Link::new());
    let mut client = client(&mut world);
    client.allocate(&mut world);
    for (peer, code) in [
        ("10.1.1.1:1", 0),
        ("10.9.1.1:1", 403),
        ("203.0.113.7:1", 403),
        ("224.0.0.1:1", 403),
        ("198.51.100.1:1", 0),
    ] {
        assert_eq!(
            client.permit(&mut world, peer.parse().unwrap()),
            code,
            "{peer}"
        );
    }
}

#[test]
fn a_request_that_comes_twice_gets_the_same_answer() {
    let mut world = World::ideal();
    let mut client = client(&mut world);
    let request = client.write(Method::ALLOCATE, &udp);
    client.nonce = client.exchange(&mut world, &request).get(Attribute::NONCE);

    let peer = address(9, 1);
    let with_peer = |it: Writer| {
        it.address(Attribute::XOR_PEER_ADDRESS, peer)
            .attribute(Attribute::CHANNEL_NUMBER, &[0x40, 0, 0, 0])
    };
    let allocate = client.write(Method::ALLOCATE, &udp);
    let permit = client.write(Method::CREATE_PERMISSION, &with_peer);
    let bind = client.write(Method::CHANNEL_BIND, &with_peer);
    let refresh = client.write(Method::REFRESH, &|it| it);
    let delete = client.write(Method::REFRESH, &|it| {
        it.attribute(Attribute::LIFETIME, &[0; 4])
    });
    for request in [&allocate, &permit, &bind, &refresh, &delete] {
        // Two at the same time, one later, and one much later.
        world.send(client.address, SERVER, &request[..]);
        let first = client.exchange(&mut world, request);
        assert_eq!(first.code, 0);
        for pause in [0, 5] {
            world.run_for(SECOND * pause);
            assert_eq!(client.exchange(&mut world, request), first);
        }
    }
    assert_eq!(world.allocations(), 0);
    assert_eq!(world.shared.counters().read().get(Count::Allocations), 1);
    // After forty seconds nobody repeats it any more: it makes a new allocation.
    world.run_for(SECOND * 41);
    assert_eq!(client.exchange(&mut world, &allocate).code, 0);
    assert_eq!(world.shared.counters().read().get(Count::Allocations), 2);
}

#[test]
fn a_deleted_allocation_makes_room_for_the_next_at_once() {
    let mut world = World::ideal();
    let mut client = client(&mut world);
    for _ in 0..3 {
        client.allocate(&mut world);
        assert_eq!(client.refresh(&mut world, 0).code, 0);
    }
}

#[test]
fn what_is_no_request_gets_no_answer() {
    let mut world = World::ideal();
    let client = client(&mut world);
    let response = {
        use crate::stun::{Class, TransactionId};
        Writer::new(Method::BINDING, Class::Success, TransactionId([1; 12])).finish()
    };
    for datagram in [&b""[..], b"hello", &[0x40, 0, 0, 1, 7], &[0; 20], &response] {
        world.send(client.address, SERVER, datagram);
    }
    world.run_for(SECOND);
    assert_eq!(world.received(client.address), []);
    let counts = world.shared.counters().read();
    // The first byte of two of them is that of channel data.
    assert_eq!(counts.get(Count::Malformed), 2);
    assert_eq!(counts.get(Count::ClientDropped), 2);
}

#[test]
fn sessions_survive_a_bad_network() {
    for seed in 0..40 {
        let (transcript, counts) = session_over_a_bad_network(seed);
        assert_eq!(session_over_a_bad_network(seed), (transcript, counts));
    }
}

/// Runs a session over a network that loses some packets, doubles some, and changes
/// their order. Returns what has arrived, and when it has ended.
fn session_over_a_bad_network(seed: u64) -> (Vec<Vec<u8>>, Duration) {
    let link = Link::new()
        .latency(Duration::from_millis(20))
        .jitter(Duration::from_millis(30))
        .loss(0.15)
        .duplication(0.2)
        .reordering(0.2);
    let mut world = World::new(config(), seed, link);
    let peer = address(9, 9_000);
    world.add_port(peer);
    let mut client = client(&mut world);
    let relayed = client.allocate(&mut world);
    assert_eq!(client.permit(&mut world, peer), 0);
    assert_eq!(client.bind(&mut world, 0x4000, peer), 0);
    world.received(peer);
    for n in 0..50 {
        client.indicate(&mut world, peer, &[n]);
        world.send(peer, relayed, [n]);
    }
    world.run_for(SECOND);
    let mut arrived: Vec<_> = world.received(peer).into_iter().map(|it| it.1).collect();
    assert!(!arrived.is_empty());
    let to_client = world.received(client.address);
    assert!(
        to_client
            .iter()
            .all(|(_, it)| it[..2] == [0x40, 0] || Message::parse(it).is_ok())
    );
    arrived.extend(to_client.into_iter().map(|it| it.1));
    let used = (world.allocations(), world.shared.quota().used());
    assert_eq!(used, (1, 1), "whatever came twice");
    assert_eq!(client.refresh(&mut world, 0).code, 0);
    world.run_for(SECOND * 60);
    assert_eq!((world.allocations(), world.shared.quota().used()), (0, 0));
    assert!(world.relayed.is_empty());
    (arrived, world.simulation.elapsed())
}

#[test]
fn arbitrary_requests_of_a_user_never_panic() {
    let mut world = World::ideal();
    let mut client = client(&mut world);
    client.allocate(&mut world);
    let mut random = Random(1);
    for n in 0..2_000_u32 {
        let method = Method([1, 3, 4, 6, 7, 8, 9, 10][random.below(8)]);
        let attributes: Vec<_> = (0..random.below(6))
            .map(|_| {
                let kind = Attribute(u16::try_from(random.below(0x26)).expect("a small number"));
                let length = [0, 1, 4, 4, 8, 8, 20, random.below(40)][random.below(8)];
                let byte = |_| u8::try_from(random.below(256)).expect("a byte");
                (kind, (0..length).map(byte).collect::<Vec<_>>())
            })
            .collect();
        let request = client.write(method, &|request| {
            let add = |request: Writer, (kind, value): &(Attribute, Vec<u8>)| {
                request.attribute(*kind, value)
            };
            attributes.iter().fold(request, add)
        });
        world.send(client.address, SERVER, request);
        if n % 10 == 0 {
            // A task that panics is a report, which ends the test.
            world.run_for(SECOND);
            world.received(client.address);
        }
    }
    world.run_for(SECOND);
    world.received(client.address);
    assert!(world.allocations() <= 1);
    let request = client.write(Method::BINDING, &|request| request);
    assert_eq!(client.exchange(&mut world, &request).code, 0);
}

/// A generator of random numbers (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) >> 33).expect("31 bits") % bound
    }
}
