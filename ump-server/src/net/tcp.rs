//! TCP listeners and streams.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    net::{SocketAddr, TcpListener as StdTcpListener, TcpStream as StdTcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::Duration,
};

use mio::Interest;
use socket2::SockRef;

use super::{
    Error, Group, Operation, SocketKind, Spread,
    error::Because as _,
    handle::{
        Handle, byte_stream_methods, listener_methods, read_and_write, socket_methods,
        stream_methods,
    },
    options::{self, Listen},
    reactor::{Injected, Reactor},
    readiness::{CONNECTING, MAYBE_READABLE},
    socket::{Connecting, Listener, NewSocket, Role},
};
use crate::sync::Mutex;

/// A TCP listener of a loop, from [`Sockets::listen`](super::Sockets::listen).
///
/// The loop accepts connections by itself, and reports each as
/// [`Event::Accepted`](super::Event::Accepted); at most 32 in a turn. A connection that its peer
/// resets before is counted as an error and skipped. If the process has no descriptors left, the
/// loop reports [`Event::Error`](super::Event::Error), pauses for 10 ms, then 20, and so on up to
/// 1 s, and goes on; the connections wait in the backlog meanwhile.
///
/// Dropping it closes the listener at once. Connections that were accepted are not affected.
#[derive(Debug)]
pub struct TcpListener(Handle<StdTcpListener>);

impl TcpListener {
    pub(super) fn adopt(
        reactor: &Arc<Reactor>,
        era: u64,
        listener: StdTcpListener,
        spread: Option<(Group, Spread)>,
    ) -> Result<Self, Error> {
        let local = listener
            .local_addr()
            .map_or(super::Address::Unnamed, Into::into);
        listener
            .set_nonblocking(true)
            .because(Operation::Listen, local.clone())?;
        let source = Arc::new(listener);
        let spreading = spread.map(|(group, how)| group.spreading(how));
        let new = NewSocket::of(SocketKind::TcpListener)
            .local(local)
            .role(Role::Listener(Listener::tcp(&source, spreading)))
            .flags(MAYBE_READABLE);
        Handle::register(reactor, era, source, new, Interest::READABLE).map(Self)
    }

    pub(super) fn bind(reactor: &Arc<Reactor>, era: u64, how: Listen) -> Result<Self, Error> {
        let listener = options::listen(&how)?;
        Self::adopt(reactor, era, listener, how.spread)
    }

    /// Returns the local address, with the port that the system has chosen for port 0.
    ///
    /// # Errors
    /// Returns the error of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.source.local_addr()
    }

    listener_methods!();
    socket_methods!();
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.source.as_fd()
    }
}

/// A TCP connection of a loop: accepted, made by [`Sockets::connect`](super::Sockets::connect), or
/// [adopted](super::Sockets::adopt_tcp).
///
/// It never blocks: an operation that would block fails with
/// [`WouldBlock`](io::ErrorKind::WouldBlock), and an event of the loop says when to go on. It reads
/// and writes by `&self`, so `&TcpStream` is `Read` and `Write`, too.
///
/// - One read for each [`Readable`](super::Event::Readable) suffices: if there is more, the event
///   comes again in the next turn.
/// - A write may be short, as always. After a write that was short or would have blocked,
///   [`Writable`](super::Event::Writable) comes once when there is room: keep the rest, and write
///   it then.
/// - If a read returns 0, the peer has shut down its half. Writing goes on as before.
///
/// Urgent data (`MSG_OOB`) is not supported: a peer that sends it may get its answer late.
///
/// Dropping it closes the connection. What is in the send buffer is still sent, unless there is
/// data that was not read: then the system resets the connection.
#[derive(Debug)]
pub struct TcpStream(Handle<StdTcpStream>);

impl TcpStream {
    /// Registers a stream, which does not block.
    pub(super) fn adopt(
        reactor: &Arc<Reactor>,
        era: u64,
        stream: StdTcpStream,
        peer: Option<SocketAddr>,
    ) -> Result<Self, Error> {
        let mut new = NewSocket::of(SocketKind::TcpStream);
        new.local = stream.local_addr().ok().map(Into::into);
        new.peer = peer.or_else(|| stream.peer_addr().ok()).map(Into::into);
        let both = Interest::READABLE | Interest::WRITABLE;
        Handle::register(reactor, era, Arc::new(stream), new, both).map(Self)
    }

    pub(super) fn connect(
        reactor: &Arc<Reactor>,
        era: u64,
        how: &options::Connect,
    ) -> Result<Self, Error> {
        let stream = Arc::new(options::connect(how)?);
        let now = reactor.clock.now();
        let until = how.timeout.and_then(|timeout| now.checked_add(timeout));
        let connecting = Connecting::tcp(&stream, how.peer, until);
        let new = NewSocket::of(SocketKind::TcpStream)
            .peer(how.peer)
            .role(Role::Connecting(Mutex::new(connecting)))
            .flags(CONNECTING);
        let both = Interest::READABLE | Interest::WRITABLE;
        let handle = Handle::register(reactor, era, stream, new, both)?;
        if let Some(until) = until {
            let socket = Arc::clone(&handle.socket);
            reactor.inject(Injected::At(until, socket));
        }
        Ok(Self(handle))
    }

    /// Copies what can be read into `buf`, and leaves it to be read.
    ///
    /// # Errors
    /// See [`read`](Self::read).
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.source.peek(buf)
    }

    /// Returns the local address.
    ///
    /// # Errors
    /// Returns the error of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.source.local_addr()
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) while the connection is being made.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.source.peer_addr()
    }

    /// Sets whether small writes are sent at once (`TCP_NODELAY`), rather than gathered. Off by
    /// default.
    ///
    /// # Errors
    /// Returns the error of the operating system.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.source.set_nodelay(nodelay)
    }

    /// Sets what closing does with unsent data. `Some(Duration::ZERO)`: the connection is reset.
    /// `None`, the default: the data is sent in the background. Other times would block the loop
    /// when the stream is dropped.
    ///
    /// # Errors
    /// Returns the error of the operating system.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        SockRef::from(&*self.0.source).set_linger(linger)
    }

    byte_stream_methods!(receive);
    stream_methods!();
    socket_methods!();
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.source.as_fd()
    }
}

/// A short read has emptied the system's buffer.
#[inline]
fn receive(mut stream: &StdTcpStream, buf: &mut [u8]) -> io::Result<(usize, bool)> {
    Ok((stream.read(buf)?, true))
}

read_and_write!(TcpStream, &TcpStream);
