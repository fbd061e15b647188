//! The subscriptions and retained messages, as plain data.

use std::{any::type_name, time::Duration};

use super::{bus::Bus, options::WhenFull, owner::SubscriptionOwner};
use crate::{
    error::Error,
    protocol::Message,
    topic::{Pattern, Topic, full_name::full_name},
};

/// The state of a subscription. From [`Router::subscriptions`](crate::Router::subscriptions).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SubscriptionStatus {
    /// The patterns, each with the prefix of its type.
    pub patterns: Vec<Pattern>,
    /// The Rust name of the type of messages, as [`std::any::type_name`] gives it.
    pub type_name: &'static str,
    /// Whether it is the program's own, or that of a link.
    pub owner: SubscriptionOwner,
    /// The group that shares it; see [`Router::subscribe_shared`](crate::Router::subscribe_shared).
    pub group: Option<Topic>,
    /// How many subscribers share it: one, or the members of the group.
    pub members: usize,
    /// How many messages the queue can hold.
    pub capacity: usize,
    /// The policy for a message that the queue has no room for.
    pub when_full: WhenFull,
    /// How many messages that were [retained](crate::Publish::retain) before the subscription began
    /// are to be received still. They are received before those in the queue.
    pub backlog: usize,
    /// How many messages are in the queue now.
    pub depth: usize,
    /// How many messages entered the queue or the backlog so far.
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
    /// The rest of its [time to live](crate::Publish::retain_for), if that is limited.
    pub expires_in: Option<Duration>,
}

impl<M: Message> Bus<M> {
    /// Adds the status of each subscription to a list.
    pub(crate) fn list_subscriptions(&self, list: &mut Vec<SubscriptionStatus>) {
        self.for_each_queue(|queue, members| {
            let (options, counts) = (queue.options(), queue.counts());
            list.push(SubscriptionStatus {
                patterns: queue
                    .patterns()
                    .iter()
                    .map(|pattern| full_name(M::PREFIX, pattern))
                    .collect(),
                type_name: type_name::<M>(),
                owner: queue.owner().of_subscription(),
                group: queue.group().cloned(),
                members,
                capacity: options.capacity,
                when_full: options.when_full,
                backlog: counts.backlog,
                depth: counts.depth,
                queued: counts.queued,
                missed: counts.missed,
            });
        });
    }

    /// Adds each topic with a retained message to a list.
    pub(crate) fn list_retained(&self, list: &mut Vec<RetainedStatus>) {
        self.for_each_retained(|topic, expires_in| {
            list.push(RetainedStatus {
                topic: full_name(M::PREFIX, topic),
                type_name: type_name::<M>(),
                expires_in,
            });
        });
    }

    /// Removes the retained message of a status from the list, if it is of this type. Returns
    /// whether there was one.
    pub(crate) fn remove_listed(&self, status: &RetainedStatus) -> Result<bool, Error> {
        if status.type_name != type_name::<M>() {
            return Ok(false);
        }
        let Some(topic) = without_prefix(M::PREFIX, &status.topic) else {
            return Ok(false);
        };
        Ok(self.remove_retained(&topic)?.is_some())
    }
}

/// Returns the topic as the users of a type write it.
fn without_prefix(prefix: &str, full: &Pattern) -> Option<Topic> {
    let topic = match (prefix, full.as_str().strip_prefix(prefix)?) {
        ("", topic) => topic,
        (_, "") => "",
        (_, topic) => topic.strip_prefix('/')?,
    };
    topic.parse().ok()
}
