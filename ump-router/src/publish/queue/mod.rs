//! The queue of one subscription: many publishers, one subscriber, bounded. Or of a shared one: its
//! members take from the same queue, so that each message goes to a member that is free for it.
//!
//! ```text
//!  retained before ──► backlog ───►
//!           push              pop
//!  Open ───────────► slots ───────► the subscriber
//!   │ full: by the policy         the room that a pop makes is given to the first waiter, if there is one
//!   │   ├─► waiters ──► slots
//!   │   └─► lost: a gap is noted where messages are missing
//!   ├──► Disconnected   (full, and the policy is to end): what is queued is received, then the end
//!   ├──► Closed         (the router was closed): the same
//!   ├──► Unsubscribed (a handle closed the subscription): the same
//!   └──► Dropped        (the subscription was dropped): what is queued is dropped, nothing is accepted
//! ```
//!
//! # Invariants
//!
//! 1. `depth <= capacity`. A gap takes no room: it is a number stored with the message that comes
//!    after it, or after the last one. The backlog takes no room either: it is received before the
//!    slots, and only gets shorter.
//! 2. While a subscriber sleeps, its waker is stored (see `sleepers.rs`). Whoever takes the waker
//!    out wakes it. The subscriber looks again after it has stored it. A member of a shared
//!    subscription that was woken and does not receive, or leaves something in the queue, wakes
//!    another one.
//! 3. While a publisher waits, there is no room: an operation that makes room fills it under the
//!    same lock. So no message overtakes one that waits, no message depends on a woken publisher
//!    that never runs, and a gap of a full queue never comes to a sleeping subscriber. A gap that a
//!    link tells does; it wakes the subscriber.
//! 4. When the queue has ended, no publisher waits.
//! 5. No user code runs under the lock: wakers are cloned before, woken and dropped after; messages
//!    are dropped after.

mod entry;
mod latest;
mod sleepers;
mod state;
mod wait_queue;

use std::{
    task::{Context, Poll},
    time::Duration,
};

use ump::internal::catch_user_panic;

use self::state::State;
pub(super) use self::wait_queue::WaiterKey;
use super::{
    deferred::Deferred,
    options::{SubscribeOptions, WhenFull},
    owner::QueueOwner,
    received::Received,
    recv_error::RecvError,
};
use crate::{
    deferred::DeferredWakes,
    sync::Mutex,
    topic::{Pattern, Topic},
};

#[derive(Debug)]
pub(crate) struct Queue<M> {
    state: Mutex<State<M>>,
    /// One at least, all different.
    patterns: Box<[Pattern]>,
    /// The places of those with wildcards, in order.
    wild_patterns: Box<[usize]>,
    options: SubscribeOptions,
    owner: QueueOwner,
}

/// Identifies a member of a shared subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct MemberId(pub(super) u64);

impl MemberId {
    /// The only one of a subscription that is not shared.
    pub(super) const ONLY: Self = Self(0);
}

/// How a subscriber waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// It calls [`Queue::stop_receiving`] if it stops without having received.
    Reliably,
    /// It may stop without a word.
    ByPolling,
}

/// Why a queue accepts nothing any more.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Disconnected,
    Closed,
    Unsubscribed,
    Dropped,
}

/// The counters of a queue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QueueCounters {
    /// How many messages that were retained before the subscription began are not received yet.
    pub(super) backlog: usize,
    /// How many messages are in the queue now.
    pub(super) depth: usize,
    /// How many messages entered it.
    pub(super) queued: u64,
    /// How many messages its subscriber missed.
    pub(super) missed: u64,
}

/// Whether a publisher waits if the policy of a full queue asks it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Publisher {
    MayWait,
    NeverWaits,
}

/// The outcome of a message in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushOutcome {
    Queued,
    Dropped,
    /// The same, and the queue has ended for that reason.
    Disconnected,
    /// The queue is full, and the publisher is to wait.
    Waiting(WaiterKey),
    /// The queue has ended.
    Ended,
}

impl<M> Queue<M> {
    pub(super) fn new(
        patterns: Box<[Pattern]>,
        options: SubscribeOptions,
        owner: QueueOwner,
    ) -> Self {
        let keeps_latest = options.when_full == WhenFull::Latest;
        let all = patterns.iter().enumerate();
        let wild = all.filter(|(_, pattern)| !pattern.is_concrete());
        Self {
            state: Mutex::new(State::new(keeps_latest)),
            wild_patterns: wild.map(|(nth, _)| nth).collect(),
            patterns,
            options,
            owner,
        }
    }

    pub(super) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Returns the places of the patterns with wildcards, in order.
    pub(super) fn wild_patterns(&self) -> &[usize] {
        &self.wild_patterns
    }

    pub(super) fn group(&self) -> Option<&Topic> {
        self.owner.group()
    }

    pub(super) fn owner(&self) -> &QueueOwner {
        &self.owner
    }

    pub(super) fn options(&self) -> &SubscribeOptions {
        &self.options
    }

    /// How long the subscriber lets a publisher wait for room.
    pub(super) fn block_timeout(&self) -> Duration {
        match self.options.when_full {
            WhenFull::Block(timeout) => timeout,
            _ => Duration::ZERO,
        }
    }

    pub(super) fn counts(&self) -> QueueCounters {
        let state = self.state.lock();
        QueueCounters {
            backlog: state.backlog(),
            depth: state.depth(),
            ..state.counters
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().end.is_some()
    }

    /// Returns whether the queue has ended because it was full.
    pub(super) fn was_disconnected(&self) -> bool {
        matches!(self.state.lock().end, Some(End::Disconnected))
    }

    /// Stores the messages that are received first. Nobody may be receiving yet.
    pub(super) fn set_backlog(&self, messages: Vec<Received<M>>) {
        self.state.lock().set_backlog(messages);
    }

    /// Puts a message into the queue, or does what the policy says. `deferred` gets what is to be
    /// woken and dropped.
    pub(super) fn push(
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
        let is_full = state.depth() >= self.options.capacity;
        debug_assert!(
            is_full || state.waiters.is_empty(),
            "invariant 3: room is given to the first waiter"
        );
        if is_full {
            match self.options.when_full {
                WhenFull::Block(_) if publisher == Publisher::MayWait => {
                    return PushOutcome::Waiting(state.wait(message.clone()));
                }
                WhenFull::Block(_) | WhenFull::DropNewest => {
                    state.miss_newest();
                    return PushOutcome::Dropped;
                }
                WhenFull::DropOldest | WhenFull::Latest => state.evict_first(deferred),
                WhenFull::Disconnect => {
                    state.end = Some(End::Disconnected);
                    state.miss_newest();
                    state.sleepers.take_all(&mut deferred.wakers);
                    return PushOutcome::Disconnected;
                }
            }
        }
        state.append(message.clone());
        state.sleepers.take_for_message(&mut deferred.wakers);
        PushOutcome::Queued
    }

    /// Notes messages of other routers that are missing at the end: so many, and an unknown number
    /// more if a link was lost.
    #[cfg(all(feature = "link", unix, not(any(loom, shuttle))))]
    pub(super) fn miss(&self, count: u64, is_link_lost: bool, wakers: &mut DeferredWakes) {
        let mut state = self.state.lock();
        if state.end.is_none() {
            state.miss(count, is_link_lost);
            state.sleepers.take_for_message(wakers);
        }
    }

    /// Is ready when a publisher does not wait any more. [`stop_waiting`](Self::stop_waiting) tells
    /// the outcome.
    pub(super) fn poll_waiter(&self, waiter: WaiterKey, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        let Some(stored) = state.waiters.waker_mut(waiter) else {
            drop(state);
            return Poll::Ready(());
        };
        let former = stored.replace(waker);
        drop(state);
        drop(former);
        Poll::Pending
    }

    /// Ends the wait of a publisher and returns the outcome. If its message waits still, it is
    /// missed.
    pub(super) fn stop_waiting(
        &self,
        waiter: WaiterKey,
        deferred: &mut Deferred<M>,
    ) -> PushOutcome {
        let mut state = self.state.lock();
        let State {
            waiters, missed, ..
        } = &mut *state;
        let Some((message, waker)) = waiters.remove(waiter, missed) else {
            return if state.waiters.was_admitted(waiter) {
                PushOutcome::Queued
            } else {
                PushOutcome::Ended
            };
        };
        state.counters.missed += 1;
        drop(state);
        deferred.messages.push(message);
        catch_user_panic(|| drop(waker));
        PushOutcome::Dropped
    }

    pub(super) fn try_pop(&self, member: MemberId) -> Result<Option<Received<M>>, RecvError> {
        let mut wakers = DeferredWakes::default();
        let mut state = self.state.lock();
        let outcome = if state.has_left(member) {
            Err(RecvError::Unsubscribed)
        } else if let Some(retained) = state.take_from_backlog() {
            Ok(Some(retained))
        } else {
            let outcome = state.take_first();
            if let Ok(Some(_)) = outcome {
                wakers.extend(state.admit_first());
            }
            outcome
        };
        state.pass_on(&mut wakers);
        drop(state);
        if !wakers.is_empty() {
            self.wake(wakers);
        }
        outcome
    }

    /// Wakes members. If the waker of one panics, another one is woken, so that a broken task does
    /// not keep a message from the others. No lock may be held.
    fn wake(&self, mut wakers: DeferredWakes) {
        while !wakers.wake_all_checked() {
            self.state.lock().pass_on(&mut wakers);
        }
    }

    /// Wakes a member if there is something to receive, because the waker of another one has
    /// panicked. No lock may be held.
    #[cold]
    pub(super) fn wake_another(&self) {
        let mut wakers = DeferredWakes::default();
        self.state.lock().pass_on(&mut wakers);
        self.wake(wakers);
    }

    /// Takes out the wakers of all members, which look again.
    pub(super) fn wake_members(&self, wakers: &mut DeferredWakes) {
        self.state.lock().sleepers.take_all(wakers);
    }

    pub(super) fn poll_pop(
        &self,
        member: MemberId,
        waits: Waits,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Received<M>, RecvError>> {
        loop {
            if let Some(outcome) = self.try_pop(member).transpose() {
                return Poll::Ready(outcome);
            }
            let waker = cx.waker().clone();
            let mut state = self.state.lock();
            if state.is_ready() || state.has_left(member) {
                drop(state);
                continue;
            }
            let passes_on = waits == Waits::Reliably;
            let former = state.sleepers.insert(member, waker, passes_on);
            drop(state);
            drop(former);
            return Poll::Pending;
        }
    }

    /// Removes the waker of a member that does not wait any more. If the member was woken, perhaps
    /// for a message that it does not receive, another one is woken.
    pub(super) fn stop_receiving(&self, member: MemberId) {
        let mut wakers = DeferredWakes::default();
        let mut state = self.state.lock();
        let own = state.sleepers.remove(member);
        if own.is_none() {
            state.pass_on(&mut wakers);
        }
        drop(state);
        catch_user_panic(|| drop(own));
        self.wake(wakers);
    }

    /// Ends one member of a shared subscription: it receives nothing more, and its end. What is
    /// queued is for the others.
    pub(super) fn close_member(&self, member: MemberId, deferred: &mut Deferred<M>) {
        let mut state = self.state.lock();
        state.leave(member);
        deferred.wakers.extend(state.sleepers.remove(member));
    }

    /// Forgets a member whose subscription is dropped. If it was ended before as the last one, it
    /// was to receive what is queued: then that is dropped.
    pub(super) fn forget_member(&self, member: MemberId, deferred: &mut Deferred<M>) {
        let mut state = self.state.lock();
        if state.forget(member) {
            return;
        }
        if let Some(End::Unsubscribed) = state.end {
            deferred.messages.extend(state.clear());
        }
    }

    /// Ends the queue: it accepts nothing more. Its messages can be received still, unless the
    /// subscription was dropped.
    pub(super) fn end(&self, end: End, deferred: &mut Deferred<M>) {
        let mut state = self.state.lock();
        if let End::Dropped = end {
            deferred.messages.extend(state.clear());
        }
        state.end.get_or_insert(end);
        let State {
            waiters, missed, ..
        } = &mut *state;
        for (message, publisher) in waiters.refuse_all(missed) {
            deferred.messages.push(message);
            deferred.wakers.extend(publisher);
        }
        state.sleepers.take_all(&mut deferred.wakers);
    }
}

/// Drops the messages that are left: those of a group that was disconnected, or whose router is
/// gone. A panic of one drop does not keep the others from being dropped.
impl<M> Drop for Queue<M> {
    fn drop(&mut self) {
        let left: Vec<_> = self.state.lock().clear().collect();
        for message in left {
            catch_user_panic(|| drop(message));
        }
    }
}
