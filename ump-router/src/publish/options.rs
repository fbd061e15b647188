//! The options of a subscription.

use std::time::Duration;

/// How much a subscription holds, and what becomes of a message for which there is no room.
///
/// ```
/// # use ump_router::{SubscribeOptions, WhenFull};
/// SubscribeOptions::new().capacity(16).when_full(WhenFull::DropNewest);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "it is to be given to subscribe_with"]
pub struct SubscribeOptions {
    pub(crate) capacity: usize,
    pub(crate) when_full: WhenFull,
}

impl SubscribeOptions {
    /// Room for 1,024 messages; the [oldest](WhenFull::DropOldest) makes way.
    pub fn new() -> Self {
        Self {
            capacity: 1024,
            when_full: WhenFull::DropOldest,
        }
    }

    /// So many messages can wait to be received. Their memory is allocated as they come.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self
    }

    /// What becomes of a message for which there is no room.
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

/// What becomes of a message for which a subscription has no room, as its subscriber is slow. Whatever is lost, the subscriber is
/// [told](crate::RecvError::Missed) how many, in the place where they would have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum WhenFull {
    /// The publisher waits for room, for so long at most, or as long as [it wants](crate::Publish::timeout); then the message is lost to this subscriber. The only
    /// policy that slows a publisher.
    ///
    /// Messages that wait are in line: the room that the subscriber makes is that of the first, and whoever comes later is behind them. Who publishes to
    /// its own subscription waits in vain: meanwhile nobody receives.
    Block(Duration),
    /// The one that has waited longest is lost.
    DropOldest,
    /// The one that comes is lost.
    DropNewest,
    /// Only the newest message of each topic is kept, whether there is room or not: it takes the place of the older one in the queue. If there are
    /// more topics than room, the one that has waited longest is lost.
    Latest,
    /// The subscription ends: the subscriber receives what is queued, then [`Disconnected`](crate::RecvError::Disconnected). So does one that has less room
    /// than values are [retained](crate::Publish::retain) for it.
    Disconnect,
}
