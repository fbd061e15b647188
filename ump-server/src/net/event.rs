//! The events of sockets, and the ids by which they name them.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{Error, TcpStream, UnixStream};

/// The id of a socket of a loop. No other socket of the same loop ever has it (until 2^32 sockets
/// have used the same place), so an event of a closed socket is never taken for one of its
/// successor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SocketId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl SocketId {
    /// Returns a small number that no other *open* socket of the loop has: an index for dense
    /// tables. [`SocketMap`](super::SocketMap) is such a table.
    #[must_use]
    pub fn index(self) -> usize {
        self.index as usize
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketId({self})")
    }
}

/// An event of a socket, for [`Service::on_socket`](crate::thread::Service::on_socket).
///
/// An event is reported only while the handle of its socket exists. Each socket has at most one
/// event in a turn of the loop, except that the loop's listeners may report 32 connections, and
/// the listeners of other loops, which [spread](super::Group) theirs, another 32.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// There is something to read: data, datagrams, the end of the stream, or an error.
    ///
    /// If the handler reads less than there is, it gets the event again in the next turn. So one
    /// read for each event suffices. `pause_reading` stops these events, and `resume_reading` loses
    /// nothing.
    ///
    /// The event may come in vain, for instance after a read that has filled its buffer: then the
    /// read fails with [`WouldBlock`](std::io::ErrorKind::WouldBlock), which is no failure of the
    /// socket.
    Readable(SocketId),
    /// There is room to write again. Only after a write that was short or would have blocked, or
    /// after `request_writable`; once for each of these.
    Writable(SocketId),
    /// The connection that `connect` began is made.
    Connected(SocketId),
    /// A TCP listener has accepted a connection. If the stream is dropped, it is closed.
    Accepted {
        /// The listener. Its socket may belong to another worker, if the connections are
        /// [spread](super::Group).
        listener: SocketId,
        /// The connection.
        stream: TcpStream,
        /// The address of the peer.
        peer: SocketAddr,
    },
    /// A unix listener has accepted a connection.
    AcceptedUnix {
        /// The listener.
        listener: SocketId,
        /// The connection.
        stream: UnixStream,
    },
    /// Both directions of the connection are closed, or it was reset. Reported once, and after the
    /// buffered data: when a read has returned 0 or an error, or at once while reading is paused.
    /// If a read tells the handler first that the connection is over, the handler need not wait for
    /// this event.
    Closed(SocketId),
    /// Something failed: see [`Error::socket`] and [`Error::operation`]. After a failed
    /// [`Connect`](super::Operation::Connect) the socket has no further events; a listener, and a
    /// socket for datagrams, goes on.
    Error(Error),
}

impl Event {
    /// Returns the socket of the event; the listener for a connection that was accepted.
    #[must_use]
    pub fn socket(&self) -> Option<SocketId> {
        match self {
            Self::Readable(id)
            | Self::Writable(id)
            | Self::Connected(id)
            | Self::Closed(id)
            | Self::Accepted { listener: id, .. }
            | Self::AcceptedUnix { listener: id, .. } => Some(*id),
            Self::Error(error) => error.socket(),
        }
    }
}

/// The address of a socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// The path of a unix socket.
    Path(PathBuf),
    /// None, or one that is neither: an unnamed unix socket, or a raw source.
    Unnamed,
}

impl Address {
    /// Returns the IP address and the port.
    #[must_use]
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            _ => None,
        }
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            _ => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Path(path) => path.display().fmt(f),
            Self::Unnamed => f.write_str("an unnamed address"),
        }
    }
}
