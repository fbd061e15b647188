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
//!    so that all subscribers see retained messages in the same order. One that comes later
//!    receives the last one of each topic first, in this order, too: all of them, because they are
//!    beside its queue. A retained message is removed under the same lock, and subscribers are told
//!    under it. A message that waits for room has its place in the wait queue by then: its order
//!    does not depend on when its publisher runs.
//! 3. The watches count the subscriptions: they change under the same lock, in one step. (See
//!    `watched.rs`.)
//! 4. Nothing waits under the lock: a publisher waits for room after it is released. No user code
//!    runs under it either.

use std::{any::type_name, collections::HashSet, fmt, sync::Arc};

use ump::Clock;

use super::{
    deferred::Deferred,
    delivery::{Delivery, WaitLimit},
    options::SubscribeOptions,
    owner::QueueOwner,
    queue::{End, MemberId, Queue},
    received::Received,
    retained::{Backlog, Retained, Retention},
    routes::{Group, Leaving, Membership, Route, Routes},
    watched::Watched,
};
use crate::{
    deferred::DeferredWakes,
    error::{Error, PublishError},
    index::TopicKey,
    presence::{Change, ChangeAnnouncer, ChangeKind, ChangeSink},
    protocol::Message,
    sync::RwLock,
    topic::{Pattern, TopicError, full_name::check_written},
};

pub(crate) struct Bus<M: Message> {
    pub(super) routes: RwLock<Routes<M>>,
    pub(super) clock: Clock,
    /// Announces subscriptions that come and go.
    changes: ChangeAnnouncer,
}

impl<M: Message> Bus<M> {
    pub(crate) fn new(clock: Clock, changes: ChangeAnnouncer) -> Self {
        Self {
            routes: RwLock::new(Routes::new()),
            clock,
            changes,
        }
    }

    /// Makes a queue for the messages that match one of the patterns, with the retained ones as its
    /// backlog. Or joins the group that shares one.
    pub(super) fn subscribe(
        &self,
        patterns: Vec<Pattern>,
        options: SubscribeOptions,
        owner: QueueOwner,
    ) -> Result<Membership<M>, Error> {
        if options.capacity == 0 {
            return Err(Error::ZeroCapacity);
        }
        for pattern in &patterns {
            check_written(M::PREFIX, pattern)?;
        }
        let patterns = without_duplicates(patterns);
        if patterns.is_empty() {
            return Err(Error::NoPattern);
        }
        let queue = Arc::new(Queue::new(patterns.into(), options, owner));
        let (mut deferred, mut wakes) = (Deferred::default(), DeferredWakes::default());
        let mut routes = self.routes.write();
        if routes.is_closed {
            return Err(Error::Closed);
        }
        let joined = match queue.group() {
            Some(group) => routes.join(group, &queue),
            None => Ok(None),
        };
        if let Some(membership) = joined? {
            return Ok(membership);
        }
        routes.remove_expired(&self.clock, &mut deferred);
        let mut backlog = Some(routes.retained.matching(queue.patterns()));
        if queue.group().is_some() {
            // Another member may receive as soon as the lock is released.
            queue.set_backlog(backlog.take().map_or_else(Vec::new, Backlog::in_order));
        }
        let keys = queue.patterns().iter().zip(0..).map(|(pattern, nth)| {
            let queue = Arc::clone(&queue);
            routes.queues.insert(pattern, Route { queue, nth })
        });
        let keys: Arc<[TopicKey]> = keys.collect();
        for pattern in queue.patterns() {
            routes.for_each_watch(pattern, |watch| watch.add(&mut wakes));
            self.announce(ChangeKind::Subscribed, pattern, &mut wakes);
        }
        let mut former = None;
        if let Some(name) = queue.group() {
            let group = Group {
                queue: Arc::clone(&queue),
                keys: Arc::clone(&keys),
                members: HashSet::from([MemberId::ONLY]),
                count: 1,
            };
            former = routes.groups.insert(name.clone(), group);
        }
        if let Some(former) = &former {
            // It has ended, because its queue was full.
            self.remove(&mut routes, &former.keys, &former.queue, &mut wakes);
        }
        drop(routes);
        if let Some(backlog) = backlog {
            // The only subscriber does not receive yet.
            queue.set_backlog(backlog.in_order());
        }
        drop(former);
        deferred.run();
        wakes.wake_all();
        Ok(Membership {
            queue,
            keys,
            member: MemberId::ONLY,
        })
    }

    /// Ends a subscription, and removes its queue unless it was removed before. Of a shared one it
    /// ends one member; the queue stays until the last one leaves.
    pub(super) fn unsubscribe(
        &self,
        membership: &Membership<M>,
        end: End,
        deferred: &mut Deferred<M>,
    ) -> DeferredWakes {
        let Membership {
            queue,
            keys,
            member,
        } = membership;
        let mut wakes = DeferredWakes::default();
        let mut routes = self.routes.write();
        let mut last = None;
        if let Some(name) = queue.group() {
            match routes.leave(name, queue, *member) {
                Leaving::Last(group) => last = Some(group),
                Leaving::OthersStay => {
                    if let End::Unsubscribed = end {
                        queue.close_member(*member, deferred);
                    }
                    return wakes;
                }
                Leaving::HasLeft => {
                    if let End::Dropped = end {
                        queue.forget_member(*member, deferred);
                    }
                    return wakes;
                }
            }
            queue.end(end, deferred);
        }
        self.remove(&mut routes, keys, queue, &mut wakes);
        drop(routes);
        drop(last);
        wakes
    }

    /// Removes the patterns of a queue, unless they were removed before.
    pub(super) fn remove(
        &self,
        routes: &mut Routes<M>,
        keys: &[TopicKey],
        queue: &Queue<M>,
        wakes: &mut DeferredWakes,
    ) {
        let counted = !queue.was_disconnected();
        for (key, pattern) in keys.iter().zip(queue.patterns()) {
            // The caller has a reference to the queue, so this one is not the last.
            if routes.queues.remove(*key).is_none() {
                continue;
            }
            if counted {
                routes.for_each_watch(pattern, |watch| watch.remove(wakes));
            }
            self.announce(ChangeKind::Unsubscribed, pattern, wakes);
        }
    }

    pub(super) fn publish(
        &self,
        topic: Result<Pattern, TopicError>,
        message: M,
        retention: Option<Retention>,
        limit: WaitLimit,
    ) -> Result<Delivery<M>, PublishError<M>> {
        let topic = topic.and_then(|topic| {
            check_written(M::PREFIX, &topic)?;
            Ok(topic)
        });
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
        let delivered = match retention {
            Some(retention) => {
                self.publish_retained(topic, message, retention, limit, &mut deferred)
            }
            None => self.publish_once(&topic, message, limit, &mut deferred),
        };
        if !deferred.run_checked() {
            self.wake_other_members();
        }
        // If no queue took the message, its drop may use the router, or panic.
        let (delivery, _last) = delivered?;
        Ok(delivery)
    }

    fn publish_once(
        &self,
        topic: &Pattern,
        message: M,
        limit: WaitLimit,
        deferred: &mut Deferred<M>,
    ) -> Result<(Delivery<M>, MaybeShared<M>), PublishError<M>> {
        let routes = self.routes.read();
        if routes.is_closed {
            let error = Error::Closed;
            return Err(PublishError { message, error });
        }
        let mut delivery = Delivery::new(&self.clock, limit);
        // Publishing to nobody costs no more than the look-up.
        let mut message = MaybeShared {
            own: Some(message),
            shared: None,
        };
        routes.for_each_queue(topic, |queue| {
            let shared = message.share(topic);
            delivery.push_to(queue, shared, deferred);
        });
        routes.count_disconnected(&mut delivery, deferred);
        Ok((delivery, message))
    }

    fn publish_retained(
        &self,
        topic: Pattern,
        message: M,
        retention: Retention,
        limit: WaitLimit,
        deferred: &mut Deferred<M>,
    ) -> Result<(Delivery<M>, MaybeShared<M>), PublishError<M>> {
        let concrete = match topic.concrete() {
            Ok(concrete) => concrete.clone(),
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
        routes.remove_expired(&self.clock, deferred);
        let expires_at = retention.expires_at(&self.clock);
        if expires_at.is_some() {
            routes.wake_groups_for_expiry(&topic, &mut deferred.wakers);
        }
        let message = Received::new(topic, message);
        let former = routes.retained.replace(&concrete, &message, expires_at);
        let changes = &mut routes.changes;
        let message = changes.retained(concrete, message, expires_at, &mut deferred.wakers);
        deferred.messages.extend(former);
        let delivery = routes.deliver(&message, &self.clock, limit, deferred);
        let message = MaybeShared {
            own: None,
            shared: Some(message),
        };
        Ok((delivery, message))
    }

    /// Wakes other members of groups in which something waits to be received, because the waker of
    /// a subscriber has panicked.
    #[cold]
    pub(super) fn wake_other_members(&self) {
        let routes = self.routes.read();
        let groups = routes.groups.values();
        let queues: Vec<_> = groups.map(|group| Arc::clone(&group.queue)).collect();
        drop(routes);
        for queue in queues {
            queue.wake_another();
        }
    }

    /// Returns whether a member of a shared subscription has not left.
    pub(super) fn is_member(&self, membership: &Membership<M>) -> bool {
        let routes = self.routes.read();
        let name = membership.queue.group();
        let group = name.and_then(|name| routes.groups.get(name));
        group.is_some_and(|group| {
            Arc::ptr_eq(&group.queue, &membership.queue)
                && group.members.contains(&membership.member)
        })
    }

    pub(crate) fn has_subscribers(&self, pattern: &Pattern) -> Result<bool, Error> {
        check_written(M::PREFIX, pattern)?;
        let routes = self.routes.read();
        if routes.is_closed {
            return Err(Error::Closed);
        }
        Ok(routes.count_subscribers(pattern) > 0)
    }

    /// Makes a watch of the subscriptions that intersect a pattern.
    pub(super) fn watch(&self, pattern: Pattern) -> Result<(Arc<Watched>, TopicKey), Error> {
        check_written(M::PREFIX, &pattern)?;
        let mut routes = self.routes.write();
        if routes.is_closed {
            return Err(Error::Closed);
        }
        let count = routes.count_subscribers(&pattern);
        let watched = Arc::new(Watched::new(pattern, count));
        let key = routes
            .watches
            .insert(watched.pattern(), Arc::clone(&watched));
        Ok((watched, key))
    }

    /// Removes a watch.
    pub(super) fn unwatch(&self, key: TopicKey) {
        let removed = self.routes.write().watches.remove(key);
        drop(removed);
    }

    /// Ends all subscriptions. Messages in their queues can be received still.
    pub(crate) fn close(&self) {
        let mut deferred = Deferred::default();
        let mut routes = self.routes.write();
        routes.is_closed = true;
        for (_, route) in routes.queues.iter() {
            route.queue.end(End::Closed, &mut deferred);
        }
        for (_, watch) in routes.watches.iter() {
            watch.close(&mut deferred.wakers);
        }
        let retained = std::mem::replace(&mut routes.retained, Retained::new());
        drop(routes);
        let retained_messages = retained.iter(None);
        deferred
            .messages
            .extend(retained_messages.map(|(message, _)| message.clone()));
        drop(retained);
        deferred.run();
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Calls `f` with each queue and the number of subscribers that share it.
    pub(super) fn for_each_queue(&self, mut f: impl FnMut(&Queue<M>, usize)) {
        let routes = self.routes.read();
        for (_, route) in routes.queues.iter() {
            if route.nth == 0 {
                let group = route.queue.group().and_then(|name| routes.groups.get(name));
                f(&route.queue, group.map_or(1, |group| group.members.len()));
            }
        }
    }

    pub(super) fn announce(&self, kind: ChangeKind, pattern: &Pattern, wakes: &mut DeferredWakes) {
        self.changes
            .announce(kind, type_name::<M>(), M::PREFIX, pattern, wakes);
    }
}

fn without_duplicates(patterns: Vec<Pattern>) -> Vec<Pattern> {
    if patterns.len() == 1 {
        return patterns;
    }
    let mut known = HashSet::with_capacity(patterns.len());
    let is_new = |pattern: &Pattern| known.insert(pattern.clone());
    patterns.into_iter().filter(is_new).collect()
}

/// A message that is shared once somebody receives it: one of the two is there.
struct MaybeShared<M> {
    own: Option<M>,
    shared: Option<Received<M>>,
}

impl<M> MaybeShared<M> {
    #[inline]
    fn share(&mut self, topic: &Pattern) -> &Received<M> {
        let Self { own, shared } = self;
        shared.get_or_insert_with(|| {
            let message = own.take().expect("it is shared once");
            Received::new(topic.clone(), message)
        })
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

impl<M: Message> fmt::Debug for Bus<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("type_name", &type_name::<M>())
            .finish_non_exhaustive()
    }
}
