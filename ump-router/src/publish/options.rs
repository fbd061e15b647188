//! The options of a subscription.

use std::time::Duration;

/// The capacity of a subscription's queue, and the policy for a full queue.
///
/// ```
/// # use ump_router::{SubscribeOptions, WhenFull};
/// SubscribeOptions::new().capacity(16).when_full(WhenFull::DropNewest);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "to be given to `Router::subscribe_with`"]
pub struct SubscribeOptions {
    pub(crate) capacity: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) removals: bool,
}

impl SubscribeOptions {
    /// Creates the default options: a capacity of 1,024 messages, and [`WhenFull::DropOldest`].
    pub fn new() -> Self {
        Self {
            capacity: 1024,
            when_full: WhenFull::DropOldest,
            removals: false,
        }
    }

    /// Sets the capacity, in messages. Their memory is allocated as they come. Messages that were
    /// [retained](crate::Publish::retain) before the subscription began do not count.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self
    }

    /// Sets the policy for a message that the queue has no room for.
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.when_full = policy;
        self
    }

    /// Sets whether the subscription is told when a [retained](crate::Publish::retain) message of
    /// its patterns is [removed](crate::Router::remove_retained) or
    /// [expires](crate::Publish::retain_for). Without this it is not.
    ///
    /// It receives the message that is retained no more, once more,
    /// [as](crate::Received::received_as) [`Removed`](crate::ReceivedAs::Removed) or
    /// [`Expired`](crate::ReceivedAs::Expired): in order with the retained messages that are
    /// published, in the same queue, and by the same policy. A removal never waits for room. A
    /// message that is replaced by another one is not removed.
    ///
    /// An expiry wakes the subscriber that waits, by the clock of the router. If the system refuses
    /// a timer for that, the subscriber is told with the next change of the retained messages.
    pub fn removals(mut self, is_told: bool) -> Self {
        self.removals = is_told;
        self
    }
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The policy for a message that a subscription's queue has no room for, because its subscriber is
/// slow.
///
/// Whichever message is lost, the subscriber receives
/// [`RecvError::Missed`](crate::RecvError::Missed) with the number of messages, in the place where
/// they are missing. Messages that were [retained](crate::Publish::retain) before the subscription
/// began take no room, and are never lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum WhenFull {
    /// The publisher waits for room, up to this time or its own [limit](crate::Publish::timeout);
    /// then the new message is lost to this subscriber. This is the only policy that slows a
    /// publisher.
    ///
    /// Waiting messages are in a queue of their own: room goes to the first of them, and no later
    /// message overtakes it. A thread that publishes to its own subscription waits in vain, because
    /// nothing is received meanwhile.
    Block(Duration),
    /// The oldest message in the queue is lost.
    DropOldest,
    /// The new message is lost.
    DropNewest,
    /// Only the newest message of each topic is kept, whether there is room or not. If there are
    /// more topics than room, the oldest message in the queue is lost.
    ///
    /// The new message takes the place of the older one, so that a topic that changes often does
    /// not fall behind the others. But it comes last if a message came between that was published
    /// on a pattern and covers the topic; and one on a pattern with wildcards always comes last. So
    /// a table of last values ends with the last ones: a later value of a topic is never received
    /// before an earlier one of a pattern that covers it, nor before the one that had been
    /// [retained](crate::Publish::retain) before the subscription began.
    Latest,
    /// The subscription ends: the subscriber receives the queued messages, then
    /// [`RecvError::Disconnected`](crate::RecvError::Disconnected).
    Disconnect,
}
