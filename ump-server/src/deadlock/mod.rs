//! Waits of a handler for itself, which end in an error instead.
//!
//! A handler that asks its own server needs the worker that would have to answer: itself. So do two whose servers ask each other. Before a worker
//! falls asleep it takes its place in a [`graph`] of which worker needs which; if there is a circle its wait ends in an error. On a thread the channel asks
//! the thread's [`Watch`] when the thread is about to sleep ([`ump::hooks`]); on a task the loop finds out from the wakers, when its handler has
//! returned `Pending` ([`awaits`]), and so it does for a future that a thread drives ([`drives`]).
//!
//! # When it is certain
//!
//! The README says it to users ("Which deadlocks end in an error"). A worker that sleeps is *stuck* if all that could wake it needs workers that are stuck.
//! The one who asks is taken to be so, as it is about to sleep: what follows from that is a circle, or nothing.
//!
//! | what is waited for | needs | in vain if |
//! |---|---|---|
//! | the reply to a queued request | any worker of its server | all of them are stuck |
//! | to one in hand: lent to a handler's call | that worker | that one is |
//! | to one elsewhere: detached, in a batch, answered, on its way | unknown | never |
//! | room in a queue | any worker of its server | all of them are, the lane is full, and no request can leave it: see [`ump::Server::without_room`] |
//! | the end of a loop, by a [`Promise`] | all its workers | one of them is |
//! | the making of a handler, by a [`Promise`] | that worker | that one is |
//!
//! | the worker is | stuck |
//! |---|---|
//! | a thread that blocks | if its wait is in vain |
//! | a task that blocks, which it should not | the same |
//! | a task, or a future that a thread drives, that awaits by the waker of its call (by itself, in `join!` or `select!`), and nothing else | if all its waits are |
//! | one that awaits something else, or by other wakers (`FuturesUnordered`, a subtask) | never |
//! | one whose handler is being made | if the thread that makes it is |
//! | anything else, in particular at work | never |
//!
//! A sleeper whose deadline is earlier than that of the one who asks, or is told by another clock, is not stuck, since it may wake up in time. What comes from
//! outside does not count: a loop in a circle may be stopped, and would turn its queue down. A caller that drops its request does count, as that makes room.
//!
//! The one that closes the circle by falling asleep gets the error. Where deadlines differ that may be one who can wait for another's deadline; then that
//! ends it. Of several requests that a task awaits, the first that it polls ends so; if one of them has a deadline none does, but others do.
//!
//! A lent context counts as being where the call is. It can be elsewhere in one way, which cannot be seen: lent on to a scoped thread, to answer there
//! while the call itself blocks for a request. Such a handler has to detach it.
//!
//! Workers that wait for nobody pay two writes for each request, to a line of their own.

pub(crate) mod awaits;
mod drives;
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
    awaits::Awaits,
    drives::Drives,
    graph::{Queue, WorkerId},
};

pub(crate) use self::graph::Responsible;

/// The place of a worker in the graph of who waits for whom.
pub(crate) struct WaitNode {
    channel: ChannelId,
    number: usize,
    /// Tells it from a later loop whose channel has the same address.
    queue: Weak<dyn Queue>,
    /// What is lent to a call: a request, as a number, or zero. Written by who has the context. Relaxed, as only the call's thread reads it, when it sleeps:
    /// what was done elsewhere on its behalf has been waited for by then.
    in_hand: AtomicUsize,
}

impl WaitNode {
    /// Takes the place of a worker, until it is dropped. To be done for all workers of a loop before one of them is at work.
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

    /// A request is lent to a call.
    #[inline]
    pub(crate) fn set_in_hand(&self, request: RequestId) {
        self.in_hand.store(request.into(), Ordering::Relaxed);
    }

    /// The call does not owe it any more.
    #[inline]
    pub(crate) fn clear_in_hand(&self) {
        self.in_hand.store(0, Ordering::Relaxed);
    }

    fn id(&self) -> WorkerId {
        (self.channel, self.number)
    }

    /// As those that sleep write it down.
    fn id_and_request(&self) -> (WorkerId, usize) {
        (self.id(), self.in_hand.load(Ordering::Relaxed))
    }
}

impl Drop for WaitNode {
    fn drop(&mut self) {
        graph::leave(self.id(), &self.queue);
    }
}

/// The workers that cannot go on while a thread or a task waits: that of the call, and those whose handlers it is about to make.
#[derive(Clone)]
pub(crate) struct WorkerSet(Vec<Arc<WaitNode>>);

impl WorkerSet {
    /// Of the worker with this wait node.
    pub(crate) fn of(wait_node: &Arc<WaitNode>) -> Self {
        Self(vec![Arc::clone(wait_node)])
    }

    fn ids_and_requests(&self) -> Vec<(WorkerId, usize)> {
        self.0
            .iter()
            .map(|wait_node| wait_node.id_and_request())
            .collect()
    }

    /// Sleeps until any of these is over.
    fn sleep(&self, waits: &[Wait]) -> Result<(), Cycle> {
        graph::sleep(&self.ids_and_requests(), waits).map_err(Cycle::new)
    }

    /// The same, whatever comes of it.
    fn sleep_anyway(&self, waits: &[Wait]) {
        graph::sleep_anyway(&self.ids_and_requests(), waits);
    }

    /// Whether it could.
    fn look(&self, waits: &[Wait]) -> Result<(), Cycle> {
        graph::look(&self.ids_and_requests(), waits).map_err(Cycle::new)
    }

    fn wake_up(&self) {
        graph::wake_up(self.0.iter().map(|wait_node| wait_node.id()));
    }
}

/// The watcher of a thread that works for them.
pub(crate) struct Watch {
    workers: WorkerSet,
    /// One that is not ours, over which this one was set.
    other: Option<Arc<dyn Watcher>>,
    /// The one over which it was set, whosever that is.
    over: Option<Arc<dyn Watcher>>,
}

/// Watches this thread on behalf of the worker whose thread it is.
pub(crate) fn watch(wait_node: &Arc<WaitNode>) -> Guard {
    hooks::watch(Arc::new(Watch {
        workers: WorkerSet::of(wait_node),
        other: None,
        over: None,
    }))
}

/// Watches this thread while it makes the handlers of these workers, which cannot begin before that; besides, it is what it was.
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

/// That of a watcher of ours, if it is one.
fn workers_of(watcher: &dyn Watcher) -> Option<WorkerSet> {
    let watcher = watcher.as_any()?;
    let watch = watcher.downcast_ref::<Watch>().map(|it| &it.workers);
    let awaits = || watcher.downcast_ref::<Awaits>().map(Awaits::workers);
    let drives = || watcher.downcast_ref::<Drives>().map(Drives::workers);
    // One over one that is not ours is not either: that has to be asked as well.
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
        let told = self.workers.sleep(waits);
        if let (Err(_), Some(other)) = (&told, &self.other) {
            other.after_any(waits);
        }
        told
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

/// A duty to answer, of which the graph knows whose it is: those who wait for the answer wait for them.
pub(crate) struct Promise<R, E>(Option<ReplyContext<R, E>>);

impl<R, E> Promise<R, E> {
    /// That of these workers of the loop with this wait node.
    pub(crate) fn new(duty: ReplyContext<R, E>, wait_node: &WaitNode, whose: Responsible) -> Self {
        graph::promise(duty.id(), wait_node.channel, &wait_node.queue, whose);
        Self(Some(duty))
    }

    /// To be answered now.
    pub(crate) fn keep(mut self) -> ReplyContext<R, E> {
        self.take().expect("it is taken once")
    }

    fn take(&mut self) -> Option<ReplyContext<R, E>> {
        let duty = self.0.take()?;
        // Before it is answered: whoever waits for it still sleeps then, and another request may have its name after that.
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
