//! The errors of the router. Those of topics are in [`topic`](crate::topic).

mod link;
mod request;

use std::fmt;

pub use self::{
    link::LinkError,
    request::{RequestError, RequestErrorKind},
};
use crate::{
    link::wire::Codec,
    topic::{Topic, TopicError},
};

/// The reason why a router did not subscribe, serve or publish.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Error {
    /// The topic or pattern is not valid.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The type of messages or requests cannot be used on this router.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The topic has a server already. A [standby](crate::ServeOptions::standby) follows that one.
    #[error(
        "topic '{0}' already has a server: serve it as a standby to take over when that server leaves"
    )]
    Taken(Topic),
    /// The capacity is zero, so that nothing could ever enter the queue.
    #[error("the capacity is zero: give the queue room for at least one message")]
    ZeroCapacity,
    /// The [group](crate::Router::subscribe_shared) has members already, with other patterns or
    /// options.
    #[error(
        "the group '{0}' has other patterns or options: use the same for all its members, or another name"
    )]
    GroupDiffers(Topic),
    /// The type of messages or requests travels over links in another codec already: see
    /// [`Router::carry_as`](crate::Router).
    #[error(
        "the type with the prefix '{prefix}' travels as {codec} already: carry it once, or with the same codec"
    )]
    OtherCodec {
        /// The prefix of the type.
        prefix: &'static str,
        /// The codec in which it travels.
        codec: Codec,
    },
    /// There is no pattern to subscribe to, because the list of patterns is empty.
    #[error("there is no pattern: subscribe to one at least")]
    NoPattern,
    /// The router was [closed](crate::Router::close).
    #[error("the router was closed")]
    Closed,
}

/// The reason why a type of messages or requests cannot be used on a router: its prefix does not
/// keep it apart from the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ProtocolError {
    /// The prefix is not a topic, or is longer than [prefixes](crate::Message::PREFIX) may be.
    #[error("the prefix of {type_name} is not valid: {error}")]
    Prefix {
        /// The name of the type.
        type_name: &'static str,
        /// Why its prefix is not a topic.
        error: TopicError,
    },
    /// Another type has the same prefix, or one of the two begins with the other.
    #[error(
        "prefix '{prefix}' of {type_name} overlaps prefix '{other_prefix}' of {other_type_name}: change one, so that neither begins with the other"
    )]
    Overlap {
        /// The name of the type.
        type_name: &'static str,
        /// Its prefix.
        prefix: &'static str,
        /// The name of the type that was used first.
        other_type_name: &'static str,
        /// The prefix of that type.
        other_prefix: &'static str,
    },
}

/// The error of publishing a message, with the message.
///
/// The text of `error` is part of the text of this error, so it has no source.
#[derive(Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the message was not published: {error}")]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PublishError<M> {
    /// The message that was not published.
    pub message: M,
    /// The reason.
    pub error: Error,
}

impl<M> PublishError<M> {
    /// Returns the reason. The message is dropped.
    #[must_use]
    pub fn without_message(self) -> Error {
        self.error
    }

    /// Returns the message and the reason.
    #[must_use]
    pub fn split(self) -> (M, Error) {
        (self.message, self.error)
    }
}

/// Does not show the message, so that `M: Debug` is not needed.
impl<M> fmt::Debug for PublishError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublishError(.., {:?})", self.error)
    }
}
