//! A message that its subscribers share.

use std::{fmt, ops::Deref, sync::Arc, time::Instant};

use crate::{stamp::Stamp, topic::Pattern};

/// A received message, shared with the other subscribers. It derefs to the message:
/// `received.field`.
///
/// Clones are the same message. Whoever drops the last one drops the message.
// One pointer: with the flag beside it each move through a queue stores nine bytes and loads
// sixteen, which the CPU cannot forward. That made a delivery twice as slow.
pub struct Received<M>(pub(super) Arc<Shared<M>>);

pub(super) enum Shared<M> {
    /// It was published since the subscription began.
    Published { topic: Pattern, message: M },
    /// The published message, received as something else.
    Marked {
        message: Received<M>,
        received_as: ReceivedAs,
    },
    /// The published message, which is retained here and at other routers.
    #[cfg_attr(
        not(all(feature = "link", unix, not(any(loom, shuttle)))),
        expect(dead_code, reason = "there are no links")
    )]
    Stamped {
        message: Received<M>,
        retention: Box<LinkRetention>,
    },
}

/// What links tell of a retained message.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(all(feature = "link", unix, not(any(loom, shuttle)))),
    expect(dead_code, reason = "there are no links")
)]
pub(crate) struct LinkRetention {
    pub(crate) stamp: Stamp,
    pub(crate) expires_at: Option<Instant>,
}

/// The reason why a message was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum ReceivedAs {
    /// It was published after the subscription began, [retained](crate::Publish::retain) or not.
    Published,
    /// It had been [retained](crate::Publish::retain) before the subscription began.
    Retained,
    /// It was the retained message of its topic, and was removed.
    ///
    /// Only subscriptions that [ask for it](crate::SubscribeOptions::removals) receive this.
    Removed,
    /// It was the retained message of its topic, and its
    /// [time to live](crate::Publish::retain_for) is over.
    ///
    /// Only subscriptions that [ask for it](crate::SubscribeOptions::removals) receive this.
    Expired,
}

impl<M> Received<M> {
    pub(crate) fn new(topic: Pattern, message: M) -> Self {
        Self(Arc::new(Shared::Published { topic, message }))
    }

    /// Returns the same message, to be received as something else.
    pub(super) fn with_received_as(&self, received_as: ReceivedAs) -> Self {
        let message = self.published().clone();
        Self(Arc::new(Shared::Marked {
            message,
            received_as,
        }))
    }

    /// Returns the message as it was published.
    fn published(&self) -> &Self {
        match &*self.0 {
            Shared::Published { .. } => self,
            Shared::Marked { message, .. } | Shared::Stamped { message, .. } => message.published(),
        }
    }

    fn parts(&self) -> (&Pattern, &M) {
        match &*self.0 {
            Shared::Published { topic, message } => (topic, message),
            Shared::Marked { message, .. } | Shared::Stamped { message, .. } => message.parts(),
        }
    }

    /// Returns the name under which the message was published, without the prefix of its type: a
    /// topic, or a pattern of topics.
    #[must_use]
    pub fn topic(&self) -> &Pattern {
        self.parts().0
    }

    /// Returns what it means that the message was received: it was published, it had been retained
    /// before, or it is retained no more.
    #[must_use]
    pub fn received_as(&self) -> ReceivedAs {
        match *self.0 {
            Shared::Published { .. } | Shared::Stamped { .. } => ReceivedAs::Published,
            Shared::Marked { received_as, .. } => received_as,
        }
    }

    /// Returns whether the message had been [retained](crate::Publish::retain) before the
    /// subscription began. A message that is published later, retained or not, is none of these.
    #[must_use]
    pub fn is_retained(&self) -> bool {
        self.received_as() == ReceivedAs::Retained
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
        match Arc::try_unwrap(self.0).map_err(Self)? {
            Shared::Published { message, .. } => Ok(message),
            Shared::Marked {
                message,
                received_as,
            } => message
                .into_inner()
                .map_err(|message| message.with_received_as(received_as)),
            Shared::Stamped { message, .. } => message.into_inner(),
        }
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
        self.parts().1
    }
}

impl<M: fmt::Debug> fmt::Debug for Received<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.topic(), **self)
    }
}
