//! Deadlock detection: a handler's wait for itself ends in an error.
//!
//! A handler that makes a request to its own server waits for the worker that would have to answer:
//! itself. Two handlers whose servers make requests to each other deadlock in the same way. Before
//! a worker sleeps, it registers its waits in the [`graph`] of all workers of the process. If that
//! would close a cycle, the wait ends in an error.
//!
//! - On a thread, the channel calls the thread's [`Watch`] when the thread is about to sleep
//!   ([`ump::hooks`]).
//! - On a task, the loop reads the waits from the wakers, after its handler has returned `Pending`
//!   ([`awaits`]).
//! - A future that a thread drives is treated like a task ([`drives`]).
//!
//! # When a deadlock is certain
//!
//! The README has the description for users ("Which deadlocks end in an error"). A sleeping worker
//! is *stuck* if only stuck workers could wake it. The worker that is about to sleep is assumed to
//! be stuck. If its own wait is in vain under that assumption, there is a cycle.
//!
//! | the wait is for | it needs | it is in vain if |
//! |---|---|---|
//! | the reply to a queued request | any worker of its server | all of them are stuck |
//! | the reply to a request in hand (lent to a handler's call) | the worker of that call | that worker is stuck |
//! | the reply to a request elsewhere: detached, in a batch, answered, on its way | unknown | never |
//! | room in a queue | any worker of its server | all of them are stuck, the lane is full, and no request can leave it: see [`LoopView::without_room`](ump::hooks::LoopView::without_room) |
//! | the end of a loop, by a [`Promise`] | all workers of the loop | one of them is stuck |
//! | the making of a handler, by a [`Promise`] | the worker that gets the handler | that worker is stuck |
//!
//! | the worker | it is stuck |
//! |---|---|
//! | is a thread that blocks | if its wait is in vain |
//! | is a task that blocks, which a task should not do | if its wait is in vain |
//! | is a task, or a future that a thread drives, and awaits requests only, by the waker of its call (directly, in `join!` or `select!`) | if all its waits are in vain |
//! | is such a task or future, and awaits anything else, or by other wakers (`FuturesUnordered`, a subtask) | never |
//! | does not have its handler yet | if the thread that makes the handler is stuck |
//! | is in any other state, in particular at work | never |
//!
//! If a sleeper's deadline is earlier than that of the worker that is about to sleep, or is
//! measured by another clock, the sleeper is not stuck: it may wake up in time. Events from outside
//! do not count: a loop in a cycle may be stopped, and would then reject its queued requests. A
//! caller that drops its request does count, because that makes room.
//!
//! The worker that closes the cycle by sleeping gets the error. If deadlines differ, that worker
//! may be one that can wait for the deadline of another; then that deadline ends its wait. If a
//! task awaits several requests, the first that it polls ends in the error. If the deadlines of
//! these requests differ, none of them does, but another worker of the cycle may get the error.
//!
//! A lent context is assumed to be where its call is. There is one exception, which cannot be
//! detected: the call lends the context to a scoped thread, which answers there, while the call
//! itself blocks for a request. Such a handler has to detach the context.
//!
//! A worker that waits for no other worker pays two writes per request, to a cache line of its own.

pub(crate) mod awaits;
mod graph;

use std::{
    any::Any,
    fmt, slice,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

use ump::{
    Clock, ReplyContext, Server,
    hooks::{self, ChannelId, Cycle, Driven, Guard, RequestId, Wait, Watcher},
};

use self::{
    awaits::{Awaits, Drives},
    graph::{Queue, WorkerId},
};

pub(crate) use self::graph::Responsible;

/// A worker's node in the wait-for graph.
pub(crate) struct WaitNode {
    channel: ChannelId,
    number: usize,
    /// Distinguishes this loop from a later one whose channel has the same address.
    queue: Weak<dyn Queue>,
    /// The request that is lent to a call, as a number, or zero. Written by the owner of the
    /// context.
    ///
    /// ORDERING: Relaxed, in all accesses. Only the call's thread reads it, when that thread
    /// sleeps. If another thread wrote it on behalf of the call, the call has waited for that
    /// thread by then.
    in_hand: AtomicUsize,
}

impl WaitNode {
    /// Registers a worker until the node is dropped. Register all workers of a loop before one of
    /// them runs.
    pub(crate) fn register<S, R, E>(
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

    /// Records the request that is lent to the call.
    #[inline]
    pub(crate) fn set_in_hand(&self, request: RequestId) {
        self.in_hand.store(request.into(), Ordering::Relaxed);
    }

    /// Records that the call no longer owes a reply.
    #[inline]
    pub(crate) fn clear_in_hand(&self) {
        self.in_hand.store(0, Ordering::Relaxed);
    }

    fn id(&self) -> WorkerId {
        (self.channel, self.number)
    }

    /// Returns the entry for the graph when this worker sleeps: its id and the request in hand.
    fn id_and_request(&self) -> (WorkerId, usize) {
        (self.id(), self.in_hand.load(Ordering::Relaxed))
    }
}

impl Drop for WaitNode {
    fn drop(&mut self) {
        graph::leave(self.id(), &self.queue);
    }
}

/// The workers that cannot proceed while a thread or task waits: the worker of the call, and the
/// workers whose handlers it is about to make.
#[derive(Clone)]
pub(crate) struct WorkerSet(Vec<Arc<WaitNode>>);

impl WorkerSet {
    /// Creates the set of the one worker with this wait node.
    pub(crate) fn of(wait_node: &Arc<WaitNode>) -> Self {
        Self(vec![Arc::clone(wait_node)])
    }

    fn ids_and_requests(&self) -> Vec<(WorkerId, usize)> {
        self.0
            .iter()
            .map(|wait_node| wait_node.id_and_request())
            .collect()
    }

    /// Registers the workers as asleep until any of these waits ends. Fails if that closes a cycle.
    fn sleep(&self, waits: &[Wait]) -> Result<(), Cycle> {
        graph::sleep(&self.ids_and_requests(), waits).map_err(Cycle::new)
    }

    /// Registers the workers as asleep without a search for a cycle.
    fn sleep_anyway(&self, waits: &[Wait]) {
        graph::sleep_anyway(&self.ids_and_requests(), waits);
    }

    /// Searches for a cycle that `sleep` would close, and registers nothing.
    fn look(&self, waits: &[Wait]) -> Result<(), Cycle> {
        graph::look(&self.ids_and_requests(), waits).map_err(Cycle::new)
    }

    fn wake_up(&self) {
        graph::wake_up(self.0.iter().map(|wait_node| wait_node.id()));
    }
}

/// The watcher of a thread that works for some workers.
pub(crate) struct Watch {
    workers: WorkerSet,
    /// A foreign watcher that this one replaced on the thread; calls are passed on to it.
    other: Option<Arc<dyn Watcher>>,
    /// The watcher that this one replaced on the thread, ours or foreign.
    over: Option<Arc<dyn Watcher>>,
}

/// Watches this thread on behalf of the worker that runs on it.
pub(crate) fn watch(wait_node: &Arc<WaitNode>) -> Guard {
    hooks::watch(Arc::new(Watch {
        workers: WorkerSet::of(wait_node),
        other: None,
        over: None,
    }))
}

/// Watches this thread while it makes the handlers of these workers, which cannot start before
/// that. Workers that the thread's current watcher knows stay watched as well.
pub(crate) fn watch_making(wait_nodes: &[Arc<WaitNode>]) -> Guard {
    let other = hooks::current();
    let known = other.as_ref().and_then(|other| workers_of(&**other));
    let is_ours = known.is_some();
    let mut workers = known.unwrap_or(WorkerSet(Vec::new()));
    for wait_node in wait_nodes {
        if !workers.0.iter().any(|known| Arc::ptr_eq(known, wait_node)) {
            workers.0.push(Arc::clone(wait_node));
        }
    }
    let over = other.clone();
    let other = other.filter(|_| !is_ours);
    hooks::watch(Arc::new(Watch {
        workers,
        other,
        over,
    }))
}

/// Returns the workers of a watcher if it is one of ours.
fn workers_of(watcher: &dyn Watcher) -> Option<WorkerSet> {
    let watcher = watcher.as_any()?;
    let watch = watcher.downcast_ref::<Watch>().map(|it| &it.workers);
    let awaits = || watcher.downcast_ref::<Awaits>().map(Awaits::workers);
    let drives = || watcher.downcast_ref::<Drives>().map(Drives::workers);
    // A watcher of ours over a foreign one does not count as ours: the foreign one has to be called
    // too.
    let is_alone = watcher
        .downcast_ref::<Watch>()
        .is_none_or(|it| it.other.is_none());
    watch
        .or_else(awaits)
        .or_else(drives)
        .filter(|_| is_alone)
        .cloned()
}

impl Watcher for Watch {
    fn before(&self, wait: &Wait) -> Result<(), Cycle> {
        self.before_any(slice::from_ref(wait))
    }

    fn after(&self, wait: &Wait) {
        self.after_any(slice::from_ref(wait));
    }

    fn polled(&self, wait: &Wait, waker: &Waker) -> Result<Option<Waker>, Cycle> {
        self.polled_any(slice::from_ref(wait), waker)
    }

    fn before_any(&self, waits: &[Wait]) -> Result<(), Cycle> {
        if let Some(other) = &self.other {
            other.before_any(waits)?;
        }
        let outcome = self.workers.sleep(waits);
        if let (Err(_), Some(other)) = (&outcome, &self.other) {
            other.after_any(waits);
        }
        outcome
    }

    fn after_any(&self, waits: &[Wait]) {
        self.workers.wake_up();
        if let Some(other) = &self.other {
            other.after_any(waits);
        }
    }

    fn polled_any(&self, waits: &[Wait], waker: &Waker) -> Result<Option<Waker>, Cycle> {
        match &self.other {
            Some(other) => other.polled_any(waits, waker),
            None => Ok(None),
        }
    }

    fn sleeps(&self, clock: &Clock) -> Option<Arc<()>> {
        self.over.as_ref()?.sleeps(clock)
    }

    fn drives(&self, unpark: &Waker) -> Option<Driven> {
        match &self.other {
            Some(other) => other.drives(unpark),
            None => Some(Drives::begin(&self.workers, unpark)),
        }
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

/// An obligation to answer a request. The graph knows the workers that have to fulfil it, so a wait
/// for the answer is a wait for these workers.
pub(crate) struct Promise<R, E>(Option<ReplyContext<R, E>>);

impl<R, E> Promise<R, E> {
    /// Registers the obligation as one of the `whose` workers of the loop with this wait node.
    pub(crate) fn new(duty: ReplyContext<R, E>, wait_node: &WaitNode, whose: Responsible) -> Self {
        graph::promise(duty.id(), wait_node.channel, &wait_node.queue, whose);
        Self(Some(duty))
    }

    /// Returns the reply context, to be answered now.
    pub(crate) fn keep(mut self) -> ReplyContext<R, E> {
        self.take().expect("a promise is kept once")
    }

    fn take(&mut self) -> Option<ReplyContext<R, E>> {
        let duty = self.0.take()?;
        // Unregister it before it is answered. Until then, a waiter for the reply is still asleep;
        // after that, another request may have the same id.
        graph::keep_promise(duty.id());
        Some(duty)
    }
}

impl<R, E> Drop for Promise<R, E> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<R, E> fmt::Debug for Promise<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Promise").field(&self.0).finish()
    }
}
