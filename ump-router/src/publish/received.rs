//! A message that its subscribers share.

use std::{fmt, ops::Deref, sync::Arc};

use crate::topic::Pattern;

/// A received message, shared with the other subscribers. It derefs to the message:
/// `received.field`.
///
/// Clones are the same message. Whoever drops the last one drops the message.
pub struct Received<M>(Arc<Shared<M>>);

struct Shared<M> {
    topic: Pattern,
    message: M,
}

impl<M> Received<M> {
    pub(crate) fn new(topic: Pattern, message: M) -> Self {
        Self(Arc::new(Shared { topic, message }))
    }

    /// Returns the name under which the message was published, without the prefix of its type: a
    /// topic, or a pattern of topics.
    #[must_use]
    pub fn topic(&self) -> &Pattern {
        &self.0.topic
    }

    /// Returns the message itself, if there is no other reference to it.
    ///
    /// Other subscribers have references, the router has one to a
    /// [retained](crate::Publish::retain) message, and the publisher has one until publishing
    /// returns or waits for room.
    ///
    /// # Errors
    /// Returns `self` if there is another reference.
    pub fn into_inner(self) -> Result<M, Self> {
        Arc::try_unwrap(self.0)
            .map(|shared| shared.message)
            .map_err(Self)
    }
}

impl<M> Clone for Received<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> Deref for Received<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.0.message
    }
}

impl<M: fmt::Debug> fmt::Debug for Received<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.topic(), **self)
    }
}
