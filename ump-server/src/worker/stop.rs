//! Ending a loop from outside.

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
    record::{InHand, WorkerRecord, WorkerStatus},
    sync::{self, AtomicBool, AtomicU64, Mutex, Ordering},
    testing::test_clock::Participant,
    wait::wakers::{discard, wake_all},
};

/// How a loop is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Stop {
    /// It accepts nothing more, serves what is queued, and ends.
    Drain,
    /// It ends after the request (or the batch) in hand. Those that are queued are told at once
    /// that the server disappeared.
    Refuse,
    /// The same, and on a task it does not wait for what is in hand: a call of the handler that
    /// awaits something is dropped where it waits. Its caller gets
    /// [`NoReply::Aborted`](ump::NoReply::Aborted), then `term` runs, and
    /// [joining](crate::JoinHandle) returns what comes of that. Said once more it drops that
    /// `term`, too, and joining returns [`Aborted`](crate::JoinErrorKind::Aborted).
    ///
    /// A thread cannot be stopped from outside, and neither can a handler on a task that blocks:
    /// they end when the handler returns, or waits. On a thread this is [`Refuse`](Self::Refuse).
    Abort,
}

/// Stops a loop, from anywhere and however many clients it still has. It does not keep the loop
/// going.
///
/// It can be used again, and to the sharper: [`Stop::Refuse`] after [`Stop::Drain`], and
/// [`Stop::Abort`] as the last step. On a loop that has ended it does nothing.
///
/// ```
/// # #[cfg(feature = "tokio")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use std::{future::pending, sync::Arc, time::Duration};
/// use ump_server::{Client, Stop, task, ump::{NoReply, RequestError}};
///
/// let (client, mut handle) = task::spawn(|_| {
///     Ok(task::answer(async |(): ()| pending::<Result<(), ()>>().await)) // never ends
/// })
/// .unwrap();
/// let asked = tokio::spawn(Client::request_owned(Arc::new(client), ()).into_future());
/// # tokio::task::yield_now().await;
///
/// // What is queued is served, for so long; then the loop ends.
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
    target: Arc<dyn StopTarget>,
}

impl Stopper {
    pub(crate) fn new(
        name: &Arc<str>,
        records: Vec<sync::Arc<WorkerRecord>>,
        target: Arc<dyn StopTarget>,
    ) -> Self {
        Self {
            name: Arc::clone(name),
            records: records.into(),
            target,
        }
    }

    /// Has the handlers made anew by their factory, each after the request it has in hand; what is
    /// queued stays queued. It does not wait for that, and does not count as a failure. `term` is
    /// not called. Returns `false` if the loop has no factory, and nothing happens.
    #[must_use = "without a factory it does nothing"]
    pub fn renew(&self) -> bool {
        self.target.renew()
    }

    /// Tells the loop to end, and does not wait for it. See
    /// [`JoinHandle::join`](crate::JoinHandle::join).
    ///
    /// A drain in which a handler has to be made anew waits for that.
    pub fn stop(&self, how: Stop) {
        self.target.stop(how);
    }

    /// What its workers are doing at this moment, without stopping them. Also when they have ended.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.records.iter().map(|record| record.status()).collect()
    }

    /// The name of the loop.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether [`Stop::Abort`] does more than [`Stop::Refuse`].
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn can_abort(&self) -> bool {
        self.target.aborts().can_abort()
    }

    /// The calls that were aborted.
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

/// What a stopper acts on.
pub(crate) trait StopTarget: Send + Sync {
    fn stop(&self, how: Stop);
    fn renew(&self) -> bool;
    #[cfg_attr(any(loom, shuttle), expect(dead_code, reason = "a system asks for it"))]
    fn aborts(&self) -> &Aborts;
}

/// That the calls of a loop's handlers are to be dropped where they wait.
#[derive(Default)]
pub(crate) struct Aborts {
    /// How often that was told. Raised before the tasks are woken.
    count: AtomicU64,
    /// Wake the workers wherever they wait. None if these are threads.
    tasks: Mutex<Vec<Waker>>,
    /// What was dropped.
    calls: Mutex<Vec<InHand>>,
}

#[cfg_attr(
    not(all(feature = "tokio", not(any(loom, shuttle)))),
    allow(dead_code, reason = "there are no tasks")
)]
impl Aborts {
    /// How often that was told.
    #[inline]
    pub(crate) fn count(&self) -> u64 {
        // Acquire: pairs with the Release of `raise`. A task that is woken after that sees it.
        self.count.load(Ordering::Acquire)
    }

    /// Adds a worker on a task.
    pub(crate) fn add(&self, task: Waker) {
        self.tasks.lock().push(task);
    }

    /// A call was dropped.
    pub(crate) fn note(&self, call: Option<InHand>) {
        self.calls.lock().extend(call);
    }

    fn can_abort(&self) -> bool {
        !self.tasks.lock().is_empty()
    }

    fn raise(&self) {
        // Release: pairs with the Acquire of `count`.
        self.count.fetch_add(1, Ordering::Release);
    }

    fn wake(&self) {
        let tasks = self.tasks.lock().clone();
        wake_all(tasks);
    }
}

/// Wakes a worker where it waits for requests.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// The stop target of a loop, which its workers watch.
pub(crate) struct Control<S, R, E> {
    server: Weak<Server<S, R, E>>,
    /// Whether it is to end without serving what is queued, or a worker has ended it. Set before
    /// the server is closed, so whoever finds that closed sees it.
    refuses: AtomicBool,
    pub(crate) aborts: Arc<Aborts>,
    /// How often the handlers were to be made anew; `None` without a factory.
    renewals: Option<AtomicU64>,
    /// Wake the workers where they wait for requests.
    wakes: Mutex<Vec<Wake>>,
    /// Whom to wake in their pauses when that is set, by the workers' numbers.
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

    /// Adds what wakes a worker where it waits for requests.
    pub(crate) fn add(&self, wake: Wake) {
        self.wakes.lock().push(wake);
    }

    /// How often the handlers were to be made anew.
    #[inline]
    pub(crate) fn renewals(&self) -> u64 {
        // Whoever raises it wakes the worker afterwards, and what it waits with makes it see this.
        self.renewals
            .as_ref()
            .map_or(0, |renewals| renewals.load(Ordering::Relaxed))
    }

    /// Has the loop end without serving what is queued, and its workers without making another
    /// handler.
    pub(crate) fn refuse(&self, server: Option<&Server<S, R, E>>) {
        let mut pausing = self.pausing.lock();
        // Release: pairs with the Acquire of `refuses`.
        self.refuses.store(true, Ordering::Release);
        let woken = mem::take(&mut *pausing);
        drop(pausing);
        if let Some(server) = server {
            server.refuse();
        }
        wake_all(woken.into_values());
    }

    /// Whether the loop is to end without serving what is queued.
    pub(crate) fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Acquire)
    }

    /// Resolves when the pause of this worker is over, or when the loop is to end: because it was
    /// stopped, because another worker ended it, or because no client is left and nothing is
    /// queued. If something is, the pause goes on until that is served by another worker, cancelled
    /// or expired.
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
            // First, as it turns down what has expired: then no handler is made for that when the
            // pause is over.
            if Pin::new(&mut drained).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if let Some(participant) = participant {
                participant.pauses(until.into_iter().chain(drained.expiry()).min());
            }
            // Should the system refuse the thread that would wake us, the pause is over.
            let over = over.as_mut().map(|over| Pin::new(over).poll(cx));
            if over.is_some_and(|over| over.is_ready()) {
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            let mut pausing = self.pausing.lock();
            // Looked at under the lock: whoever sets it takes the wakers after that.
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

/// A worker's pause. At its end its waker is removed, also if its task is aborted.
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
            // Before the queue is turned down, so that a worker that ends for that does not take it
            // for the end of its clean-up.
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
        renewals.fetch_add(1, Ordering::Relaxed);
        let wakes = self.wakes.lock().clone();
        for wake in wakes {
            wake();
        }
        true
    }
}
