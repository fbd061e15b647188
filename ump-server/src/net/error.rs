//! Errors that name the operation, the socket and the address.

use std::{fmt, io, path::Path, sync::Arc};

use super::{Address, SocketId};

/// The operation on a socket that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Operation {
    /// A socket was to be created, or bound to an address.
    Bind,
    /// A listener was to listen.
    Listen,
    /// A connection was to be accepted.
    Accept,
    /// A connection was to be made.
    Connect,
    /// A socket was to be registered with the loop.
    Register,
    /// Datagrams were to be received.
    Receive,
}

impl Operation {
    fn verb(self) -> &'static str {
        match self {
            Self::Bind => "bind a socket to",
            Self::Listen => "listen on",
            Self::Accept => "accept a connection on",
            Self::Connect => "connect to",
            Self::Register => "register the socket of",
            Self::Receive => "receive datagrams on",
        }
    }
}

/// The failure of an operation on a socket.
///
/// It is returned by the methods of [`Sockets`](super::Sockets), and reported by
/// [`Event::Error`](super::Event::Error). Its text names the operation, the address and the reason,
/// and says what to do if that is known. The [source](std::error::Error::source) is the error of
/// the operating system.
#[derive(Clone)]
pub struct Error(Box<Parts>);

#[derive(Clone)]
struct Parts {
    operation: Operation,
    socket: Option<SocketId>,
    address: Address,
    error: Arc<io::Error>,
}

impl Error {
    pub(super) fn new(operation: Operation, address: Address, error: io::Error) -> Self {
        Self(Box::new(Parts {
            operation,
            socket: None,
            address,
            error: Arc::new(error),
        }))
    }

    pub(super) fn of(mut self, socket: SocketId) -> Self {
        self.0.socket = Some(socket);
        self
    }

    /// Creates the error of a socket that is to be registered with a loop that has no sockets: its
    /// handler is gone, or it runs on a task, and there is no feature for that.
    pub(super) fn no_loop(operation: Operation, address: Address, had_loop: bool) -> Self {
        let error = if had_loop {
            io::Error::new(io::ErrorKind::BrokenPipe, "the handler of the loop is gone")
        } else {
            let why = "a loop on a task has sockets only with the feature `tokio-net`: enable \
                       it, or await sockets of the runtime in the handler's `ready`";
            io::Error::new(io::ErrorKind::Unsupported, why)
        };
        Self::new(operation, address, error)
    }

    /// Returns the operation that failed.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// Returns the socket, if there is one: not if it could not be created.
    #[must_use]
    pub fn socket(&self) -> Option<SocketId> {
        self.0.socket
    }

    /// Returns the address that the operation was about: that of the peer for a connect, otherwise
    /// the local one.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.0.address
    }

    /// Returns the kind of the operating system's error.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.0.error.kind()
    }

    /// Returns the operating system's error.
    #[must_use]
    pub fn io(&self) -> &io::Error {
        &self.0.error
    }

    /// Returns whether the process, or the system, has no more descriptors or no more memory for
    /// sockets. A listener goes on by itself: it tries again after a pause of 10 ms to 1 s.
    #[must_use]
    pub fn is_exhaustion(&self) -> bool {
        is_exhaustion(&self.0.error)
    }

    fn advice(&self) -> Option<&'static str> {
        let Parts {
            operation,
            address,
            error,
            ..
        } = &*self.0;
        let is_unix = matches!(address, Address::Path(_));
        Some(match (operation, error.kind()) {
            (Operation::Accept, _) if is_exhaustion(error) => {
                "the listener tries again after a pause; raise the limit of open files, or close \
                 connections"
            }
            (_, io::ErrorKind::AddrInUse) if is_unix => "another process listens on this path",
            (_, io::ErrorKind::AddrInUse) => {
                "another socket has this address: stop it, or use port 0 for any free port"
            }
            (Operation::Bind | Operation::Listen, io::ErrorKind::PermissionDenied) if !is_unix => {
                "ports below 1024 are privileged on most systems"
            }
            (Operation::Bind | Operation::Listen, io::ErrorKind::AddrNotAvailable) => {
                "no interface of this machine has this address"
            }
            _ => return None,
        })
    }
}

/// Returns whether there are too many descriptors, or too little memory, so that trying again at
/// once is in vain.
pub(super) fn is_exhaustion(error: &io::Error) -> bool {
    use rustix::io::Errno;

    const ALL: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| ALL.contains(&errno))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts {
            operation,
            address,
            error,
            ..
        } = &*self.0;
        write!(f, "cannot {} {address}: {error}", operation.verb())?;
        match self.advice() {
            Some(advice) => write!(f, " ({advice})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("operation", &self.operation())
            .field("socket", &self.socket())
            .field("address", self.address())
            .field("io", self.io())
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0.error)
    }
}

/// Keeps the kind and the text.
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}

/// Adds what an `io::Error` lacks.
pub(super) trait Because<T> {
    fn because(self, operation: Operation, address: impl Into<Address>) -> Result<T, Error>;
}

impl<T> Because<T> for io::Result<T> {
    fn because(self, operation: Operation, address: impl Into<Address>) -> Result<T, Error> {
        self.map_err(|error| Error::new(operation, address.into(), error))
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}
