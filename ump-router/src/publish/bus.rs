//! All subscriptions to one type of messages.
//!
//! A publisher finds the queues of the subscribers in an index and puts the message into them, on
//! its own thread and under the index's lock for reading. There is no thread and no task in
//! between. Hence:
//!
//! 1. A subscription receives every message that is published after `subscribe` has returned, and
//!    none after its drop has returned.
//! 2. Messages that one publisher publishes on a topic, one after the other, are in each queue in
//!    this order. A retained message is stored and put into the queues under the lock for writing,
//!    so that all subscribers see retained messages in the same order, and one that comes later
//!    receives the last one first. A message that waits for room has its place in the wait queue by
//!    then: its order does not depend on when its publisher runs.
//! 3. Nothing waits under the lock: a publisher waits for room after it is released. No user code
//!    runs under it either.

use std::{any::type_name, fmt, sync::Arc};

use ump::Clock;

use super::{
    deferred::Deferred,
    delivery::{Delivery, WaitLimit},
    options::SubscribeOptions,
    queue::{End, Publisher, Queue},
    received::Received,
    retained::Retained,
};
use crate::{
    deferred::DeferredWakes,
    error::{Error, PublishError},
    index::{TopicIndex, TopicKey},
    presence::{Change, ChangeAnnouncer, ChangeKind, ChangeSink},
    protocol::Message,
    sync::RwLock,
    topic::{Pattern, Topic, TopicError, full_name::check_full_name},
};

pub(crate) struct Bus<M: Message> {
    routes: RwLock<Routes<M>>,
    clock: Clock,
    /// Announces subscriptions that come and go.
    changes: ChangeAnnouncer,
}

struct Routes<M> {
    queues: TopicIndex<Arc<Queue<M>>>,
    retained: Retained<M>,
    is_closed: bool,
}

impl<M: Message> Bus<M> {
    pub(crate) fn new(clock: Clock, changes: ChangeAnnouncer) -> Self {
        Self {
            routes: RwLock::new(Routes {
                queues: TopicIndex::new(),
                retained: Retained::new(),
                is_closed: false,
            }),
            clock,
            changes,
        }
    }

    /// Makes a queue for the messages that match the pattern, with the retained ones in it.
    pub(super) fn subscribe(
        &self,
        pattern: Pattern,
        options: SubscribeOptions,
    ) -> Result<(Arc<Queue<M>>, TopicKey), Error> {
        if options.capacity == 0 {
            return Err(Error::ZeroCapacity);
        }
        // The pattern has to be valid with the prefix, too.
        check_full_name(M::PREFIX, &pattern)?;
        let queue = Arc::new(Queue::new(pattern, options));
        let (mut deferred, mut wakes) = (Deferred::default(), DeferredWakes::default());
        let mut routes = self.routes.write();
        if routes.is_closed {
            return Err(Error::Closed);
        }
        routes.retained.for_each(queue.pattern(), |message| {
            queue.push(message, Publisher::NeverWaits, &mut deferred);
        });
        let key = routes.queues.insert(queue.pattern(), Arc::clone(&queue));
        self.announce(ChangeKind::Subscribed, queue.pattern(), &mut wakes);
        drop(routes);
        deferred.run();
        wakes.wake_all();
        Ok((queue, key))
    }

    /// Removes the queue of a subscription.
    pub(super) fn unsubscribe(&self, key: TopicKey, queue: &Queue<M>) -> DeferredWakes {
        let mut wakes = DeferredWakes::default();
        let mut routes = self.routes.write();
        let removed = routes.queues.remove(key);
        if removed.is_some() {
            self.announce(ChangeKind::Unsubscribed, queue.pattern(), &mut wakes);
        }
        drop(routes);
        drop(removed);
        wakes
    }

    pub(super) fn publish(
        &self,
        topic: Result<Pattern, TopicError>,
        message: M,
        is_retained: bool,
        limit: WaitLimit,
    ) -> Result<Delivery<M>, PublishError<M>> {
        let topic = match topic {
            Ok(topic) => topic,
            Err(error) => {
                return Err(PublishError {
                    message,
                    error: error.into(),
                });
            }
        };
        let mut deferred = Deferred::default();
        let delivered = if is_retained {
            self.publish_retained(topic, message, limit, &mut deferred)
        } else {
            self.publish_once(topic, message, limit, &mut deferred)
        };
        deferred.run();
        // If no queue took the message, this is the last reference: its drop may use the router, or
        // panic.
        let (delivery, _last) = delivered?;
        Ok(delivery)
    }

    fn publish_once(
        &self,
        topic: Pattern,
        message: M,
        limit: WaitLimit,
        deferred: &mut Deferred<M>,
    ) -> Result<(Delivery<M>, Received<M>), PublishError<M>> {
        let routes = self.routes.read();
        if routes.is_closed {
            let error = Error::Closed;
            return Err(PublishError { message, error });
        }
        let message = Received::new(topic, message);
        let delivery = routes.deliver(&message, &self.clock, limit, deferred);
        Ok((delivery, message))
    }

    fn publish_retained(
        &self,
        topic: Pattern,
        message: M,
        limit: WaitLimit,
        deferred: &mut Deferred<M>,
    ) -> Result<(Delivery<M>, Received<M>), PublishError<M>> {
        let concrete = topic.as_str().parse::<Topic>();
        let concrete = concrete.and_then(|concrete| {
            check_full_name(M::PREFIX, &topic)?;
            Ok(concrete)
        });
        let concrete = match concrete {
            Ok(concrete) => concrete,
            Err(error) => {
                let error = Error::Topic(error);
                return Err(PublishError { message, error });
            }
        };
        let mut routes = self.routes.write();
        if routes.is_closed {
            let error = Error::Closed;
            return Err(PublishError { message, error });
        }
        let message = Received::new(topic, message);
        let former = routes.retained.replace(&concrete, message.clone());
        deferred.messages.extend(former);
        let delivery = routes.deliver(&message, &self.clock, limit, deferred);
        Ok((delivery, message))
    }

    /// Removes the retained message of a topic.
    pub(crate) fn remove_retained(&self, topic: &Topic) -> Result<Option<Received<M>>, Error> {
        let mut routes = self.routes.write();
        if routes.is_closed {
            return Err(Error::Closed);
        }
        Ok(routes.retained.remove(topic))
    }

    /// Ends all subscriptions. Messages in their queues can be received still.
    pub(crate) fn close(&self) {
        let mut deferred = Deferred::default();
        let mut routes = self.routes.write();
        routes.is_closed = true;
        for (_, queue) in routes.queues.iter() {
            queue.end(End::Closed, &mut deferred);
        }
        let retained = std::mem::replace(&mut routes.retained, Retained::new());
        drop(routes);
        deferred.messages.extend(retained.iter().cloned());
        drop(retained);
        deferred.run();
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn for_each_queue(&self, mut f: impl FnMut(&Queue<M>)) {
        for (_, queue) in self.routes.read().queues.iter() {
            f(queue);
        }
    }

    /// Calls `f` with the topic of each retained message.
    pub(super) fn for_each_retained(&self, mut f: impl FnMut(&Pattern)) {
        for message in self.routes.read().retained.iter() {
            f(message.topic());
        }
    }

    fn announce(&self, kind: ChangeKind, pattern: &Pattern, wakes: &mut DeferredWakes) {
        self.changes
            .announce(kind, type_name::<M>(), M::PREFIX, pattern, wakes);
    }
}

impl ChangeSink for Bus<Change> {
    fn has_subscribers(&self) -> bool {
        !self.routes.read().queues.is_empty()
    }

    fn publish_change(&self, name: Pattern, change: Change, wakes: &mut DeferredWakes) {
        let mut deferred = Deferred::default();
        let routes = self.routes.read();
        let change = Received::new(name, change);
        routes.deliver(&change, &self.clock, WaitLimit::NoWait, &mut deferred);
        drop(routes);
        // The changes that it drops are plain data, so they may be dropped under the caller's lock.
        wakes.extend(deferred.wakers);
    }
}

impl<M> Routes<M> {
    fn deliver(
        &self,
        message: &Received<M>,
        clock: &Clock,
        limit: WaitLimit,
        deferred: &mut Deferred<M>,
    ) -> Delivery<M> {
        let mut delivery = Delivery::new(clock, limit);
        self.queues.for_each_intersecting(message.topic(), |queue| {
            delivery.push_to(queue, message, deferred);
        });
        delivery
    }
}

impl<M: Message> fmt::Debug for Bus<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("type_name", &type_name::<M>())
            .finish_non_exhaustive()
    }
}
