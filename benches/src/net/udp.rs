//! Echoes by UDP, as many as there can be.
//!
//! A client keeps a window of datagrams on their way, sent and received by batched system calls, so
//! that the server is the slower end.

mod batches;
mod sans_io_runtime;
mod tasks;

use std::{
    any::Any,
    io::{IoSlice, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    ops::ControlFlow,
    os::fd::AsRawFd as _,
    thread,
    time::Duration,
};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};
use ump_server::{
    Refused, ReplyContext,
    net::{Event, UdpSocket as LoopSocket},
    thread::{Builder, Service},
};

use super::{ANY_PORT, Case, Contender, Work};

/// The number of datagrams of a batched system call.
const BATCH: usize = 32;
/// The number of datagrams on their way: all of them fit into the default buffer of a socket.
const WINDOW: usize = 64;
/// How long a client waits for a datagram before it reports a loss.
const LOST: Duration = Duration::from_secs(5);

/// Echoes datagrams of `LEN` bytes.
pub(super) fn echo<const LEN: usize>(work: Work) -> Case {
    let contender = |name, server| {
        let mut client = Window::<LEN>::new(server);
        Contender::new(name, work.of(20_000), move |count| client.echo(count))
    };
    Case {
        title: format!("An echo of {LEN} bytes by UDP"),
        contenders: vec![
            contender("`recvmmsg` and `sendmmsg` by hand", bare_batches::<LEN>()),
            contender("mio by hand", bare_mio::<LEN>()),
            contender("a loop of `ump-server`", on_a_loop::<LEN>()),
            contender("the same in batches", batches::on_a_loop()),
            contender("a sans-IO task of `ump-server`", tasks::on_a_loop(false)),
            contender("the same, coalesced", tasks::on_a_loop(true)),
            contender("`sans-io-runtime` 0.3", sans_io_runtime::server()),
        ],
    }
}

/// Receives and sends batches of datagrams of at most `LEN` bytes.
struct Batches<const LEN: usize> {
    headers: MultiHeaders<SockaddrIn>,
    buffers: Box<[[u8; LEN]; BATCH]>,
    lengths: [usize; BATCH],
    peers: [Option<SockaddrIn>; BATCH],
}

impl<const LEN: usize> Batches<LEN> {
    fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(BATCH, None),
            buffers: Box::new([[0; LEN]; BATCH]),
            lengths: [LEN; BATCH],
            peers: [None; BATCH],
        }
    }

    /// Waits for at least one datagram. Returns their number.
    fn receive(&mut self, socket: &UdpSocket) -> nix::Result<usize> {
        let buffers = self.buffers.iter_mut();
        let mut slices: Vec<_> = buffers.map(|it| [IoSliceMut::new(it)]).collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let (fd, headers) = (socket.as_raw_fd(), &mut self.headers);
        let received = recvmmsg(fd, headers, slices.iter_mut(), flags, None)?;
        let mut count = 0;
        for datagram in received {
            self.lengths[count] = datagram.bytes;
            self.peers[count] = datagram.address;
            count += 1;
        }
        Ok(count)
    }

    /// Sends the first `count` datagrams, all of them.
    fn send(&mut self, socket: &UdpSocket, count: usize) {
        let mut sent = 0;
        while sent < count {
            let buffers = self.buffers[sent..count].iter();
            let datagrams = buffers.zip(&self.lengths[sent..count]);
            let slices: Vec<_> = datagrams
                .map(|(it, len)| [IoSlice::new(&it[..*len])])
                .collect();
            let (fd, headers) = (socket.as_raw_fd(), &mut self.headers);
            let peers = &self.peers[sent..count];
            let result = sendmmsg(fd, headers, &slices, peers, [], MsgFlags::empty());
            sent += result.expect("there is room").count();
        }
    }
}

/// A client that keeps a window of datagrams on their way.
struct Window<const LEN: usize> {
    socket: UdpSocket,
    batches: Batches<LEN>,
    _server: Server,
}

impl<const LEN: usize> Window<LEN> {
    fn new(server: Server) -> Self {
        let socket = UdpSocket::bind(ANY_PORT).expect("a free port");
        socket.set_read_timeout(Some(LOST)).expect("a socket");
        let mut batches = Batches::new();
        let SocketAddr::V4(peer) = server.address else {
            unreachable!("it is bound to an IPv4 address");
        };
        batches.peers = [Some(peer.into()); BATCH];
        Self {
            socket,
            batches,
            _server: server,
        }
    }

    fn echo(&mut self, count: usize) {
        let peers = self.batches.peers;
        let (mut sent, mut received) = (0, 0);
        while received < count {
            while sent < count && sent - received + BATCH <= WINDOW {
                let next = BATCH.min(count - sent);
                self.batches.lengths = [LEN; BATCH];
                self.batches.peers = peers;
                self.batches.send(&self.socket, next);
                sent += next;
            }
            let now = self.batches.receive(&self.socket).expect("none is lost");
            assert!(self.batches.lengths[..now].iter().all(|len| *len == LEN));
            received += now;
        }
        self.batches.peers = peers;
    }
}

/// A server in a thread of its own, which serves as long as this process lives.
struct Server {
    address: SocketAddr,
    /// What keeps its loop alive.
    _client: Option<Box<dyn Any>>,
}

/// A thread that does nothing else but this.
fn bare_batches<const LEN: usize>() -> Server {
    let socket = UdpSocket::bind(ANY_PORT).expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    thread::spawn(move || {
        let mut batches = Batches::<LEN>::new();
        loop {
            let count = batches.receive(&socket).expect("a datagram");
            batches.send(&socket, count);
        }
    });
    Server {
        address,
        _client: None,
    }
}

/// A loop by hand over mio, with a system call for each datagram.
fn bare_mio<const LEN: usize>() -> Server {
    let mut poll = mio::Poll::new().expect("a selector");
    let mut socket = mio::net::UdpSocket::bind(ANY_PORT.into()).expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    let interest = mio::Interest::READABLE | mio::Interest::WRITABLE;
    let registry = poll.registry();
    registry
        .register(&mut socket, mio::Token(0), interest)
        .expect("a descriptor");
    thread::spawn(move || {
        let mut events = mio::Events::with_capacity(1024);
        let mut buffer = [0; LEN];
        loop {
            poll.poll(&mut events, None).expect("a selector");
            for event in &events {
                if !event.is_readable() {
                    continue;
                }
                while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                    socket.send_to(&buffer[..len], from).expect("there is room");
                }
            }
        }
    });
    Server {
        address,
        _client: None,
    }
}

/// The handler: a system call for each datagram, and at most a batch for each event.
struct Echo<const LEN: usize> {
    socket: LoopSocket,
    buffer: [u8; LEN],
}

impl<const LEN: usize> Service for Echo<LEN> {
    type Request = ();
    type Reply = SocketAddr;
    type Error = Refused;
    type Output = ();
    type Timer = ();

    fn handle(&mut self, (): (), reply: ReplyContext<'_, SocketAddr, Refused>) -> ControlFlow<()> {
        let _ = reply.answer(self.socket.local_addr().map_err(|_| Refused));
        ControlFlow::Continue(())
    }

    fn on_socket(&mut self, event: Event) -> ControlFlow<()> {
        assert!(matches!(event, Event::Readable(_)), "{event:?}");
        for _ in 0..BATCH {
            let Ok(datagram) = self.socket.recv_from(&mut self.buffer) else {
                break;
            };
            let answer = &self.buffer[..datagram.len];
            let sent = self.socket.send_to(answer, datagram.from);
            sent.expect("there is room");
        }
        ControlFlow::Continue(())
    }
}

fn on_a_loop<const LEN: usize>() -> Server {
    let (client, _) = Builder::new()
        .spawn_with(|cx| {
            Ok(Echo {
                socket: cx.sockets().udp(ANY_PORT).map_err(|_| Refused)?,
                buffer: [0; LEN],
            })
        })
        .expect("a loop with a free port");
    Server {
        address: client.req(()).expect("its address"),
        _client: Some(Box::new(client)),
    }
}
