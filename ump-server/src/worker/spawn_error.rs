//! The reason why a loop could not be spawned.

use std::{error::Error as StdError, fmt};

use crate::worker::schedule::AttributeRefused;
use ump::{NoReply, OsError, PanicMessage, RequestError, hooks::Cycle};

/// The reason why a loop could not be spawned.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SpawnError<E> {
    /// The build closure or the factory refused to make the handler.
    Handler(E),
    /// The factory panicked when it made the handler, on the loop's thread.
    Panicked(PanicMessage),
    /// The spawning handler would wait for itself, because the factory waits for a reply from it.
    /// The cycle names the servers. The new loop is stopped.
    WouldDeadlock(Cycle),
    /// The queue was given a capacity of zero.
    ZeroCapacity,
    /// The name contains a NUL character.
    Name,
    /// The policy for panics is a restart, but there is no factory to rebuild the handler.
    NoFactory,
    /// There is no runtime to spawn a task on: the caller is not within one, and the builder was
    /// not given one.
    NoRuntime,
    /// The runtime that was to run its task has been shut down.
    RuntimeShutDown,
    /// The system refused a thread, for the loop or for its watchdog.
    Thread(OsError),
    /// The system refused the loop's thread a priority or a CPU.
    Attribute(AttributeRefused),
}

impl<E> SpawnError<E> {
    /// Converts the error for a caller that has handled `Handler` already.
    pub(crate) fn without_handler(self) -> SpawnError<std::convert::Infallible> {
        match self {
            Self::Handler(_) => unreachable!("asked for another one"),
            Self::Panicked(message) => SpawnError::Panicked(message),
            Self::WouldDeadlock(cycle) => SpawnError::WouldDeadlock(cycle),
            Self::ZeroCapacity => SpawnError::ZeroCapacity,
            Self::Name => SpawnError::Name,
            Self::NoFactory => SpawnError::NoFactory,
            Self::NoRuntime => SpawnError::NoRuntime,
            Self::RuntimeShutDown => SpawnError::RuntimeShutDown,
            Self::Thread(refusal) => SpawnError::Thread(refusal),
            Self::Attribute(refused) => SpawnError::Attribute(refused),
        }
    }
}

/// The reason why the first handler of a worker was not made.
pub(crate) enum FactoryError<E> {
    Refused(E),
    Attribute(AttributeRefused),
}

/// Converts the end of a request for the first handler of a worker.
impl<E> From<RequestError<(), FactoryError<E>>> for SpawnError<E> {
    fn from(error: RequestError<(), FactoryError<E>>) -> Self {
        match error {
            RequestError::App(FactoryError::Refused(error)) => Self::Handler(error),
            RequestError::App(FactoryError::Attribute(refused)) => Self::Attribute(refused),
            RequestError::NoReply(NoReply::Panicked(message)) => Self::Panicked(message),
            RequestError::WouldDeadlock((), cycle) | RequestError::WouldDeadlockTaken(cycle) => {
                Self::WouldDeadlock(cycle)
            }
            // A thread always answers. A task does not if its runtime is shut down first.
            RequestError::NoReply(NoReply::Dropped) => Self::RuntimeShutDown,
            // The request has no deadline and is never refused.
            _ => Self::Panicked(PanicMessage::default()),
        }
    }
}

impl<E: fmt::Display> fmt::Display for SpawnError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handler(error) => write!(f, "the handler could not be made: {error}"),
            Self::Panicked(message) => {
                write!(f, "the handler could not be made: {message}")
            }
            Self::WouldDeadlock(cycle) => write!(
                f,
                "the spawning handler would wait for itself, as the factory waits for it: {cycle}"
            ),
            Self::ZeroCapacity => f.write_str("a queue needs a capacity of at least one"),
            Self::Name => f.write_str("the name of a server must not contain a NUL character"),
            Self::NoFactory => f.write_str(
                "a handler that is to be restarted needs a factory: use spawn_with or spawn_pool",
            ),
            Self::NoRuntime => f.write_str(
                "there is no runtime to spawn a task on: call it within one, or give it a handle",
            ),
            Self::RuntimeShutDown => {
                f.write_str("the runtime that was to run its task has been shut down")
            }
            Self::Thread(refusal) => write!(f, "the system refused a thread: {refusal}"),
            Self::Attribute(refused) => refused.fmt(f),
        }
    }
}

// Implemented by hand: the text of the error contains that of its cause, so `source` returns the
// cause of the cause.
impl<E: StdError> StdError for SpawnError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Handler(error) => error.source(),
            Self::Thread(refusal) => refusal.source(),
            _ => None,
        }
    }
}
