//! UDP: one datagram's failure is not that of the socket.

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket},
    sync::mpsc::Receiver,
};

use ump_server::net::{Event, Operation, Udp, UdpSocket};

use crate::support::{ANY_PORT, Loop, PATIENCE, Recorder, next, pattern, recorder};

fn bound() -> (Loop<Recorder<UdpSocket>>, Receiver<Event>, SocketAddr) {
    let (host, events) = recorder(|sockets| sockets.udp(ANY_PORT).unwrap());
    let address = host.with(|world| world.kept.local_addr().unwrap());
    (host, events, address)
}

/// Receives the next datagram, in the loop.
fn receive(
    host: &Loop<Recorder<UdpSocket>>,
    events: &Receiver<Event>,
    room: usize,
) -> (Vec<u8>, bool) {
    loop {
        let received = host.with(move |world| {
            let mut buffer = vec![0; room];
            let datagram = world.kept.recv_from(&mut buffer)?;
            buffer.truncate(datagram.len);
            std::io::Result::Ok((buffer, datagram.is_truncated))
        });
        match received {
            Ok(received) => return received,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        while !matches!(next(events), Event::Readable(_)) {}
    }
}

#[test]
fn datagrams_of_all_sizes_come_whole() {
    let (host, events, address) = bound();
    let peer = StdUdpSocket::bind(ANY_PORT).unwrap();
    for len in [0, 1, 64, 1_500, 9_000, 65_507] {
        let sent = pattern(len);
        peer.send_to(&sent, address).unwrap();
        assert!(
            receive(&host, &events, 65_536) == (sent, false),
            "{len} bytes"
        );
    }
    host.end();
}

#[test]
#[cfg(target_os = "linux")]
fn truncation_is_reported() {
    let (host, events, address) = bound();
    let peer = StdUdpSocket::bind(ANY_PORT).unwrap();
    peer.send_to(&[7; 100], address).unwrap();
    assert_eq!(receive(&host, &events, 64), (vec![7; 64], true));
    peer.send_to(&[8; 64], address).unwrap();
    assert_eq!(receive(&host, &events, 64), (vec![8; 64], false));
    host.end();
}

#[test]
fn one_receive_for_each_event_gets_them_all() {
    let (host, events, address) = bound();
    let peer = StdUdpSocket::bind(ANY_PORT).unwrap();
    host.with(move |_| {
        for n in 0..50_u8 {
            peer.send_to(&[n], address).unwrap();
        }
    });
    let mut received = Vec::new();
    while received.len() < 50 {
        // Once for an event: the event comes again.
        while !matches!(next(&events), Event::Readable(_)) {}
        let one = host.with(|world| {
            let mut byte = [0];
            world.kept.recv_from(&mut byte).map(|_| byte[0])
        });
        match one {
            Ok(byte) => received.push(byte),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    assert_eq!(received, (0..50).collect::<Vec<u8>>());
    host.end();
}

#[test]
fn a_send_to_a_closed_port_does_not_end_receiving() {
    // Two sockets that are connected to each other, of which one closes and comes back.
    let peer = StdUdpSocket::bind(ANY_PORT).unwrap();
    let peer_address = peer.local_addr().unwrap();
    let (host, events) = recorder(move |sockets| {
        sockets
            .udp(Udp::new(ANY_PORT).connect(peer_address))
            .unwrap()
    });
    let address = host.with(|world| world.kept.local_addr().unwrap());
    drop(peer);
    host.with(|world| world.kept.send(b"lost").unwrap());
    let peer = StdUdpSocket::bind(peer_address).unwrap();
    peer.send_to(b"data", address).unwrap();
    assert_eq!(receive(&host, &events, 64).0, b"data");
    // It is reported, if the system tells.
    if cfg!(target_os = "linux") {
        let error = loop {
            match next(&events) {
                Event::Error(error) => break error,
                Event::Readable(_) => host.with(|world| world.kept.pause_reading()),
                other => panic!("unexpected: {other:?}"),
            }
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(error.operation(), Operation::Receive);
        assert!(host.with(|world| world.kept.status()).errors > 0);
    }
    host.with(|world| world.kept.send(b"reply").unwrap());
    let mut buffer = [0; 64];
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(peer.recv(&mut buffer).unwrap(), 5);
    host.end();
}

#[test]
fn a_datagram_that_is_too_long_is_lost_alone() {
    let (host, _events, _) = bound();
    let peer = StdUdpSocket::bind(ANY_PORT).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let to = peer.local_addr().unwrap();
    let (too_long, refused) = host.with(move |world| {
        world.kept.send_to(b"before", to).unwrap();
        let too_long = world
            .kept
            .send_to(&vec![0; 65_508], to)
            .map_err(|error| error.kind());
        // Nobody has allowed broadcasts.
        let everybody = (Ipv4Addr::BROADCAST, to.port()).into();
        let refused = world
            .kept
            .send_to(b"x", everybody)
            .map_err(|error| error.kind());
        world.kept.send_to(b"after", to).unwrap();
        (too_long, refused)
    });
    assert!(too_long.is_err() && refused.is_err());
    let mut buffer = [0; 64];
    assert_eq!(peer.recv(&mut buffer).unwrap(), 6);
    assert_eq!(peer.recv(&mut buffer).unwrap(), 5);
    let status = host.with(|world| world.kept.status());
    assert_eq!((status.errors, status.bytes_out), (2, 11));
    host.end();
}
