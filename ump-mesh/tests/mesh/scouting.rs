//! Strangers on the port by which participants find each other.

use std::{
    io::ErrorKind,
    mem::MaybeUninit,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::support::{
    LONG, Member, Price, await_participants, await_subscriber, config, domain, next, publish,
};

/// How many datagrams answer each question.
const FLOOD: u64 = 50;

/// A stranger that hears who looks for participants, and answers with lies and garbage.
fn stranger(group: SocketAddrV4) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::V4(group).into()).unwrap();
    let loopback = Ipv4Addr::LOCALHOST;
    socket.join_multicast_v4(group.ip(), &loopback).unwrap();
    socket.set_multicast_if_v4(&loopback).unwrap();
    let often = Duration::from_millis(20);
    socket.set_read_timeout(Some(often)).unwrap();
    socket
}

/// A `Hello` of zenoh's version 9: a peer with this number, at this address.
fn hello(number: u64, address: &str) -> Vec<u8> {
    let (has_locators, peer) = (0x20, 1);
    let mut bytes = vec![0x02 | has_locators, 9, (8 - 1) << 4 | peer];
    bytes.extend((number | 1 << 63).to_le_bytes());
    let length = u8::try_from(address.len()).unwrap();
    bytes.extend([1, length]);
    bytes.extend(address.bytes());
    bytes
}

/// Garbage of some length, never the same.
fn garbage(number: u64) -> Vec<u8> {
    let length = number % 200;
    let byte = |nth: u64| {
        number
            .wrapping_mul(nth ^ 0x9e37_79b9_7f4a_7c15)
            .to_le_bytes()[4]
    };
    (0..length).map(byte).collect()
}

#[test]
fn garbage_and_a_flood_of_hellos_harm_nobody() {
    let domain = domain();
    let group: SocketAddrV4 = ump_mesh::group(&domain).parse().unwrap();
    let (is_over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let stop = Stop(&is_over);
        scope.spawn(|| {
            let socket = stranger(group);
            let mut buffer = [MaybeUninit::uninit(); 2048];
            let mut number = 0;
            while !is_over.load(Ordering::Relaxed) {
                let mut targets = vec![SocketAddr::V4(group).into()];
                match socket.recv_from(&mut buffer) {
                    Ok((_, from)) => targets.push(from),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => panic!("{error}"),
                }
                for _ in 0..FLOOD {
                    number += 1;
                    // Nobody listens there.
                    let hello = hello(number, "tcp/127.0.0.1:1");
                    for datagram in [hello, garbage(number)] {
                        for target in &targets {
                            // An error if there is no room for it, or nobody is there any more.
                            let sent_now = socket.send_to(&datagram, target).is_ok();
                            sent.fetch_add(sent_now.into(), Ordering::Relaxed);
                        }
                    }
                }
            }
        });
        let one = Member::join(config(&domain));
        let mut prices = one.router.subscribe::<Price>("a").unwrap();
        for round in 0..3 {
            let two = Member::join(config(&domain));
            await_participants(&two, 1);
            await_participants(&one, 1);
            await_subscriber(&two.router, "a");
            assert!(one.mesh.settled(LONG).wait());
            publish(&two.router, "a", round);
            assert_eq!(next(&mut prices), Ok(round));
            two.mesh.leave();
            await_participants(&one, 0);
        }
        drop(stop);
    });
    let sent = sent.into_inner();
    assert!(sent > 1000, "{sent}");
}

/// Ends the stranger, also if the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
