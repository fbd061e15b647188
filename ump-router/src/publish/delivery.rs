//! A message that is put into the queues of its subscribers, some of which make the publisher wait.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ump::{Clock, internal::timeout_at};

use super::{
    deferred::Deferred,
    published::Published,
    queue::{Publisher, PushOutcome, Queue, WaiterKey},
    received::Received,
};

/// The outcome of a message so far, and its places in the wait queues. If it is dropped, the queues
/// that it still waits for miss the message.
pub(super) struct Delivery<M> {
    published: Published,
    waiting: Vec<WaitingPush<M>>,
    /// The queues that it has ended, because they were full.
    disconnected: Vec<Arc<Queue<M>>>,
    limit: WaitLimit,
    clock: Clock,
}

/// How long a publisher waits for subscriptions that block it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitLimit {
    /// As long as each subscription says.
    Unlimited,
    /// The same, but until this instant at most.
    Until(Instant),
    /// Not at all.
    NoWait,
}

/// A full queue, the message's place in its wait queue, and how long to wait.
struct WaitingPush<M> {
    queue: Arc<Queue<M>>,
    waiter: WaiterKey,
    deadline: Option<Instant>,
}

impl<M> Delivery<M> {
    pub(super) fn new(clock: &Clock, limit: WaitLimit) -> Self {
        Self {
            published: Published::default(),
            waiting: Vec::new(),
            disconnected: Vec::new(),
            limit,
            clock: clock.clone(),
        }
    }

    /// Puts the message into a queue, or into its wait queue.
    pub(super) fn push_to(
        &mut self,
        queue: &Arc<Queue<M>>,
        message: &Received<M>,
        deferred: &mut Deferred<M>,
    ) {
        let publisher = match self.limit {
            WaitLimit::NoWait => Publisher::NeverWaits,
            WaitLimit::Unlimited | WaitLimit::Until(_) => Publisher::MayWait,
        };
        match queue.push(message, publisher, deferred) {
            PushOutcome::Queued => self.published.queued += 1,
            PushOutcome::Dropped => self.published.dropped += 1,
            PushOutcome::Disconnected => {
                self.published.dropped += 1;
                self.disconnected.push(Arc::clone(queue));
            }
            PushOutcome::Waiting(waiter) => self.waiting.push(WaitingPush {
                queue: Arc::clone(queue),
                waiter,
                deadline: self.deadline(queue.block_timeout()),
            }),
            PushOutcome::Ended => return,
        }
        self.published.matched += 1;
    }

    #[inline]
    pub(super) fn has_disconnected(&self) -> bool {
        !self.disconnected.is_empty()
    }

    /// Returns the queues that the message has ended, once.
    pub(super) fn take_disconnected(&mut self) -> Vec<Arc<Queue<M>>> {
        std::mem::take(&mut self.disconnected)
    }

    fn deadline(&self, block_timeout: Duration) -> Option<Instant> {
        let wanted = self.clock.now().checked_add(block_timeout);
        match self.limit {
            WaitLimit::Until(limit) => Some(wanted.map_or(limit, |wanted| wanted.min(limit))),
            WaitLimit::Unlimited | WaitLimit::NoWait => wanted,
        }
    }

    /// Returns the outcome, if the message waits for no queue.
    pub(super) fn published(&self) -> Option<Published> {
        self.waiting.is_empty().then_some(self.published)
    }

    /// Blocks until the message waits for no queue.
    pub(super) fn complete_blocking(self) -> Published {
        let clock = self.clock.clone();
        let published = clock.block_on(self.complete(), None);
        published.expect("a wait without a deadline is completed")
    }

    /// Waits for all full queues at the same time, each until its own deadline.
    pub(super) async fn complete(mut self) -> Published {
        let wait = |push: &WaitingPush<M>| {
            let (queue, waiter, deadline) = (Arc::clone(&push.queue), push.waiter, push.deadline);
            let clock = self.clock.clone();
            Box::pin(async move { wait_for_room(&queue, waiter, deadline, &clock).await })
        };
        let mut waits = self.waiting.iter().map(wait).collect();
        poll_fn(|cx| self.poll_waits(&mut waits, cx)).await;
        self.published
    }

    /// Polls each wait, which has the same position as its queue in `self.waiting`.
    fn poll_waits(
        &mut self,
        waits: &mut Vec<Pin<Box<impl Future<Output = PushOutcome>>>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut at = 0;
        while let Some(wait) = waits.get_mut(at) {
            let Poll::Ready(outcome) = wait.as_mut().poll(cx) else {
                at += 1;
                continue;
            };
            match outcome {
                PushOutcome::Queued => self.published.queued += 1,
                PushOutcome::Ended => self.published.matched -= 1,
                PushOutcome::Dropped | PushOutcome::Disconnected | PushOutcome::Waiting(_) => {
                    self.published.dropped += 1;
                }
            }
            self.waiting.swap_remove(at);
            drop(waits.swap_remove(at));
        }
        if waits.is_empty() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl<M> Drop for Delivery<M> {
    fn drop(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let mut deferred = Deferred::default();
        for WaitingPush { queue, waiter, .. } in self.waiting.drain(..) {
            queue.stop_waiting(waiter, &mut deferred);
        }
        deferred.run();
    }
}

/// Waits until a message is admitted or refused, or until the deadline. After the deadline a
/// message that waits still is missed.
async fn wait_for_room<M>(
    queue: &Queue<M>,
    waiter: WaiterKey,
    deadline: Option<Instant>,
    clock: &Clock,
) -> PushOutcome {
    let admitted = poll_fn(|cx| queue.poll_waiter(waiter, cx));
    timeout_at(clock, deadline, admitted).await;
    let mut deferred = Deferred::default();
    let outcome = queue.stop_waiting(waiter, &mut deferred);
    deferred.run();
    outcome
}
