//! The handle that registers sockets with a loop.

use std::{
    fmt,
    net::{TcpListener as StdTcpListener, TcpStream as StdTcpStream, UdpSocket as StdUdpSocket},
    os::{
        fd::AsFd,
        unix::net::{
            UnixDatagram as StdUnixDatagram, UnixListener as StdUnixListener,
            UnixStream as StdUnixStream,
        },
    },
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Address, Connect, Error, Interest, Listen, Operation, SocketStatus, Source, TcpListener,
    TcpStream, Udp, UdpSocket, UnixDatagram, UnixListener, UnixStream, error::Because as _,
    reactor::Reactor,
};

/// Registers sockets with a loop. From [`Context::sockets`](crate::Context::sockets).
///
/// The returned sockets belong to the handler: keep them in it. The loop reports their events to
/// [`on_socket`](crate::thread::Service::on_socket), between requests and timers. Dropping a socket
/// deregisters and closes it.
///
/// A socket may also be registered, used and dropped on another thread; its events are reported on
/// the loop's thread nevertheless, or on its task.
///
/// A loop **on a task** has sockets with the feature `tokio-net`: see
/// [the module](crate::net#loops-on-tasks).
///
/// Each worker of a pool has its own, and so has each handler: when the handler is gone, its handle
/// registers no further sockets, and sockets that were kept elsewhere report nothing more.
///
/// # Limits
/// A loop has as many sockets as the process has descriptors. In addition to the sockets, it has
/// three descriptors from the first socket on, on a task two. In a turn the loop reports at most
/// 128 events, one for each socket that is ready; it accepts at most 32 connections, and takes over
/// at most 32 from the listeners of other loops. Then it takes at most 16 requests if it knows of
/// more events, otherwise at most 64 before it looks for events. Due timers come before either.
#[derive(Clone)]
pub struct Sockets {
    pub(super) reactor: Arc<Reactor>,
    pub(super) era: u64,
}

impl Sockets {
    /// Creates the handle of the current handler.
    pub(crate) fn new(reactor: &Arc<Reactor>) -> Self {
        Self {
            era: reactor.era(),
            reactor: Arc::clone(reactor),
        }
    }

    /// Sets for how long the loop looks at its sockets, again and again, before it sleeps. Between
    /// two looks it gives its CPU to other threads that are ready. It looks only as long as that
    /// pays off: after a look in vain, the next one follows a sleep of less than three times
    /// `time`. Zero, which is the default, lets it sleep at once.
    ///
    /// This is for loops whose peers answer within microseconds, when being woken takes longer than
    /// the answer. A loop on a task does not look: other tasks may run meanwhile.
    pub fn look_before_sleep(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // ORDERING: Relaxed: only the number matters.
        self.reactor.look.store(nanoseconds, Ordering::Relaxed);
    }

    /// Lets the loop wait for sockets from now on, and not only from the first one on: to learn
    /// early whether it can.
    ///
    /// # Errors
    /// [`Register`](Operation::Register) if there are no descriptors left, if the handler is gone,
    /// or if the loop is on a task and cannot have sockets: the feature `tokio-net` is missing, or
    /// the IO driver of the runtime (both are [`Unsupported`](std::io::ErrorKind::Unsupported)).
    pub fn activate(&self) -> Result<(), Error> {
        self.reactor.activate(self.era)
    }

    /// Listens for TCP connections on an address, or as [`Listen`] says.
    ///
    /// # Errors
    /// [`Bind`](Operation::Bind) if the address is in use, does not exist or is privileged;
    /// [`Listen`](Operation::Listen); [`Register`](Operation::Register) if there are no descriptors
    /// left, or the handler is gone.
    pub fn listen(&self, how: impl Into<Listen>) -> Result<TcpListener, Error> {
        TcpListener::bind(&self.reactor, self.era, how.into())
    }

    /// Begins a TCP connection to an address, or as [`Connect`] says. Then
    /// [`Event::Connected`](super::Event::Connected) comes, or an
    /// [`Event::Error`](super::Event::Error).
    ///
    /// # Errors
    /// [`Connect`](Operation::Connect) if it fails at once: the network is unreachable, the local
    /// address is in use, there are no descriptors left. Some systems report a refused connection
    /// to their own addresses here.
    pub fn connect(&self, how: impl Into<Connect>) -> Result<TcpStream, Error> {
        TcpStream::connect(&self.reactor, self.era, &how.into())
    }

    /// Binds a UDP socket to an address, or as [`Udp`] says.
    ///
    /// # Errors
    /// See [`listen`](Self::listen).
    pub fn udp(&self, how: impl Into<Udp>) -> Result<UdpSocket, Error> {
        UdpSocket::bind(&self.reactor, self.era, &how.into())
    }

    /// Listens on a unix socket at a path.
    ///
    /// If there is a socket at the path already, it is replaced if no process has it any more.
    /// While this is checked, the directory of the path is locked (`flock`), so that of two
    /// processes that start at once only one gets the path.
    ///
    /// # Errors
    /// [`Bind`](Operation::Bind) if a process listens on the path, if there is another file, or if
    /// the directory does not exist or cannot be written; [`Register`](Operation::Register).
    pub fn listen_unix(&self, path: impl AsRef<Path>) -> Result<UnixListener, Error> {
        UnixListener::bind(&self.reactor, self.era, path.as_ref())
    }

    /// Begins a connection to the unix socket at a path. Then
    /// [`Event::Connected`](super::Event::Connected) comes, or an
    /// [`Event::Error`](super::Event::Error), which also says that there is no such path. If the
    /// backlog of the listener is full, the loop tries again, until `timeout` has passed.
    ///
    /// # Errors
    /// [`Register`](Operation::Register) if there are no descriptors left, or the handler is gone.
    pub fn connect_unix(
        &self,
        path: impl AsRef<Path>,
        timeout: Option<Duration>,
    ) -> Result<UnixStream, Error> {
        UnixStream::connect(&self.reactor, self.era, path.as_ref(), timeout)
    }

    /// Binds a unix socket for datagrams to a path. See [`listen_unix`](Self::listen_unix) for an
    /// existing path.
    ///
    /// # Errors
    /// See [`listen_unix`](Self::listen_unix).
    pub fn unix_datagram(&self, path: impl AsRef<Path>) -> Result<UnixDatagram, Error> {
        UnixDatagram::bind(&self.reactor, self.era, path.as_ref())
    }

    /// Registers a listener of the standard library, and makes it non-blocking.
    ///
    /// # Errors
    /// [`Register`](Operation::Register) if there are no descriptors left, or the handler is gone.
    pub fn adopt_listener(&self, listener: StdTcpListener) -> Result<TcpListener, Error> {
        TcpListener::adopt(&self.reactor, self.era, listener, None)
    }

    /// Registers a connection of the standard library, and makes it non-blocking.
    ///
    /// # Errors
    /// See [`adopt_listener`](Self::adopt_listener).
    pub fn adopt_tcp(&self, stream: StdTcpStream) -> Result<TcpStream, Error> {
        stream
            .set_nonblocking(true)
            .because(Operation::Register, Address::Unnamed)?;
        TcpStream::adopt(&self.reactor, self.era, stream, None)
    }

    /// Registers a unix listener of the standard library, and makes it non-blocking. Its path is
    /// not removed when it is dropped.
    ///
    /// # Errors
    /// See [`adopt_listener`](Self::adopt_listener).
    pub fn adopt_unix_listener(&self, listener: StdUnixListener) -> Result<UnixListener, Error> {
        listener
            .set_nonblocking(true)
            .because(Operation::Register, Address::Unnamed)?;
        UnixListener::adopt(&self.reactor, self.era, listener, None)
    }

    /// Registers a UDP socket of the standard library, and makes it non-blocking.
    ///
    /// # Errors
    /// See [`adopt_listener`](Self::adopt_listener).
    pub fn adopt_udp(&self, socket: StdUdpSocket) -> Result<UdpSocket, Error> {
        socket
            .set_nonblocking(true)
            .because(Operation::Register, Address::Unnamed)?;
        UdpSocket::adopt(&self.reactor, self.era, socket)
    }

    /// Registers a unix connection of the standard library, and makes it non-blocking.
    ///
    /// # Errors
    /// See [`adopt_listener`](Self::adopt_listener).
    pub fn adopt_unix(&self, stream: StdUnixStream) -> Result<UnixStream, Error> {
        stream
            .set_nonblocking(true)
            .because(Operation::Register, Address::Unnamed)?;
        UnixStream::adopt(&self.reactor, self.era, stream, None)
    }

    /// Registers a unix socket for datagrams of the standard library, and makes it non-blocking.
    ///
    /// # Errors
    /// See [`adopt_listener`](Self::adopt_listener).
    pub fn adopt_unix_datagram(&self, socket: StdUnixDatagram) -> Result<UnixDatagram, Error> {
        socket
            .set_nonblocking(true)
            .because(Operation::Register, Address::Unnamed)?;
        UnixDatagram::adopt(&self.reactor, self.era, socket, None)
    }

    /// Registers a descriptor of any kind that the selector can wait for. It should not block; its
    /// owner makes it so. A regular file is refused by Linux.
    ///
    /// # Errors
    /// [`Register`](Operation::Register) if the selector cannot wait for it, if it is registered
    /// already, if there are no descriptors left, or if the handler is gone.
    pub fn source<T>(&self, source: T, interest: Interest) -> Result<Source<T>, Error>
    where
        T: AsFd + Send + Sync + 'static,
    {
        Source::new(&self.reactor, self.era, source, interest)
    }

    /// Returns the number of open sockets of the loop.
    #[must_use]
    pub fn len(&self) -> usize {
        self.reactor.table.lock().len()
    }

    /// Returns whether the loop has no open sockets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the status of all open sockets of the loop. It takes time in proportion to their
    /// number.
    #[must_use]
    pub fn status(&self) -> Vec<SocketStatus> {
        self.reactor.status()
    }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
