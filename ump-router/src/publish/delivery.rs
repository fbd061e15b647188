//! A message on its way into the queues, some of which want their publishers to wait.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ump::Clock;

use super::{
    deferred::Deferred,
    publication::Published,
    queue::{Publisher, PushOutcome, Queue, WaiterKey},
    received::Received,
};
use crate::timeout::timeout_at;

/// What has become of a message so far, and where it is in line. Those who are not waited for to the end miss it.
pub(super) struct Delivery<M> {
    published: Published,
    pending: Vec<PendingPush<M>>,
    limit: WaitLimit,
    clock: Clock,
}

/// How long a publisher waits for those who want it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitLimit {
    /// As long as they want.
    None,
    At(Instant),
    /// It does not wait.
    Zero,
}

/// A queue without room, the place in its line, and until when it is waited for.
struct PendingPush<M> {
    queue: Arc<Queue<M>>,
    waiter: WaiterKey,
    deadline: Option<Instant>,
}

impl<M> Delivery<M> {
    pub(super) fn new(clock: &Clock, limit: WaitLimit) -> Self {
        Self {
            published: Published::default(),
            pending: Vec::new(),
            limit,
            clock: clock.clone(),
        }
    }

    pub(super) fn to(
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
            PushOutcome::Waiting(waiter) => self.pending.push(PendingPush {
                queue: Arc::clone(queue),
                waiter,
                deadline: self.deadline(queue.block_timeout()),
            }),
            PushOutcome::Ended => return,
        }
        self.published.matched += 1;
    }

    fn deadline(&self, block_timeout: Duration) -> Option<Instant> {
        let wanted = self.clock.now().checked_add(block_timeout);
        match self.limit {
            WaitLimit::Until(limit) => Some(wanted.map_or(limit, |wanted| wanted.min(limit))),
            WaitLimit::Unlimited | WaitLimit::NoWait => wanted,
        }
    }

    /// What came of it, if nobody has to be waited for.
    pub(super) fn outcome(&self) -> Option<Published> {
        self.pending.is_empty().then_some(self.published)
    }

    pub(super) fn complete_blocking(self) -> Published {
        let clock = self.clock.clone();
        let published = clock.block_on(self.complete(), None);
        published.expect("there is no deadline")
    }

    /// Waits for room wherever there is none, everywhere at once: who reads gets the message, whoever else does not.
    pub(super) async fn complete(mut self) -> Published {
        let enter = |pending: &PendingPush<M>| {
            let (queue, waiter, deadline) =
                (Arc::clone(&pending.queue), pending.waiter, pending.deadline);
            let clock = self.clock.clone();
            Box::pin(async move { enter(&queue, waiter, deadline, &clock).await })
        };
        let mut entering = self.pending.iter().map(enter).collect();
        poll_fn(|cx| self.poll_entering(&mut entering, cx)).await;
        self.published
    }

    /// Those who are waited for, each in the same place as in `pending`.
    fn poll_entering(
        &mut self,
        entering: &mut Vec<Pin<Box<impl Future<Output = PushOutcome>>>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut at = 0;
        while let Some(one) = entering.get_mut(at) {
            let Poll::Ready(entered) = one.as_mut().poll(cx) else {
                at += 1;
                continue;
            };
            match entered {
                PushOutcome::Queued => self.published.queued += 1,
                PushOutcome::Ended => self.published.matched -= 1,
                PushOutcome::Dropped | PushOutcome::Waiting(_) => self.published.dropped += 1,
            }
            self.pending.swap_remove(at);
            drop(entering.swap_remove(at));
        }
        if entering.is_empty() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl<M> Drop for Delivery<M> {
    fn drop(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let mut deferred = Deferred::default();
        for PendingPush { queue, waiter, .. } in self.pending.drain(..) {
            queue.leave(waiter, &mut deferred);
        }
        deferred.clear();
    }
}

/// Waits until a message has had its waiter, or until the deadline: after it, what is in line still is missed.
async fn enter<M>(
    queue: &Queue<M>,
    waiter: WaiterKey,
    deadline: Option<Instant>,
    clock: &Clock,
) -> PushOutcome {
    timeout_at(
        poll_fn(|cx| queue.poll_admitted(waiter, cx)),
        deadline,
        clock,
    )
    .await;
    let mut deferred = Deferred::default();
    let entered = queue.leave(waiter, &mut deferred);
    deferred.clear();
    entered
}
