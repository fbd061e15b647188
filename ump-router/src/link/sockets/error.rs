//! Why a router did not listen or connect.

use std::{convert::Infallible, net::SocketAddr, path::PathBuf};

use crate::link::{session::Closed, wire::GoodbyeReason};

/// The reason why a router did not listen, or began no link.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum LinkSetupError {
    /// The text is not an address.
    #[error("'{0}' is not an address of a link: write unix:PATH, tcp:HOST:PORT or tls:HOST:PORT")]
    Address(String),
    /// Any host could connect, and links over TCP are not protected.
    #[error(
        "the router does not listen on {0}, where other hosts can connect without authentication: use a loopback address, a unix socket, or TLS"
    )]
    NotLoopback(SocketAddr),
    /// Another process, or another router of this one, listens on the path of a unix socket.
    #[error("another process listens on {}: stop it, or choose another path", .0.display())]
    InUse(PathBuf),
    /// There is another file at the path of a unix socket. It stays.
    #[error("{} is not a socket: remove it, or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// The system allows about 100 bytes for the path of a unix socket.
    #[error("the path of the socket is too long: {}", .0.display())]
    PathTooLong(PathBuf),
    /// The folder of a unix socket cannot be used.
    #[error("the folder {} of the socket cannot be used: {reason}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The path of a unix socket, or of its lock, cannot be used.
    #[error("{} cannot be used: {reason}", .path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The host has no address.
    #[error("the host of {address} cannot be resolved: {reason}")]
    Host {
        /// The address.
        address: String,
        /// The reason.
        reason: String,
    },
    /// The address is for TLS, and the options have no certificates.
    #[error("{0} needs certificates: build with the feature `tls` and give them in the options")]
    NoCertificates(String),
    /// The socket could not be made.
    #[error("{0}")]
    Socket(String),
    /// The thread of the links could not be started.
    #[error("the thread of the links was not started: {0}")]
    Thread(String),
    /// The runtime that the links are to run on cannot drive them.
    #[error("the links cannot run on the runtime: {0}")]
    Runtime(String),
    /// The runtime that the links ran on, or are to run on, was shut down.
    #[error("the runtime of the links was shut down: choose another one")]
    RuntimeShutDown,
    /// The links run already, so it is too late to choose what drives them.
    #[error("the links of the router run already: choose their runtime before the first one")]
    AlreadyRunning,
    /// The call was made in code that links run while they are locked: a codec, the waker of a
    /// task, or the drop of a message. It would wait for that code itself. Make it on another
    /// thread or task, or after that code has returned.
    #[error(
        "a codec, a waker or the drop of a message called the links that run it: make the call on another thread or task"
    )]
    InCodeOfLinks,
    /// The router was [closed](crate::Router::close).
    #[error("the router was closed")]
    Closed,
}

/// For an [`Address`](super::Address) as an argument: to make one of it cannot fail.
impl From<Infallible> for LinkSetupError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// The reason why a link is not open: see [`Link::last_failure`](super::Link::last_failure).
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum LinkFailure {
    /// The host has no address.
    #[error("{0}")]
    Resolve(String),
    /// TLS failed: a certificate was refused at this or at the other end, or the other end does not
    /// speak TLS.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// No connection was made.
    #[error("{0}")]
    Connect(String),
    /// The rules of this end do not allow the router at the other end.
    #[error("the rules of this end do not allow the link: {0}")]
    Denied(String),
    /// The session ended. If the router at the other end refused it,
    /// [`Closed::Peer`] has the reason.
    #[error("{0}")]
    Ended(Closed),
}

impl LinkFailure {
    /// Returns whether the rules of either end do not allow the link.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Denied(_) => true,
            Self::Ended(Closed::Peer { reason, .. }) => *reason == GoodbyeReason::Denied,
            _ => false,
        }
    }
}
