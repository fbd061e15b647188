//! TCP connections of the loop.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, IoSlice},
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    net::{self, Connect, Event, Listen, Operation, SocketMap, TcpListener, TcpStream},
    sans_io::{
        ConnectionId, Origin, SocketError, SocketFailure, SocketNumber, Sockets, StreamConnect,
        StreamInput, StreamOutput, Streams, TaskId,
        failures::Failures,
        streams::{ByteStream, Connections, limit_methods},
    },
};

/// The TCP listeners and connections of a loop on a thread, for the tasks of its
/// [`Component`](crate::sans_io::Component) or of a
/// [worker](crate::sans_io::ControllerBuilder::start_with). Requires the feature `net`.
///
/// [`Streams`] describes the life of a connection and its back-pressure. The connections of a
/// listener belong to its [owner](Self::set_owner), or else to the oldest task, unless a
/// [function](Self::set_owner_by) chooses. A task that spawns a task for each connection
/// [releases](StreamOutput::Release) the connection, and the spawned one
/// [claims](StreamOutput::Claim) it.
///
/// | limit of a connection | default |
/// |---|---|
/// | [`send_buffer`](Self::send_buffer) | 256 KiB |
/// | [`high_water`](Self::high_water) mark of the send buffer | 64 KiB |
/// | [`stall_timeout`](Self::stall_timeout): no progress in sending | 60 s |
/// | [`close_timeout`](Self::close_timeout): from `Close` to the end | 10 s |
/// | [`nodelay`](Self::nodelay) | on |
///
/// ```
/// # mod lines {
#[doc = include_str!("../doc/lines_hidden.txt")]
/// # }
/// # use lines::*;
/// use std::{io::{BufRead, BufReader, Write}, net::{Ipv4Addr, SocketAddr, TcpStream}, sync::mpsc};
/// use ump_server::{sans_io::{Component, Limits, LoopTcp, Spawn}, thread::Builder};
///
/// // `Shout` is a task that answers each line in capitals: see "A protocol over streams" in the
/// // documentation of the module.
/// let (address, addresses) = mpsc::channel();
/// let (client, _handle) = Builder::new().name("shout").spawn_with(move |cx| {
///     let mut tcp = LoopTcp::new(cx.sockets());
///     let number = tcp.listen((Ipv4Addr::LOCALHOST, 0))?;
///     let _ = address.send(tcp.local_addr(number)?);
///     Ok(Component::<Shout, _>::new(cx, Limits::new(), tcp, |report| println!("{report:?}")))
/// })?;
/// client.ask(Spawn(Shout::default())).wait()?;
///
/// let address: SocketAddr = addresses.recv()?;
/// let mut stream = TcpStream::connect(address)?;
/// stream.write_all(b"hello\n")?;
/// let mut answer = String::new();
/// BufReader::new(stream).read_line(&mut answer)?;
/// assert_eq!(answer, "HELLO\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LoopTcp {
    registrar: net::Sockets,
    connections: Connections<TcpStream>,
    listeners: Vec<Listening>,
    slots: SocketMap<Slot>,
    nodelay: bool,
    /// The number of connections that are being made.
    connecting: usize,
    /// The connection that is readable.
    reading: Option<ConnectionId>,
    failures: VecDeque<SocketFailure>,
}

#[derive(Debug)]
struct Listening {
    listener: TcpListener,
    failures: Failures,
}

/// The role of a socket.
#[derive(Debug)]
enum Slot {
    Listener(usize),
    Connecting {
        owner: TaskId,
        token: u64,
        peer: SocketAddr,
        stream: TcpStream,
    },
    Open(ConnectionId),
}

impl LoopTcp {
    /// Creates an empty set of sockets for a loop: that of
    /// [`Context::sockets`](crate::Context::sockets).
    #[must_use]
    pub fn new(sockets: net::Sockets) -> Self {
        Self {
            registrar: sockets,
            // The driver tells the time before anything else.
            connections: Connections::new(Instant::now()),
            listeners: Vec::new(),
            slots: SocketMap::new(),
            nodelay: true,
            connecting: 0,
            reading: None,
            failures: VecDeque::new(),
        }
    }

    limit_methods!();

    /// Sets whether small writes are sent at once (`TCP_NODELAY`). The default is true: the outputs
    /// of a turn are written together anyway.
    #[must_use]
    pub fn nodelay(self, nodelay: bool) -> Self {
        Self { nodelay, ..self }
    }

    /// Listens on an address, or as [`Listen`] says. Returns the number of the listener: the first
    /// one is zero.
    ///
    /// # Errors
    /// See [`net::Sockets::listen`].
    pub fn listen(&mut self, how: impl Into<Listen>) -> Result<SocketNumber, net::Error> {
        let listener = self.registrar.listen(how)?;
        Ok(self.add(listener))
    }

    /// Adds a listener of the standard library.
    ///
    /// # Errors
    /// See [`net::Sockets::adopt_listener`].
    pub fn adopt_listener(
        &mut self,
        listener: std::net::TcpListener,
    ) -> Result<SocketNumber, net::Error> {
        let listener = self.registrar.adopt_listener(listener)?;
        Ok(self.add(listener))
    }

    fn add(&mut self, listener: TcpListener) -> SocketNumber {
        let index = self.listeners.len();
        self.slots.insert(listener.id(), Slot::Listener(index));
        self.listeners.push(Listening {
            listener,
            failures: Failures::default(),
        });
        SocketNumber::of(index)
    }

    /// Gives the connections of a listener to a task.
    pub fn set_owner(&mut self, listener: SocketNumber, task: TaskId) {
        self.connections.set_owner(listener, task);
    }

    /// Lets a function choose the task of each connection that is accepted, by the listener and the
    /// address of the peer. If it returns `None`, or a task that has ended, the connection is
    /// closed and [reported](crate::sans_io::Report::SocketFailed), as one without a task is:
    /// [`NotFound`](io::ErrorKind::NotFound). The [owners](Self::set_owner) of listeners do not
    /// count then.
    ///
    /// For tasks that have one peer each, such as sessions between routers.
    pub fn set_owner_by(
        &mut self,
        choose: impl FnMut(SocketNumber, SocketAddr) -> Option<TaskId> + Send + 'static,
    ) {
        self.connections.set_chooser(Box::new(choose));
    }

    /// Returns the local address of a listener.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) if there is no such listener, or the error of the
    /// operating system.
    pub fn local_addr(&self, listener: SocketNumber) -> io::Result<SocketAddr> {
        let listening = self.listeners.get(listener.0 as usize);
        let listening = listening.ok_or(io::ErrorKind::NotFound)?;
        listening.listener.local_addr()
    }

    /// Returns the number of open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    fn accepted(&mut self, listener: net::SocketId, stream: TcpStream, peer: SocketAddr) {
        let index = match self.slots.get(listener) {
            Some(Slot::Listener(index)) => *index,
            // It is that of another worker, which spreads its connections.
            _ => 0,
        };
        let listener = SocketNumber::of(index);
        let Some(owner) = self.connections.owner_of(listener, peer) else {
            if let Some(listening) = self.listeners.get_mut(index) {
                let no_task = SocketError::Accept(io::ErrorKind::NotFound);
                listening.failures.note(Some(peer), no_task);
            }
            return;
        };
        self.open(owner, stream, Origin::Accepted { listener }, peer);
    }

    fn open(&mut self, owner: TaskId, stream: TcpStream, origin: Origin, peer: SocketAddr) {
        // Without it the connection is slower, and works.
        let _ = stream.set_nodelay(self.nodelay);
        let socket = stream.id();
        let addresses = (stream.local_addr().ok(), peer);
        let id = self.connections.open(owner, stream, origin, addresses);
        self.slots.insert(socket, Slot::Open(id));
    }

    fn connect(&mut self, owner: TaskId, how: StreamConnect) {
        let StreamConnect {
            token,
            peer,
            local,
            timeout,
        } = how;
        let mut connect = Connect::new(peer).nodelay(self.nodelay);
        if let Some(local) = local {
            connect = connect.local(local);
        }
        if let Some(timeout) = timeout {
            connect = connect.timeout(timeout);
        }
        match self.registrar.connect(connect) {
            Ok(stream) => {
                let connecting = Slot::Connecting {
                    owner,
                    token,
                    peer,
                    stream,
                };
                if let Slot::Connecting { stream, .. } = &connecting {
                    self.connecting += 1;
                    self.slots.insert(stream.id(), connecting);
                }
            }
            Err(error) => self.connect_failed(owner, token, peer, &error),
        }
    }

    fn connect_failed(&mut self, owner: TaskId, token: u64, peer: SocketAddr, error: &net::Error) {
        let error = error.kind();
        let failed = StreamInput::ConnectFailed { token, peer, error };
        self.connections.push(owner, failed);
    }

    fn connected(&mut self, id: net::SocketId) {
        let Some(Slot::Connecting {
            owner,
            token,
            peer,
            stream,
        }) = self.slots.remove(id)
        else {
            return;
        };
        self.connecting -= 1;
        self.open(owner, stream, Origin::Connected { token }, peer);
    }

    /// Closes the sockets with which a task that has ended was connecting.
    fn give_up_connects(&mut self, task: TaskId) {
        if self.connecting == 0 {
            return;
        }
        let slots = self.slots.iter();
        let is_own = |slot: &Slot| matches!(slot, Slot::Connecting { owner, .. } if *owner == task);
        let own = slots.filter_map(|(id, slot)| is_own(slot).then_some(id));
        for id in own.collect::<Vec<_>>() {
            self.slots.remove(id);
            self.connecting -= 1;
        }
    }

    fn failed(&mut self, error: &net::Error) {
        let Some(id) = error.socket() else {
            return;
        };
        match self.slots.get(id) {
            Some(Slot::Connecting { .. }) => {
                if let Some(Slot::Connecting {
                    owner, token, peer, ..
                }) = self.slots.remove(id)
                {
                    self.connecting -= 1;
                    self.connect_failed(owner, token, peer, error);
                }
            }
            Some(Slot::Listener(index)) if error.operation() == Operation::Accept => {
                let failed = SocketError::Accept(error.kind());
                self.listeners[*index].failures.note(None, failed);
            }
            _ => {}
        }
    }
}

impl ByteStream for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        TcpStream::read(self, buffer)
    }

    fn write(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_vectored(bytes)
    }

    fn shut_down(&mut self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }

    fn set_reading(&mut self, reads: bool) {
        if reads {
            self.resume_reading();
        } else {
            self.pause_reading();
        }
    }

    fn reset(&mut self) {
        // Without it the peer notices the end nevertheless.
        let _ = self.set_linger(Some(Duration::ZERO));
    }
}

impl Sockets<Streams> for LoopTcp {
    fn route(&mut self, input: &StreamInput<'_>) -> Option<TaskId> {
        self.connections.route(input)
    }

    fn transmit(&mut self, from: TaskId, output: StreamOutput) -> io::Result<()> {
        match output {
            StreamOutput::Connect(how) => {
                self.connect(from, how);
                Ok(())
            }
            output => self.connections.transmit(from, output),
        }
    }

    fn spawned(&mut self, task: TaskId) {
        self.connections.spawned(task);
    }

    fn ended(&mut self, task: TaskId) {
        self.connections.ended(task);
        self.give_up_connects(task);
    }

    fn on_socket(&mut self, event: Event) {
        let open = |slots: &SocketMap<Slot>, id| match slots.get(id) {
            Some(Slot::Open(connection)) => Some(*connection),
            _ => None,
        };
        match event {
            Event::Readable(id) => self.reading = open(&self.slots, id),
            Event::Writable(id) => {
                if let Some(connection) = open(&self.slots, id) {
                    self.connections.writable(connection);
                }
            }
            Event::Closed(id) => {
                if let Some(connection) = open(&self.slots, id) {
                    self.connections.hung_up(connection);
                }
            }
            Event::Connected(id) => self.connected(id),
            Event::Accepted {
                listener,
                stream,
                peer,
            } => self.accepted(listener, stream, peer),
            Event::Error(error) => self.failed(&error),
            Event::AcceptedUnix { .. } => {}
        }
    }

    fn next_input<'a>(
        &mut self,
        now: Instant,
        has_room: &dyn Fn(TaskId) -> bool,
        buffer: &'a mut Vec<u8>,
    ) -> Option<(Option<TaskId>, StreamInput<'a>)> {
        if let Some((to, input)) = self.connections.next_queued(now, has_room) {
            return Some((Some(to), input));
        }
        let id = self.reading.take()?;
        let (to, input) = self.connections.read(id, has_room, buffer)?;
        Some((Some(to), input))
    }

    fn next_reader(&self) -> Option<TaskId> {
        self.connections.owner(self.reading?)
    }

    fn has_input(&self) -> bool {
        self.connections.has_input()
    }

    fn flush(&mut self, now: Instant) -> u64 {
        self.connections.flush(now);
        for (index, listening) in self.listeners.iter_mut().enumerate() {
            listening
                .failures
                .report(now, SocketNumber::of(index), &mut self.failures);
        }
        0
    }

    fn is_flushed(&self) -> bool {
        self.connections.is_flushed()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.connections.next_deadline()
    }

    fn pause_receiving(&mut self, pauses: bool) {
        self.connections.pause(pauses);
    }

    fn next_failure(&mut self) -> Option<SocketFailure> {
        self.failures.pop_front()
    }
}

impl fmt::Debug for LoopTcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopTcp")
            .field("listeners", &self.listeners.len())
            .field("connections", &self.connections.len())
            .finish_non_exhaustive()
    }
}
