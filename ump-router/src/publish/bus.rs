//! All that is subscribed to one type of messages.
//!
//! Who publishes finds the queues of the subscribers in an index and puts the message into them, on its own thread and under the index's lock for
//! reading; nobody stands between. So:
//!
//! 1. A subscription is reached by all that is published after `subscribe` has returned, and by nothing after its drop has returned.
//! 2. What one publisher publishes on a topic, one after the other, is in each queue in this order. What is retained is put into its place and into the
//!    queues under the lock for writing, so that all see these in the same order, and who comes later receives the last one first. A message that
//!    waits for room is in line by then: its place in this order does not depend on when its publisher goes on.
//! 3. Under the lock nobody waits: who has to wait for room does so after it, and no code of the user's is run.

use std::{
    any::type_name,
    fmt,
    sync::{Arc, Weak},
};

use ump::Clock;

use super::{
    deferred::Deferred,
    delivery::{Delivery, WaitLimit},
    options::SubscribeOptions,
    queue::{End, Publisher, Queue},
    received::Received,
    retained::Retained,
    subscription::Subscription,
};
use crate::{
    error::{Error, PublishError},
    index::{TopicIndex, TopicKey},
    presence::{Change, ChangeAnnouncer, ChangeKind},
    protocol::Message,
    sync::RwLock,
    topic::{
        Pattern, Topic, TopicError,
        full_name::{check_full_name, full_name},
    },
};

pub(crate) struct Bus<M: Message> {
    routes: RwLock<Routes<M>>,
    clock: Clock,
    /// To whom it is told who comes and goes.
    changes: ChangeAnnouncer,
}

struct Routes<M> {
    queues: TopicIndex<Arc<Queue<M>>>,
    retained: Retained<M>,
    is_closed: bool,
}

/// The place of a subscription.
#[derive(Debug)]
pub(super) struct Seat(TopicKey);

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

    pub(crate) fn subscribe(
        self: &Arc<Self>,
        pattern: Pattern,
        options: SubscribeOptions,
    ) -> Result<Subscription<M>, Error> {
        if options.capacity == 0 {
            return Err(Error::ZeroCapacity);
        }
        // It has to be a name with its prefix, too.
        check_full_name(M::PREFIX, &pattern)?;
        let queue = Arc::new(Queue::new(pattern, options));
        let (mut deferred, mut wakes) = (Deferred::default(), Deferred::default());
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
        deferred.clear();
        wakes.clear();
        Ok(Subscription::new(
            queue,
            Arc::downgrade(self),
            Seat(key),
            self.clock.clone(),
        ))
    }

    /// Ends a subscription, whose bus may be gone.
    pub(super) fn leave(bus: &Weak<Self>, Seat(key): Seat, queue: &Queue<M>) {
        let (mut deferred, mut wakes) = (Deferred::default(), Deferred::default());
        queue.end(End::Dropped, &mut deferred);
        let place = bus.upgrade().and_then(|bus| {
            let mut routes = bus.routes.write();
            let place = routes.queues.remove(key);
            if place.is_some() {
                bus.announce(ChangeKind::Unsubscribed, queue.pattern(), &mut wakes);
            }
            place
        });
        drop(place);
        deferred.clear();
        wakes.clear();
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
        deferred.clear();
        // Of a message that nobody has, this is the last: its drop may use the router, or panic.
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
        let former = routes.retained.keep(&concrete, message.clone());
        deferred.messages.extend(former);
        let delivery = routes.deliver(&message, &self.clock, limit, deferred);
        Ok((delivery, message))
    }

    /// Forgets what is retained of a topic.
    pub(crate) fn forget(&self, topic: &Topic) -> Result<Option<Received<M>>, Error> {
        let mut routes = self.routes.write();
        if routes.is_closed {
            return Err(Error::Closed);
        }
        Ok(routes.retained.forget(topic))
    }

    /// Ends all subscriptions: what is queued can be received still.
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
        deferred.clear();
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn for_each_queue(&self, mut f: impl FnMut(&Queue<M>)) {
        for (_, queue) in self.routes.read().queues.iter() {
            f(queue);
        }
    }

    /// Their topics.
    pub(crate) fn for_each_retained(&self, mut f: impl FnMut(&Pattern)) {
        for message in self.routes.read().retained.iter() {
            f(message.topic());
        }
    }

    fn announce(&self, kind: ChangeKind, pattern: &Pattern, wakes: &mut Deferred<Change>) {
        self.changes.tell(wakes, || {
            let name = full_name(M::PREFIX, pattern).expect("checked when it was subscribed");
            Received::new(name, Change::new(kind, type_name::<M>()))
        });
    }
}

impl Bus<Change> {
    pub(crate) fn has_subscribers(&self) -> bool {
        !self.routes.read().queues.is_empty()
    }

    /// Tells what happens to those who watch, from under a lock: nobody is waited for.
    pub(crate) fn tell(&self, change: &Received<Change>, wakes: &mut Deferred<Change>) {
        let routes = self.routes.read();
        routes.deliver(change, &self.clock, WaitLimit::NoWait, wakes);
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
        self.queues.for_each_meeting(message.topic(), |queue| {
            delivery.to(queue, message, deferred);
        });
        delivery
    }
}

impl<M: Message> fmt::Debug for Bus<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("of", &type_name::<M>())
            .finish_non_exhaustive()
    }
}
