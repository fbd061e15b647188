//! The queue of one subscription: many publishers, one subscriber, bounded.
//!
//! ```text
//!           push              pop
//!  Open ───────────► entries ─────► the subscriber
//!   │ full: by the policy, a gap is noted where messages are missing
//!   ├──► Disconnected   (full, and the policy is to end): entries are received, then the end
//!   ├──► Closed         (the router was closed): the same
//!   └──► Gone           (the subscription was dropped): entries are dropped, nothing is accepted
//! ```
//!
//! # Invariants
//!
//! 1. `entries.len() <= capacity`. A gap takes no room: it is a number at the entry that comes after it, or after the last one.
//! 2. The subscriber's waker is in its place whenever it sleeps; who takes it out wakes it. It looks again after it has put it there.
//! 3. Whoever waits for room listens before it looks. Each message that is received makes room for one, and wakes one; a queue that ends wakes all.
//! 4. No code of the user's runs under the lock: wakers are cloned before, woken and dropped after; messages are dropped after.

use std::{
    collections::{HashMap, VecDeque},
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    leftovers::Leftovers,
    options::{SubscribeOptions, WhenFull},
    received::Received,
    subscription::RecvError,
};
use crate::{shield::shielded, signal::Signal, sync::Mutex, topic::Pattern};

#[derive(Debug)]
pub(crate) struct Queue<M> {
    state: Mutex<State<M>>,
    /// Who waits for room.
    pub(crate) room: Signal,
    pattern: Pattern,
    options: SubscribeOptions,
}

struct State<M> {
    entries: VecDeque<Entry<M>>,
    /// Missing after the last entry.
    missed: u64,
    /// If only the latest of each topic is kept.
    places: Option<Box<Places>>,
    subscriber: Option<Waker>,
    end: Option<End>,
    counts: Counts,
}

/// Where in the queue the message of a topic is.
#[derive(Default)]
struct Places {
    /// The number of the first entry, counted from the beginning.
    first: u64,
    /// The numbers of the entries.
    by_topic: HashMap<Pattern, u64>,
}

struct Entry<M> {
    /// Missing before it.
    missed: u64,
    message: Received<M>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Disconnected,
    Closed,
    Gone,
}

/// What has happened on a subscription so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// In the queue now.
    pub(crate) depth: usize,
    /// That entered it.
    pub(crate) queued: u64,
    /// That are lost to it.
    pub(crate) missed: u64,
}

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    Dropped,
    /// There is no room, and the publisher is to wait.
    Full,
    /// There is nobody any more.
    Ended,
}

impl<M> Queue<M> {
    pub(crate) fn new(pattern: Pattern, options: SubscribeOptions) -> Self {
        Self {
            state: Mutex::new(State {
                entries: VecDeque::new(),
                missed: 0,
                places: (options.when_full == WhenFull::Latest).then(Box::default),
                subscriber: None,
                end: None,
                counts: Counts::default(),
            }),
            room: Signal::new(),
            pattern,
            options,
        }
    }

    pub(crate) fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    pub(crate) fn options(&self) -> &SubscribeOptions {
        &self.options
    }

    /// How long a publisher waits for room.
    pub(crate) fn patience(&self) -> Duration {
        match self.options.when_full {
            WhenFull::Block(timeout) => timeout,
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let state = self.state.lock();
        Counts {
            depth: state.entries.len(),
            ..state.counts
        }
    }

    /// What is to be woken and dropped goes to `leftovers`.
    pub(crate) fn push(&self, message: &Received<M>, leftovers: &mut Leftovers<M>) -> Pushed {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return Pushed::Ended;
        }
        if state.replace(message, leftovers) {
            return Pushed::Queued;
        }
        if state.entries.len() >= self.options.capacity {
            match self.options.when_full {
                WhenFull::Block(_) => return Pushed::Full,
                WhenFull::DropNewest => {
                    state.miss(1);
                    return Pushed::Dropped;
                }
                WhenFull::DropOldest | WhenFull::Latest => state.evict(leftovers),
                WhenFull::Disconnect => {
                    state.end = Some(End::Disconnected);
                    state.miss(1);
                    leftovers.wakers.extend(state.subscriber.take());
                    return Pushed::Dropped;
                }
            }
        }
        state.append(message.clone());
        leftovers.wakers.extend(state.subscriber.take());
        Pushed::Queued
    }

    /// Notes that a message is lost to the subscriber, for which its publisher has not waited long enough. After the end nothing is missed.
    pub(crate) fn miss(&self, leftovers: &mut Leftovers<M>) -> Pushed {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return Pushed::Ended;
        }
        state.miss(1);
        leftovers.wakers.extend(state.subscriber.take());
        Pushed::Dropped
    }

    pub(crate) fn try_pop(&self) -> Result<Option<Received<M>>, RecvError> {
        let mut state = self.state.lock();
        let Some(message) = state.take_first()? else {
            return Ok(None);
        };
        drop(state);
        if let WhenFull::Block(_) = self.options.when_full {
            if let Some(publisher) = self.room.call_one() {
                shielded(|| publisher.wake());
            }
        }
        Ok(Some(message))
    }

    pub(crate) fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Result<Received<M>, RecvError>> {
        loop {
            if let Some(outcome) = self.try_pop().transpose() {
                return Poll::Ready(outcome);
            }
            let waker = cx.waker().clone();
            let mut state = self.state.lock();
            if state.has_news() {
                drop(state);
                continue;
            }
            let former = state.subscriber.replace(waker);
            drop(state);
            drop(former);
            return Poll::Pending;
        }
    }

    /// Nothing more is accepted. What was queued can be received still, unless the subscriber is gone.
    pub(crate) fn end(&self, end: End, leftovers: &mut Leftovers<M>) {
        let mut state = self.state.lock();
        if let End::Gone = end {
            let entries = state.entries.drain(..);
            leftovers
                .messages
                .extend(entries.map(|entry| entry.message));
            state.places = None;
        }
        if state.end.is_none() {
            state.end = Some(end);
        }
        leftovers.wakers.extend(state.subscriber.take());
        drop(state);
        leftovers.wakers.extend(self.room.call_all());
    }
}

impl<M> State<M> {
    fn has_news(&self) -> bool {
        !self.entries.is_empty() || self.missed > 0 || self.end.is_some()
    }

    fn miss(&mut self, messages: u64) {
        self.missed += messages;
        self.counts.missed += messages;
    }

    fn append(&mut self, message: Received<M>) {
        if let Some(places) = &mut self.places {
            places.note(&message, self.entries.len());
        }
        let missed = std::mem::take(&mut self.missed);
        self.entries.push_back(Entry { missed, message });
        self.counts.queued += 1;
    }

    /// The next message. A gap before it is told first, once.
    fn take_first(&mut self) -> Result<Option<Received<M>>, RecvError> {
        let Some(first) = self.entries.front_mut() else {
            return match (std::mem::take(&mut self.missed), self.end) {
                (0, None) => Ok(None),
                (0, Some(End::Disconnected)) => Err(RecvError::Disconnected),
                (0, Some(End::Closed | End::Gone)) => Err(RecvError::Closed),
                (missed, _) => Err(RecvError::Missed(missed)),
            };
        };
        if first.missed > 0 {
            return Err(RecvError::Missed(std::mem::take(&mut first.missed)));
        }
        let first = self.entries.pop_front();
        Ok(first.map(|Entry { message, .. }| {
            self.forget_place(&message);
            message
        }))
    }

    /// Makes room: the first is lost.
    fn evict(&mut self, leftovers: &mut Leftovers<M>) {
        let Some(Entry { missed, message }) = self.entries.pop_front() else {
            return;
        };
        self.forget_place(&message);
        leftovers.messages.push(message);
        self.counts.missed += 1;
        let next = match self.entries.front_mut() {
            Some(entry) => &mut entry.missed,
            None => &mut self.missed,
        };
        *next += missed + 1;
    }

    /// Puts a message into the place of the older one of its topic, if there is one.
    fn replace(&mut self, message: &Received<M>, leftovers: &mut Leftovers<M>) -> bool {
        let place = self.places.as_ref().and_then(|places| places.of(message));
        let Some(place) = place else {
            return false;
        };
        let entry = &mut self.entries[place];
        entry.missed += 1;
        let older = std::mem::replace(&mut entry.message, message.clone());
        leftovers.messages.push(older);
        self.counts.queued += 1;
        self.counts.missed += 1;
        true
    }

    /// The first entry has left.
    fn forget_place(&mut self, of: &Received<M>) {
        if let Some(places) = &mut self.places {
            places.first += 1;
            places.by_topic.remove(of.topic());
        }
    }
}

impl Places {
    fn of<M>(&self, message: &Received<M>) -> Option<usize> {
        let number = self.by_topic.get(message.topic())?;
        Some(usize::try_from(number - self.first).expect("within the queue"))
    }

    fn note<M>(&mut self, message: &Received<M>, place: usize) {
        let number = self.first + place as u64;
        self.by_topic.insert(message.topic().clone(), number);
    }
}

impl<M> std::fmt::Debug for State<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("depth", &self.entries.len())
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
