//! Retained messages that are the same at all routers: what this process changes, and what links
//! bring.
//!
//! A change that a link brings is retained, and put into the queues of the subscriptions of this
//! process, under one lock and once: its stamp is newer than the one before only the first time. So
//! each subscription receives it once, either from its queue or as retained before it began.

use std::{sync::Arc, task::Waker, time::Instant};

use super::{
    bus::Bus,
    changes::StampClock,
    deferred::Deferred,
    delivery::{Delivery, WaitLimit},
    received::{LinkRetention, Received, ReceivedAs, Shared},
    retained::Retained,
};
use crate::{
    protocol::Message,
    stamp::Stamp,
    topic::{Pattern, Topic},
};

/// A change by this process. Names are without the prefix.
pub(crate) struct LocalChange<M> {
    pub(crate) topic: Topic,
    pub(crate) stamp: Stamp,
    /// What is retained now, or nothing if it was removed, and when it expires.
    pub(crate) message: Option<(Received<M>, Option<Instant>)>,
}

/// A change that a link brought.
pub(crate) struct LinkChange<M> {
    pub(crate) stamp: Stamp,
    /// It was made before the link was.
    pub(crate) is_old: bool,
    pub(crate) expires_at: Option<Instant>,
    /// The message, or nothing if it is removed.
    pub(crate) message: Option<M>,
}

impl<M> Received<M> {
    pub(super) fn stamped(self, retention: LinkRetention) -> Self {
        Self(Arc::new(Shared::Stamped {
            message: self,
            retention: Box::new(retention),
        }))
    }

    /// Returns what links tell of the message, if it is retained.
    pub(crate) fn retention(&self) -> Option<LinkRetention> {
        match &*self.0 {
            Shared::Stamped { retention, .. } => Some(**retention),
            _ => None,
        }
    }
}

impl<M> Retained<M> {
    /// Returns the message of a topic, and when it expires.
    fn get(&self, topic: &Topic) -> Option<(Received<M>, Option<Instant>)> {
        let numbered = self.messages.get(*self.keys.get(topic)?)?;
        Some((numbered.message.clone(), numbered.expires_at))
    }
}

impl<M: Message> Bus<M> {
    /// Gives stamps to the retained messages from here on, also to those that there are.
    pub(crate) fn begin_changes(&self, clock: Arc<StampClock>, waker: Waker) {
        let mut routes = self.routes.write();
        let now = routes.time_of_expiry(&self.clock);
        let all = routes.retained.iter(now);
        let topics: Vec<_> = all
            .filter_map(|(message, _)| message.topic().as_topic().cloned())
            .collect();
        routes.changes.begin(clock, waker, topics.into_iter());
    }

    /// Takes the changes of this process since the last call: the last one of each topic.
    pub(crate) fn take_changes(&self) -> Vec<LocalChange<M>> {
        let mut routes = self.routes.write();
        if routes.is_closed {
            return Vec::new(); // nothing was removed
        }
        let changes = routes.changes.take();
        let changes = changes.into_iter().map(|(topic, stamp)| LocalChange {
            message: routes.retained.get(&topic),
            topic,
            stamp,
        });
        changes.collect()
    }

    /// Applies a change that a link brought. Returns false if it is not newer than what is known of
    /// the topic.
    pub(crate) fn apply_from_link(&self, topic: &Topic, change: LinkChange<M>) -> bool {
        let LinkChange {
            stamp,
            is_old,
            expires_at,
            message,
        } = change;
        let message = message.map(|message| Received::new(Pattern::from(topic), message));
        let mut deferred = Deferred::default();
        let mut routes = self.routes.write();
        routes.remove_expired(&self.clock, &mut deferred);
        if routes.is_closed || !routes.changes.admit(topic, stamp, message.is_none()) {
            drop(routes);
            deferred.messages.extend(message);
            deferred.run();
            return false;
        }
        if let Some(message) = message {
            if expires_at.is_some() {
                routes.wake_groups_for_expiry(message.topic(), &mut deferred.wakers);
            }
            let former = routes.retained.replace(topic, &message, expires_at);
            deferred.messages.extend(former);
            let message = if is_old {
                message.with_received_as(ReceivedAs::Retained)
            } else {
                message
            };
            let mut delivery = Delivery::new(&self.clock, WaitLimit::NoWait);
            routes.for_each_queue(message.topic(), |queue| {
                if !queue.is_link() {
                    delivery.push_to(queue, &message, &mut deferred);
                }
            });
            routes.count_disconnected(&mut delivery, &mut deferred);
            deferred.messages.push(message);
        } else if let Some(former) = routes.retained.remove(topic) {
            let notice = former.with_received_as(ReceivedAs::Removed);
            routes.tell_removed(&notice, &self.clock, &mut deferred);
            deferred.messages.extend([former, notice]);
        }
        drop(routes);
        if !deferred.run_checked() {
            self.wake_other_members();
        }
        true
    }
}
