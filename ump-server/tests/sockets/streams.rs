//! Reading and writing: nothing is lost, nothing grows, nothing spins.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::Shutdown,
    thread,
    time::Duration,
};

use socket2::SockRef;

use ump_server::net::{Event, SocketId, SocketMap, Sockets, TcpListener, TcpStream};

use crate::support::{
    ANY_PORT, Echo, Loop, PATIENCE, World, connect, eventually, next, pattern, recorder,
};

#[test]
fn reads_of_one_byte_lose_no_edge() {
    let host = Loop::spawn(|cx| {
        let mut echo = Echo::new(cx);
        echo.room = 1;
        echo
    });
    let mut stream = host.connect();
    let sent = pattern(10_000);
    stream.write_all(&sent).unwrap(); // and then it is quiet
    let mut received = vec![0; sent.len()];
    stream.read_exact(&mut received).unwrap();
    assert!(received == sent);
    host.end();
}

#[test]
fn many_bytes_pass_a_tiny_send_buffer() {
    let host = Loop::spawn(Echo::new);
    let stream = host.connect();
    eventually(&host, "accepted", |echo| echo.accepted == 1);
    host.with(|echo| {
        for (_, connection) in echo.connections.iter() {
            SockRef::from(&connection.stream)
                .set_send_buffer_size(4096)
                .unwrap();
        }
    });
    let sent = pattern(8 << 20);
    thread::scope(|scope| {
        let (mut from, mut to) = (stream.try_clone().unwrap(), stream);
        let sent = &sent;
        scope.spawn(move || to.write_all(sent).unwrap());
        let mut received = vec![0; sent.len()];
        from.read_exact(&mut received).unwrap();
        assert!(received == *sent);
    });
    host.end();
}

#[test]
fn a_client_that_does_not_read_has_to_wait() {
    let host = Loop::spawn(Echo::new);
    let mut stream = host.connect();
    let requests = b"request\n".repeat(1_000_000);
    thread::scope(|scope| {
        let mut writing = stream.try_clone().unwrap();
        let all = requests.len();
        let requests = &requests;
        let writer = scope.spawn(move || writing.write_all(requests).unwrap());
        // It reads nothing until the loop has paused reading.
        eventually(&host, "paused", |echo| {
            echo.connections
                .iter()
                .any(|(_, connection)| !connection.unsent.is_empty())
        });
        let mut received = Vec::new();
        (&mut stream)
            .take(all as u64)
            .read_to_end(&mut received)
            .unwrap();
        assert!(received == *requests);
        writer.join().unwrap();
    });
    assert!(host.with(|echo| echo.most_unsent) <= 4096);
    host.end();
}

#[test]
fn a_half_closed_connection_gets_its_whole_reply() {
    let host = Loop::spawn(Echo::new);
    let mut stream = host.connect();
    let sent = pattern(1 << 20);
    thread::scope(|scope| {
        let mut writing = stream.try_clone().unwrap();
        let sent = &sent;
        scope.spawn(move || {
            writing.write_all(sent).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert!(received == *sent);
    });
    eventually(&host, "closed", |echo| echo.connections.is_empty());
    host.end();
}

#[test]
fn a_half_closed_connection_does_not_spin_the_loop() {
    let host = Loop::spawn(Echo::new);
    let mut stream = host.connect();
    stream.set_nonblocking(true).unwrap();
    // Until the buffers on the way there and back are full.
    let chunk = vec![7; 64 * 1024];
    let mut blocked = 0;
    while blocked < 50 {
        match stream.write(&chunk) {
            Ok(written) => blocked *= i32::from(written == 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                blocked += 1;
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let events = || {
        host.handle
            .stopper()
            .sockets()
            .iter()
            .map(|socket| socket.events)
            .sum::<u64>()
    };
    let before = events();
    thread::sleep(Duration::from_millis(100));
    assert!(events() <= before + 1, "{before} events, then {}", events());
    host.end();
}

#[test]
fn data_before_a_reset_or_hang_up_is_read() {
    let host = Loop::spawn(Echo::new);
    let bytes = pattern(3 * 4096 + 1);
    for _ in 0..20 {
        let mut stream = host.connect();
        stream.write_all(&bytes).unwrap();
        drop(stream); // a reset, if the echo comes back before
    }
    eventually(&host, "all closed", |echo| {
        echo.accepted == 20 && echo.connections.is_empty()
    });

    // Without an echo all of it has to come.
    let (host, events) = recorder(|sockets| sockets.listen(ANY_PORT).unwrap());
    let mut peer = connect(host.with(|world| world.kept.local_addr().unwrap()));
    let Event::Accepted { stream, .. } = next(&events) else {
        panic!()
    };
    stream.pause_reading();
    peer.write_all(&bytes).unwrap();
    drop(peer);
    // The peer has shut down only its half: there is no `Closed` until this half is shut, too.
    stream.shutdown(Shutdown::Write).unwrap();
    let id = stream.id();
    while !matches!(next(&events), Event::Closed(closed) if closed == id) {}
    let mut received: Vec<u8> = Vec::new();
    let mut buffer = [0; 1000];
    stream.resume_reading();
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => received.extend(&buffer[..read]),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                while !matches!(next(&events), Event::Readable(_)) {}
            }
        }
    }
    assert!(received == bytes);
    drop(stream);
    host.end();
}

#[test]
fn writable_comes_only_when_it_is_requested() {
    let (host, events) = recorder(|sockets| sockets.listen(ANY_PORT).unwrap());
    let peer = connect(host.with(|world| world.kept.local_addr().unwrap()));
    let Event::Accepted { stream, .. } = next(&events) else {
        panic!()
    };
    host.with(|_| ());
    assert!(events.try_recv().is_err());
    for _ in 0..2 {
        stream.request_writable();
        assert!(matches!(next(&events), Event::Writable(id) if id == stream.id()));
        host.with(|_| ());
        assert!(events.try_recv().is_err());
    }
    drop((peer, stream));
    host.end();
}

#[test]
fn pausing_stops_events_and_resuming_loses_none() {
    let (host, events) = recorder(|sockets| sockets.listen(ANY_PORT).unwrap());
    let mut peer = connect(host.with(|world| world.kept.local_addr().unwrap()));
    let Event::Accepted { stream, .. } = next(&events) else {
        panic!()
    };
    stream.pause_reading();
    peer.write_all(b"x").unwrap();
    for _ in 0..50 {
        host.with(|_| ());
    }
    assert!(events.try_recv().is_err());
    stream.resume_reading();
    assert!(matches!(next(&events), Event::Readable(_)));
    stream.pause_reading();
    drop((peer, stream));
    host.end();
}

/// On the first event of a connection it closes all others, and opens a new one.
struct Swap {
    sockets: Sockets,
    listener: TcpListener,
    others: SocketMap<TcpStream>,
    closed: Vec<SocketId>,
    opened: Vec<TcpStream>,
    stale: usize,
}

impl World for Swap {
    fn on_socket(&mut self, event: Event) {
        let id = event.socket().expect("each has one");
        self.stale += usize::from(self.closed.contains(&id));
        match event {
            Event::Accepted { stream, .. } => drop(self.others.insert(stream.id(), stream)),
            Event::Readable(id) if self.others.get(id).is_some() => {
                let ids: Vec<_> = self.others.iter().map(|(id, _)| id).collect();
                for id in ids {
                    drop(self.others.remove(id));
                    self.closed.push(id);
                    // It gets the descriptor, and the place, of the one that was closed.
                    let address = self.listener.local_addr().unwrap();
                    self.opened.push(self.sockets.connect(address).unwrap());
                }
            }
            Event::Readable(id) => panic!("nothing was sent to {id}"),
            _ => {}
        }
    }
}

#[test]
fn an_event_of_a_closed_socket_never_reaches_its_successor() {
    for _ in 0..20 {
        let host = Loop::spawn(|cx| Swap {
            sockets: cx.sockets(),
            listener: cx.sockets().listen(ANY_PORT).unwrap(),
            others: SocketMap::new(),
            closed: Vec::new(),
            opened: Vec::new(),
            stale: 0,
        });
        let address = host.with(|world| world.listener.local_addr().unwrap());
        let mut peers: Vec<_> = (0..4).map(|_| connect(address)).collect();
        eventually(&host, "accepted", |world| world.others.len() == 4);
        // All become readable while the loop is busy, so in one batch.
        host.with(move |world| {
            world.listener.pause();
            for peer in &mut peers {
                peer.write_all(b"x").unwrap();
            }
            std::mem::forget(peers); // open until the process ends
        });
        eventually(&host, "swapped", |world| world.closed.len() == 4);
        host.with(|world| assert_eq!(world.stale, 0));
        host.end();
    }
}

#[test]
fn a_dropped_socket_is_closed_at_once_and_once() {
    let (host, events) = recorder(|sockets| sockets.listen(ANY_PORT).unwrap());
    let address = host.with(|world| world.kept.local_addr().unwrap());
    for _ in 0..50 {
        let mut peer = connect(address);
        let Event::Accepted { stream, .. } = next(&events) else {
            panic!()
        };
        drop(stream);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
    }
    // The address is free as soon as the listener is dropped.
    host.with(move |world| {
        for _ in 0..20 {
            let sockets = world.sockets.clone();
            let at = world.kept.local_addr().unwrap();
            let other = sockets.listen(ANY_PORT).unwrap();
            drop(std::mem::replace(&mut world.kept, other));
            world.kept = sockets.listen(at).unwrap();
        }
    });
    host.end();
}

#[test]
fn a_read_from_another_thread_works() {
    let (host, events) = recorder(|sockets| sockets.listen(ANY_PORT).unwrap());
    let mut peer = connect(host.with(|world| world.kept.local_addr().unwrap()));
    let Event::Accepted { stream, .. } = next(&events) else {
        panic!()
    };
    for n in 0..100_u8 {
        peer.write_all(&[n]).unwrap();
        let mut byte = [0];
        loop {
            match stream.read(&mut byte) {
                Ok(read) => break assert_eq!(read, 1),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            let event = events.recv_timeout(PATIENCE).unwrap();
            assert!(matches!(event, Event::Readable(_)));
        }
        assert_eq!(byte, [n]);
    }
    drop((peer, stream));
    host.end();
}
