//! What there is on a router, as plain data.

use std::any::type_name;

use ump::Stats;

use crate::{
    claims::Role,
    protocol::{Message, RequestMessage},
    publish::{Bus, WhenFull},
    serve::Servers,
    topic::{Pattern, full_name::full_name},
};

/// How a subscription is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SubscriptionStatus {
    /// To what, with the prefix of its type.
    pub pattern: Pattern,
    /// The type of its messages, as it is called in the program.
    pub of: &'static str,
    /// How many messages it has room for.
    pub capacity: usize,
    /// What becomes of others.
    pub when_full: WhenFull,
    /// How many messages wait to be received now.
    pub depth: usize,
    /// How many entered its queue so far.
    pub queued: u64,
    /// How many were lost to it so far.
    pub missed: u64,
}

/// A topic whose last message is [retained](crate::Publish::retain).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RetainedStatus {
    /// The topic, with the prefix of its type.
    pub topic: Pattern,
    /// The type of the message, as it is called in the program.
    pub of: &'static str,
}

/// How the server of a topic is, or one that stands by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ServerStatus {
    /// The topic, with the prefix of its type.
    pub topic: Pattern,
    /// The type of its requests, as it is called in the program.
    pub of: &'static str,
    /// It stands by, to serve when those before it have left.
    pub is_standby: bool,
    /// How many requests each lane of its queue can hold; none if it is unbounded.
    pub capacity: Option<usize>,
    /// What has become of its requests, wherever they came from.
    pub requests: Stats,
}

/// What there is of one type.
pub(crate) trait Status {
    fn subscriptions(&self, _list: &mut Vec<SubscriptionStatus>) {}

    fn retained(&self, _list: &mut Vec<RetainedStatus>) {}

    fn servers(&self, _list: &mut Vec<ServerStatus>) {}
}

impl<M: Message> Status for Bus<M> {
    fn subscriptions(&self, list: &mut Vec<SubscriptionStatus>) {
        self.for_each_queue(|queue| {
            let (options, counts) = (queue.options(), queue.counts());
            list.push(SubscriptionStatus {
                pattern: full_name(M::PREFIX, queue.pattern())
                    .expect("checked when it was subscribed"),
                of: type_name::<M>(),
                capacity: options.capacity,
                when_full: options.when_full,
                depth: counts.depth,
                queued: counts.queued,
                missed: counts.missed,
            });
        });
    }

    fn retained(&self, list: &mut Vec<RetainedStatus>) {
        self.for_each_retained(|topic| {
            list.push(RetainedStatus {
                topic: full_name(M::PREFIX, topic).expect("checked when it was published"),
                of: type_name::<M>(),
            });
        });
    }
}

impl<P: RequestMessage> Status for Servers<P> {
    fn servers(&self, list: &mut Vec<ServerStatus>) {
        self.for_each(|topic, client, role| {
            let own = Pattern::from(topic);
            list.push(ServerStatus {
                topic: full_name(P::PREFIX, &own).expect("checked when it was claimed"),
                of: type_name::<P>(),
                is_standby: role == Role::Standby,
                capacity: client.capacity(),
                requests: client.stats(),
            });
        });
    }
}
