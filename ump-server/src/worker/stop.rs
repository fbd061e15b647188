//! Ends a loop from outside.

use std::{
    collections::BTreeMap,
    fmt,
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Poll, Waker},
    time::Instant,
};

use ump::{Clock, Server};

use crate::{
    net::Reactor,
    record::{InHand, WorkerRecord, WorkerStatus},
    sync::{self, AtomicBool, AtomicU64, Mutex, Ordering},
    testing::participant::Participant,
    wait::wakers::{discard, wake_all},
};

/// How a loop is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Stop {
    /// The loop accepts no further requests, serves the queued ones, and ends.
    Drain,
    /// The loop ends after the request (or the batch) in hand. The callers of queued requests get
    /// an error at once, which says that the server disappeared.
    Refuse,
    /// The loop ends like with [`Refuse`](Self::Refuse), but on a task it does not wait for the
    /// call in hand. If the call awaits something, it is dropped where it waits, and its caller
    /// gets [`NoReply::Aborted`](ump::NoReply::Aborted). Then `term` runs, and
    /// [joining](crate::JoinHandle) returns its result. A second abort drops that `term`, too, and
    /// joining returns [`Aborted`](crate::JoinErrorKind::Aborted).
    ///
    /// A thread cannot be stopped from outside, and neither can a handler that blocks its task.
    /// They end when the handler returns, or when it waits. On a thread this is
    /// [`Refuse`](Self::Refuse).
    Abort,
}

/// Stops a loop, from anywhere, and however many clients it still has. A stopper does not keep the
/// loop alive.
///
/// It can be used repeatedly, with increasing force: [`Stop::Refuse`] after [`Stop::Drain`], and
/// [`Stop::Abort`] as the last step. On a loop that has ended it does nothing.
///
/// ```
/// # #[cfg(feature = "tokio")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::{future::pending, sync::Arc, time::Duration};
/// use ump_server::{Client, Stop, task, ump::{NoReply, RequestError}};
///
/// let (client, mut handle) = task::serve(task::reply(async |(): ()| pending::<()>().await)); // never ends
/// let asked = tokio::spawn(Client::request_owned(Arc::new(client), ()).into_future());
/// # tokio::task::yield_now().await;
///
/// // Serve the queued requests for at most 10 ms, then abort.
/// let stopper = handle.stopper();
/// stopper.stop(Stop::Drain);
/// if tokio::time::timeout(Duration::from_millis(10), &mut handle).await.is_err() {
///     stopper.stop(Stop::Abort);
///     assert_eq!((&mut handle).await, Ok(None));
/// }
/// let outcome = asked.await.unwrap();
/// assert!(matches!(outcome, Err(RequestError::NoReply(NoReply::Aborted))));
/// # }
/// # #[cfg(not(feature = "tokio"))]
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Stopper {
    name: Arc<str>,
    records: Arc<[sync::Arc<WorkerRecord>]>,
    /// The sockets of the workers. Weak, so that a stopper keeps no descriptors open.
    #[cfg_attr(
        not(all(feature = "net", unix, not(any(loom, shuttle)))),
        expect(dead_code, reason = "it has no use without sockets")
    )]
    reactors: Arc<[Weak<Reactor>]>,
    target: Arc<dyn StopTarget>,
}

impl Stopper {
    pub(crate) fn new(
        name: &Arc<str>,
        records: Vec<sync::Arc<WorkerRecord>>,
        reactors: &[Arc<Reactor>],
        target: Arc<dyn StopTarget>,
    ) -> Self {
        Self {
            name: Arc::clone(name),
            records: records.into(),
            reactors: reactors.iter().map(Arc::downgrade).collect(),
            target,
        }
    }

    /// Rebuilds the handlers with their factory, each after its request in hand. Queued requests
    /// stay queued. Returns `false` if the loop has no factory; then nothing happens.
    ///
    /// It does not wait for that. A renewal does not count as a failure, and `term` is not called.
    #[must_use = "a loop without a factory is not renewed"]
    pub fn renew(&self) -> bool {
        self.target.renew()
    }

    /// Ends the loop, and does not wait for the end. See
    /// [`JoinHandle::join`](crate::JoinHandle::join).
    ///
    /// If a handler has to be rebuilt during a drain, the drain waits for that.
    pub fn stop(&self, how: Stop) {
        self.target.stop(how);
    }

    /// Returns what the workers of the loop are doing at this moment, without stopping them. It can
    /// also be called when they have ended.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.records.iter().map(|record| record.status()).collect()
    }

    /// Returns the status of the open sockets of all workers, without stopping them. It takes time
    /// in proportion to their number. Requires the feature `net`.
    #[cfg(all(feature = "net", unix, not(any(loom, shuttle))))]
    #[must_use]
    pub fn sockets(&self) -> Vec<crate::net::SocketStatus> {
        let reactors = self.reactors.iter().filter_map(Weak::upgrade);
        reactors.flat_map(|reactor| reactor.status()).collect()
    }

    /// Returns the name of the loop.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether [`Stop::Abort`] does more than [`Stop::Refuse`].
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn can_abort(&self) -> bool {
        self.target.aborts().can_abort()
    }

    /// Returns the calls that were aborted.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn aborted(&self) -> Vec<InHand> {
        self.target.aborts().calls.lock().clone()
    }

    pub(crate) fn shared_name(&self) -> &Arc<str> {
        &self.name
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stopper").field(&self.name()).finish()
    }
}

/// The loop that a stopper acts on.
pub(crate) trait StopTarget: Send + Sync {
    fn stop(&self, how: Stop);
    fn renew(&self) -> bool;
    #[cfg_attr(any(loom, shuttle), expect(dead_code, reason = "a system asks for it"))]
    fn aborts(&self) -> &Aborts;
}

/// The aborts of a loop, which drop the calls of its handlers where they wait.
#[derive(Default)]
pub(crate) struct Aborts {
    /// The number of aborts. Raised before the tasks are woken.
    count: AtomicU64,
    /// The wakers of the workers' tasks. Empty if the workers are threads.
    tasks: Mutex<Vec<Waker>>,
    /// The calls that were dropped.
    calls: Mutex<Vec<InHand>>,
}

#[cfg_attr(
    not(all(feature = "tokio", not(any(loom, shuttle)))),
    allow(dead_code, reason = "there are no tasks")
)]
impl Aborts {
    /// Returns the number of aborts.
    #[inline]
    pub(crate) fn count(&self) -> u64 {
        // ORDERING: Acquire pairs with the Release of `raise`. A task that is woken after `raise`
        // sees the new number.
        self.count.load(Ordering::Acquire)
    }

    /// Adds a worker on a task.
    pub(crate) fn add(&self, task: Waker) {
        self.tasks.lock().push(task);
    }

    /// Records a call that was dropped.
    pub(crate) fn note(&self, call: Option<InHand>) {
        self.calls.lock().extend(call);
    }

    fn can_abort(&self) -> bool {
        !self.tasks.lock().is_empty()
    }

    fn raise(&self) {
        // ORDERING: Release pairs with the Acquire of `count`.
        self.count.fetch_add(1, Ordering::Release);
    }

    fn wake(&self) {
        let tasks = self.tasks.lock().clone();
        wake_all(tasks);
    }
}

/// Wakes a worker that waits for requests.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// The stop target of a loop, which its workers watch.
pub(crate) struct Control<S, R, E> {
    server: Weak<Server<S, R, E>>,
    /// Whether the loop is to end without serving the queue, or a worker has ended it. Set before
    /// the server is closed, so a worker that finds the server closed sees it.
    refuses: AtomicBool,
    pub(crate) aborts: Arc<Aborts>,
    /// The number of renewals. `None` without a factory.
    renewals: Option<AtomicU64>,
    /// The callbacks that wake workers that wait for requests.
    wakes: Mutex<Vec<Wake>>,
    /// The wakers of the workers that pause, by the workers' numbers. Woken when `refuses` is set.
    pausing: Mutex<BTreeMap<usize, Waker>>,
}

impl<S, R, E> Control<S, R, E> {
    pub(crate) fn new(server: &Arc<Server<S, R, E>>, has_factory: bool) -> Self {
        Self {
            renewals: has_factory.then(|| AtomicU64::new(0)),
            wakes: Mutex::default(),
            server: Arc::downgrade(server),
            aborts: Arc::default(),
            refuses: AtomicBool::new(false),
            pausing: Mutex::new(BTreeMap::new()),
        }
    }

    /// Adds the callback that wakes a worker that waits for requests.
    pub(crate) fn add(&self, wake: Wake) {
        self.wakes.lock().push(wake);
    }

    /// Returns the number of renewals.
    #[inline]
    pub(crate) fn renewals(&self) -> u64 {
        // ORDERING: Relaxed. `renew` raises the number before it wakes the worker, and the
        // synchronisation of that wait makes the worker see the new number.
        self.renewals
            .as_ref()
            .map_or(0, |renewals| renewals.load(Ordering::Relaxed))
    }

    /// Ends the loop without serving the queue. Its workers do not make another handler.
    pub(crate) fn refuse(&self, server: Option<&Server<S, R, E>>) {
        let mut pausing = self.pausing.lock();
        // ORDERING: Release pairs with the Acquire of `refuses`.
        self.refuses.store(true, Ordering::Release);
        let woken = mem::take(&mut *pausing);
        drop(pausing);
        if let Some(server) = server {
            server.refuse();
        }
        wake_all(woken.into_values());
    }

    /// Returns whether the loop is to end without serving the queue.
    pub(crate) fn refuses(&self) -> bool {
        // ORDERING: Acquire pairs with the Release of `refuse`.
        self.refuses.load(Ordering::Acquire)
    }

    /// Waits until the pause of this worker is over, or until the loop is to end: because it was
    /// stopped, because another worker ended it, or because no client is left and nothing is
    /// queued. If a request is queued, the pause goes on until another worker has served it, or
    /// until it is cancelled or expires.
    pub(crate) async fn pause(
        &self,
        server: &Server<S, R, E>,
        worker: usize,
        participant: Option<&Participant>,
        clock: &Clock,
        until: Option<Instant>,
    ) {
        let mut drained = server.drained();
        let mut over = until.map(|until| clock.sleep_until(until));
        let _removed_at_the_end = Pausing {
            pausing: &self.pausing,
            worker,
        };
        poll_fn(|cx| {
            // Polled first, because it rejects expired requests: then no handler is made for those
            // when the pause is over.
            if Pin::new(&mut drained).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if let Some(participant) = participant {
                participant.pauses(until.into_iter().chain(drained.expiry()).min());
            }
            // If the system refuses the timer thread, the pause is over.
            let over = over.as_mut().map(|over| Pin::new(over).poll(cx));
            if over.is_some_and(|over| over.is_ready()) {
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            let mut pausing = self.pausing.lock();
            // Checked under the lock: `refuse` sets the flag and takes the wakers under the same
            // lock.
            if self.refuses() {
                return Poll::Ready(());
            }
            let replaced = pausing.insert(worker, waker);
            drop(pausing);
            discard(replaced);
            Poll::Pending
        })
        .await;
    }
}

/// The pause of a worker. Its drop removes the waker, also if the worker's task is aborted.
struct Pausing<'a> {
    pausing: &'a Mutex<BTreeMap<usize, Waker>>,
    worker: usize,
}

impl Drop for Pausing<'_> {
    fn drop(&mut self) {
        let waker = self.pausing.lock().remove(&self.worker);
        discard(waker);
    }
}

impl<S: Send, R: Send, E: Send> StopTarget for Control<S, R, E> {
    fn stop(&self, how: Stop) {
        let server = self.server.upgrade();
        if how == Stop::Abort {
            // Before the queue is refused. Otherwise a worker that ends because of the refusal
            // could take this abort for one of its clean-up.
            self.aborts.raise();
        }
        if how != Stop::Drain {
            self.refuse(server.as_deref());
        } else if let Some(server) = &server {
            server.close();
        }
        if how == Stop::Abort {
            self.aborts.wake();
        }
    }

    fn aborts(&self) -> &Aborts {
        &self.aborts
    }

    fn renew(&self) -> bool {
        let Some(renewals) = &self.renewals else {
            return false;
        };
        // ORDERING: Relaxed, pairs with the load in `renewals`. The callbacks below wake the
        // workers after this, and a worker that is woken reads the new number.
        renewals.fetch_add(1, Ordering::Relaxed);
        let wakes = self.wakes.lock().clone();
        for wake in wakes {
            wake();
        }
        true
    }
}
