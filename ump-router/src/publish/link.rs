//! What links do with the subscriptions of a type of messages.
//!
//! The subscriptions of a router in another process are one queue here, the [`Outbox`], with all
//! their patterns. It is in the index like any other, so publishers and watches see it, and a
//! router without links has none of this.
//!
//! What a link brings goes to the subscriptions of this process only, and never into an outbox. So
//! a message does not come back. A hub passes it on to other links as it came, beside all this.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    bus::Bus,
    deferred::Deferred,
    delivery::{Delivery, WaitLimit},
    options::SubscribeOptions,
    owner::{QueueOwner, SubscriptionOwner},
    queue::{MemberId, Queue, Waits},
    received::Received,
    recv_error::RecvError,
    routes::Route,
};
use crate::{
    deferred::DeferredWakes, error::Error, index::TopicKey, presence::ChangeKind,
    protocol::Message, topic::Pattern,
};

/// How many messages wait for a link. If there are more, the oldest are gaps.
const CAPACITY: usize = 4096;

/// How many former queues are kept for their messages.
const MAX_FORMER: usize = 3;

/// How many messages wait in an outbox at most.
pub(crate) const MAX_IN_OUTBOX: usize = (MAX_FORMER + 1) * CAPACITY;

impl<M: Message> Bus<M> {
    /// Returns the patterns of the subscriptions of this process, each once for each subscription.
    pub(crate) fn local_patterns(&self) -> Vec<Pattern> {
        let routes = self.routes.read();
        let local = |(_, route): &(&Pattern, &Route<M>)| !route.queue.is_link();
        let routes = routes.queues.iter().filter(local);
        routes.map(|(pattern, _)| pattern.clone()).collect()
    }

    /// Publishes a message that a link brought, to the subscriptions of this process that have one
    /// of the patterns for which `is_meant` is true. It never waits: a full subscription misses it.
    pub(crate) fn publish_from_link(
        &self,
        topic: &Pattern,
        message: M,
        is_meant: &dyn Fn(&Pattern) -> bool,
    ) {
        let message = Received::new(topic.clone(), message);
        let mut deferred = Deferred::default();
        let mut delivery = Delivery::new(self.clock(), WaitLimit::NoWait);
        let routes = self.routes.read();
        routes.for_each_queue(topic, |queue| {
            if !queue.is_link() && queue.patterns().iter().any(is_meant) {
                delivery.push_to(queue, &message, &mut deferred);
            }
        });
        routes.count_disconnected(&mut delivery, &mut deferred);
        drop(routes);
        if !deferred.run_checked() {
            self.wake_other_members();
        }
        ump::internal::catch_user_panic(|| drop(message));
    }

    /// Tells the subscriptions of this process that have such a pattern that they miss so many
    /// messages, and an unknown number if the link was lost.
    pub(crate) fn miss_from_link(
        &self,
        count: u64,
        is_link_lost: bool,
        is_meant: &dyn Fn(&Pattern) -> bool,
    ) {
        let mut wakes = DeferredWakes::default();
        self.for_each_queue(|queue, _| {
            if !queue.is_link() && queue.patterns().iter().any(is_meant) {
                queue.miss(count, is_link_lost, &mut wakes);
            }
        });
        wakes.wake_all();
    }

    /// Replaces the queue of an outbox by one with other patterns, in one step: a message is put
    /// into the one or the other.
    fn replace_outbox(
        &self,
        link: &Arc<str>,
        former: Option<&Registered<M>>,
        patterns: Vec<Pattern>,
    ) -> Result<Option<Registered<M>>, Error> {
        let options = SubscribeOptions::new().capacity(CAPACITY);
        let owner = QueueOwner::One(SubscriptionOwner::Link(Arc::clone(link)));
        let mut wakes = DeferredWakes::default();
        let mut routes = self.routes.write();
        if routes.is_closed {
            return Err(Error::Closed);
        }
        let next = (!patterns.is_empty()).then(|| {
            let queue = Arc::new(Queue::new(patterns.into(), options, owner));
            let keys = queue.patterns().iter().zip(0..).map(|(pattern, nth)| {
                let queue = Arc::clone(&queue);
                routes.queues.insert(pattern, Route { queue, nth })
            });
            let keys: Vec<_> = keys.collect();
            for pattern in queue.patterns() {
                routes.for_each_watch(pattern, |watch| watch.add(&mut wakes));
                self.announce(ChangeKind::Subscribed, pattern, &mut wakes);
            }
            Registered { queue, keys }
        });
        if let Some(former) = former {
            self.remove(&mut routes, &former.keys, &former.queue, &mut wakes);
        }
        drop(routes);
        wakes.wake_all();
        Ok(next)
    }
}

impl<M> Queue<M> {
    /// Returns whether it is for a router in another process.
    pub(super) fn is_link(&self) -> bool {
        matches!(self.owner(), QueueOwner::One(SubscriptionOwner::Link(_)))
    }
}

/// A queue in the index.
struct Registered<M> {
    queue: Arc<Queue<M>>,
    keys: Vec<TopicKey>,
}

/// The messages for a router in another process.
pub(crate) struct Outbox<M: Message> {
    bus: Arc<Bus<M>>,
    link: Arc<str>,
    current: Option<Registered<M>>,
    /// Former queues, whose messages come first.
    former: VecDeque<Arc<Queue<M>>>,
    /// How many messages of former queues were dropped. They come before all others.
    dropped: u64,
}

/// What comes out of an outbox.
pub(crate) enum OutboxItem<M> {
    Message(Received<M>),
    /// So many messages had no room.
    Missed(u64),
}

impl<M: Message> Outbox<M> {
    /// Creates an outbox without patterns, for the link with this name.
    pub(crate) fn new(bus: Arc<Bus<M>>, link: Arc<str>) -> Self {
        Self {
            bus,
            link,
            current: None,
            former: VecDeque::new(),
            dropped: 0,
        }
    }

    /// Sets its patterns, which are all different. What is queued comes first.
    pub(crate) fn set_patterns(&mut self, patterns: Vec<Pattern>) -> Result<(), Error> {
        let current = self.current.as_ref();
        let next = self.bus.replace_outbox(&self.link, current, patterns)?;
        if let Some(former) = std::mem::replace(&mut self.current, next) {
            self.former.push_back(former.queue);
        }
        // A peer that does not read and changes its subscriptions would make ever more of them.
        while self.former.len() > MAX_FORMER {
            self.drop_oldest();
        }
        Ok(())
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.former.pop_front() else {
            return;
        };
        loop {
            let dropped = match oldest.try_pop(MemberId::ONLY) {
                Ok(Some(_)) => 1,
                Err(RecvError::Missed(count)) => count,
                _ => return,
            };
            self.dropped = self.dropped.saturating_add(dropped);
        }
    }

    /// Returns the next message. `None` when there is none, and none will come until the patterns
    /// change.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<OutboxItem<M>>> {
        if self.dropped > 0 {
            return Poll::Ready(Some(OutboxItem::Missed(std::mem::take(&mut self.dropped))));
        }
        while let Some(queue) = self.former.front() {
            match queue.try_pop(MemberId::ONLY) {
                Ok(Some(message)) => return Poll::Ready(Some(OutboxItem::Message(message))),
                Err(RecvError::Missed(count)) => {
                    return Poll::Ready(Some(OutboxItem::Missed(count)));
                }
                _ => self.former.pop_front(),
            };
        }
        let Some(current) = &self.current else {
            return Poll::Ready(None);
        };
        match current.queue.poll_pop(MemberId::ONLY, Waits::ByPolling, cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(message)) => Poll::Ready(Some(OutboxItem::Message(message))),
            Poll::Ready(Err(RecvError::Missed(count))) => {
                Poll::Ready(Some(OutboxItem::Missed(count)))
            }
            Poll::Ready(Err(_)) => Poll::Ready(None),
        }
    }
}

impl<M: Message> Drop for Outbox<M> {
    fn drop(&mut self) {
        let _ = self.set_patterns(Vec::new());
    }
}
