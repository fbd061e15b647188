//! What can go wrong, told to the one who can do something about it.

use std::{error::Error as StdError, fmt};

use crate::{
    protocol::RequestMessage,
    topic::{Topic, TopicError},
};

/// Why nothing was subscribed, served or published.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Error {
    /// The name is not one.
    Topic(TopicError),
    /// The type cannot be used on this router.
    Protocol(ProtocolError),
    /// The topic has a server already. Ask to [stand by](crate::ServeOptions::standby), to follow it.
    Taken(Topic),
    /// A queue without room, which nothing could ever enter.
    ZeroCapacity,
    /// The router was [closed](crate::Router::close).
    Closed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(error) => error.fmt(f),
            Self::Protocol(error) => error.fmt(f),
            Self::Taken(topic) => {
                write!(
                    f,
                    "'{topic}' has a server already; ask to stand by, to follow it"
                )
            }
            Self::ZeroCapacity => f.write_str("a queue needs room for one message at least"),
            Self::Closed => f.write_str("the router was closed"),
        }
    }
}

impl StdError for Error {}

impl From<TopicError> for Error {
    fn from(error: TopicError) -> Self {
        Self::Topic(error)
    }
}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

/// Why a type of messages or requests cannot be used on a router: its prefix does not keep it apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ProtocolError {
    /// The prefix is no topic.
    Prefix {
        /// Of which type.
        of: &'static str,
        /// What is wrong.
        error: TopicError,
    },
    /// The prefix is that of another type, or one of them begins with the other.
    Overlap {
        /// The type.
        of: &'static str,
        /// Its prefix.
        prefix: &'static str,
        /// The type that was used first.
        with: &'static str,
        /// The prefix of that.
        its_prefix: &'static str,
    },
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix { of, error } => write!(f, "the prefix of {of}: {error}"),
            Self::Overlap {
                of,
                prefix,
                with,
                its_prefix,
            } => write!(
                f,
                "the prefix '{prefix}' of {of} is not apart from '{its_prefix}' of {with}; give one of them another"
            ),
        }
    }
}

impl StdError for ProtocolError {}

/// Why a message was not published; it comes back.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PublishError<M> {
    /// What should have been published.
    pub message: M,
    /// Why it was not.
    pub error: Error,
}

impl<M> PublishError<M> {
    /// Why it was not published; the message is dropped.
    #[must_use]
    pub fn without_message(self) -> Error {
        self.error
    }

    /// The message, and why it was not published.
    #[must_use]
    pub fn split(self) -> (M, Error) {
        (self.message, self.error)
    }
}

impl<M> fmt::Debug for PublishError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublishError(.., {:?})", self.error)
    }
}

impl<M> fmt::Display for PublishError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not published: {}", self.error)
    }
}

/// The text of `error` is part of the text of this one, so the source is the source of that.
impl<M> StdError for PublishError<M> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}

/// Why a request has no reply. What was not executed comes back.
///
/// The message is in the way where an error is passed on by `?`: see [`without_message`](Self::without_message).
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(
        rename_all = "snake_case",
        bound(serialize = "P: serde::Serialize, P::Error: serde::Serialize")
    )
)]
pub enum RequestError<P: RequestMessage> {
    /// NoServerYet serves the topic; nobody came in time, if there was time.
    NoServer(P),
    /// No request could be made by that name, or of that type.
    NotMade(P, Error),
    /// It was made, and ended so. A server that is lost is [`ServerDisappeared`](ump::RequestError::ServerDisappeared) to what it had not taken
    /// yet, and [`NoReply`](ump::RequestError::NoReply) to what it had: at once.
    Ended(ump::RequestError<P, P::Error>),
}

const NO_SERVER: &str = "nobody serves this topic";

impl<P: RequestMessage> RequestError<P> {
    /// Whether the request was executed. `No` comes with the message: it is safe to make the request again.
    #[must_use]
    pub fn executed(&self) -> ump::Executed {
        match self {
            Self::NoServer(_) | Self::NotMade(..) => ump::Executed::No,
            Self::Ended(error) => error.executed(),
        }
    }

    /// Whether the deadline passed while it was with the server of its topic, taken or not.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Ended(error) if error.is_timeout())
    }

    /// Whether there was a server, which left before it took the request.
    #[must_use]
    pub fn is_server_lost(&self) -> bool {
        matches!(self, Self::Ended(ump::RequestError::ServerDisappeared(_)))
    }

    /// The message, if it was not handed to a handler.
    pub fn into_message(self) -> Option<P> {
        match self {
            Self::NoServer(message) | Self::NotMade(message, _) => Some(message),
            Self::Ended(error) => error.into_message(),
        }
    }

    /// The same without the message, which is dropped: `Send`, `Sync`, `'static`, `Clone` and `PartialEq` if the server's own error is.
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
    /// # assert_eq!(ask(&Router::new()).unwrap_err().to_string(), "nobody serves this topic");
    /// ```
    #[must_use]
    pub fn without_message(self) -> RequestErrorKind<P::Error> {
        match self {
            Self::NoServer(_) => RequestErrorKind::NoServer,
            Self::NotMade(_, error) => RequestErrorKind::NotMade(error),
            Self::Ended(error) => RequestErrorKind::Ended(error.without_message()),
        }
    }

    /// The message, if it was not handed to a handler, and the error without it.
    #[must_use]
    pub fn split(self) -> (Option<P>, RequestErrorKind<P::Error>) {
        match self {
            Self::NoServer(message) => (Some(message), RequestErrorKind::NoServer),
            Self::NotMade(message, error) => (Some(message), RequestErrorKind::NotMade(error)),
            Self::Ended(error) => {
                let (message, error) = error.split();
                (message, RequestErrorKind::Ended(error))
            }
        }
    }

    /// The server's own error, if it is one.
    pub fn into_apperr(self) -> Option<P::Error> {
        match self {
            Self::Ended(error) => error.into_apperr(),
            Self::NoServer(_) | Self::NotMade(..) => None,
        }
    }
}

impl<P: RequestMessage + Clone> Clone for RequestError<P>
where
    P::Error: Clone,
{
    fn clone(&self) -> Self {
        match self {
            Self::NoServer(message) => Self::NoServer(message.clone()),
            Self::NotMade(message, error) => Self::NotMade(message.clone(), error.clone()),
            Self::Ended(error) => Self::Ended(error.clone()),
        }
    }
}

impl<P: RequestMessage + PartialEq> PartialEq for RequestError<P>
where
    P::Error: PartialEq,
{
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::NoServer(one), Self::NoServer(other)) => one == other,
            (Self::NotMade(one, why), Self::NotMade(other, other_why)) => {
                one == other && why == other_why
            }
            (Self::Ended(one), Self::Ended(other)) => one == other,
            _ => false,
        }
    }
}

impl<P: RequestMessage + Eq> Eq for RequestError<P> where P::Error: Eq {}

impl<P: RequestMessage> fmt::Debug for RequestError<P>
where
    P::Error: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer(_) => f.write_str("NoServer(..)"),
            Self::NotMade(_, error) => write!(f, "NotMade(.., {error:?})"),
            Self::Ended(error) => error.fmt(f),
        }
    }
}

impl<P: RequestMessage> fmt::Display for RequestError<P>
where
    P::Error: fmt::Display,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer(_) => f.write_str(NO_SERVER),
            Self::NotMade(_, error) => error.fmt(f),
            Self::Ended(error) => error.fmt(f),
        }
    }
}

impl<P: RequestMessage> StdError for RequestError<P>
where
    P::Error: StdError,
{
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::NoServer(_) => None,
            Self::NotMade(_, error) => error.source(),
            Self::Ended(error) => error.source(),
        }
    }
}

/// Why a request has no reply, without its message. From [`RequestError::without_message`] and [`RequestError::split`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum RequestErrorKind<E> {
    /// See [`RequestError::NoServer`].
    NoServer,
    /// See [`RequestError::NotMade`].
    NotMade(Error),
    /// See [`RequestError::Ended`].
    Ended(ump::RequestError<(), E>),
}

impl<E> RequestErrorKind<E> {
    /// Whether the request was executed. `No` means that it is safe to make it again.
    #[must_use]
    pub fn executed(&self) -> ump::Executed {
        match self {
            Self::NoServer | Self::NotMade(_) => ump::Executed::No,
            Self::Ended(error) => error.executed(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for RequestErrorKind<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoServer => f.write_str(NO_SERVER),
            Self::NotMade(error) => error.fmt(f),
            Self::Ended(error) => error.fmt(f),
        }
    }
}

impl<E: StdError> StdError for RequestErrorKind<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::NoServer => None,
            Self::NotMade(error) => error.source(),
            Self::Ended(error) => error.source(),
        }
    }
}
