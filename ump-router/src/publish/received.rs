//! A message on its way, shared by all who receive it.

use std::{fmt, ops::Deref, sync::Arc};

use crate::topic::Pattern;

/// A message, as a subscriber receives it: shared with the others, whoever drops it last drops the message.
///
/// It is read through: `received.field`. Clones are the same message.
pub struct Received<M>(Arc<Publication<M>>);

struct Publication<M> {
    topic: Pattern,
    message: M,
}

impl<M> Received<M> {
    pub(crate) fn new(topic: Pattern, message: M) -> Self {
        Self(Arc::new(Publication { topic, message }))
    }

    /// The name under which it was published: a topic, or a pattern of topics. Without the prefix of its type.
    #[must_use]
    pub fn topic(&self) -> &Pattern {
        &self.0.topic
    }

    /// The message itself, if nobody else holds it: no other subscriber, no router that [retains](crate::Publish::retain) it, and not its publisher,
    /// which does until it returns or waits for room.
    ///
    /// # Errors
    /// Somebody does; it comes back.
    pub fn into_inner(self) -> Result<M, Self> {
        Arc::try_unwrap(self.0)
            .map(|publication| publication.message)
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
