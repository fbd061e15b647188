//! A connection, and what listens.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use ump_server::net::{SocketId, TcpListener, TcpStream, UnixListener, UnixStream};

#[cfg(feature = "tls")]
use super::tls_stream::TlsStream;
use super::unix_socket::{self, BoundPath};
use crate::link::sockets::access::Identity;

pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
}

impl Stream {
    pub(super) fn id(&self) -> SocketId {
        match self {
            Self::Tcp(stream) => stream.id(),
            Self::Unix(stream) => stream.id(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.id(),
        }
    }

    /// Returns who the peer of a connection is, once it is known.
    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::unnecessary_wraps, reason = "TLS may wait")
    )]
    pub(super) fn identity(&self) -> Option<Identity> {
        match self {
            Self::Tcp(stream) => {
                let address = stream.peer_addr().ok();
                let address = address.map(|address| address.ip().to_canonical());
                Some(Identity::Anonymous { address })
            }
            Self::Unix(stream) => Some(unix_socket::identity(stream)),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.identity(),
        }
    }

    /// Reads. An error of the kind [`io::ErrorKind::InvalidData`] is a failure of TLS.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(buffer, false),
        }
    }

    /// Reads also if the loop has not reported anything yet.
    pub(super) fn read_now(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read_now(buffer),
            Self::Unix(stream) => stream.read_now(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(buffer, true),
        }
    }

    /// Returns whether something can be read of which no event will tell.
    pub(super) fn holds_input(&mut self) -> bool {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.has_plain_text(),
            _ => false,
        }
    }

    /// Returns whether something that was written is not in the socket yet.
    pub(super) fn holds_output(&self) -> bool {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.wants_write(),
            _ => false,
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    /// Writes what `write` has taken over and not written.
    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::unnecessary_wraps, reason = "TLS may fail")
    )]
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.flush(),
            _ => Ok(()),
        }
    }

    /// Suspends the events of the socket, for a thread that waits for it.
    pub(super) fn suspend_events(&self) {
        match self {
            Self::Tcp(stream) => stream.suspend_events(),
            Self::Unix(stream) => stream.suspend_events(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.tcp().suspend_events(),
        }
    }

    pub(super) fn resume_events(&self) {
        match self {
            Self::Tcp(stream) => stream.resume_events(),
            Self::Unix(stream) => stream.resume_events(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.tcp().resume_events(),
        }
    }

    /// Returns another descriptor of the same socket.
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.tcp().as_fd(),
        }
        .try_clone_to_owned()
    }

    /// Requests an event of the socket, in the next turn in which there is room to write.
    pub(super) fn request_writable(&self) {
        match self {
            Self::Tcp(stream) => stream.request_writable(),
            Self::Unix(stream) => stream.request_writable(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.tcp().request_writable(),
        }
    }
}

/// It listens until it is dropped.
pub(super) enum Listening {
    Tcp(TcpListener),
    /// The path is removed before the socket is closed.
    Unix {
        _path: BoundPath,
        listener: UnixListener,
    },
}

impl Listening {
    pub(super) fn id(&self) -> SocketId {
        match self {
            Self::Tcp(listener) => listener.id(),
            Self::Unix { listener, .. } => listener.id(),
        }
    }
}
