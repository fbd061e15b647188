//! Why a loop did not come to be.

use std::{error::Error as StdError, fmt};

use crate::worker::schedule::AttributeRefused;
use ump::{NoReply, OsError, PanicMessage, RequestError, hooks::Cycle};

/// Why a loop did not come to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SpawnError<E> {
    /// Whoever makes the handler refused.
    Handler(E),
    /// Whoever makes the handler panicked, on the loop's thread.
    Panicked(PanicMessage),
    /// The spawning handler would wait for itself: the factory waits for a reply from it. Names the
    /// servers in the cycle. The new loop is stopped.
    WouldDeadlock(Cycle),
    /// A queue with a capacity of zero was asked for.
    ZeroCapacity,
    /// The name has a NUL character in it.
    Name,
    /// A restart was asked for, but the handler cannot be made anew without a factory.
    NoFactory,
    /// There is no runtime to spawn a task on: it has to be called within one, or told which.
    NoRuntime,
    /// The runtime that was to run its task has been shut down.
    RuntimeShutDown,
    /// The system refused a thread, for the loop or for its watchdog.
    Thread(OsError),
    /// The system refused what its thread was to have: a priority, a CPU.
    Attribute(AttributeRefused),
}

impl<E> SpawnError<E> {
    /// The same, if it was not the factory who refused.
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

/// Why the first handler of a worker was not made.
pub(crate) enum FactoryError<E> {
    Refused(E),
    Attribute(AttributeRefused),
}

/// Why a worker did not say that its first handler is made.
impl<E> From<RequestError<(), FactoryError<E>>> for SpawnError<E> {
    fn from(error: RequestError<(), FactoryError<E>>) -> Self {
        match error {
            RequestError::App(FactoryError::Refused(error)) => Self::Handler(error),
            RequestError::App(FactoryError::Attribute(refused)) => Self::Attribute(refused),
            RequestError::NoReply(NoReply::Panicked(message)) => Self::Panicked(message),
            RequestError::WouldDeadlock((), cycle) | RequestError::WouldDeadlockTaken(cycle) => {
                Self::WouldDeadlock(cycle)
            }
            // A thread tells in any case; a task does not if its runtime is shut down first.
            RequestError::NoReply(NoReply::Dropped) => Self::RuntimeShutDown,
            // It has no deadline and is never refused.
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

// By hand: its text contains that of the cause, so `source` goes on with the cause of that.
impl<E: StdError> StdError for SpawnError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Handler(error) => error.source(),
            Self::Thread(refusal) => refusal.source(),
            _ => None,
        }
    }
}
