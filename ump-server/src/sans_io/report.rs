//! The reports of drivers.

use std::{borrow::Cow, fmt, io, net::SocketAddr, sync::Arc};

use ump::PanicMessage;

use super::{SocketNumber, StuckTask, TaskAddress};
use crate::{Decision, JoinErrorKind};

/// A report of a driver to the application: the events of tasks, and their failures. `E` is the
/// type of the events.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Report<E> {
    /// An event of a task.
    Event {
        /// The task.
        from: TaskAddress,
        /// The event.
        event: E,
    },
    /// The deadline of a task stays in the past: see
    /// [`GroupOutput::Stuck`](super::GroupOutput::Stuck).
    TaskStuck {
        /// The task.
        task: TaskAddress,
        /// Its name.
        name: Cow<'static, str>,
        /// Its deadline.
        stuck: StuckTask,
    },
    /// A task has panicked, and was removed. The other tasks of its worker go on.
    TaskPanicked {
        /// The task.
        task: TaskAddress,
        /// Its name.
        name: Cow<'static, str>,
        /// The message of the panic, if it is known.
        message: Option<PanicMessage>,
    },
    /// A worker has failed: a panic that its policy does not [continue](crate::OnPanic::Continue)
    /// after, or a factory that refuses. Its tasks are gone.
    WorkerFailed(WorkerFailure),
    /// A socket has failed. The driver goes on, and so does the socket if it can.
    SocketFailed(SocketFailure),
}

/// The failure of a socket. Failures of one kind are reported at most once a second for each
/// socket.
///
/// Packets that were not sent are all counted in
/// [`EngineStats::transmit_dropped`](super::EngineStats::transmit_dropped). Failures to receive and
/// to accept lose no packet of the driver, and are not counted there: the status of the socket
/// counts its errors.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketFailure {
    /// The number of the worker.
    pub worker: usize,
    /// The socket.
    pub socket: SocketNumber,
    /// The peer, if the failure is about one.
    pub peer: Option<SocketAddr>,
    /// The reason.
    pub reason: SocketError,
}

/// Why a socket has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketError {
    /// The packet is longer than a datagram can be, or than the network takes. It was dropped.
    TooLong {
        /// The length of the packet.
        length: usize,
    },
    /// The driver has no socket with this number. The packet was dropped.
    NoSocket,
    /// The operating system could not send: the packet was dropped.
    Send(io::ErrorKind),
    /// The operating system could not receive, or reports that an earlier packet could not be
    /// delivered.
    Receive(io::ErrorKind),
    /// The listener could not accept a connection. It tries again.
    Accept(io::ErrorKind),
    /// The system has removed the interface. The driver has closed its descriptor.
    InterfaceGone,
}

impl SocketFailure {
    /// Creates the failure of a socket of worker zero.
    #[must_use]
    pub fn new(socket: SocketNumber, peer: Option<SocketAddr>, reason: SocketError) -> Self {
        Self {
            worker: 0,
            socket,
            peer,
            reason,
        }
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { length } => write!(f, "a packet of {length} bytes is too long"),
            Self::NoSocket => f.write_str("there is no socket with this number"),
            Self::Send(error) => write!(f, "cannot send: {error}"),
            Self::Receive(error) => write!(f, "cannot receive: {error}"),
            Self::Accept(error) => write!(f, "cannot accept a connection: {error}"),
            Self::InterfaceGone => f.write_str("the interface is gone"),
        }
    }
}

impl std::error::Error for SocketError {}

impl fmt::Display for SocketFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            worker,
            socket: SocketNumber(socket),
            peer,
            reason,
        } = self;
        write!(f, "socket {socket} of worker {worker}: {reason}")?;
        match peer {
            Some(peer) => write!(f, " (peer {peer})"),
            None => Ok(()),
        }
    }
}

/// The failure of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerFailure {
    /// The number of the worker.
    pub worker: usize,
    /// The name of the worker's loop.
    pub name: Arc<str>,
    /// The failure.
    pub failure: JoinErrorKind,
    /// The decision of the worker: it ends, or is rebuilt without tasks.
    pub decision: Decision,
    /// The tasks that it had.
    pub tasks: Vec<NamedTask>,
}

/// A task and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamedTask {
    /// The address of the task.
    pub address: TaskAddress,
    /// Its [name](super::Task::name).
    pub name: Cow<'static, str>,
}

impl fmt::Display for NamedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.address)
    }
}

impl fmt::Display for WorkerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, failure, .. } = self;
        write!(f, "worker {name} has failed: {failure}; its tasks:")?;
        for task in &self.tasks {
            write!(f, " {task}")?;
        }
        if self.tasks.is_empty() {
            f.write_str(" none")?;
        }
        Ok(())
    }
}
