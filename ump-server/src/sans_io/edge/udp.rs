//! UDP sockets of the loop.

use std::{collections::VecDeque, fmt, io, net::SocketAddr, time::Instant};

use rustix::io::Errno;

use crate::{
    net::{self, Event, ReceiveBatch, SendTo, SocketMap, Udp, UdpSocket},
    sans_io::{
        BufferPool, Datagrams, Receive, Routes, SocketError, SocketFailure, SocketNumber, Sockets,
        TaskId, Transmit, failures::Failures,
    },
};

/// The UDP sockets of a loop on a thread, for the tasks of its
/// [`Component`](crate::sans_io::Component) or of a
/// [worker](crate::sans_io::ControllerBuilder::start_with). Requires the feature `net`.
///
/// The loop waits for them, together with requests and timers; there is no thread in between.
/// Packets are received in [batches](net::ReceiveBatch) into [pooled buffers](Self::buffers), and
/// given to the tasks without a copy: a [payload](crate::sans_io::Payload) that is pooled moves
/// with its buffer, may be kept, and has headroom. A task that keeps buffers uses up the pool, at
/// most; then packets are lent to all tasks, and keeping one costs a copy. Nobody receives less.
///
/// Packets to send are gathered, and sent in [batches](net::UdpSocket::send_batch) at the end of
/// each turn. If the send buffer of a socket is full, a [limited](Self::send_queue) number of
/// packets waits for room; further ones are dropped and counted.
///
/// | situation | consequence |
/// |---|---|
/// | a packet cannot be sent: too long, refused by a firewall, no route | it is dropped and counted; [`Report::SocketFailed`](crate::sans_io::Report::SocketFailed) |
/// | an earlier packet could not be delivered | the same; receiving goes on |
/// | a packet is longer than the [buffers](Self::buffers) | its end is lost; [`Receive::is_truncated`] |
/// | the [source](Transmit::source) of a packet is not an address of this machine | it is dropped and counted; `SocketFailed` |
/// | the application takes no reports | nothing is received until it does; the system drops what its buffer has no room for |
///
/// ```
/// # mod ping {
#[doc = include_str!("../doc/ping_hidden.txt")]
/// # }
/// # use ping::*;
/// use std::{net::{Ipv4Addr, SocketAddr}, sync::mpsc};
/// use ump_server::{
///     sans_io::{Command, Component, Limits, LoopUdp, Report, Spawn},
///     thread::Builder,
/// };
///
/// let (address, addresses) = mpsc::channel();
/// let (report, reports) = mpsc::channel();
/// let (client, _handle) = Builder::new().name("ping").capacity(64).spawn_with(move |cx| {
///     let mut udp = LoopUdp::new(cx.sockets());
///     let number = udp.bind((Ipv4Addr::LOCALHOST, 0))?;
///     let _ = address.send(udp.local_addr(number)?);
///     let report = report.clone();
///     Ok(Component::<Ping, _>::new(cx, Limits::new(), udp, move |it| drop(report.send(it))))
/// })?;
/// let address: SocketAddr = addresses.recv()?;
/// let pinger = client.ask(Spawn(Ping::default())).wait()?;
/// client.ask(Command(pinger, address)).wait()?; // it pings itself
/// assert!(matches!(reports.recv()?, Report::Event { event: Pong(_), .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// On the workers of a controller, which share a port:
///
/// ```
/// # mod ping {
#[doc = include_str!("../doc/ping_hidden.txt")]
/// # }
/// # use ping::*;
/// # use std::net::Ipv4Addr;
/// use ump_server::{net::Udp, sans_io::{Controller, ControllerBuilder, LoopUdp}};
///
/// # let port = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
/// let controller: Controller<Ping> = ControllerBuilder::new()
///     .workers(2.try_into()?)
///     .start_with(move |_worker, cx| {
///         let mut udp = LoopUdp::new(cx.sockets());
///         udp.bind(Udp::new((Ipv4Addr::LOCALHOST, port)).reuse_port(true))?;
///         Ok(udp)
///     })?;
/// controller.spawn(Ping::default()).wait()?;
/// assert_eq!(controller.sockets(0).len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LoopUdp {
    registrar: net::Sockets,
    ports: Vec<Port>,
    numbers: SocketMap<usize>,
    routes: Routes,
    send_queue: usize,
    /// Received packets that no task has got yet, and the socket that has received them.
    batch: ReceiveBatch,
    batch_of: usize,
    /// The socket that is read, and the number of packets it may still give before others do.
    reading: Option<(usize, u32)>,
    /// The number of packets that could not be sent, since the last flush.
    dropped: u64,
    /// Packets to sockets that do not exist.
    strays: Failures,
    failures: VecDeque<SocketFailure>,
}

/// A socket, with the packets that wait for room in its send buffer.
#[derive(Debug)]
struct Port {
    socket: UdpSocket,
    unsent: VecDeque<Transmit>,
    failures: Failures,
    /// The local port.
    number: u16,
    /// Whether the send buffer was full, and has not been tried since.
    is_blocked: bool,
}

/// The number of packets of one socket between two looks at the others.
const BATCH: u32 = 32;

/// The number of coalesced messages between two looks at the other sockets.
const COALESCED: usize = 8;

/// The number of packets that are gathered before they are sent.
const GATHERED: usize = 64;

impl LoopUdp {
    /// Creates an empty set of sockets for a loop: that of
    /// [`Context::sockets`](crate::Context::sockets).
    #[must_use]
    pub fn new(sockets: net::Sockets) -> Self {
        Self {
            registrar: sockets,
            ports: Vec::new(),
            numbers: SocketMap::new(),
            routes: Routes::default(),
            send_queue: 1_024,
            batch: ReceiveBatch::new(BufferPool::new(256)),
            batch_of: 0,
            reading: None,
            dropped: 0,
            strays: Failures::default(),
            failures: VecDeque::new(),
        }
    }

    /// Limits the number of packets that wait for room in the send buffer of a socket. The default
    /// is 1,024.
    #[must_use]
    pub fn send_queue(self, packets: usize) -> Self {
        Self {
            send_queue: packets,
            ..self
        }
    }

    /// Sets the pool of the buffers for received packets. Several loops may share one.
    ///
    /// The default is a pool of 256 buffers for packets of any length, with 64 bytes of headroom.
    #[must_use]
    pub fn buffers(self, pool: BufferPool) -> Self {
        Self {
            batch: ReceiveBatch::new(pool),
            ..self
        }
    }

    /// Binds a socket to an address, or as [`Udp`] says. Returns its number: the first one is zero,
    /// which is that of packets that name none.
    ///
    /// # Errors
    /// See [`net::Sockets::udp`].
    pub fn bind(&mut self, how: impl Into<Udp>) -> Result<SocketNumber, net::Error> {
        let socket = self.registrar.udp(how)?;
        Ok(self.add(socket))
    }

    /// Adds a socket of the standard library.
    ///
    /// # Errors
    /// See [`net::Sockets::adopt_udp`].
    pub fn adopt(&mut self, socket: std::net::UdpSocket) -> Result<SocketNumber, net::Error> {
        let socket = self.registrar.adopt_udp(socket)?;
        Ok(self.add(socket))
    }

    fn add(&mut self, socket: UdpSocket) -> SocketNumber {
        let index = self.ports.len();
        self.numbers.insert(socket.id(), index);
        self.ports.push(Port {
            number: socket.local_addr().map_or(0, |it| it.port()),
            is_blocked: false,
            socket,
            unsent: VecDeque::new(),
            failures: Failures::default(),
        });
        SocketNumber::of(index)
    }

    /// Returns a socket.
    #[must_use]
    pub fn socket(&self, number: SocketNumber) -> Option<&UdpSocket> {
        Some(&self.ports.get(number.0 as usize)?.socket)
    }

    /// Returns the local address of a socket.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if there is no such socket, or the error of the
    /// operating system.
    pub fn local_addr(&self, number: SocketNumber) -> io::Result<SocketAddr> {
        let socket = self.socket(number).ok_or(io::ErrorKind::NotFound)?;
        socket.local_addr()
    }

    /// Returns the table that says which task gets a received packet.
    pub fn routes(&mut self) -> &mut Routes {
        &mut self.routes
    }

    /// Receives a batch from the socket that is read, within its budget.
    fn receive(&mut self) {
        let Some((index, left)) = self.reading.take() else {
            return;
        };
        let Some(port) = self.ports.get_mut(index) else {
            return;
        };
        let limit = if port.socket.coalesces() {
            COALESCED
        } else {
            left as usize
        };
        match port.socket.recv_batch_of(&mut self.batch, limit) {
            Ok(received) => {
                self.batch_of = index;
                let received = u32::try_from(received).unwrap_or(u32::MAX);
                self.reading = left
                    .checked_sub(received)
                    .filter(|left| *left > 0)
                    .map(|left| (index, left));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                port.failures.note(None, SocketError::Receive(error.kind()));
            }
        }
    }

    /// Returns the number of packets that wait for room in send buffers.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.ports.iter().map(|port| port.unsent.len()).sum()
    }
}

impl Port {
    /// Sends the packets that wait, as long as there is room. Returns the number of those that were
    /// dropped.
    fn flush(&mut self) -> u64 {
        let mut dropped = 0;
        self.is_blocked = false;
        while !self.unsent.is_empty() {
            let packets = self.unsent.iter().take(GATHERED);
            let datagrams: Vec<_> = packets.map(to_datagram).collect();
            match self.socket.send_batch(&datagrams) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // `Writable` comes.
                    self.is_blocked = true;
                    break;
                }
                Err(error) => {
                    dropped += 1;
                    self.drop_first(&error);
                }
            }
        }
        dropped
    }

    /// Drops the first packet that waits, which cannot be sent.
    fn drop_first(&mut self, error: &io::Error) {
        let Some(packet) = self.unsent.pop_front() else {
            return;
        };
        let reason = if Errno::from_io_error(error) == Some(Errno::MSGSIZE) {
            let length = packet.payload.len();
            SocketError::TooLong { length }
        } else {
            SocketError::Send(error.kind())
        };
        self.failures.note(Some(packet.destination), reason);
    }
}

fn to_datagram(packet: &Transmit) -> SendTo<'_> {
    let datagram = SendTo::new(&packet.payload, packet.destination);
    match packet.source {
        Some(source) => datagram.from(source.ip()),
        None => datagram,
    }
}

impl Sockets<Datagrams> for LoopUdp {
    fn route(&mut self, input: &Receive<'_>) -> Option<TaskId> {
        self.routes.route(input)
    }

    fn transmit(&mut self, from: TaskId, packet: Transmit) -> io::Result<()> {
        self.routes.sent(from, &packet);
        let Some(port) = self.ports.get_mut(packet.socket.0 as usize) else {
            let peer = Some(packet.destination);
            self.strays.note(peer, SocketError::NoSocket);
            return Err(io::ErrorKind::NotFound.into());
        };
        port.unsent.push_back(packet);
        let is_over = port.unsent.len() > self.send_queue;
        if !port.is_blocked && (is_over || port.unsent.len() >= GATHERED) {
            self.dropped += port.flush();
        }
        if port.is_blocked && port.unsent.len() > self.send_queue {
            port.unsent.pop_back();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    }

    fn spawned(&mut self, task: TaskId) {
        self.routes.spawned(task);
    }

    fn ended(&mut self, task: TaskId) {
        self.routes.ended(task);
    }

    fn on_socket(&mut self, event: Event) {
        let index = event.socket().and_then(|id| self.numbers.get(id).copied());
        let Some((index, port)) = index.and_then(|at| Some((at, self.ports.get_mut(at)?))) else {
            return;
        };
        match event {
            Event::Readable(_) => self.reading = Some((index, BATCH)),
            // The next turn sends what waits.
            Event::Error(error) => {
                port.failures.note(None, SocketError::Receive(error.kind()));
            }
            _ => {}
        }
    }

    fn next_input<'a>(
        &mut self,
        _: Instant,
        _: &dyn Fn(TaskId) -> bool,
        buffer: &'a mut Vec<u8>,
    ) -> Option<(Option<TaskId>, Receive<'a>)> {
        if self.batch.is_empty() {
            self.receive();
        }
        let received = self.batch.next_in(buffer)?;
        let mut packet = Receive::new(received.from, received.payload)
            .socket(SocketNumber::of(self.batch_of))
            .truncated(received.is_truncated);
        if let (Some(to), Some(port)) = (received.to, self.ports.get(self.batch_of)) {
            packet.destination = Some(SocketAddr::new(to, port.number));
        }
        Some((self.routes.route(&packet), packet))
    }

    fn has_input(&self) -> bool {
        self.reading.is_some() || !self.batch.is_empty()
    }

    fn flush(&mut self, now: Instant) -> u64 {
        let mut dropped = std::mem::take(&mut self.dropped);
        for (index, port) in self.ports.iter_mut().enumerate() {
            if !port.unsent.is_empty() {
                dropped += port.flush();
            }
            port.failures
                .report(now, SocketNumber::of(index), &mut self.failures);
        }
        let none = SocketNumber(u32::MAX);
        self.strays.report(now, none, &mut self.failures);
        dropped
    }

    fn is_flushed(&self) -> bool {
        self.ports.iter().all(|port| port.unsent.is_empty())
    }

    fn pause_receiving(&mut self, pauses: bool) {
        for port in &self.ports {
            if pauses {
                port.socket.pause_reading();
            } else {
                port.socket.resume_reading();
            }
        }
    }

    fn next_failure(&mut self) -> Option<SocketFailure> {
        self.failures.pop_front()
    }
}

impl fmt::Debug for LoopUdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopUdp")
            .field("sockets", &self.ports.len())
            .field("unsent", &self.unsent())
            .finish_non_exhaustive()
    }
}
