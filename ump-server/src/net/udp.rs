//! UDP sockets.

use std::{
    io,
    net::{SocketAddr, UdpSocket as StdUdpSocket},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use mio::Interest;

use super::{
    Address, Datagram, Error, ReceiveBatch, SendTo, SocketKind,
    batch::{self, Mode},
    datagram::to_address,
    handle::{Handle, socket_methods, stream_methods},
    options::{self, Udp},
    reactor::Reactor,
    socket::NewSocket,
};

/// A UDP socket of a loop, from [`Sockets::udp`](super::Sockets::udp).
///
/// It never blocks. One receive for each [`Readable`](super::Event::Readable) suffices: if there
/// are more datagrams, the event comes again in the next turn.
///
/// - If a datagram that was sent before could not be delivered (an ICMP message has come back),
///   receiving goes on: the failure is counted, and reported once as
///   [`Event::Error`](super::Event::Error). Linux tells it only of connected sockets.
/// - A datagram that cannot be sent is lost, and the error says why: it is too long, a firewall
///   refuses it, the network is down. The socket is as good as before.
///
/// Where many datagrams come and go, [`recv_batch`](Self::recv_batch) and
/// [`send_batch`](Self::send_batch) need fewer system calls. If the system refuses calls for
/// several datagrams, as some filters of system calls do, they go one by one.
#[derive(Debug)]
pub struct UdpSocket(Handle<StdUdpSocket>, Mode);

impl UdpSocket {
    pub(super) fn bind(reactor: &Arc<Reactor>, era: u64, how: &Udp) -> Result<Self, Error> {
        let socket = options::udp(how)?;
        let mode = Mode::new(&socket, how);
        Self::register(reactor, era, socket, how.peer, mode)
    }

    /// Registers a socket, which does not block.
    pub(super) fn adopt(
        reactor: &Arc<Reactor>,
        era: u64,
        socket: StdUdpSocket,
    ) -> Result<Self, Error> {
        let mode = Mode::of_unknown(&socket);
        Self::register(reactor, era, socket, None, mode)
    }

    fn register(
        reactor: &Arc<Reactor>,
        era: u64,
        socket: StdUdpSocket,
        peer: Option<SocketAddr>,
        mode: Mode,
    ) -> Result<Self, Error> {
        let mut new = NewSocket::of(SocketKind::Udp);
        new.local = socket.local_addr().ok().map(Into::into);
        new.peer = peer.or_else(|| socket.peer_addr().ok()).map(Into::into);
        let both = Interest::READABLE | Interest::WRITABLE;
        Handle::register(reactor, era, Arc::new(socket), new, both).map(|handle| Self(handle, mode))
    }

    /// Receives a datagram into `buf`. A datagram has at most 65,507 bytes over IPv4; if `buf` is
    /// shorter, the result [says](Datagram::is_truncated) whether the rest was lost.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is none: the event
    /// [`Readable`](super::Event::Readable) comes when there is.
    /// [`Unsupported`](io::ErrorKind::Unsupported) if the system [coalesces](Udp::coalesce)
    /// datagrams of this socket.
    #[inline]
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<Datagram> {
        if self.1.coalesces() {
            let why = "a socket with coalesced datagrams receives in batches only";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let Datagram {
            len,
            is_truncated,
            from,
        } = self.0.receive(buf)?;
        let Address::Ip(from) = to_address(from) else {
            return Err(io::Error::other("a datagram without an address"));
        };
        Ok(Datagram {
            len,
            is_truncated,
            from,
        })
    }

    /// Sends a datagram to an address.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room: the event
    /// [`Writable`](super::Event::Writable) comes when there is. With any other error this datagram
    /// is lost.
    #[inline]
    pub fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.0.send(|socket| socket.send_to(datagram, to))
    }

    /// Sends a datagram to the peer of a [connected](Udp::connect) socket.
    ///
    /// # Errors
    /// See [`send_to`](Self::send_to).
    #[inline]
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.0.send(|socket| socket.send(datagram))
    }

    /// Receives several datagrams into a batch, which must be empty: by one system call on Linux.
    /// Returns their number, at least one: at most 32, or more if the system
    /// [coalesces](Udp::coalesce) them.
    ///
    /// # Errors
    /// See [`recv_from`](Self::recv_from). [`InvalidInput`](io::ErrorKind::InvalidInput) if the
    /// batch is not empty, or if its buffers are too short for coalesced datagrams: these need
    /// 65,535 bytes.
    pub fn recv_batch(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        self.recv_batch_of(batch, batch::MESSAGES)
    }

    /// Receives at most `limit` messages, each of one or more datagrams.
    pub(crate) fn recv_batch_of(
        &self,
        batch: &mut ReceiveBatch,
        limit: usize,
    ) -> io::Result<usize> {
        batch.prepare(&self.1)?;
        self.0
            .receive_by(|socket| batch.receive(socket, &self.1, limit))?;
        Ok(batch.len())
    }

    /// Returns whether the system coalesces received datagrams.
    pub(crate) fn coalesces(&self) -> bool {
        self.1.coalesces()
    }

    /// Sends the first datagrams of a slice: by one system call on Linux. Returns their number, at
    /// least one unless the slice is empty. Call it again for the others.
    ///
    /// Datagrams of equal length to one peer, one after another, are given to the system as one
    /// message, which it segments (generic segmentation offload), where it can. If it refuses that,
    /// they are sent one by one.
    ///
    /// # Errors
    /// See [`send_to`](Self::send_to). An error is that of the first datagram of the slice: it
    /// alone is lost (or waits, if the error is [`WouldBlock`](io::ErrorKind::WouldBlock)), and the
    /// others can be sent. [`InvalidInput`](io::ErrorKind::InvalidInput) if its source cannot be
    /// that of a datagram to its destination.
    pub fn send_batch(&self, datagrams: &[SendTo<'_>]) -> io::Result<usize> {
        if datagrams.is_empty() {
            return Ok(0);
        }
        self.0
            .send_by(|socket| batch::send(socket, &self.1, datagrams))
    }

    /// Returns the local address, with the port that the system has chosen for port 0.
    ///
    /// # Errors
    /// Returns the error of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.source.local_addr()
    }

    /// Returns the address of the peer of a [connected](Udp::connect) socket.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) if the socket is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.source.peer_addr()
    }

    /// Calls a closure with the socket, for options that are not here: multicast, broadcast, the
    /// time to live.
    pub fn with_std<T>(&self, f: impl FnOnce(&StdUdpSocket) -> T) -> T {
        f(&self.0.source)
    }

    stream_methods!();
    socket_methods!();
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.source.as_fd()
    }
}
