//! The error of a request without a reply, with the message if the request was not executed.

#![forbid(unsafe_code)]

use std::{error::Error as StdError, fmt};

use crate::{
    error::cycle::Cycle,
    error::os_error::OsError,
    error::send_error::SendError,
    error::{
        Executed, FULL, NO_TIMER, NoReply, Refused, SERVER_DISAPPEARED, TIMEOUT_QUEUED,
        WOULD_DEADLOCK,
    },
};

/// The reason why a request made through [`Client::request`](crate::Client::request) has no reply.
/// If the request was not executed, its message comes back.
///
/// The message can prevent an error from being passed on: `anyhow` and `eyre` need an error that is
/// `Send`, `Sync` and `'static`. [`without_message`](Self::without_message) returns such an error,
/// whatever the message is. [`split`](Self::split) returns the message beside it.
///
/// The enum is exhaustive on purpose: its variants are all the outcomes that a channel has, and a
/// `match` without a wildcard proves that each of them is handled. New reasons of an outcome are
/// variants of [`NoReply`], which is not exhaustive.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum RequestError<S, E> {
    /// The handler refused the request, with the application's own error.
    App(E),
    /// A handler took the request and ended it without an answer.
    NoReply(NoReply),
    /// The server is gone or [closed](crate::Server::close), and did not take the request.
    ServerDisappeared(S),
    /// The deadline passed before a handler took the request. The request will never be executed.
    TimeoutQueued(S),
    /// The deadline passed while a handler held the request. The handler can see that no caller
    /// waits.
    TimeoutTaken,
    /// The caller would have waited for itself, in this cycle of servers. The request was not taken
    /// and will never be executed.
    ///
    /// This occurs only in loops that [watch](crate::hooks), for blocking and for awaited requests.
    WouldDeadlock(S, Cycle),
    /// The caller would have waited for itself, in this cycle of servers, while a handler held the
    /// request. The handler can see that no caller waits.
    WouldDeadlockTaken(Cycle),
    /// The queue was full, and the sender had chosen not to wait for room.
    Full(S),
    /// The deadline of an awaited request needs the process's timer thread, which the system
    /// refused to start.
    NoTimer(S, OsError),
}

impl<S, E> RequestError<S, E> {
    /// Returns whether the request was executed. [`Executed::No`] comes with the message: it is
    /// safe to send the request again.
    #[must_use]
    pub fn executed(&self) -> Executed {
        match self {
            Self::App(_) => Executed::Yes,
            Self::NoReply(_) | Self::TimeoutTaken | Self::WouldDeadlockTaken(_) => {
                Executed::Perhaps
            }
            Self::ServerDisappeared(_)
            | Self::TimeoutQueued(_)
            | Self::WouldDeadlock(..)
            | Self::Full(_)
            | Self::NoTimer(..) => Executed::No,
        }
    }

    /// Returns whether the deadline passed, before or after a handler took the request.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimeoutQueued(_) | Self::TimeoutTaken)
    }

    /// Returns the servers that would have waited for each other, if the request ended for that
    /// reason.
    #[must_use]
    pub fn cycle(&self) -> Option<&Cycle> {
        match self {
            Self::WouldDeadlock(_, cycle) | Self::WouldDeadlockTaken(cycle) => Some(cycle),
            _ => None,
        }
    }

    /// Returns the message, if it was not handed to a handler.
    pub fn into_message(self) -> Option<S> {
        match self {
            Self::ServerDisappeared(message)
            | Self::TimeoutQueued(message)
            | Self::WouldDeadlock(message, _)
            | Self::Full(message)
            | Self::NoTimer(message, _) => Some(message),
            Self::App(_) | Self::NoReply(_) | Self::TimeoutTaken | Self::WouldDeadlockTaken(_) => {
                None
            }
        }
    }

    /// Drops the message and returns the error without it, which is `Send`, `Sync`, `'static`,
    /// `Clone` and `PartialEq` if `E` is.
    ///
    /// ```
    /// # use std::{cell::RefCell, rc::Rc};
    /// # fn ask(client: &ump::Client<Rc<RefCell<u8>>, u8, ump::Refused>) -> Result<u8, Box<dyn std::error::Error + Send + Sync>> {
    /// let reply = client
    ///     .request(Rc::new(RefCell::new(1)))
    ///     .wait()
    ///     .map_err(ump::RequestError::without_message)?; // as with anyhow and eyre
    /// # Ok(reply)
    /// # }
    /// # let (server, client) = ump::channel();
    /// # drop(server);
    /// # assert_eq!(ask(&client).unwrap_err().to_string(), "the server disappeared before it took the request");
    /// ```
    #[must_use]
    pub fn without_message(self) -> RequestError<(), E> {
        self.map_message(drop)
    }

    /// Returns the message, if it was not handed to a handler, and the error without it.
    ///
    /// ```
    /// use ump::RequestError;
    ///
    /// let (server, client) = ump::channel::<String, (), ump::Refused>();
    /// drop(server);
    /// let error = client.request("again".to_owned()).wait().unwrap_err();
    /// let (message, error) = error.split();
    /// assert_eq!(message.as_deref(), Some("again"));
    /// assert_eq!(error, RequestError::ServerDisappeared(()));
    /// ```
    #[must_use]
    pub fn split(self) -> (Option<S>, RequestError<(), E>) {
        let mut message = None;
        let error = self.map_message(|it| message = Some(it));
        (message, error)
    }

    /// Converts the message, if it comes back. For layers over the channel, whose messages are
    /// parts of the channel's messages.
    pub fn map_message<T>(self, f: impl FnOnce(S) -> T) -> RequestError<T, E> {
        match self {
            Self::App(error) => RequestError::App(error),
            Self::NoReply(why) => RequestError::NoReply(why),
            Self::ServerDisappeared(message) => RequestError::ServerDisappeared(f(message)),
            Self::TimeoutQueued(message) => RequestError::TimeoutQueued(f(message)),
            Self::TimeoutTaken => RequestError::TimeoutTaken,
            Self::WouldDeadlock(message, cycle) => RequestError::WouldDeadlock(f(message), cycle),
            Self::WouldDeadlockTaken(cycle) => RequestError::WouldDeadlockTaken(cycle),
            Self::Full(message) => RequestError::Full(f(message)),
            Self::NoTimer(message, refusal) => RequestError::NoTimer(f(message), refusal),
        }
    }

    /// Converts the application error.
    pub fn map_app<F>(self, f: impl FnOnce(E) -> F) -> RequestError<S, F> {
        match self {
            Self::App(error) => RequestError::App(f(error)),
            Self::NoReply(why) => RequestError::NoReply(why),
            Self::ServerDisappeared(message) => RequestError::ServerDisappeared(message),
            Self::TimeoutQueued(message) => RequestError::TimeoutQueued(message),
            Self::TimeoutTaken => RequestError::TimeoutTaken,
            Self::WouldDeadlock(message, cycle) => RequestError::WouldDeadlock(message, cycle),
            Self::WouldDeadlockTaken(cycle) => RequestError::WouldDeadlockTaken(cycle),
            Self::Full(message) => RequestError::Full(message),
            Self::NoTimer(message, refusal) => RequestError::NoTimer(message, refusal),
        }
    }

    /// Returns the application's own error, if this is one.
    pub fn into_apperr(self) -> Option<E> {
        match self {
            Self::App(error) => Some(error),
            _ => None,
        }
    }

    fn text(&self) -> &'static str {
        match self {
            Self::App(_) => "the handler refused the request",
            Self::NoReply(_) => "no reply",
            Self::ServerDisappeared(_) => SERVER_DISAPPEARED,
            Self::TimeoutQueued(_) => TIMEOUT_QUEUED,
            Self::TimeoutTaken => {
                "the deadline passed while a handler held the request; it may have been executed"
            }
            Self::WouldDeadlock(..) => WOULD_DEADLOCK,
            Self::WouldDeadlockTaken(_) => {
                "the caller would wait for itself while a handler holds the request; it may have been executed"
            }
            Self::Full(_) => FULL,
            Self::NoTimer(..) => NO_TIMER,
        }
    }
}

impl<S, E: fmt::Debug> fmt::Debug for RequestError<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(error) => f.debug_tuple("App").field(error).finish(),
            Self::NoReply(why) => f.debug_tuple("NoReply").field(why).finish(),
            Self::ServerDisappeared(_) => f.write_str("ServerDisappeared(..)"),
            Self::TimeoutQueued(_) => f.write_str("TimeoutQueued(..)"),
            Self::TimeoutTaken => f.write_str("TimeoutTaken"),
            Self::WouldDeadlock(_, cycle) => write!(f, "WouldDeadlock(.., {cycle})"),
            Self::WouldDeadlockTaken(cycle) => write!(f, "WouldDeadlockTaken({cycle})"),
            Self::Full(_) => f.write_str("Full(..)"),
            Self::NoTimer(_, refusal) => f.debug_tuple("NoTimer").field(refusal).finish(),
        }
    }
}

impl<S, E: fmt::Display> fmt::Display for RequestError<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())?;
        match self {
            Self::App(error) => write!(f, ": {error}"),
            Self::NoReply(why) => write!(f, ": {why}"),
            Self::WouldDeadlock(_, cycle) | Self::WouldDeadlockTaken(cycle) => {
                write!(f, ": {cycle}")
            }
            Self::NoTimer(_, refusal) => write!(f, ": {refusal}"),
            _ => Ok(()),
        }
    }
}

impl<S, E: StdError> StdError for RequestError<S, E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::App(error) => error.source(),
            Self::NoTimer(_, refusal) => refusal.source(),
            _ => None,
        }
    }
}

impl<S> From<RequestError<S, ()>> for RequestError<S, Refused> {
    fn from(error: RequestError<S, ()>) -> Self {
        error.map_app(|()| Refused)
    }
}

impl<S, E> From<SendError<S>> for RequestError<S, E> {
    fn from(error: SendError<S>) -> Self {
        match error {
            SendError::ServerDisappeared(message) => Self::ServerDisappeared(message),
            SendError::TimeoutQueued(message) => Self::TimeoutQueued(message),
            SendError::WouldDeadlock(message, cycle) => Self::WouldDeadlock(message, cycle),
            SendError::Full(message) => Self::Full(message),
            SendError::NoTimer(message, refusal) => Self::NoTimer(message, refusal),
        }
    }
}
