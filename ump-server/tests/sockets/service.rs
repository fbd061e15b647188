//! Services by the attribute, with a method for the events of their sockets.

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    num::NonZeroUsize,
    ops::ControlFlow,
    time::Duration,
};

use ump_server::{
    net::{self, Event, SocketMap, TcpListener, TcpStream, UdpSocket},
    service, thread,
};

use crate::support::{ANY_PORT, PATIENCE, connect};

/// Sends back whatever comes. `quit` ends the loop.
struct Echo {
    listener: TcpListener,
    streams: SocketMap<TcpStream>,
    bytes: usize,
    ticks: u32,
}

#[service(output = usize, start_error = net::Error)]
impl Echo {
    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn ticks(&self) -> u32 {
        self.ticks
    }

    #[timer(every = Duration::from_millis(1))]
    fn tick(&mut self) {
        self.ticks += 1;
    }

    #[socket]
    fn on_event(&mut self, event: Event) -> ControlFlow<usize> {
        match event {
            Event::Accepted { stream, .. } => drop(self.streams.insert(stream.id(), stream)),
            Event::Readable(id) => {
                let mut buffer = [0; 64];
                let Some(stream) = self.streams.get(id) else {
                    return ControlFlow::Continue(());
                };
                match stream.read(&mut buffer) {
                    Ok(0) => drop(self.streams.remove(id)),
                    Ok(read) if buffer[..read].starts_with(b"quit") => {
                        return ControlFlow::Break(self.bytes);
                    }
                    Ok(read) => {
                        self.bytes += read;
                        let written = stream.write(&buffer[..read]);
                        assert_eq!(written.expect("there is room"), read);
                    }
                    Err(_) => {}
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn a_service_has_a_method_for_sockets() {
    let (client, handle) = thread::Builder::new()
        .spawn_with(|cx| {
            Ok(Echo {
                listener: cx.sockets().listen(ANY_PORT)?,
                streams: SocketMap::new(),
                bytes: 0,
                ticks: 0,
            })
        })
        .unwrap();
    let echo = EchoClient(client);
    let mut peer = connect(echo.address().wait().unwrap());
    for n in 1..=100 {
        peer.write_all(b"hello").unwrap();
        let mut answer = [0; 5];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"hello");
        assert_eq!(echo.bytes().wait().unwrap(), 5 * n, "requests in between");
    }
    let until = std::time::Instant::now() + PATIENCE;
    while echo.ticks().wait().unwrap() == 0 {
        assert!(std::time::Instant::now() < until, "no timer in between");
        std::thread::yield_now();
    }
    peer.write_all(b"quit").unwrap();
    assert_eq!(
        handle.join().unwrap(),
        Some(500),
        "the socket ends the loop"
    );
    assert!(echo.bytes().wait().is_err());
}

#[test]
fn the_error_of_a_socket_is_that_of_the_start() {
    let taken = std::net::TcpListener::bind(ANY_PORT).unwrap();
    let address = taken.local_addr().unwrap();
    let refused = thread::Builder::new().spawn_with(move |cx| {
        Ok(Echo {
            listener: cx.sockets().listen(address)?,
            streams: SocketMap::new(),
            bytes: 0,
            ticks: 0,
        })
    });
    let error = refused.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
}

/// Counts datagrams between batches.
struct Counter {
    socket: UdpSocket,
    datagrams: u32,
    batches: u32,
}

#[service]
impl Counter {
    #[batch_end]
    fn count(&mut self) {
        self.batches += 1;
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }

    fn counts(&self) -> (u32, u32) {
        (self.datagrams, self.batches)
    }

    #[socket]
    fn on_event(&mut self, event: Event) {
        if let Event::Readable(_) = event {
            self.datagrams += u32::from(self.socket.recv_from(&mut [0; 8]).is_ok());
        }
    }
}

#[test]
fn a_service_of_batches_has_one_as_well() {
    let (client, _handle) = thread::Builder::new()
        .spawn_batches(NonZeroUsize::MIN, |cx| {
            let socket = cx.sockets().udp(ANY_PORT).expect("a free port");
            Ok(Counter {
                socket,
                datagrams: 0,
                batches: 0,
            })
        })
        .unwrap();
    let counter = CounterClient(client);
    let peer = std::net::UdpSocket::bind(ANY_PORT).unwrap();
    let address = counter.address().wait().unwrap();
    peer.send_to(b"1", address).unwrap();
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let (datagrams, batches) = counter.counts().wait().unwrap();
        if datagrams == 1 {
            assert!(batches >= 1);
            break;
        }
        assert!(std::time::Instant::now() < until, "no datagram");
        std::thread::yield_now();
    }
}

/// Has its sockets only if a feature is enabled.
struct Optional;

#[service]
impl Optional {
    fn get(&self) -> u32 {
        1
    }

    #[cfg(any())]
    #[socket]
    fn on_event(&mut self, event: NoSuchType) {}
}

#[test]
fn cfg_of_the_method_is_that_of_the_handler() {
    let (client, _handle) = thread::serve(Optional);
    assert_eq!(OptionalClient(client).get().wait().unwrap(), 1);
}
