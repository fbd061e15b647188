//! Batches of datagrams, received and sent by one system call where the system can.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdUdpSocket},
    sync::mpsc::Receiver,
};

use ump_server::net::{BufferPool, Event, ReceiveBatch, SendTo, Udp, UdpSocket};

use crate::support::{ANY_PORT, Loop, PATIENCE, Recorder, next, pattern, recorder};

/// A received datagram: the sender, the destination, whether it is truncated, whether its buffer is
/// pooled, and the content.
type Got = (SocketAddr, Option<IpAddr>, bool, bool, Vec<u8>);

fn bound(how: Udp) -> (Loop<Recorder<UdpSocket>>, Receiver<Event>, SocketAddr) {
    let (host, events) = recorder(move |sockets| sockets.udp(how.clone()).unwrap());
    let address = host.with(|world| world.kept.local_addr().unwrap());
    (host, events, address)
}

/// Receives `count` datagrams in batches, in the loop. Returns them with the largest batch.
fn receive(
    host: &Loop<Recorder<UdpSocket>>,
    events: &Receiver<Event>,
    pool: &BufferPool,
    count: usize,
) -> (Vec<Got>, usize) {
    let (mut all, mut largest) = (Vec::new(), 0);
    while all.len() < count {
        let pool = pool.clone();
        let received = host.with(move |world| {
            let mut batch = ReceiveBatch::new(pool);
            let count = world.kept.recv_batch(&mut batch)?;
            assert_eq!(count, batch.len());
            let mut got: Vec<Got> = Vec::new();
            while let Some(it) = batch.next() {
                let is_pooled = it.payload.is_pooled();
                let bytes = it.payload.into_vec();
                got.push((it.from, it.to, it.is_truncated, is_pooled, bytes));
            }
            assert_eq!(count, got.len());
            std::io::Result::Ok(got)
        });
        match received {
            Ok(got) => {
                largest = largest.max(got.len());
                all.extend(got);
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                while !matches!(next(events), Event::Readable(_)) {}
            }
        }
    }
    (all, largest)
}

/// Sends all datagrams. Returns the number of calls, and the indices of those that failed.
fn send_all(socket: &UdpSocket, datagrams: &[SendTo<'_>]) -> (usize, Vec<usize>) {
    let (mut calls, mut failed, mut at) = (0, Vec::new(), 0);
    while at < datagrams.len() {
        calls += 1;
        match socket.send_batch(&datagrams[at..]) {
            Ok(sent) => at += sent,
            Err(error) => {
                assert_ne!(error.kind(), ErrorKind::WouldBlock);
                failed.push(at);
                at += 1;
            }
        }
    }
    (calls, failed)
}

fn datagrams_pass_in_batches_on(local: IpAddr) {
    let pool = BufferPool::new(100);
    let (host, events, address) = bound(Udp::new((local, 0)));
    let peer = StdUdpSocket::bind((local, 0)).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let to = peer.local_addr().unwrap();
    let lengths = [10, 10, 10, 3, 0, 700, 700, 1_500, 9_000, 1];
    let sent: Vec<Vec<u8>> = (0..4).flat_map(|_| lengths.map(pattern)).collect();
    let contents = sent.clone();
    let (calls, failed) = host.with(move |world| {
        let datagrams: Vec<_> = contents.iter().map(|it| SendTo::new(it, to)).collect();
        send_all(&world.kept, &datagrams)
    });
    assert_eq!(failed, Vec::<usize>::new());
    assert!(!cfg!(target_os = "linux") || calls < sent.len(), "{calls}");
    let mut buffer = vec![0; 65_536];
    for expected in &sent {
        let (length, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!((length, from), (expected.len(), address));
        assert!(buffer[..length] == expected[..]);
        peer.send_to(&buffer[..length], address).unwrap();
    }
    let (got, largest) = receive(&host, &events, &pool, sent.len());
    for ((from, _, is_truncated, is_pooled, bytes), expected) in got.iter().zip(&sent) {
        assert_eq!((*from, *is_truncated, *is_pooled), (to, false, true));
        assert!(bytes == expected);
    }
    assert!(!cfg!(target_os = "linux") || largest > 1);
    assert_eq!(pool.in_use(), 0, "all buffers came back");
    let total: usize = sent.iter().map(Vec::len).sum();
    let status = host.with(|world| world.kept.status());
    assert_eq!(
        (status.bytes_in, status.bytes_out),
        (total as u64, total as u64)
    );
    host.end();
}

#[test]
fn datagrams_pass_in_batches() {
    datagrams_pass_in_batches_on(Ipv4Addr::LOCALHOST.into());
}

#[test]
fn datagrams_pass_in_batches_over_ipv6() {
    if StdUdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: there is no IPv6");
        return;
    }
    datagrams_pass_in_batches_on(Ipv6Addr::LOCALHOST.into());
}

#[test]
fn a_datagram_that_cannot_be_sent_is_lost_alone() {
    for segments in [true, false] {
        the_21st_and_the_41st_are_lost_alone(segments);
    }
}

fn the_21st_and_the_41st_are_lost_alone(segments: bool) {
    let (host, _events, _) = bound(Udp::new(ANY_PORT).segment(segments));
    let peer = StdUdpSocket::bind(ANY_PORT).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let to = peer.local_addr().unwrap();
    let (_, failed) = host.with(move |world| {
        let too_long = vec![0; 65_508];
        let numbers: Vec<[u8; 1]> = (0..60).map(|n| [n]).collect();
        let mut datagrams: Vec<_> = numbers.iter().map(|it| SendTo::new(it, to)).collect();
        // Nobody has allowed broadcasts.
        let everybody = (Ipv4Addr::BROADCAST, to.port()).into();
        datagrams[20] = SendTo::new(&too_long, to);
        datagrams[40] = SendTo::new(b"x", everybody);
        send_all(&world.kept, &datagrams)
    });
    assert_eq!(failed, [20, 40]);
    for expected in (0..60).filter(|n| ![20, 40].contains(n)) {
        let mut buffer = [0; 64];
        assert_eq!((peer.recv(&mut buffer).unwrap(), buffer[0]), (1, expected));
    }
    assert_eq!(host.with(|world| world.kept.status()).errors, 2);
    host.end();
}

#[test]
fn a_datagram_longer_than_the_buffers_is_truncated() {
    let pool = BufferPool::new(8).length(64);
    let (host, events, address) = bound(Udp::new(ANY_PORT));
    let peer = StdUdpSocket::bind(ANY_PORT).unwrap();
    for length in [100, 64, 65, 0] {
        peer.send_to(&pattern(length), address).unwrap();
    }
    let (got, _) = receive(&host, &events, &pool, 4);
    let got: Vec<_> = got.into_iter().map(|it| (it.2, it.4)).collect();
    let whole = pattern(100);
    let cut = |is_truncated, length: usize| (is_truncated, whole[..length].to_vec());
    assert_eq!(got[0], cut(true, 64));
    assert!(!got[1].0);
    assert_eq!((got[2].0, got[2].1.len()), (true, 64));
    assert_eq!(got[3], cut(false, 0));
    host.end();
}

#[test]
fn an_empty_pool_lends_and_stops_nobody() {
    let pool = BufferPool::new(3);
    let kept: Vec<_> = (0..2).map(|_| pool.take().unwrap()).collect();
    let (host, events, address) = bound(Udp::new(ANY_PORT));
    let peer = StdUdpSocket::bind(ANY_PORT).unwrap();
    let in_loop = pool.clone();
    for round in 0..3 {
        for n in 0..10_u8 {
            peer.send_to(&[round, n], address).unwrap();
        }
        let mut got = Vec::new();
        while got.len() < 10 {
            let pool = in_loop.clone();
            let batch = host.with(move |world| {
                let mut batch = ReceiveBatch::new(pool);
                world.kept.recv_batch(&mut batch)?;
                let mut got = Vec::new();
                // The first one gets the last buffer of the pool, and the others copy.
                while let Some(it) = batch.next() {
                    got.push(it.payload.into_owned());
                }
                std::io::Result::Ok(got)
            });
            match batch {
                Ok(batch) => got.extend(batch),
                Err(_) => while !matches!(next(&events), Event::Readable(_)) {},
            }
        }
        for (n, payload) in (0..10_u8).zip(&got) {
            assert_eq!(payload[..], [round, n]);
        }
        assert_eq!(got.iter().filter(|it| it.is_pooled()).count(), 1);
    }
    drop(kept);
    assert_eq!(pool.in_use(), 0);
    host.end();
}

#[test]
#[cfg(target_os = "linux")]
fn the_own_address_of_datagrams_is_known_and_chosen() {
    let any = (Ipv4Addr::UNSPECIFIED, 0);
    let (host, events, address) = bound(Udp::new(any).packet_info(true));
    let peer = StdUdpSocket::bind(ANY_PORT).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let to = peer.local_addr().unwrap();
    // All of 127.0.0.0/8 are addresses of this machine.
    let own: Vec<Ipv4Addr> = (1..=3).map(|n| Ipv4Addr::new(127, 0, 0, n)).collect();
    for ip in &own {
        peer.send_to(b"to you", (*ip, address.port())).unwrap();
    }
    let (got, _) = receive(&host, &events, &BufferPool::new(8), 3);
    let destinations: Vec<_> = got.iter().map(|it| it.1.unwrap()).collect();
    assert_eq!(destinations, own);
    let foreign = Ipv4Addr::new(192, 0, 2, 1);
    let sources = [own[2], own[2], foreign, foreign, own[1]];
    let (_, failed) = host.with(move |world| {
        let datagrams = sources.map(|from| SendTo::new(b"from me", to).from(from));
        send_all(&world.kept, &datagrams)
    });
    assert_eq!(failed, [2, 3], "no address of this machine");
    for expected in [own[2], own[2], own[1]] {
        let (_, from) = peer.recv_from(&mut [0; 16]).unwrap();
        assert_eq!(from, SocketAddr::from((expected, address.port())));
    }
    host.end();
}

#[test]
#[cfg(target_os = "linux")]
fn the_own_address_of_a_socket_for_both_families_is_known_and_chosen() {
    if StdUdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: there is no IPv6");
        return;
    }
    let how = Udp::new((Ipv6Addr::UNSPECIFIED, 0)).only_v6(false);
    let (host, events, address) = bound(how.packet_info(true));
    let pool = BufferPool::new(8);
    for ip in [
        IpAddr::from(Ipv6Addr::LOCALHOST),
        Ipv4Addr::LOCALHOST.into(),
    ] {
        let peer = StdUdpSocket::bind((ip, 0)).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        peer.send_to(b"to you", (ip, address.port())).unwrap();
        let (got, _) = receive(&host, &events, &pool, 1);
        let (from, to) = (got[0].0, got[0].1.unwrap());
        assert_eq!(to.to_canonical(), ip);
        let (_, failed) = host
            .with(move |world| send_all(&world.kept, &[SendTo::new(b"from me", from).from(to)]));
        assert_eq!(failed, Vec::<usize>::new());
        let (_, from) = peer.recv_from(&mut [0; 16]).unwrap();
        assert_eq!(from, SocketAddr::from((ip, address.port())));
    }
    host.end();
}

#[test]
#[cfg(target_os = "linux")]
fn coalesced_datagrams_are_split() {
    let pool = BufferPool::new(8);
    let (receiver, events, address) = bound(Udp::new(ANY_PORT).coalesce(true));
    let (sender, _events, from) = bound(Udp::new(ANY_PORT));
    let mut sent: Vec<Vec<u8>> = (0..40).map(|n| vec![n; 500]).collect();
    sent.push(vec![40; 77]);
    sent.push(Vec::new());
    sent.push(vec![42; 20_000]);
    let contents = sent.clone();
    sender.with(move |world| {
        let datagrams: Vec<_> = contents.iter().map(|it| SendTo::new(it, address)).collect();
        send_all(&world.kept, &datagrams)
    });
    let (got, _) = receive(&receiver, &events, &pool, sent.len());
    let (contents, froms): (Vec<_>, Vec<_>) = got.into_iter().map(|it| (it.4, it.0)).unzip();
    assert!(contents == sent);
    assert!(froms.iter().all(|it| *it == from));
    let refused = receiver.with(|world| {
        let mut short = ReceiveBatch::new(BufferPool::new(1).length(2_000));
        let in_short = world.kept.recv_batch(&mut short).unwrap_err();
        let one = world.kept.recv_from(&mut [0; 10]).unwrap_err();
        [in_short.kind(), one.kind()]
    });
    assert_eq!(refused, [ErrorKind::InvalidInput, ErrorKind::Unsupported]);
    receiver.end();
    sender.end();
}

#[test]
fn segmentation_can_be_turned_off() {
    let (host, _events, _) = bound(Udp::new(ANY_PORT).segment(false));
    let peer = StdUdpSocket::bind(ANY_PORT).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let to = peer.local_addr().unwrap();
    host.with(move |world| send_all(&world.kept, &[SendTo::new(&[7; 300], to); 40]));
    for _ in 0..40 {
        assert_eq!(peer.recv(&mut [0; 1_000]).unwrap(), 300);
    }
    host.end();
}
