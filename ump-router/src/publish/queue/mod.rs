//! The queue of one subscription: many publishers, one subscriber, bounded.
//!
//! ```text
//!           push              pop
//!  Open ───────────► entries ─────► the subscriber
//!   │ full: by the policy         the room that a pop makes is given to the first waiter, if there is one
//!   │   ├─► waiters ──► entries
//!   │   └─► lost: a gap is noted where messages are missing
//!   ├──► Disconnected   (full, and the policy is to end): entries are received, then the end
//!   ├──► Closed         (the router was closed): the same
//!   └──► Dropped        (the subscription was dropped): entries are dropped, nothing is accepted
//! ```
//!
//! # Invariants
//!
//! 1. `entries.len() <= capacity`. A gap takes no room: it is a number stored with the message that
//!    comes after it, or after the last one.
//! 2. While the subscriber sleeps, its waker is stored. Whoever takes the waker out wakes it. The
//!    subscriber looks again after it has stored it.
//! 3. While a publisher waits, there is no room: an operation that makes room fills it under the
//!    same lock. So no message overtakes one that waits, no message depends on a woken publisher
//!    that never runs, and a gap, which needs a full queue, never comes to a sleeping subscriber.
//! 4. When the queue has ended, no publisher waits.
//! 5. No user code runs under the lock: wakers are cloned before, woken and dropped after; messages
//!    are dropped after.

mod entry;
mod state;
mod topic_positions;
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
    received::Received,
    recv_error::RecvError,
};
use crate::{sync::Mutex, topic::Pattern};

#[derive(Debug)]
pub(crate) struct Queue<M> {
    state: Mutex<State<M>>,
    pattern: Pattern,
    options: SubscribeOptions,
}

/// Why a queue accepts nothing any more.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Disconnected,
    Closed,
    Dropped,
}

/// What has happened in a queue so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct QueueCounters {
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

/// What a queue did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushOutcome {
    Queued,
    Dropped,
    /// The queue is full, and the publisher is to wait.
    Waiting(WaiterKey),
    /// The queue has ended.
    Ended,
}

impl<M> Queue<M> {
    pub(super) fn new(pattern: Pattern, options: SubscribeOptions) -> Self {
        let keeps_latest = options.when_full == WhenFull::Latest;
        Self {
            state: Mutex::new(State::new(keeps_latest)),
            pattern,
            options,
        }
    }

    pub(super) fn pattern(&self) -> &Pattern {
        &self.pattern
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
            depth: state.entries.len(),
            ..state.counters
        }
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
        let is_full = state.entries.len() >= self.options.capacity;
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
                    deferred.wakers.extend(state.subscriber.take());
                    return PushOutcome::Dropped;
                }
            }
        }
        state.append(message.clone());
        deferred.wakers.extend(state.subscriber.take());
        PushOutcome::Queued
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

    pub(super) fn try_pop(&self) -> Result<Option<Received<M>>, RecvError> {
        let mut state = self.state.lock();
        let Some(message) = state.take_first()? else {
            return Ok(None);
        };
        let publisher = state.admit_first();
        drop(state);
        if let Some(publisher) = publisher {
            catch_user_panic(|| publisher.wake());
        }
        Ok(Some(message))
    }

    pub(super) fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Result<Received<M>, RecvError>> {
        loop {
            if let Some(outcome) = self.try_pop().transpose() {
                return Poll::Ready(outcome);
            }
            let waker = cx.waker().clone();
            let mut state = self.state.lock();
            if state.is_ready() {
                drop(state);
                continue;
            }
            let former = state.subscriber.replace(waker);
            drop(state);
            drop(former);
            return Poll::Pending;
        }
    }

    /// Removes the waker of a subscriber that does not wait any more.
    pub(super) fn remove_subscriber_waker(&self) {
        let waker = self.state.lock().subscriber.take();
        catch_user_panic(|| drop(waker));
    }

    /// Ends the queue: it accepts nothing more. Its entries can be received still, unless the
    /// subscription was dropped.
    pub(super) fn end(&self, end: End, deferred: &mut Deferred<M>) {
        let mut state = self.state.lock();
        if let End::Dropped = end {
            let entries = state.entries.drain(..);
            deferred.messages.extend(entries.map(|entry| entry.message));
            state.positions = None;
        }
        state.end.get_or_insert(end);
        let State {
            waiters, missed, ..
        } = &mut *state;
        for (message, publisher) in waiters.refuse_all(missed) {
            deferred.messages.push(message);
            deferred.wakers.extend(publisher);
        }
        deferred.wakers.extend(state.subscriber.take());
    }
}
