//! The queue of one subscription: many publishers, one subscriber, bounded.
//!
//! ```text
//!           push              pop
//!  Open ───────────► entries ─────► the subscriber
//!   │ full: by the policy         the room that a pop makes is that of the first in waiters, if there is one
//!   │   ├─► line ──► entries
//!   │   └─► lost: a gap is noted where messages are missing
//!   ├──► Disconnected   (full, and the policy is to end): entries are received, then the end
//!   ├──► Closed         (the router was closed): the same
//!   └──► Dropped           (the subscription was dropped): entries are dropped, nothing is accepted
//! ```
//!
//! # Invariants
//!
//! 1. `entries.len() <= capacity`. A gap takes no room: it is a number at the message that comes after it, or after the last one.
//! 2. The subscriber's waker is in its place whenever it sleeps; who takes it out wakes it. It looks again after it has put it there.
//! 3. If somebody is in waiters, there is no room: who makes some fills it under the same lock. So nobody overtakes who waits, nothing depends on
//!    a publisher that is woken and never looks, and a gap, which comes only where there is no room, never comes to a subscriber that sleeps.
//! 4. When the queue has ended, nobody is in waiters.
//! 5. No code of the user's runs under the lock: wakers are cloned before, woken and dropped after; messages are dropped after.

mod wait_queue;

use std::{
    collections::{HashMap, VecDeque},
    task::{Context, Poll, Waker},
    time::Duration,
};

use self::wait_queue::WaitQueue;
pub(crate) use self::wait_queue::WaiterKey;
use super::{
    deferred::Deferred,
    options::{SubscribeOptions, WhenFull},
    received::Received,
    subscription::RecvError,
};
use crate::{sync::Mutex, topic::Pattern, unwind::catch_user_panic};

#[derive(Debug)]
pub(crate) struct Queue<M> {
    state: Mutex<State<M>>,
    pattern: Pattern,
    options: SubscribeOptions,
}

struct State<M> {
    entries: VecDeque<Entry<M>>,
    /// Who waits for room.
    waiters: WaitQueue<M>,
    /// Missing after the last entry, and after the last in waiters.
    missed: u64,
    /// If only the latest of each topic is kept.
    places: Option<Box<TopicPositions>>,
    subscriber: Option<Waker>,
    end: Option<End>,
    counts: Counts,
}

/// Where in the queue the message of a topic is.
#[derive(Default)]
struct TopicPositions {
    /// The number of the first entry, counted from the beginning.
    first: u64,
    /// The numbers of the entries.
    by_topic: HashMap<Pattern, u64>,
}

pub(super) struct Entry<M> {
    /// Missing before it.
    pub(super) missed: u64,
    pub(super) message: Received<M>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Disconnected,
    Closed,
    Dropped,
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

/// What a publisher does where it is asked to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Publisher {
    MayWait,
    NeverWaits,
}

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushOutcome {
    Queued,
    Dropped,
    /// There is no room, and the publisher is to wait.
    Waiting(WaiterKey),
    /// There is nobody any more.
    Ended,
}

impl<M> Queue<M> {
    pub(crate) fn new(pattern: Pattern, options: SubscribeOptions) -> Self {
        Self {
            state: Mutex::new(State {
                entries: VecDeque::new(),
                waiters: WaitQueue::new(),
                missed: 0,
                places: (options.when_full == WhenFull::Latest).then(Box::default),
                subscriber: None,
                end: None,
                counts: Counts::default(),
            }),
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
    pub(crate) fn block_timeout(&self) -> Duration {
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

    /// What is to be woken and dropped goes to `deferred`.
    pub(crate) fn push(
        &self,
        message: &Received<M>,
        publisher: Publisher,
        deferred: &mut Deferred<M>,
    ) -> PushOutcome {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return PushOutcome::Ended;
        }
        if state.replace(message, deferred) {
            return PushOutcome::Queued;
        }
        let is_full = state.entries.len() >= self.options.capacity;
        debug_assert!(is_full || state.waiters.is_empty(), "the room is theirs");
        if is_full {
            match self.options.when_full {
                WhenFull::Block(_) if publisher == Publisher::MayWait => {
                    return PushOutcome::Waiting(state.wait(message.clone()));
                }
                WhenFull::Block(_) | WhenFull::DropNewest => {
                    state.miss(1);
                    return PushOutcome::Dropped;
                }
                WhenFull::DropOldest | WhenFull::Latest => state.evict(deferred),
                WhenFull::Disconnect => {
                    state.end = Some(End::Disconnected);
                    state.miss(1);
                    deferred.wakers.extend(state.subscriber.take());
                    return PushOutcome::Dropped;
                }
            }
        }
        state.append(message.clone());
        deferred.wakers.extend(state.subscriber.take());
        PushOutcome::Queued
    }

    /// Ready when a message is in line no more. To learn what has become of it, [leave](Self::leave).
    pub(crate) fn poll_admitted(&self, waiter: WaiterKey, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        let Some(place) = state.waiters.waker(waiter) else {
            drop(state);
            return Poll::Ready(());
        };
        let former = place.replace(waker);
        drop(state);
        drop(former);
        Poll::Pending
    }

    /// Waits no more. A message that is in line still is missed; else it is said what has become of it.
    pub(crate) fn leave(&self, waiter: WaiterKey, deferred: &mut Deferred<M>) -> PushOutcome {
        let mut state = self.state.lock();
        let State {
            waiters, missed, ..
        } = &mut *state;
        let Some((message, waker)) = waiters.leave(waiter, missed) else {
            return state.waiters.outcome(waiter);
        };
        state.counts.missed += 1;
        drop(state);
        deferred.messages.push(message);
        catch_user_panic(|| drop(waker));
        PushOutcome::Dropped
    }

    pub(crate) fn try_pop(&self) -> Result<Option<Received<M>>, RecvError> {
        let mut state = self.state.lock();
        let Some(message) = state.take_first()? else {
            return Ok(None);
        };
        let publisher = state.admit();
        drop(state);
        if let Some(publisher) = publisher {
            catch_user_panic(|| publisher.wake());
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

    /// The subscriber waits no more.
    pub(crate) fn forget_subscriber(&self) {
        let waker = self.state.lock().subscriber.take();
        catch_user_panic(|| drop(waker));
    }

    /// Nothing more is accepted. What was queued can be received still, unless the subscriber is gone.
    pub(crate) fn end(&self, end: End, deferred: &mut Deferred<M>) {
        let mut state = self.state.lock();
        if let End::Dropped = end {
            let entries = state.entries.drain(..);
            deferred.messages.extend(entries.map(|entry| entry.message));
            state.places = None;
        }
        state.end.get_or_insert(end);
        let State {
            waiters, missed, ..
        } = &mut *state;
        for (message, publisher) in waiters.break_up(missed) {
            deferred.messages.push(message);
            deferred.wakers.extend(publisher);
        }
        deferred.wakers.extend(state.subscriber.take());
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
        let entry = self.entry(message);
        self.enter(entry);
    }

    fn wait(&mut self, message: Received<M>) -> WaiterKey {
        let entry = self.entry(message);
        self.waiters.join(entry)
    }

    /// The first in line has the room that was made. Its publisher is to be woken.
    fn admit(&mut self) -> Option<Waker> {
        let (entry, publisher) = self.waiters.admit()?;
        self.enter(entry);
        publisher
    }

    /// What comes last: the gap at the end is before it.
    fn entry(&mut self, message: Received<M>) -> Entry<M> {
        let missed = std::mem::take(&mut self.missed);
        Entry { missed, message }
    }

    fn enter(&mut self, entry: Entry<M>) {
        self.entries.push_back(entry);
        self.counts.queued += 1;
    }

    /// The next message. A gap before it is told first, once.
    fn take_first(&mut self) -> Result<Option<Received<M>>, RecvError> {
        let Some(first) = self.entries.front_mut() else {
            return match (std::mem::take(&mut self.missed), self.end) {
                (0, None) => Ok(None),
                (0, Some(End::Disconnected)) => Err(RecvError::Disconnected),
                (0, Some(End::Closed | End::Dropped)) => Err(RecvError::Closed),
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
    fn evict(&mut self, deferred: &mut Deferred<M>) {
        let Some(Entry { missed, message }) = self.entries.pop_front() else {
            return;
        };
        self.forget_place(&message);
        deferred.messages.push(message);
        self.counts.missed += 1;
        let next = match self.entries.front_mut() {
            Some(entry) => &mut entry.missed,
            None => &mut self.missed,
        };
        *next += missed + 1;
    }

    /// Puts a message into the place of the older one of its topic, if there is one.
    fn replace(&mut self, message: &Received<M>, deferred: &mut Deferred<M>) -> bool {
        let place = self.places.as_ref().and_then(|places| places.of(message));
        let Some(place) = place else {
            return false;
        };
        let entry = &mut self.entries[place];
        entry.missed += 1;
        let older = std::mem::replace(&mut entry.message, message.clone());
        deferred.messages.push(older);
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

impl TopicPositions {
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
