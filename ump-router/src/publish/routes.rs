//! What reaches whom: the queues of the subscriptions, the groups that share one, the watches and
//! the retained messages. A bus has one of these, under its lock.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use ump::Clock;

use super::{
    changes::ChangeLog,
    deferred::Deferred,
    delivery::{Delivery, WaitLimit},
    queue::{MemberId, Queue},
    received::{Received, ReceivedAs},
    retained::Retained,
    watched::Watched,
};
use crate::{
    deferred::DeferredWakes,
    error::Error,
    index::{TopicIndex, TopicKey},
    topic::{Pattern, Topic},
};

/// The state that the lock of a bus protects.
pub(super) struct Routes<M> {
    pub(super) queues: TopicIndex<Route<M>>,
    pub(super) watches: TopicIndex<Arc<Watched>>,
    pub(super) retained: Retained<M>,
    /// The changes of `retained`, for links.
    pub(super) changes: ChangeLog,
    /// The shared subscriptions that have members.
    pub(super) groups: HashMap<Topic, Group<M>>,
    pub(super) is_closed: bool,
}

/// A shared subscription.
pub(super) struct Group<M> {
    pub(super) queue: Arc<Queue<M>>,
    pub(super) keys: Arc<[TopicKey]>,
    pub(super) members: HashSet<MemberId>,
    /// How many members it has had.
    pub(super) count: u64,
}

/// The part of a subscription in its bus: a queue, which it may share.
pub(super) struct Membership<M> {
    pub(super) queue: Arc<Queue<M>>,
    /// The keys of the patterns of the queue.
    pub(super) keys: Arc<[TopicKey]>,
    pub(super) member: MemberId,
}

/// Which member of a group leaves.
pub(super) enum Leaving<M> {
    Last(Group<M>),
    OthersStay,
    /// It has left before.
    HasLeft,
}

/// One pattern of a subscription.
pub(super) struct Route<M> {
    pub(super) queue: Arc<Queue<M>>,
    /// Which of the patterns of the queue it is.
    pub(super) nth: usize,
}

impl<M> Route<M> {
    /// Returns the first pattern of the queue that intersects a topic, as this one does. By it a
    /// message reaches the queue once.
    ///
    /// For a concrete topic those with wildcards come first. Of the others only the topic itself
    /// intersects it, so that a long list of topics costs nothing.
    fn first(&self, topic: &Pattern) -> usize {
        let patterns = self.queue.patterns();
        let intersects = |nth: &usize| patterns[*nth].intersects(topic);
        let first = if topic.is_concrete() {
            self.queue.wild_patterns().iter().copied().find(intersects)
        } else {
            (0..self.nth).find(intersects)
        };
        first.unwrap_or(self.nth)
    }
}

impl<M> Routes<M> {
    pub(super) fn new() -> Self {
        Self {
            queues: TopicIndex::new(),
            watches: TopicIndex::new(),
            retained: Retained::new(),
            changes: ChangeLog::default(),
            groups: HashMap::new(),
            is_closed: false,
        }
    }

    pub(super) fn deliver(
        &self,
        message: &Received<M>,
        clock: &Clock,
        limit: WaitLimit,
        deferred: &mut Deferred<M>,
    ) -> Delivery<M> {
        let mut delivery = Delivery::new(clock, limit);
        self.for_each_queue(message.topic(), |queue| {
            delivery.push_to(queue, message, deferred);
        });
        self.count_disconnected(&mut delivery, deferred);
        delivery
    }

    /// Removes the retained messages whose time to live is over, and tells the subscribers that ask
    /// for it.
    pub(super) fn remove_expired(&mut self, clock: &Clock, deferred: &mut Deferred<M>) {
        let Some(now) = self.time_of_expiry(clock) else {
            return;
        };
        while let Some(expired) = self.retained.remove_expired(now) {
            self.changes.expired(expired.topic());
            let notice = expired.with_received_as(ReceivedAs::Expired);
            self.tell_removed(&notice, clock, deferred);
            deferred.messages.extend([expired, notice]);
        }
    }

    /// Returns the time, if there is a message that expires.
    pub(super) fn time_of_expiry(&self, clock: &Clock) -> Option<Instant> {
        self.retained.next_expiry().map(|_| clock.now())
    }

    /// Tells the subscribers that ask for it that a message is retained no more.
    pub(super) fn tell_removed(
        &self,
        notice: &Received<M>,
        clock: &Clock,
        deferred: &mut Deferred<M>,
    ) {
        let mut delivery = Delivery::new(clock, WaitLimit::NoWait);
        self.for_each_queue(notice.topic(), |queue| {
            if queue.options().removals {
                delivery.push_to(queue, notice, deferred);
            }
        });
        self.count_disconnected(&mut delivery, deferred);
    }

    /// Wakes all members of the groups that are told of the expiry of a message on this topic. The
    /// message itself wakes one member, which may be busy by then; each of the others is to look
    /// when the message expires.
    pub(super) fn wake_groups_for_expiry(&self, topic: &Pattern, wakers: &mut DeferredWakes) {
        if self.groups.is_empty() {
            return;
        }
        self.for_each_queue(topic, |queue| {
            if queue.group().is_some() && queue.options().removals {
                queue.wake_members(wakers);
            }
        });
    }

    /// Makes a new member of a group, if the group exists.
    pub(super) fn join(
        &mut self,
        name: &Topic,
        wanted: &Queue<M>,
    ) -> Result<Option<Membership<M>>, Error> {
        let Some(group) = self.groups.get_mut(name) else {
            return Ok(None);
        };
        if group.queue.has_ended() {
            return Ok(None);
        }
        let is_same = |own: &Queue<M>| {
            let all: HashSet<_> = own.patterns().iter().collect();
            all == wanted.patterns().iter().collect() && own.options() == wanted.options()
        };
        if !is_same(&group.queue) {
            return Err(Error::GroupDiffers(name.clone()));
        }
        let member = MemberId(group.count);
        group.count += 1;
        group.members.insert(member);
        Ok(Some(Membership {
            queue: Arc::clone(&group.queue),
            keys: Arc::clone(&group.keys),
            member,
        }))
    }

    /// Removes a member of a group, and the group after the last one.
    pub(super) fn leave(
        &mut self,
        name: &Topic,
        queue: &Arc<Queue<M>>,
        member: MemberId,
    ) -> Leaving<M> {
        let group = self.groups.get_mut(name);
        let Some(group) = group.filter(|group| Arc::ptr_eq(&group.queue, queue)) else {
            return Leaving::HasLeft;
        };
        if !group.members.remove(&member) {
            return Leaving::HasLeft;
        }
        if !group.members.is_empty() {
            return Leaving::OthersStay;
        }
        match self.groups.remove(name) {
            Some(group) => Leaving::Last(group),
            None => Leaving::HasLeft,
        }
    }

    /// Subtracts subscriptions that were disconnected by a delivery from the watches.
    #[inline]
    pub(super) fn count_disconnected(
        &self,
        delivery: &mut Delivery<M>,
        deferred: &mut Deferred<M>,
    ) {
        if delivery.has_disconnected() {
            self.subtract_disconnected(delivery, deferred);
        }
    }

    #[cold]
    fn subtract_disconnected(&self, delivery: &mut Delivery<M>, deferred: &mut Deferred<M>) {
        for queue in delivery.take_disconnected() {
            for pattern in queue.patterns() {
                self.for_each_watch(pattern, |watch| watch.remove(&mut deferred.wakers));
            }
        }
    }

    /// Calls `f` once for each queue that a message on this topic or pattern reaches.
    pub(super) fn for_each_queue(&self, topic: &Pattern, mut f: impl FnMut(&Arc<Queue<M>>)) {
        // The first pattern of the queue that was seen last. So a message on a pattern that
        // intersects thousands of topics of one subscription does not compare them all for each.
        let mut last: Option<(&Arc<Queue<M>>, usize)> = None;
        self.queues.for_each_intersecting(topic, |route| {
            let queue = &route.queue;
            if queue.patterns().len() == 1 {
                f(queue);
                return;
            }
            let first = match last {
                Some((known, first)) if Arc::ptr_eq(known, queue) => first,
                _ => route.first(topic),
            };
            last = Some((queue, first));
            if route.nth == first {
                f(queue);
            }
        });
    }

    /// Counts the patterns of subscriptions that intersect this one.
    pub(super) fn count_subscribers(&self, pattern: &Pattern) -> usize {
        let mut count = 0;
        self.queues.for_each_intersecting(pattern, |route| {
            count += usize::from(!route.queue.was_disconnected());
        });
        count
    }

    pub(super) fn for_each_watch(&self, pattern: &Pattern, mut f: impl FnMut(&Watched)) {
        if !self.watches.is_empty() {
            self.watches
                .for_each_intersecting(pattern, |watch| f(watch));
        }
    }
}
