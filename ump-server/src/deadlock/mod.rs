//! Requests that would wait for themselves, told so instead of made.
//!
//! A handler that asks its own server waits for the one who would have to answer: itself. So do two whose servers ask each other. Before a worker
//! falls asleep over a request it takes its place in a [`graph`] of who waits for whom; if there is a circle it is told. On a thread the channel asks
//! the worker's [`Seat`] when the thread is about to sleep ([`ump::waits`]); on a task the loop finds out from the wakers, when its handler has
//! returned `Pending` ([`awaits`]).
//!
//! # When it is certain
//!
//! A worker that sleeps is *stuck* if all that could wake it are requests that can only be answered by workers that are stuck. The one who asks is taken
//! to be so, as it is about to sleep: what follows from that is a circle, or nothing.
//!
//! | the request is | it can be answered by | stuck if |
//! |---|---|---|
//! | queued | any worker of its server | all of them are |
//! | in hand: lent to a handler's call | that worker | that one is |
//! | elsewhere: detached, in a batch, answered, on its way | who knows | never |
//!
//! | the worker is | stuck |
//! |---|---|
//! | a thread that blocks for a request | if that is |
//! | a task that blocks for a request, which it should not | if that is |
//! | a task that awaits requests by polling them with the waker of its call (by itself, in `join!` or `select!`, up to eight), and nothing else | if they all are |
//! | a task that awaits something else, or requests by wakers of their own (`FuturesUnordered`, [`ump::Gather`], a subtask), or room in a queue | never |
//! | anything else, in particular at work | never |
//!
//! Whoever sleeps with an earlier deadline than the one who asks, or one that another clock tells, is not stuck, since it may wake up in time. So a worker
//! that is awake, a free one in a pool, a context that was given away, or a server that is not run by a loop, all make it uncertain; then the request is
//! made. What comes from outside does not count: a loop in a circle may be stopped, and would turn its queue down.
//!
//! Whoever closes the circle by falling asleep is told. Where deadlines differ that may be one who can wait for another's deadline; then that ends it.
//! A task that awaits several requests is told by the first of them that it polls; if one of them has a deadline it is not, but others are.
//!
//! A lent context counts as being where the call is. It can be elsewhere in one way, which cannot be seen: lent on to a scoped thread, to answer there
//! while the call itself blocks for a request. Such a handler has to detach it.
//!
//! Those who have nobody to wait for pay two writes for each request, to a line of their own.

#[cfg(feature = "tokio")]
pub(crate) mod awaits;
mod graph;

use std::sync::{
    Arc, Weak,
    atomic::{AtomicUsize, Ordering},
};

use ump::{
    Server,
    waits::{ChannelId, Circle, RequestId, Wait, Watcher},
};

use graph::{Place, Queue};

/// The place of a worker in the graph of who waits for whom.
pub(crate) struct Seat {
    channel: ChannelId,
    number: usize,
    /// Tells it from a later loop whose channel has the same address.
    queue: Weak<dyn Queue>,
    /// What is lent to a call: a request, as a number, or zero. Written by who has the context. Relaxed, as only the call's thread reads it, when it sleeps:
    /// what was done elsewhere on its behalf has been waited for by then.
    in_hand: AtomicUsize,
}

impl Seat {
    /// Takes the place of a worker, until it is dropped. To be done for all workers of a loop before one of them is at work.
    pub(crate) fn take<S, R, E>(
        name: &Arc<str>,
        server: &Arc<Server<S, R, E>>,
        number: usize,
    ) -> Arc<Self>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        let channel = server.id();
        let queue: Weak<dyn Queue> = Arc::downgrade(server) as Weak<dyn Queue>;
        graph::enter((channel, number), name, &queue);
        Arc::new(Self {
            queue,
            channel,
            number,
            in_hand: AtomicUsize::new(0),
        })
    }

    /// A request is lent to a call.
    #[inline]
    pub(crate) fn lend(&self, request: RequestId) {
        self.in_hand.store(request.into(), Ordering::Relaxed);
    }

    /// The call does not owe it any more.
    #[inline]
    pub(crate) fn acquit(&self) {
        self.in_hand.store(0, Ordering::Relaxed);
    }

    /// Sleeps until any of these is over.
    fn fall_asleep(&self, waits: &[Wait]) -> Result<(), Circle> {
        let in_hand = self.in_hand.load(Ordering::Relaxed);
        graph::fall_asleep(self.place(), waits, in_hand).map_err(Circle::new)
    }

    /// The same, whatever comes of it.
    #[cfg(feature = "tokio")]
    fn fall_asleep_anyway(&self, waits: &[Wait]) {
        let in_hand = self.in_hand.load(Ordering::Relaxed);
        graph::fall_asleep_anyway(self.place(), waits, in_hand);
    }

    /// Whether it could.
    #[cfg(feature = "tokio")]
    fn look(&self, waits: &[Wait]) -> Result<(), Circle> {
        let in_hand = self.in_hand.load(Ordering::Relaxed);
        graph::look(self.place(), waits, in_hand).map_err(Circle::new)
    }

    fn wake_up(&self) {
        graph::wake_up(self.place());
    }

    fn place(&self) -> Place {
        (self.channel, self.number)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        graph::leave(self.place(), &self.queue);
    }
}

impl Watcher for Seat {
    fn before(&self, wait: &Wait) -> Result<(), Circle> {
        self.fall_asleep(&[*wait])
    }

    fn after(&self, _: &Wait) {
        self.wake_up();
    }
}
