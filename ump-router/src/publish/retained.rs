//! The retained messages: the last one of each topic whose publisher asked for it.
//!
//! They are numbered in the order in which they were published, so that each subscriber receives
//! them in this order, whether it comes early or late; and so that a reader can go on after the
//! last one that it has read.
//!
//! # Invariants
//!
//! 1. `keys` has the key of each message, by its topic.
//! 2. `order` has the number and the key of each message, in the order of the numbers; and of some
//!    that were replaced or removed, which are not more than the messages, or few.
//! 3. `expiries` has the key of each message that has a time to live, in the order in which they
//!    expire. A message that has expired stays until somebody changes the retained messages; nobody
//!    who looks sees it.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    time::{Duration, Instant},
};

use ump::Clock;

use super::received::{Received, ReceivedAs};
use crate::{
    index::{TopicIndex, TopicKey},
    topic::{Pattern, Topic},
};

/// So many entries of messages that are gone are always allowed.
const FEW: usize = 64;

/// How long a message is retained.
#[derive(Clone, Copy, Debug)]
pub(super) enum Retention {
    Unlimited,
    /// From its publication.
    For(Duration),
    Until(Instant),
}

impl Retention {
    pub(super) fn expires_at(self, clock: &Clock) -> Option<Instant> {
        match self {
            Self::Unlimited => None,
            Self::For(time_to_live) => clock.now().checked_add(time_to_live),
            Self::Until(deadline) => Some(deadline),
        }
    }
}

#[derive(Debug)]
pub(super) struct Retained<M> {
    pub(super) messages: TopicIndex<Numbered<M>>,
    pub(super) keys: HashMap<Topic, TopicKey>,
    order: Vec<(u64, TopicKey)>,
    expiries: BTreeMap<(Instant, u64), TopicKey>,
    /// The number of messages so far.
    count: u64,
}

#[derive(Debug)]
pub(super) struct Numbered<M> {
    number: u64,
    pub(super) expires_at: Option<Instant>,
    pub(super) message: Received<M>,
}

impl<M> Numbered<M> {
    /// Returns whether its time to live is not over.
    fn is_alive(&self, now: Option<Instant>) -> bool {
        match (self.expires_at, now) {
            (Some(expires_at), Some(now)) => now < expires_at,
            _ => true,
        }
    }
}

/// The messages that a new subscription receives first, with their numbers.
#[derive(Debug)]
pub(super) struct Backlog<M>(Vec<(u64, Received<M>)>);

impl<M> Backlog<M> {
    /// Returns the messages, each once, in the order in which they were published.
    pub(super) fn in_order(self) -> Vec<Received<M>> {
        let Self(mut messages) = self;
        messages.sort_unstable_by_key(|(number, _)| *number);
        // A message that matches several patterns. One of them stays, so this reference is not the
        // last.
        messages.dedup_by_key(|(number, _)| *number);
        messages.into_iter().map(|(_, message)| message).collect()
    }
}

impl<M> Retained<M> {
    pub(super) fn new() -> Self {
        Self {
            messages: TopicIndex::new(),
            keys: HashMap::new(),
            order: Vec::new(),
            expiries: BTreeMap::new(),
            count: 0,
        }
    }

    /// Retains a message. Returns the former one of its topic.
    pub(super) fn replace(
        &mut self,
        topic: &Topic,
        message: &Received<M>,
        expires_at: Option<Instant>,
    ) -> Option<Received<M>> {
        self.count += 1;
        let number = self.count;
        let numbered = Numbered {
            number,
            expires_at,
            message: message.with_received_as(ReceivedAs::Retained),
        };
        let (key, former) = match self.keys.entry(topic.clone()) {
            Entry::Occupied(entry) => {
                let key = *entry.get();
                let former = self.messages.get_mut(key);
                let former = former.expect("each key has its message in the index");
                let former = std::mem::replace(former, numbered);
                if let Some(expires_at) = former.expires_at {
                    self.expiries.remove(&(expires_at, former.number));
                }
                (key, Some(former.message))
            }
            Entry::Vacant(entry) => {
                let key = self.messages.insert(message.topic(), numbered);
                (*entry.insert(key), None)
            }
        };
        self.expiries
            .extend(expires_at.map(|at| ((at, number), key)));
        self.order.push((number, key));
        self.compact();
        former
    }

    /// Removes the message of a topic.
    pub(super) fn remove(&mut self, topic: &Topic) -> Option<Received<M>> {
        let key = self.keys.remove(topic)?;
        self.remove_key(key)
    }

    fn remove_key(&mut self, key: TopicKey) -> Option<Received<M>> {
        let removed = self.messages.remove(key)?;
        if let Some(expires_at) = removed.expires_at {
            self.expiries.remove(&(expires_at, removed.number));
        }
        self.compact();
        Some(removed.message)
    }

    /// Removes the messages that match a pattern. Returns them in the order in which they were
    /// published.
    pub(super) fn remove_matching(&mut self, pattern: &Pattern) -> Vec<Received<M>> {
        let mut matching = self.matching(std::slice::from_ref(pattern)).in_order();
        matching.retain(|message| {
            let topic = message.topic().concrete();
            // What matches is in the table, so this reference is not the last.
            topic.is_ok_and(|topic| self.remove(topic).is_some())
        });
        matching
    }

    /// Removes the message that expires first, if its time to live is over.
    pub(super) fn remove_expired(&mut self, now: Instant) -> Option<Received<M>> {
        let (_, key) = self
            .expiries
            .first_key_value()
            .filter(|((at, _), _)| *at <= now)?;
        let message = self.remove_key(*key)?;
        if let Ok(topic) = message.topic().concrete() {
            self.keys.remove(topic);
        }
        Some(message)
    }

    /// Returns when the next message expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.expiries.first_key_value().map(|((at, _), _)| *at)
    }

    /// Removes the entries of messages that are gone from `order`, if they are more than the
    /// messages. So the amortised cost of a message is constant.
    fn compact(&mut self) {
        if self.order.len() > 2 * self.messages.len() + FEW {
            let messages = &self.messages;
            let is_current = |&(number, key): &(u64, TopicKey)| {
                let message = messages.get(key);
                message.is_some_and(|message| message.number == number)
            };
            self.order.retain(is_current);
            self.order.shrink_to(2 * self.order.len());
        }
    }

    /// Returns each message that has not expired, and when it does.
    pub(super) fn iter(
        &self,
        now: Option<Instant>,
    ) -> impl Iterator<Item = (&Received<M>, Option<Instant>)> {
        let all = self.messages.iter().map(|(_, numbered)| numbered);
        let alive = all.filter(move |numbered| numbered.is_alive(now));
        alive.map(|numbered| (&numbered.message, numbered.expires_at))
    }

    /// Returns the messages that match one of these patterns, also the expired ones.
    pub(super) fn matching(&self, patterns: &[Pattern]) -> Backlog<M> {
        let mut matching = Vec::new();
        if !self.messages.is_empty() {
            for pattern in patterns {
                self.messages.for_each_intersecting(pattern, |numbered| {
                    matching.push((numbered.number, numbered.message.clone()));
                });
            }
        }
        Backlog(matching)
    }

    /// Looks at up to `most` messages, from the first whose number is above `after`. Adds those
    /// that match to `page`, with their numbers. Returns where to go on, or `None` at the end.
    pub(super) fn read(
        &self,
        pattern: &Pattern,
        after: u64,
        most: usize,
        now: Option<Instant>,
        page: &mut impl Extend<(u64, Received<M>)>,
    ) -> Option<u64> {
        let mut add = |numbered: &Numbered<M>| {
            if numbered.is_alive(now) {
                page.extend([(numbered.number, numbered.message.clone())]);
            }
        };
        if let Ok(topic) = pattern.concrete() {
            let message = self.keys.get(topic).and_then(|key| self.messages.get(*key));
            message.filter(|it| it.number > after).map(&mut add);
            return None;
        }
        let start = self.order.partition_point(|(number, _)| *number <= after);
        let next = &self.order[start..];
        let next = &next[..next.len().min(most)];
        for &(number, key) in next {
            let message = self.messages.get(key).filter(|it| it.number == number);
            let matching = message.filter(|it| pattern.intersects(it.message.topic()));
            matching.map(&mut add);
        }
        next.last().map(|(number, _)| *number)
    }
}
