//! The server that a request goes to.

use std::sync::Arc;

use ump::Clock;

use super::servers::{Servers, Serving};
use crate::{
    error::Error,
    protocol::RequestMessage,
    sync::Shared,
    topic::{IntoTopic, Pattern, Topic, full_name::check_written},
};

/// Where a request goes.
pub(crate) enum Target<P: RequestMessage> {
    /// The server of the topic, as far as is known. If it has left, the topic is looked up again.
    Server(Shared<Serving<P>>),
    /// Whichever server the topic has.
    Topic(Arc<Servers<P>>, Topic),
    /// A server of this topic that has left, and no other one.
    Left(Arc<Servers<P>>, Topic),
    /// There can be no server.
    Invalid(Box<Error>),
}

impl<P: RequestMessage> Target<P> {
    /// The target on a topic that has no server now.
    pub(crate) fn without_server(
        servers: Result<&Arc<Servers<P>>, Error>,
        topic: impl IntoTopic,
    ) -> Self {
        let checked = servers.and_then(|servers| {
            let topic = topic.into_topic()?;
            check_written(P::PREFIX, &Pattern::from(&topic))?;
            Ok((servers, topic))
        });
        match checked {
            Ok((servers, topic)) => Self::Topic(Arc::clone(servers), topic),
            Err(error) => Self::Invalid(Box::new(error)),
        }
    }

    pub(super) fn topic(&self) -> Result<&Topic, &Error> {
        match self {
            Self::Server(serving) => Ok(&serving.topic),
            Self::Topic(_, topic) | Self::Left(_, topic) => Ok(topic),
            Self::Invalid(error) => Err(error),
        }
    }

    /// The clock that the request's deadline is by. None if there can be no server.
    pub(super) fn clock(&self) -> Option<&Clock> {
        match self {
            Self::Server(serving) => Some(serving.channel.clock()),
            Self::Topic(servers, _) | Self::Left(servers, _) => Some(servers.clock()),
            Self::Invalid(_) => None,
        }
    }

    /// The target after a server has left: its topic, which is looked up again.
    pub(super) fn look_up_again(serving: &Serving<P>) -> Self {
        match serving.servers.upgrade() {
            Some(servers) => Self::Topic(servers, serving.topic.clone()),
            // The router is gone.
            None => Self::Invalid(Box::new(Error::Closed)),
        }
    }

    /// The target after the only possible server has left.
    pub(super) fn left(serving: &Serving<P>) -> Self {
        match serving.servers.upgrade() {
            Some(servers) => Self::Left(servers, serving.topic.clone()),
            // The router is gone.
            None => Self::Invalid(Box::new(Error::Closed)),
        }
    }

    /// The target after a server has ended: its successor, or the topic if the request waits for a
    /// server.
    pub(super) fn successor(&self, waits: bool) -> Option<Self> {
        let Self::Server(serving) = self else {
            return None;
        };
        let servers = serving.servers.upgrade()?;
        servers.release_if_ended(serving);
        match servers.find(serving.topic.as_str()) {
            Some(next) if !Shared::ptr_eq(&next, serving) => Some(Self::Server(next)),
            Some(_) => None,
            None => waits.then(|| Self::Topic(servers, serving.topic.clone())),
        }
    }
}
