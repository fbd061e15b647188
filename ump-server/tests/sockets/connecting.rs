//! Connections that a loop makes.

use std::{io::ErrorKind, net::TcpListener, time::Duration};

use socket2::{Domain, Socket, Type};

use ump_server::net::{Connect, Event, Operation};

use crate::support::{ANY_PORT, next, recorder};

#[test]
fn a_connection_in_progress_is_no_error() {
    let listener = TcpListener::bind(ANY_PORT).unwrap();
    let address = listener.local_addr().unwrap();
    let (host, events) = recorder(|_| ());
    let stream = host.with(move |world| world.sockets.connect(address).unwrap());
    assert!(matches!(next(&events), Event::Connected(id) if id == stream.id()));
    let (mut peer, from) = listener.accept().unwrap();
    assert_eq!(stream.local_addr().unwrap(), from);
    assert_eq!(stream.peer_addr().unwrap(), address);
    let status = stream.status();
    assert_eq!(
        (status.local.ip(), status.peer.ip()),
        (Some(from), Some(address))
    );
    assert!(!status.is_connecting);
    assert_eq!(stream.write(b"hello").unwrap(), 5);
    let mut bytes = [0; 5];
    std::io::Read::read_exact(&mut peer, &mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    drop(stream);
    host.end();
}

#[test]
fn a_write_before_the_connection_is_made_waits_for_it() {
    let listener = TcpListener::bind(ANY_PORT).unwrap();
    let address = listener.local_addr().unwrap();
    let (host, events) = recorder(|_| ());
    let stream = host.with(move |world| {
        let stream = world.sockets.connect(address).unwrap();
        assert_eq!(
            stream.write(b"x").unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        assert_eq!(
            stream.read(&mut [0]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        assert!(stream.status().is_connecting);
        stream
    });
    assert!(matches!(next(&events), Event::Connected(_)));
    assert!(matches!(next(&events), Event::Writable(_)));
    assert_eq!(stream.write(b"x").unwrap(), 1);
    drop(stream);
    host.end();
}

#[test]
fn a_refused_connection_is_an_error_that_names_it() {
    // A port on which nobody listens, and which the system gives to no other test.
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let (host, events) = recorder(|_| ());
    let connected = host.with(move |world| world.sockets.connect(address));
    let error = match &connected {
        Err(error) => error.clone(),
        Ok(stream) => match next(&events) {
            Event::Error(error) => {
                assert_eq!(error.socket(), Some(stream.id()));
                error
            }
            other => panic!("unexpected: {other:?}"),
        },
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(error.operation(), Operation::Connect);
    assert_eq!(error.address().ip(), Some(address));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    host.with(|_| ());
    assert!(events.try_recv().is_err(), "there are no further events");
    drop(connected);
    host.end();
}

#[test]
fn a_black_hole_times_out() {
    // A listener whose backlog is full: it drops further attempts, on Linux at least.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener
        .bind(&std::net::SocketAddr::from(ANY_PORT).into())
        .unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let (host, events) = recorder(|_| ());
    let streams = host.with(move |world| {
        let connect = |_| {
            let how = Connect::new(address)
                .timeout(Duration::from_millis(100))
                .nodelay(true);
            world.sockets.connect(how).unwrap()
        };
        (0..8).map(connect).collect::<Vec<_>>()
    });
    let mut timed_out = 0;
    for _ in 0..8 {
        match next(&events) {
            Event::Connected(_) => {}
            Event::Error(error) => {
                assert_eq!(error.kind(), ErrorKind::TimedOut);
                timed_out += 1;
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert!(timed_out > 0);
    drop(streams);
    host.end();
}

#[test]
fn a_connect_that_is_dropped_is_not_reported() {
    let listener = TcpListener::bind(ANY_PORT).unwrap();
    let address = listener.local_addr().unwrap();
    let (host, events) = recorder(|_| ());
    for _ in 0..50 {
        host.with(move |world| {
            let how = Connect::new(address).timeout(Duration::from_millis(1));
            drop(world.sockets.connect(how).unwrap());
        });
    }
    std::thread::sleep(Duration::from_millis(20));
    host.with(|_| ());
    assert!(events.try_recv().is_err());
    host.end();
}

#[test]
fn an_address_in_use_is_an_error_that_says_what_to_do() {
    let listener = TcpListener::bind(ANY_PORT).unwrap();
    let address = listener.local_addr().unwrap();
    let (host, _events) = recorder(|_| ());
    let error = host.with(move |world| world.sockets.listen(address).unwrap_err());
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::AddrInUse, Operation::Bind)
    );
    assert!(error.to_string().contains("port 0"), "{error}");
    let error = host.with(|world| world.sockets.udp(([192, 0, 2, 1], 0)).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    host.end();
}
