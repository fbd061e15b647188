//! A message on its way into the queues, some of which want their publishers to wait.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use ump::Clock;

use super::{
    leftovers::Leftovers,
    publication::Published,
    queue::{Pushed, Queue},
    received::Received,
};
use crate::{in_time::in_time, signal::Signal};

/// What has become of a message so far, and who is waited for. Those who are not waited for to the end miss it.
pub(super) struct Delivery<M> {
    message: Received<M>,
    published: Published,
    full: Vec<Full<M>>,
    clock: Clock,
}

/// A queue without room, and until when it is waited for.
struct Full<M> {
    queue: Arc<Queue<M>>,
    deadline: Option<Instant>,
}

impl<M> Delivery<M> {
    pub(super) fn new(message: Received<M>, clock: &Clock) -> Self {
        Self {
            message,
            published: Published::default(),
            full: Vec::new(),
            clock: clock.clone(),
        }
    }

    pub(super) fn to(&mut self, queue: &Arc<Queue<M>>, leftovers: &mut Leftovers<M>) {
        match queue.push(&self.message, leftovers) {
            Pushed::Queued => self.published.queued += 1,
            Pushed::Dropped => self.published.dropped += 1,
            Pushed::Full => self.full.push(Full {
                queue: Arc::clone(queue),
                deadline: self.clock.now().checked_add(queue.patience()),
            }),
            Pushed::Ended => return,
        }
        self.published.matched += 1;
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
            let (queue, deadline) = (Arc::clone(&full.queue), full.deadline);
            let (message, clock) = (self.message.clone(), self.clock.clone());
            Box::pin(async move { enter(&queue, &message, deadline, &clock).await })
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
                Pushed::Dropped | Pushed::Full => self.published.dropped += 1,
            }
            self.full.swap_remove(at);
            drop(entering.swap_remove(at));
        }
        if entering.is_empty() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Waits for nobody.
    pub(super) fn give_up(mut self, leftovers: &mut Leftovers<M>) {
        for Full { queue, .. } in self.full.drain(..) {
            queue.miss(leftovers);
        }
    }
}

impl<M> Drop for Delivery<M> {
    fn drop(&mut self) {
        if self.full.is_empty() {
            return;
        }
        let mut leftovers = Leftovers::default();
        for Full { queue, .. } in self.full.drain(..) {
            queue.miss(&mut leftovers);
        }
        leftovers.clear();
    }
}

/// Puts a message into a queue as soon as there is room, before the deadline. After it, the message is missed.
async fn enter<M>(
    queue: &Queue<M>,
    message: &Received<M>,
    deadline: Option<Instant>,
    clock: &Clock,
) -> Pushed {
    let mut leftovers = Leftovers::default();
    loop {
        let room = Signal::listen(&queue.room);
        let pushed = queue.push(message, &mut leftovers);
        leftovers.clear();
        if !matches!(pushed, Pushed::Full) {
            return pushed;
        }
        if !in_time(room, deadline, clock).await {
            let missed = queue.miss(&mut leftovers);
            leftovers.clear();
            return missed;
        }
    }
}
