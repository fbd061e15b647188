//! Unix sockets: listeners, streams and datagrams.

use std::{
    fs::{self, File},
    io::{self, IoSlice, IoSliceMut, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            fs::{FileTypeExt as _, MetadataExt as _},
            net::{
                SocketAddr, UnixDatagram as StdUnixDatagram, UnixListener as StdUnixListener,
                UnixStream as StdUnixStream,
            },
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use mio::Interest;
use rustix::fs::{FlockOperation, flock};
#[cfg(target_os = "linux")]
use rustix::net::{RecvAncillaryBuffer, RecvFlags, ReturnFlags, recvmsg};
use socket2::{Domain, SockAddr, Socket as RawSocket, Type};

use super::{
    Address, Datagram, Error, Operation, SocketKind,
    connect::Retry,
    datagram::to_address,
    error::Because as _,
    handle::{
        Handle, byte_stream_methods, listener_methods, read_and_write, socket_methods,
        stream_methods,
    },
    options::BACKLOG,
    reactor::{Injected, Reactor},
    readiness::{CONNECTING, MAYBE_READABLE, WRITABLE},
    socket::{Connecting, Listener, NewSocket, Role},
};
use crate::sync::Mutex;

/// A listener on a unix socket, from [`Sockets::listen_unix`](super::Sockets::listen_unix).
///
/// The loop accepts connections by itself, as for a [`TcpListener`](super::TcpListener), and
/// reports each as [`Event::AcceptedUnix`](super::Event::AcceptedUnix).
///
/// Dropping it removes the path, if it is still this listener's, and closes the listener. The path
/// of one that was [adopted](super::Sockets::adopt_unix_listener) stays.
#[derive(Debug)]
pub struct UnixListener(Handle<StdUnixListener>, Option<Bound>);

impl UnixListener {
    pub(super) fn bind(reactor: &Arc<Reactor>, era: u64, path: &Path) -> Result<Self, Error> {
        let (socket, bound) = bind(path, Type::STREAM, |socket| {
            socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))
        })?;
        Self::adopt(reactor, era, OwnedFd::from(socket).into(), Some(bound))
    }

    /// Registers a listener, which does not block.
    pub(super) fn adopt(
        reactor: &Arc<Reactor>,
        era: u64,
        listener: StdUnixListener,
        bound: Option<Bound>,
    ) -> Result<Self, Error> {
        let source = Arc::new(listener);
        let mut new = NewSocket::of(SocketKind::UnixListener)
            .role(Role::Listener(Listener::unix(&source)))
            .flags(MAYBE_READABLE);
        new.local = source.local_addr().ok().as_ref().map(address);
        let kept = Arc::clone(&source);
        match Handle::register(reactor, era, source, new, Interest::READABLE) {
            Ok(handle) => Ok(Self(handle, bound)),
            Err(error) => {
                drop(bound); // before the socket
                drop(kept);
                Err(error)
            }
        }
    }

    /// Returns the path.
    #[must_use]
    pub fn local_addr(&self) -> Address {
        self.0.socket.local()
    }

    listener_methods!();
    socket_methods!();
}

impl Drop for UnixListener {
    fn drop(&mut self) {
        if let Some(bound) = &mut self.1 {
            bound.remove();
        }
    }
}

/// A connection of a unix socket, of a loop. It behaves as a [`TcpStream`](super::TcpStream) does.
#[derive(Debug)]
pub struct UnixStream(Handle<StdUnixStream>);

impl UnixStream {
    /// Registers a stream, which does not block.
    pub(super) fn adopt(
        reactor: &Arc<Reactor>,
        era: u64,
        stream: StdUnixStream,
        peer: Option<Address>,
    ) -> Result<Self, Error> {
        let mut new = NewSocket::of(SocketKind::UnixStream);
        new.local = stream.local_addr().ok().as_ref().map(address);
        new.peer = peer.or_else(|| stream.peer_addr().ok().as_ref().map(address));
        new.flags |= WRITABLE;
        Handle::register(reactor, era, Arc::new(stream), new, Interest::READABLE).map(Self)
    }

    pub(super) fn connect(
        reactor: &Arc<Reactor>,
        era: u64,
        path: &Path,
        timeout: Option<Duration>,
    ) -> Result<Self, Error> {
        let socket = new_socket(Type::STREAM).because(Operation::Connect, path)?;
        let source = Arc::new(StdUnixStream::from(OwnedFd::from(socket)));
        let now = reactor.clock.now();
        let until = timeout.and_then(|timeout| now.checked_add(timeout));
        let connecting = Connecting::unix(&source, path.to_owned(), until);
        let new = NewSocket::of(SocketKind::UnixStream)
            .peer(path)
            .role(Role::Connecting(Mutex::new(connecting)))
            .flags(CONNECTING);
        // Not registered with the selector before it is connected: until then it would be reported
        // as closed.
        let socket = reactor.insert(era, new)?;
        let handle = Handle {
            socket: Arc::clone(&socket),
            reactor: Arc::clone(reactor),
            source,
        };
        reactor.activate(era)?;
        let begun = match &socket.role {
            Role::Connecting(connecting) => connecting.lock().begin_unix(reactor, &socket, now),
            _ => Retry::Nothing,
        };
        if let Some(until) = until {
            reactor.inject(Injected::At(until, Arc::clone(&socket)));
        }
        match begun {
            Retry::Nothing => {}
            Retry::Queue => reactor.inject(Injected::Ready(socket)),
            Retry::Fail(error) => {
                if socket.fail_connect(error) {
                    reactor.inject(Injected::Ready(socket));
                }
            }
            Retry::At(at) => reactor.inject(Injected::At(at, socket)),
        }
        Ok(Self(handle))
    }

    /// Returns the local address.
    #[must_use]
    pub fn local_addr(&self) -> Address {
        self.0.socket.local()
    }

    /// Returns the address of the peer.
    #[must_use]
    pub fn peer_addr(&self) -> Address {
        self.0.socket.peer()
    }

    byte_stream_methods!(receive);
    stream_methods!();
    socket_methods!();
}

/// A short read has emptied the system's buffer, unless it ends at a passed descriptor: of that the
/// system tells, as there is no room for it.
#[cfg(target_os = "linux")]
fn receive(stream: &StdUnixStream, buf: &mut [u8]) -> io::Result<(usize, bool)> {
    let mut no_room = RecvAncillaryBuffer::default();
    let parts = &mut [IoSliceMut::new(buf)];
    let received = recvmsg(stream, parts, &mut no_room, RecvFlags::empty())?;
    let has_passed = received.flags.contains(ReturnFlags::CTRUNC);
    Ok((received.bytes, !has_passed))
}

/// It is not known why a read is short.
#[cfg(not(target_os = "linux"))]
fn receive(mut stream: &StdUnixStream, buf: &mut [u8]) -> io::Result<(usize, bool)> {
    Ok((stream.read(buf)?, false))
}

read_and_write!(UnixStream, &UnixStream);

/// A unix socket for datagrams, of a loop. It behaves as a [`UdpSocket`](super::UdpSocket) does.
///
/// Dropping it removes its path, if it is still this socket's, and closes it.
#[derive(Debug)]
pub struct UnixDatagram(Handle<StdUnixDatagram>, Option<Bound>);

impl UnixDatagram {
    pub(super) fn bind(reactor: &Arc<Reactor>, era: u64, path: &Path) -> Result<Self, Error> {
        let (socket, bound) = bind(path, Type::DGRAM, |_| Ok(()))?;
        Self::adopt(reactor, era, OwnedFd::from(socket).into(), Some(bound))
    }

    /// Registers a socket, which does not block.
    pub(super) fn adopt(
        reactor: &Arc<Reactor>,
        era: u64,
        socket: StdUnixDatagram,
        bound: Option<Bound>,
    ) -> Result<Self, Error> {
        let mut new = NewSocket::of(SocketKind::UnixDatagram);
        new.local = socket.local_addr().ok().as_ref().map(address);
        new.peer = socket.peer_addr().ok().as_ref().map(address);
        let both = Interest::READABLE | Interest::WRITABLE;
        let source = Arc::new(socket);
        match Handle::register(reactor, era, Arc::clone(&source), new, both) {
            Ok(handle) => Ok(Self(handle, bound)),
            Err(error) => {
                drop(bound); // before the socket
                drop(source);
                Err(error)
            }
        }
    }

    /// Receives a datagram into `buf`. The sender's address is
    /// [`Unnamed`](Address::Unnamed) if it has no path.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none: the event
    /// [`Readable`](super::Event::Readable) comes when there is.
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<Datagram<Address>> {
        let Datagram {
            len,
            is_truncated,
            from,
        } = self.0.receive(buf)?;
        Ok(Datagram {
            len,
            is_truncated,
            from: to_address(from),
        })
    }

    /// Sends a datagram to the socket at a path.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room. On Linux that is often the
    /// receiver's queue, of which no event tells: try again by a timer. With any other error this
    /// datagram is lost.
    pub fn send_to(&self, datagram: &[u8], to: impl AsRef<Path>) -> io::Result<()> {
        let to = to.as_ref();
        self.0.send(|socket| socket.send_to(datagram, to))
    }

    /// Sends a datagram to the peer of a connected socket.
    ///
    /// # Errors
    /// See [`send_to`](Self::send_to).
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.0.send(|socket| socket.send(datagram))
    }

    /// Returns the local address.
    #[must_use]
    pub fn local_addr(&self) -> Address {
        self.0.socket.local()
    }

    stream_methods!();
    socket_methods!();
}

impl Drop for UnixDatagram {
    fn drop(&mut self) {
        if let Some(bound) = &mut self.1 {
            bound.remove();
        }
    }
}

macro_rules! as_fd {
    ($($Socket:ident)*) => {
        $(impl AsFd for $Socket {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.source.as_fd()
            }
        })*
    };
}

as_fd!(UnixListener UnixStream UnixDatagram);

/// Converts an address of the standard library.
pub(super) fn address(address: &SocketAddr) -> Address {
    match address.as_pathname() {
        Some(path) => Address::Path(path.to_owned()),
        None => Address::Unnamed,
    }
}

fn new_socket(kind: Type) -> io::Result<RawSocket> {
    let socket = RawSocket::new(Domain::UNIX, kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A path that a socket is bound to. It is removed before the socket is closed: nobody replaces the
/// path of a socket that is alive, but the file of a successor could have the same inode.
#[derive(Debug)]
pub(super) struct Bound {
    path: PathBuf,
    /// The device and the inode of the socket's file.
    file: Option<(u64, u64)>,
}

impl Bound {
    fn file(path: &Path) -> Option<(u64, u64)> {
        let file = fs::symlink_metadata(path).ok()?;
        Some((file.dev(), file.ino()))
    }

    /// Removes the path, if it is still that of this socket.
    fn remove(&mut self) {
        let file = self.file.take();
        if file.is_some() && Self::file(&self.path) == file {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Binds a socket to a path. Replaces the path of a dead socket, and only that: two processes that
/// start at once agree by a lock on the directory, so one of them gets the error.
fn bind(
    path: &Path,
    kind: Type,
    begin: impl FnOnce(&RawSocket) -> io::Result<()>,
) -> Result<(RawSocket, Bound), Error> {
    let bound = || {
        let address = SockAddr::unix(path)?;
        let socket = new_socket(kind)?;
        let _locked = lock_directory(path)?;
        match socket.bind(&address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_dead(path, kind) => {
                match fs::remove_file(path) {
                    // Its owner was about to remove it.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    removed => removed?,
                }
                socket.bind(&address)?;
            }
            bound => bound?,
        }
        let bound = Bound {
            path: path.to_owned(),
            file: Bound::file(path),
        };
        // Under the lock: a socket that does not listen yet would seem dead.
        begin(&socket)?;
        io::Result::Ok((socket, bound))
    };
    bound().because(Operation::Bind, path)
}

/// Returns whether the path is that of a socket that no process has.
fn is_dead(path: &Path, kind: Type) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refuses = || {
        let probe = new_socket(kind)?;
        probe.connect(&SockAddr::unix(path)?)
    };
    is_socket && refuses().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The number of milliseconds to wait for the lock.
const PATIENCE: u32 = 1_000;

/// Locks the directory of a path, against other processes that do the same.
fn lock_directory(path: &Path) -> io::Result<File> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let directory = File::open(directory)?;
    for _ in 0..PATIENCE {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(directory),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => thread::sleep(Duration::from_millis(1)),
            Err(error) => return Err(error.into()),
        }
    }
    let error = "another process keeps the directory of the socket locked";
    Err(io::Error::new(io::ErrorKind::WouldBlock, error))
}
