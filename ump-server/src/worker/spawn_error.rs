//! The reason why a loop could not be spawned.

use std::{error::Error as StdError, fmt};

use crate::worker::schedule::AttributeRefused;
use ump::{NoReply, OsError, PanicMessage, RequestError, hooks::Cycle};

/// The reason why a loop could not be spawned.
// By hand, without `thiserror`: the text contains that of the cause, so `source` returns the cause
// of the cause.
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
            Self::Handler(_) => unreachable!("the caller has handled `Handler`"),
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
            Self::Panicked(message) => write!(f, "the {}", of_factory(message)),
            Self::WouldDeadlock(cycle) => write!(
                f,
                "spawning would deadlock, because the factory waits for the handler that spawns: {cycle}"
            ),
            Self::ZeroCapacity => f.write_str("the capacity of the queue is zero; it must be at least one"),
            Self::Name => f.write_str("the name of the server contains a NUL character: choose another name"),
            Self::NoFactory => f.write_str(
                "the policy for panics is a restart, which needs a factory: use spawn_with or spawn_pool",
            ),
            Self::NoRuntime => f.write_str(
                "there is no tokio runtime to spawn the task on: spawn within one, or set the builder's runtime",
            ),
            Self::RuntimeShutDown => {
                f.write_str("the tokio runtime of the task has been shut down")
            }
            Self::Thread(refusal) => write!(f, "the operating system refused a thread: {refusal}"),
            Self::Attribute(refused) => refused.fmt(f),
        }
    }
}

impl<E: StdError> StdError for SpawnError<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Handler(error) => error.source(),
            Self::Thread(refusal) => refusal.source(),
            _ => None,
        }
    }
}

/// Returns the text of a factory's panic. That of the message itself names the handler.
pub(crate) fn of_factory(message: &PanicMessage) -> String {
    match message.as_str() {
        Some(text) => format!("factory panicked: {text}"),
        None => "factory panicked".to_owned(),
    }
}
