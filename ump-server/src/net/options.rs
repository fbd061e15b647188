//! How sockets are made: addresses and options.

use std::{
    io,
    net::{
        SocketAddr, TcpListener as StdTcpListener, TcpStream as StdTcpStream,
        UdpSocket as StdUdpSocket,
    },
    time::Duration,
};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Error, Group, Operation, Spread, batch::ask_for_info, error::Because as _};

/// The default backlog of listeners.
pub(super) const BACKLOG: u32 = 1024;

/// How to listen for TCP connections: an address, and options. For
/// [`Sockets::listen`](super::Sockets::listen).
///
/// ```
/// use std::net::Ipv4Addr;
/// use ump_server::net::Listen;
///
/// let how = Listen::new((Ipv4Addr::LOCALHOST, 8080)).backlog(4096);
/// # let _ = how;
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is for `Sockets::listen`"]
pub struct Listen {
    address: SocketAddr,
    backlog: u32,
    reuse_port: bool,
    only_v6: Option<bool>,
    pub(super) spread: Option<(Group, Spread)>,
}

impl Listen {
    /// Listens on this address. Port 0 is any free port.
    pub fn new(address: impl Into<SocketAddr>) -> Self {
        Self {
            address: address.into(),
            backlog: BACKLOG,
            reuse_port: false,
            only_v6: None,
            spread: None,
        }
    }

    /// Sets how many connections may wait to be accepted. The default is 1024. The system may have
    /// a lower limit: `net.core.somaxconn` on Linux.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Lets several sockets of this user listen on the same address (`SO_REUSEPORT`). On Linux the
    /// system then spreads the connections over them, by a hash of both addresses.
    ///
    /// When such a listener is closed, the system resets the connections that wait in its backlog.
    /// To spread connections without that, use one listener and a [`Group`].
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = reuse;
        self
    }

    /// Sets whether a listener on an IPv6 address refuses IPv4 connections. The default is the
    /// system's: on Linux `[::]` accepts both, and IPv4 peers have mapped addresses.
    pub fn only_v6(mut self, only: bool) -> Self {
        self.only_v6 = Some(only);
        self
    }

    /// Spreads the accepted connections over the members of a group, instead of keeping them.
    pub fn spread(mut self, group: &Group, how: Spread) -> Self {
        self.spread = Some((group.clone(), how));
        self
    }
}

impl<A: Into<SocketAddr>> From<A> for Listen {
    fn from(address: A) -> Self {
        Self::new(address)
    }
}

/// How to connect by TCP: an address, and options. For
/// [`Sockets::connect`](super::Sockets::connect).
#[derive(Clone, Debug)]
#[must_use = "it is for `Sockets::connect`"]
pub struct Connect {
    pub(super) peer: SocketAddr,
    local: Option<SocketAddr>,
    pub(super) timeout: Option<Duration>,
    nodelay: bool,
}

impl Connect {
    /// Connects to this address.
    pub fn new(peer: impl Into<SocketAddr>) -> Self {
        Self {
            peer: peer.into(),
            local: None,
            timeout: None,
            nodelay: false,
        }
    }

    /// Gives up after this time, by the loop's clock. Without it the system decides: on Linux after
    /// some two minutes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the local address. Port 0 is any free port.
    pub fn local(mut self, local: impl Into<SocketAddr>) -> Self {
        self.local = Some(local.into());
        self
    }

    /// Sets whether small writes are sent at once (`TCP_NODELAY`).
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }
}

impl<A: Into<SocketAddr>> From<A> for Connect {
    fn from(peer: A) -> Self {
        Self::new(peer)
    }
}

/// How to make a UDP socket: an address, and options. For [`Sockets::udp`](super::Sockets::udp).
#[derive(Clone, Debug)]
#[must_use = "it is for `Sockets::udp`"]
#[expect(clippy::struct_excessive_bools, reason = "they are independent")]
pub struct Udp {
    local: SocketAddr,
    pub(super) peer: Option<SocketAddr>,
    reuse_port: bool,
    only_v6: Option<bool>,
    receive_buffer: Option<usize>,
    send_buffer: Option<usize>,
    pub(super) packet_info: bool,
    pub(super) coalesce: bool,
    pub(super) segment: bool,
}

impl Udp {
    /// Binds to this address. Port 0 is any free port.
    pub fn new(local: impl Into<SocketAddr>) -> Self {
        Self {
            local: local.into(),
            peer: None,
            reuse_port: false,
            only_v6: None,
            receive_buffer: None,
            send_buffer: None,
            packet_info: false,
            coalesce: false,
            segment: true,
        }
    }

    /// Receives only from this peer, and sends to it by [`send`](super::UdpSocket::send).
    pub fn connect(mut self, peer: impl Into<SocketAddr>) -> Self {
        self.peer = Some(peer.into());
        self
    }

    /// Lets several sockets of this user have the same address (`SO_REUSEPORT`).
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = reuse;
        self
    }

    /// Sets whether a socket on an IPv6 address refuses IPv4 datagrams. The default is the
    /// system's.
    pub fn only_v6(mut self, only: bool) -> Self {
        self.only_v6 = Some(only);
        self
    }

    /// Sets the size of the system's receive buffer, in bytes. The system may choose another one:
    /// Linux doubles it, up to twice `net.core.rmem_max`.
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Sets the size of the system's send buffer, in bytes. The system may choose another one.
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = Some(bytes);
        self
    }

    /// Asks for the address to which each datagram was sent: a socket on an unspecified address
    /// receives those to any address of the machine. See [`Received::to`](super::Received::to).
    /// Linux only; it has no effect elsewhere.
    pub fn packet_info(mut self, asks: bool) -> Self {
        self.packet_info = asks;
        self
    }

    /// Lets the system coalesce datagrams of equal length from one peer into one message, which the
    /// batch splits (generic receive offload). Then the socket receives in
    /// [batches](super::UdpSocket::recv_batch) only. It has no effect where the system cannot do
    /// it.
    pub fn coalesce(mut self, coalesces: bool) -> Self {
        self.coalesce = coalesces;
        self
    }

    /// Sets whether datagrams of equal length to one peer may be sent as one message, which the
    /// system segments: see [`send_batch`](super::UdpSocket::send_batch). The default is true.
    pub fn segment(mut self, segments: bool) -> Self {
        self.segment = segments;
        self
    }
}

impl<A: Into<SocketAddr>> From<A> for Udp {
    fn from(local: A) -> Self {
        Self::new(local)
    }
}

fn new_socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

pub(super) fn listen(how: &Listen) -> Result<StdTcpListener, Error> {
    let Listen {
        address,
        backlog,
        reuse_port,
        only_v6,
        ..
    } = how;
    let bound = || {
        let socket = new_socket(*address, Type::STREAM, Protocol::TCP)?;
        // Otherwise a server that is restarted waits for minutes, for connections of the last one.
        socket.set_reuse_address(true)?;
        if *reuse_port {
            socket.set_reuse_port(true)?;
        }
        if let (Some(only), true) = (*only_v6, address.is_ipv6()) {
            socket.set_only_v6(only)?;
        }
        socket.bind(&(*address).into())?;
        io::Result::Ok(socket)
    };
    let socket = bound().because(Operation::Bind, *address)?;
    let backlog = i32::try_from(*backlog).unwrap_or(i32::MAX);
    socket
        .listen(backlog)
        .because(Operation::Listen, *address)?;
    Ok(socket.into())
}

/// Begins to connect.
pub(super) fn connect(how: &Connect) -> Result<StdTcpStream, Error> {
    let begin = || {
        let socket = new_socket(how.peer, Type::STREAM, Protocol::TCP)?;
        if how.nodelay {
            socket.set_tcp_nodelay(true)?;
        }
        if let Some(local) = how.local {
            socket.bind(&local.into())?;
        }
        match socket.connect(&how.peer.into()) {
            // In progress, which is no failure.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INPROGRESS) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result?,
        }
        io::Result::Ok(socket.into())
    };
    begin().because(Operation::Connect, how.peer)
}

pub(super) fn udp(how: &Udp) -> Result<StdUdpSocket, Error> {
    let bound = || {
        let socket = new_socket(how.local, Type::DGRAM, Protocol::UDP)?;
        if how.reuse_port {
            socket.set_reuse_port(true)?;
        }
        if let (Some(only), true) = (how.only_v6, how.local.is_ipv6()) {
            socket.set_only_v6(only)?;
        }
        if let Some(bytes) = how.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(bytes) = how.send_buffer {
            socket.set_send_buffer_size(bytes)?;
        }
        if how.packet_info {
            ask_for_info(&socket, how.local.is_ipv6())?;
        }
        socket.bind(&how.local.into())?;
        io::Result::Ok(socket)
    };
    let socket = bound().because(Operation::Bind, how.local)?;
    if let Some(peer) = how.peer {
        socket
            .connect(&peer.into())
            .because(Operation::Connect, peer)?;
    }
    Ok(socket.into())
}
