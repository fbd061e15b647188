//! What is subscribed and retained, as plain data.

use std::any::type_name;

use super::{bus::Bus, options::WhenFull};
use crate::{
    protocol::Message,
    topic::{Pattern, full_name::full_name},
};

/// The state of a subscription. From [`Router::subscriptions`](crate::Router::subscriptions).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SubscriptionStatus {
    /// The pattern, with the prefix of its type.
    pub pattern: Pattern,
    /// The Rust name of the type of messages, as [`std::any::type_name`] gives it.
    pub type_name: &'static str,
    /// How many messages the queue can hold.
    pub capacity: usize,
    /// The policy for a message that the queue has no room for.
    pub when_full: WhenFull,
    /// How many messages are in the queue now.
    pub depth: usize,
    /// How many messages entered the queue so far.
    pub queued: u64,
    /// How many messages the subscriber missed so far.
    pub missed: u64,
}

/// A topic with a [retained](crate::Publish::retain) message. From
/// [`Router::retained`](crate::Router::retained).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RetainedStatus {
    /// The topic, with the prefix of its type.
    pub topic: Pattern,
    /// The Rust name of the type of messages, as [`std::any::type_name`] gives it.
    pub type_name: &'static str,
}

impl<M: Message> Bus<M> {
    /// Adds the status of each subscription to a list.
    pub(crate) fn list_subscriptions(&self, list: &mut Vec<SubscriptionStatus>) {
        self.for_each_queue(|queue| {
            let (options, counts) = (queue.options(), queue.counts());
            list.push(SubscriptionStatus {
                pattern: full_name(M::PREFIX, queue.pattern())
                    .expect("the full name was checked by `subscribe`"),
                type_name: type_name::<M>(),
                capacity: options.capacity,
                when_full: options.when_full,
                depth: counts.depth,
                queued: counts.queued,
                missed: counts.missed,
            });
        });
    }

    /// Adds each topic with a retained message to a list.
    pub(crate) fn list_retained(&self, list: &mut Vec<RetainedStatus>) {
        self.for_each_retained(|topic| {
            list.push(RetainedStatus {
                topic: full_name(M::PREFIX, topic).expect("the full name was checked by `publish`"),
                type_name: type_name::<M>(),
            });
        });
    }
}
