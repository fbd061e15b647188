//! The options of a subscription.

use std::time::Duration;

/// The capacity of a subscription's queue, and the policy for a full queue.
///
/// ```
/// # use ump_router::{SubscribeOptions, WhenFull};
/// SubscribeOptions::new().capacity(16).when_full(WhenFull::DropNewest);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "to be given to `Router::subscribe_with`"]
pub struct SubscribeOptions {
    pub(crate) capacity: usize,
    pub(crate) when_full: WhenFull,
}

impl SubscribeOptions {
    /// Creates the default options: a capacity of 1,024 messages, and [`WhenFull::DropOldest`].
    pub fn new() -> Self {
        Self {
            capacity: 1024,
            when_full: WhenFull::DropOldest,
        }
    }

    /// Sets the capacity, in messages. Their memory is allocated as they come.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self
    }

    /// Sets the policy for a message that the queue has no room for.
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.when_full = policy;
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
/// they are missing.
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
    /// Only the newest message of each topic is kept, whether there is room or not: it replaces the
    /// older one in the queue. If there are more topics than room, the oldest message in the queue
    /// is lost.
    Latest,
    /// The subscription ends: the subscriber receives the queued messages, then
    /// [`RecvError::Disconnected`](crate::RecvError::Disconnected). A subscription that has less
    /// room than there are [retained](crate::Publish::retain) messages for it ends at once.
    Disconnect,
}
