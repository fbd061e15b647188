//! The errors of requests.

use std::fmt;

use super::{Error, LinkError};
use crate::{link::wire::Failure, protocol::RequestMessage};

/// The reason why a request has no reply. A message that was not executed comes back.
///
/// To pass the error on with `?`, leave the message behind: see
/// [`without_message`](Self::without_message).
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum RequestError<P, E = <P as RequestMessage>::Error> {
    /// The topic has no server. With [`wait_for_server`](crate::Request::wait_for_server): it got
    /// none before the deadline.
    #[error("the topic has no server: serve it first, or let the request wait for a server")]
    NoServer(P),
    /// The request could not be made: the topic or the type is not valid, or the router was closed.
    #[error("the request was not made: {1}")]
    NotMade(P, Error),
    /// The request was made, and ended with this error of the channel.
    ///
    /// If its server is lost, that is at once
    /// [`ServerDisappeared`](ump::RequestError::ServerDisappeared) for a request that the server
    /// had not taken, and [`NoReply`](ump::RequestError::NoReply) for one that it had.
    #[error(transparent)]
    Ended(ump::RequestError<P, E>),
    /// The request went over a link to a router in another process, and has no reply for a reason
    /// of that router or of the link. The message comes back if it was not executed.
    #[error("the request has no reply: {1}")]
    Link(Option<P>, Box<LinkError>),
}

impl<P, E> RequestError<P, E> {
    /// Returns whether the request was executed. If it was not, the message is in the error, and
    /// the request can safely be made again.
    #[must_use]
    pub fn executed(&self) -> ump::Executed {
        match self {
            Self::NoServer(_) | Self::NotMade(..) => ump::Executed::No,
            Self::Ended(error) => error.executed(),
            Self::Link(_, error) => error.executed,
        }
    }

    /// Returns whether the deadline passed while the request was with a server, queued or taken.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Ended(error) => error.is_timeout(),
            Self::Link(_, error) => error.failure == Failure::TimedOut,
            Self::NoServer(_) | Self::NotMade(..) => false,
        }
    }

    /// Returns whether the topic had a server that left before it took the request.
    #[must_use]
    pub fn is_server_lost(&self) -> bool {
        match self {
            Self::Ended(error) => matches!(error, ump::RequestError::ServerDisappeared(_)),
            Self::Link(_, error) => error.failure == Failure::ServerLost,
            Self::NoServer(_) | Self::NotMade(..) => false,
        }
    }

    /// Returns what is known of a request that went over a link, if the reason is there.
    #[must_use]
    pub fn link(&self) -> Option<&LinkError> {
        match self {
            Self::Link(_, error) => Some(error),
            _ => None,
        }
    }

    /// Returns the message, if no handler received it.
    pub fn into_message(self) -> Option<P> {
        match self {
            Self::NoServer(message) | Self::NotMade(message, _) => Some(message),
            Self::Ended(error) => error.into_message(),
            Self::Link(message, _) => message,
        }
    }

    /// Drops the message. The result is `Send`, `Sync`, `'static`, `Clone` and `PartialEq` if the
    /// server's own error is.
    ///
    /// ```
    /// # use ump_router::{RequestError, RequestMessage, Router};
    /// # struct Balance(std::cell::Cell<u32>);
    /// # impl RequestMessage for Balance { type Reply = i64; type Error = std::num::ParseIntError; const PREFIX: &str = "balance"; }
    /// # fn ask(router: &Router) -> Result<i64, Box<dyn std::error::Error + Send + Sync>> {
    /// let balance = router
    ///     .request("7", Balance(1.into()))
    ///     .wait()
    ///     .map_err(RequestError::without_message)?; // as with anyhow and eyre
    /// # Ok(balance)
    /// # }
    /// # let error = ask(&Router::new()).unwrap_err().to_string();
    /// # assert!(error.starts_with("the topic has no server"));
    /// ```
    #[must_use]
    pub fn without_message(self) -> RequestErrorKind<E> {
        match self {
            Self::NoServer(_) => RequestErrorKind::NoServer,
            Self::NotMade(_, error) => RequestErrorKind::NotMade(error),
            Self::Ended(error) => RequestErrorKind::Ended(error.without_message()),
            Self::Link(_, error) => RequestErrorKind::Link(error),
        }
    }

    /// Returns the message, if no handler received it, and the error without it.
    #[must_use]
    pub fn split(self) -> (Option<P>, RequestErrorKind<E>) {
        match self {
            Self::NoServer(message) => (Some(message), RequestErrorKind::NoServer),
            Self::NotMade(message, error) => (Some(message), RequestErrorKind::NotMade(error)),
            Self::Ended(error) => {
                let (message, error) = error.split();
                (message, RequestErrorKind::Ended(error))
            }
            Self::Link(message, error) => (message, RequestErrorKind::Link(error)),
        }
    }

    /// Returns the server's own error, if it refused the request with one.
    pub fn into_apperr(self) -> Option<E> {
        match self {
            Self::Ended(error) => error.into_apperr(),
            Self::NoServer(_) | Self::NotMade(..) | Self::Link(..) => None,
        }
    }
}

/// Does not show the message, so that `P: Debug` is not needed.
impl<P, E: fmt::Debug> fmt::Debug for RequestError<P, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer(_) => f.write_str("NoServer(..)"),
            Self::NotMade(_, error) => write!(f, "NotMade(.., {error:?})"),
            Self::Ended(error) => error.fmt(f),
            Self::Link(_, error) => write!(f, "Link(.., {error:?})"),
        }
    }
}

/// A [`RequestError`] without its message. From [`RequestError::without_message`] and
/// [`RequestError::split`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum RequestErrorKind<E> {
    /// See [`RequestError::NoServer`].
    #[error("the topic has no server: serve it first, or let the request wait for a server")]
    NoServer,
    /// See [`RequestError::NotMade`].
    #[error("the request was not made: {0}")]
    NotMade(Error),
    /// See [`RequestError::Ended`].
    #[error(transparent)]
    Ended(ump::RequestError<(), E>),
    /// See [`RequestError::Link`].
    #[error("the request has no reply: {0}")]
    Link(Box<LinkError>),
}

impl<E> RequestErrorKind<E> {
    /// Returns whether the request was executed. If it was not, it can safely be made again.
    #[must_use]
    pub fn executed(&self) -> ump::Executed {
        match self {
            Self::NoServer | Self::NotMade(_) => ump::Executed::No,
            Self::Ended(error) => error.executed(),
            Self::Link(error) => error.executed,
        }
    }
}
