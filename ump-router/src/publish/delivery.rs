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
    deferred::Leftovers,
    publication::Published,
    queue::{Publisher, Pushed, Queue, Turn},
    received::Received,
};
use crate::timeout::in_time;

/// What has become of a message so far, and where it is in line. Those who are not waited for to the end miss it.
pub(super) struct Delivery<M> {
    published: Published,
    full: Vec<Full<M>>,
    limit: Limit,
    clock: Clock,
}

/// How long a publisher waits for those who want it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// As long as they want.
    None,
    At(Instant),
    /// It does not wait.
    Zero,
}

/// A queue without room, the place in its line, and until when it is waited for.
struct Full<M> {
    queue: Arc<Queue<M>>,
    turn: Turn,
    deadline: Option<Instant>,
}

impl<M> Delivery<M> {
    pub(super) fn new(clock: &Clock, limit: Limit) -> Self {
        Self {
            published: Published::default(),
            full: Vec::new(),
            limit,
            clock: clock.clone(),
        }
    }

    pub(super) fn to(
        &mut self,
        queue: &Arc<Queue<M>>,
        message: &Received<M>,
        leftovers: &mut Leftovers<M>,
    ) {
        let publisher = match self.limit {
            Limit::Zero => Publisher::GoesOn,
            Limit::None | Limit::At(_) => Publisher::Waits,
        };
        match queue.push(message, publisher, leftovers) {
            Pushed::Queued => self.published.queued += 1,
            Pushed::Dropped => self.published.dropped += 1,
            Pushed::InLine(turn) => self.full.push(Full {
                queue: Arc::clone(queue),
                turn,
                deadline: self.deadline(queue.patience()),
            }),
            Pushed::Ended => return,
        }
        self.published.matched += 1;
    }

    fn deadline(&self, patience: Duration) -> Option<Instant> {
        let wanted = self.clock.now().checked_add(patience);
        match self.limit {
            Limit::At(limit) => Some(wanted.map_or(limit, |wanted| wanted.min(limit))),
            Limit::None | Limit::Zero => wanted,
        }
    }

    /// What came of it, if nobody has to be waited for.
    pub(super) fn outcome(&self) -> Option<Published> {
        self.full.is_empty().then_some(self.published)
    }

    pub(super) fn complete_blocking(self) -> Published {
        let clock = self.clock.clone();
        let published = clock.block_on(self.complete(), None);
        published.expect("there is no deadline")
    }

    /// Waits for room wherever there is none, everywhere at once: who reads gets the message, whoever else does not.
    pub(super) async fn complete(mut self) -> Published {
        let enter = |full: &Full<M>| {
            let (queue, turn, deadline) = (Arc::clone(&full.queue), full.turn, full.deadline);
            let clock = self.clock.clone();
            Box::pin(async move { enter(&queue, turn, deadline, &clock).await })
        };
        let mut entering = self.full.iter().map(enter).collect();
        poll_fn(|cx| self.poll_entering(&mut entering, cx)).await;
        self.published
    }

    /// Those who are waited for, each in the same place as in `full`.
    fn poll_entering(
        &mut self,
        entering: &mut Vec<Pin<Box<impl Future<Output = Pushed>>>>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut at = 0;
        while let Some(one) = entering.get_mut(at) {
            let Poll::Ready(entered) = one.as_mut().poll(cx) else {
                at += 1;
                continue;
            };
            match entered {
                Pushed::Queued => self.published.queued += 1,
                Pushed::Ended => self.published.matched -= 1,
                Pushed::Dropped | Pushed::InLine(_) => self.published.dropped += 1,
            }
            self.full.swap_remove(at);
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
        if self.full.is_empty() {
            return;
        }
        let mut leftovers = Leftovers::default();
        for Full { queue, turn, .. } in self.full.drain(..) {
            queue.leave(turn, &mut leftovers);
        }
        leftovers.clear();
    }
}

/// Waits until a message has had its turn, or until the deadline: after it, what is in line still is missed.
async fn enter<M>(
    queue: &Queue<M>,
    turn: Turn,
    deadline: Option<Instant>,
    clock: &Clock,
) -> Pushed {
    in_time(poll_fn(|cx| queue.poll_turn(turn, cx)), deadline, clock).await;
    let mut leftovers = Leftovers::default();
    let entered = queue.leave(turn, &mut leftovers);
    leftovers.clear();
    entered
}
