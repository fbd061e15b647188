//! Connections of one listener, spread over several loops.

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    num::NonZeroUsize,
    sync::mpsc,
};

use ump_server::{
    Client, JoinHandle, Refused,
    net::{Event, Group, Listen, Spread, TcpListener},
    thread::Builder,
};

use crate::support::{ANY_PORT, Echo, Host, Job, World, connect};

/// A worker that answers each byte with its number.
struct Worker {
    number: u8,
    #[expect(dead_code, reason = "it listens as long as it is kept")]
    listener: Option<TcpListener>,
    streams: ump_server::net::SocketMap<ump_server::net::TcpStream>,
}

impl World for Worker {
    fn on_socket(&mut self, event: Event) {
        match event {
            Event::Accepted { stream, .. } => drop(self.streams.insert(stream.id(), stream)),
            Event::Readable(id) => {
                let stream = self.streams.get(id).expect("it is open");
                match stream.read(&mut [0]) {
                    Ok(1) => drop(stream.write(&[self.number])),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    _ => drop(self.streams.remove(id)),
                }
            }
            _ => {}
        }
    }
}

type Pool = (Client<Job<Worker>, (), Refused>, JoinHandle<()>, SocketAddr);

/// Spawns a pool of three, of which the first listens.
fn pool(how: Spread) -> Pool {
    let group = Group::new();
    let (send, address) = mpsc::channel();
    let (client, handle) = Builder::new()
        .spawn_pool(NonZeroUsize::new(3).unwrap(), move |cx| {
            group.join(&cx.sockets()).map_err(|_| Refused)?;
            let listener = (cx.worker() == 0).then(|| {
                let listens = Listen::new(ANY_PORT).spread(&group, how);
                let listener = cx.sockets().listen(listens).unwrap();
                send.send(listener.local_addr().unwrap()).unwrap();
                listener
            });
            Ok(Host(Worker {
                number: u8::try_from(cx.worker()).unwrap(),
                listener,
                streams: ump_server::net::SocketMap::new(),
            }))
        })
        .unwrap();
    (client, handle, address.recv().unwrap())
}

/// Makes connections, and returns how many each worker got.
fn counts(address: SocketAddr, connections: usize) -> [usize; 3] {
    let mut counts = [0; 3];
    let mut peers: Vec<_> = (0..connections).map(|_| connect(address)).collect();
    for peer in &mut peers {
        let mut workers = [0; 10];
        for worker in &mut workers {
            peer.write_all(b"?").unwrap();
            peer.read_exact(std::slice::from_mut(worker)).unwrap();
        }
        assert_eq!(
            workers, [workers[0]; 10],
            "a connection stays with its worker"
        );
        counts[usize::from(workers[0])] += 1;
    }
    counts
}

fn end((client, handle, _): Pool) {
    drop(client);
    handle.join().unwrap();
}

#[test]
fn round_robin_gives_each_the_same_number() {
    let pool = pool(Spread::RoundRobin);
    assert_eq!(counts(pool.2, 30), [10, 10, 10]);
    end(pool);
}

#[test]
fn the_least_loaded_gets_the_next() {
    let pool = pool(Spread::LeastLoaded);
    let counts = counts(pool.2, 30);
    // The listener counts, too.
    assert!(
        counts.iter().all(|count| (9..=11).contains(count)),
        "{counts:?}"
    );
    end(pool);
}

#[test]
fn a_peer_always_goes_to_the_same() {
    let pool = pool(Spread::PeerHash);
    let first = counts(pool.2, 10);
    assert!(first.contains(&10), "{first:?}");
    assert_eq!(counts(pool.2, 10), first);
    end(pool);
}

#[test]
fn own_keeps_them_and_others_gives_them_away() {
    let own = pool(Spread::Own);
    assert_eq!(counts(own.2, 10), [10, 0, 0]);
    end(own);
    let others = pool(Spread::Others);
    assert_eq!(counts(others.2, 10), [0, 5, 5]);
    end(others);
}

#[test]
fn a_member_that_has_ended_gets_nothing() {
    let group = Group::new();
    let (acceptor, other) = (group.clone(), group.clone());
    let ended = crate::support::Loop::spawn(move |cx| {
        other.join(&cx.sockets()).unwrap();
        Echo::new(cx)
    });
    let host = crate::support::Loop::spawn(move |cx| {
        let mut echo = Echo::new(cx);
        let listens = Listen::new(ANY_PORT).spread(&acceptor, Spread::Others);
        echo.listener = cx.sockets().listen(listens).unwrap();
        echo
    });
    let echoes = || {
        let mut peer = host.connect();
        peer.write_all(b"x").unwrap();
        peer.read_exact(&mut [0]).unwrap();
    };
    echoes();
    assert_eq!(
        (
            ended.with(|echo| echo.accepted),
            host.with(|echo| echo.accepted)
        ),
        (1, 0)
    );
    ended.end();
    assert!(group.is_empty());
    echoes();
    assert_eq!(
        host.with(|echo| echo.accepted),
        1,
        "it keeps what nobody else can have"
    );
    host.end();
}

#[test]
fn listeners_may_share_a_port() {
    let (send, addresses) = mpsc::channel();
    let (client, handle) = Builder::new()
        .spawn_pool(NonZeroUsize::new(2).unwrap(), move |cx| {
            let number = u8::try_from(cx.worker()).unwrap();
            send.send((cx.sockets(), number)).unwrap();
            Ok(Host(Worker {
                number,
                listener: None,
                streams: ump_server::net::SocketMap::new(),
            }))
        })
        .unwrap();
    let (first, _) = addresses.recv().unwrap();
    let (second, _) = addresses.recv().unwrap();
    let one = first
        .listen(Listen::new(ANY_PORT).reuse_port(true))
        .unwrap();
    let address = one.local_addr().unwrap();
    let two = second
        .listen(Listen::new(address).reuse_port(true))
        .unwrap();
    assert_eq!(counts(address, 20).iter().sum::<usize>(), 20);
    drop((one, two, client));
    handle.join().unwrap();
}
