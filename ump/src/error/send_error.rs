//! The error of a message that was not sent, with the message.

#![forbid(unsafe_code)]

use std::{error::Error as StdError, fmt};

use crate::{
    error::cycle::Cycle,
    error::os_error::OsError,
    error::{Executed, FULL, NO_TIMER, SERVER_DISAPPEARED, TIMEOUT_QUEUED, WOULD_DEADLOCK},
};

/// The reason why a post, a submitted request or a reservation was not accepted. The message was
/// not executed, and comes back.
///
/// To pass the error on by `?` if the message prevents that, see
/// [`without_message`](Self::without_message).
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum SendError<S> {
    /// The server is gone or [closed](crate::Server::close).
    ServerDisappeared(S),
    /// The deadline passed before there was room in the queue.
    TimeoutQueued(S),
    /// The caller would have waited for itself before there was room. See [`hooks`](crate::hooks).
    WouldDeadlock(S, Cycle),
    /// The queue was full, and the sender had chosen not to wait for room.
    Full(S),
    /// The deadline of an awaited message needs the process's timer thread, which the system
    /// refused to start.
    NoTimer(S, OsError),
}

impl<S> SendError<S> {
    /// Returns the message.
    pub fn into_message(self) -> S {
        match self {
            Self::ServerDisappeared(message)
            | Self::TimeoutQueued(message)
            | Self::WouldDeadlock(message, _)
            | Self::Full(message)
            | Self::NoTimer(message, _) => message,
        }
    }

    /// Drops the message and returns the error without it, which is `Send`, `Sync`, `'static`,
    /// `Clone` and `PartialEq`.
    #[must_use]
    pub fn without_message(self) -> SendError<()> {
        self.map_message(drop)
    }

    /// Returns the message, and the error without it.
    ///
    /// ```
    /// use ump::SendError;
    ///
    /// let (server, client) = ump::bounded::<&str, (), ()>(1).unwrap();
    /// client.post("first").wait().unwrap();
    /// let error = client.post("second").if_room().wait().unwrap_err();
    /// assert_eq!(error.split(), ("second", SendError::Full(())));
    /// # drop(server);
    /// ```
    #[must_use]
    pub fn split(self) -> (S, SendError<()>) {
        match self {
            Self::ServerDisappeared(message) => (message, SendError::ServerDisappeared(())),
            Self::TimeoutQueued(message) => (message, SendError::TimeoutQueued(())),
            Self::WouldDeadlock(message, cycle) => (message, SendError::WouldDeadlock((), cycle)),
            Self::Full(message) => (message, SendError::Full(())),
            Self::NoTimer(message, refusal) => (message, SendError::NoTimer((), refusal)),
        }
    }

    /// Converts the message. For layers over the channel, whose messages are parts of the channel's
    /// messages.
    pub fn map_message<T>(self, f: impl FnOnce(S) -> T) -> SendError<T> {
        match self {
            Self::ServerDisappeared(message) => SendError::ServerDisappeared(f(message)),
            Self::TimeoutQueued(message) => SendError::TimeoutQueued(f(message)),
            Self::WouldDeadlock(message, cycle) => SendError::WouldDeadlock(f(message), cycle),
            Self::Full(message) => SendError::Full(f(message)),
            Self::NoTimer(message, refusal) => SendError::NoTimer(f(message), refusal),
        }
    }

    /// Returns [`Executed::No`]: the message was not executed.
    #[must_use]
    pub fn executed(&self) -> Executed {
        Executed::No
    }
}

impl<S> fmt::Debug for SendError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerDisappeared(_) => f.write_str("ServerDisappeared(..)"),
            Self::TimeoutQueued(_) => f.write_str("TimeoutQueued(..)"),
            Self::WouldDeadlock(_, cycle) => write!(f, "WouldDeadlock(.., {cycle})"),
            Self::Full(_) => f.write_str("Full(..)"),
            Self::NoTimer(_, refusal) => f.debug_tuple("NoTimer").field(refusal).finish(),
        }
    }
}

impl<S> fmt::Display for SendError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerDisappeared(_) => f.write_str(SERVER_DISAPPEARED),
            Self::TimeoutQueued(_) => f.write_str(TIMEOUT_QUEUED),
            Self::WouldDeadlock(_, cycle) => write!(f, "{WOULD_DEADLOCK}: {cycle}"),
            Self::Full(_) => f.write_str(FULL),
            Self::NoTimer(_, refusal) => write!(f, "{NO_TIMER}: {refusal}"),
        }
    }
}

impl<S> StdError for SendError<S> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::NoTimer(_, refusal) => refusal.source(),
            _ => None,
        }
    }
}
