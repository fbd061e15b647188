//! Virtual time for whole programs of loops: a week passes in milliseconds, and each event happens
//! at its time.
//!
//! [`ManualClock`] alone moves the time and wakes the sleepers whose deadline has passed; what they
//! do happens when the scheduler runs them. A [`TestClock`] stands still until all loops under it
//! are *quiet*: each of their workers waits, has nothing to take, and sleeps beyond the present.
//! Only then it moves on, to the next instant that a worker or a sleeper waits for.
//!
//! A worker reports its activity through its [`Participant`]. Whether a request was accepted and
//! not yet taken is known only to the channel, in its statistics. These are read one after the
//! other, so a count of changes tells whether anything changed meanwhile; if so, they are read
//! again.
//!
//! A call on a task that has returned `Pending` is quiet as well ([`Suspended`]) if no waker has
//! woken it since, and if this clock observes everything that can wake it: the call sleeps on this
//! clock, or awaits only requests to loops under it. A waker first sets the flag that the call is
//! woken, then wakes the task. The task reports itself as busy before it clears the flag.

use std::{
    fmt,
    future::{Future, poll_fn},
    mem,
    pin::{Pin, pin},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use crate::{
    sync::Mutex,
    wait::executor::{EXECUTOR, blocks_an_executor},
    wait::wakers::{Registration, Wakers, discard, wake_all},
};
use ump::{Clock, ManualClock, Server, coop::Coop, hooks::ChannelId};

/// A clock for tests of loops. It moves only when it is advanced, from one event to the next, and
/// waits for the loops in between.
///
/// ```
/// use std::{ops::ControlFlow, time::Duration};
/// use ump_server::{Context, Refused, ReplyContext, TestClock, thread};
///
/// struct Hours(u64);
///
/// impl thread::Handler<(), u64, Refused> for Hours {
///     fn proc_req(&mut self, (): (), rctx: ReplyContext<u64, Refused>) -> ControlFlow<()> {
///         let _ = rctx.reply(self.0);
///         ControlFlow::Continue(())
///     }
///
///     fn on_timer(&mut self, (): ()) -> ControlFlow<()> {
///         self.0 += 1;
///         ControlFlow::Continue(())
///     }
/// }
///
/// const HOUR: Duration = Duration::from_secs(3600);
///
/// let clock = TestClock::new();
/// let (client, _) = thread::Builder::new()
///     .test_clock(&clock)
///     .spawn_with(|cx| {
///         cx.timers().every(HOUR, ());
///         Ok(Hours(0))
///     })?;
/// clock.advance(7 * 24 * HOUR);
/// assert_eq!(client.req(()).unwrap(), 168);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What it waits for
/// The clock waits for handlers to return, or to await only what this clock observes. A handler on
/// a task does not keep the clock from moving if it sleeps on this clock ([`Clock::sleep_until`], a
/// request with a deadline, a wait for room with a deadline, alone or together with anything else).
/// Nor does one that awaits requests to loops under this clock. The clock does wait for a handler
/// that awaits anything else (a socket, a task of the test, a request to a server that is no loop
/// under this clock, room in a queue), because it cannot know whether that is about to happen.
///
/// A handler on a **thread** that blocks for virtual time, or for a loop that does, keeps the clock
/// from moving: the clock cannot step through such a program. After a minute of real time
/// ([`patience`](Self::patience)) both ways to advance panic, and name the busy loops. Threads and
/// tasks of the test that are not loops under this clock are woken at their time, but the clock
/// does not wait for them.
#[derive(Clone, Debug)]
pub struct TestClock {
    manual: ManualClock,
    registry: Arc<LoopRegistry>,
    patience: Duration,
}

impl TestClock {
    /// Creates a clock that stands at the present.
    #[must_use]
    pub fn new() -> Self {
        Self {
            manual: ManualClock::new(),
            registry: Arc::default(),
            patience: PATIENCE,
        }
    }

    /// Sets for how long, in real time, the clock waits for busy loops before it assumes that the
    /// test hangs, and panics. The default is a minute. It applies to this handle of the clock, and
    /// to clones of it.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Returns the clock for channels and other code. A loop gets it by the `test_clock` method of
    /// its builder instead.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.manual.clock()
    }

    /// Returns the current virtual time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.manual.now()
    }

    /// Advances the time by `by`, and returns when everything that was due by then has happened.
    ///
    /// This blocks the thread. If the loops of a test are tasks on the same thread, use
    /// [`advance_async`](Self::advance_async).
    ///
    /// # Panics
    /// If a loop is still busy when the [patience](Self::patience) is over; the message names the
    /// busy loops. If the clock cannot represent the new time.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        let to = self.after(by);
        self.wait_until_quiet();
        while self.step(to) {
            self.wait_until_quiet();
        }
    }

    /// Advances the time by `by` in an async test, and returns when everything that was due by then
    /// has happened.
    ///
    /// # Cancel safety
    /// If the future is dropped, the clock stays at the time that it has reached.
    ///
    /// # Panics
    /// Like [`advance`](Self::advance).
    pub async fn advance_async(&self, by: Duration) {
        let to = self.after(by);
        self.quiet_in_time().await;
        while self.step(to) {
            self.quiet_in_time().await;
        }
    }

    /// Blocks until all loops under this clock are quiet, while the time stands still.
    ///
    /// # Panics
    /// Like [`advance`](Self::advance).
    #[track_caller]
    pub fn wait_until_quiet(&self) {
        let deadline = Instant::now().checked_add(self.patience);
        let is_quiet = Clock::system().block_on(self.quiet(), deadline).is_some();
        if !is_quiet {
            let busy_message = self.busy_message();
            assert!(!blocks_an_executor(), "{busy_message}; {EXECUTOR}");
            panic!("{busy_message}");
        }
    }

    /// Resolves when all loops under this clock are quiet. Panics if they are not in time.
    async fn quiet_in_time(&self) {
        let mut quiet = pin!(self.quiet());
        let system = Clock::system();
        let deadline = Instant::now().checked_add(self.patience);
        let mut late = deadline.map(|deadline| system.sleep_until(deadline));
        let is_quiet = poll_fn(|cx| {
            if quiet.as_mut().poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            match &mut late {
                // If the system refuses the thread that would wake this task, assume that the time
                // is over, rather than wait forever.
                Some(late) => Pin::new(late).poll(cx).map(|_| false),
                None => Poll::Pending,
            }
        });
        assert!(is_quiet.await, "{}", self.busy_message());
    }

    fn busy_message(&self) -> String {
        let busy = self.registry.busy(self.now()).join(", ");
        format!("after {:?} these are still busy: {busy}", self.patience)
    }

    fn after(&self, by: Duration) -> Instant {
        let to = self.now().checked_add(by);
        to.expect("advanced further than the clock can tell")
    }

    /// Moves the time to the next instant that a worker or a sleeper waits for, at most to `to`.
    /// Returns false if the time was `to` already.
    fn step(&self, to: Instant) -> bool {
        if self.now() >= to {
            return false;
        }
        // A worker that has reported its sleep may not be asleep yet.
        let next = [self.manual.next_wake(), self.registry.next()];
        let next = next.into_iter().flatten().min();
        self.manual.advance_to(next.map_or(to, |next| next.min(to)));
        true
    }

    /// Resolves when all loops under this clock are quiet.
    fn quiet(&self) -> impl Future<Output = ()> {
        let mut listener = Listener {
            registry: &self.registry,
            own: Registration::default(),
        };
        let mut coop = Coop::new();
        poll_fn(move |cx| {
            coop.poll(cx, |cx| {
                listener.listen(cx.waker());
                if self.registry.is_quiet(self.now()) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
        })
    }
}

/// The default real time for which a loop may be busy before a test is assumed to hang.
const PATIENCE: Duration = Duration::from_secs(60);

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

/// The loops under a clock.
#[derive(Default)]
struct LoopRegistry {
    /// The number of changes so far. If two reads return the same number, nothing changed in
    /// between.
    changes: AtomicU64,
    loops: Mutex<Vec<Weak<dyn Loop>>>,
    listeners: Mutex<Wakers>,
}

impl LoopRegistry {
    fn join(&self, the_loop: Weak<dyn Loop>) {
        let mut loops = self.loops.lock();
        loops.retain(|the_loop| the_loop.strong_count() > 0);
        loops.push(the_loop);
    }

    fn is_quiet(&self, now: Instant) -> bool {
        let changes = self.changes.load(SeqCst);
        self.busy(now).is_empty() && self.changes.load(SeqCst) == changes
    }

    /// Returns descriptions of the loops that are not quiet.
    fn busy(&self, now: Instant) -> Vec<String> {
        let loops = self.loops.lock().clone();
        let loops: Vec<_> = loops.iter().filter_map(Weak::upgrade).collect();
        let channels: Vec<_> = loops.iter().map(|the_loop| the_loop.channel()).collect();
        let busy = loops
            .iter()
            .filter(|the_loop| !the_loop.is_quiet(now, &channels));
        busy.map(|the_loop| the_loop.describe()).collect()
    }

    /// Returns the earliest instant that a worker waits for.
    fn next(&self) -> Option<Instant> {
        let loops = self.loops.lock().clone();
        loops
            .iter()
            .filter_map(Weak::upgrade)
            .filter_map(|the_loop| the_loop.next())
            .min()
    }

    fn change(&self) {
        self.changes.fetch_add(1, SeqCst);
        let listeners = self.listeners.lock().take_all();
        wake_all(listeners);
    }
}

impl fmt::Debug for LoopRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopRegistry").finish_non_exhaustive()
    }
}

/// A future that waits until the loops are quiet. Its drop removes its waker.
struct Listener<'a> {
    registry: &'a LoopRegistry,
    own: Registration,
}

impl Listener<'_> {
    /// Registers the waker, which every later change wakes.
    fn listen(&mut self, waker: &Waker) {
        let waker = waker.clone();
        let replaced = self
            .registry
            .listeners
            .lock()
            .register(&mut self.own, waker);
        discard(replaced);
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        let own = self.registry.listeners.lock().remove(&mut self.own);
        discard(own);
    }
}

/// The workers of a loop, as the clock sees them.
trait Loop: Send + Sync {
    fn channel(&self) -> ChannelId;

    /// Returns the loop's name, and what it is known to be busy with.
    fn describe(&self) -> String;

    /// Returns whether all workers wait beyond `now`, and there is nothing for them to take.
    /// `channels` are those of the loops under the clock.
    fn is_quiet(&self, now: Instant, channels: &[ChannelId]) -> bool;

    /// Returns the earliest instant that a worker waits for.
    fn next(&self) -> Option<Instant>;

    fn set_activity(&self, number: usize, activity: Activity);

    /// Counts a request that a worker has taken.
    fn count(&self);
}

/// The workers of a loop, with the activity that they report.
struct LoopWorkers<S, R, E> {
    name: Arc<str>,
    channel: ChannelId,
    server: Weak<Server<S, R, E>>,
    /// The number of requests that the workers have taken.
    taken: AtomicU64,
    /// The activity of each worker, by its number.
    activity: Mutex<Vec<Activity>>,
}

#[derive(Clone)]
enum Activity {
    Busy,
    /// Is in a call that has returned `Pending`.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    Suspended(Arc<Suspended>),
    /// Waits for requests, or until an instant.
    Waiting(Option<Instant>),
    /// Waits until an instant, and takes nothing before.
    Pausing(Option<Instant>),
    Gone,
}

impl Activity {
    fn until(&self) -> Option<Instant> {
        match self {
            Self::Waiting(until) | Self::Pausing(until) => *until,
            _ => None,
        }
    }

    #[allow(unused_variables, reason = "without tasks no call suspends")]
    fn is_quiet(&self, now: Instant, channels: &[ChannelId]) -> bool {
        match self {
            Self::Busy => false,
            #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
            Self::Suspended(suspended) => suspended.is_quiet(channels),
            #[allow(unreachable_patterns, reason = "in models there are no others")]
            Self::Waiting(_) | Self::Pausing(_) | Self::Gone => {
                self.until().is_none_or(|until| until > now)
            }
        }
    }

    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    fn is_suspended(&self) -> bool {
        matches!(self, Self::Suspended(_))
    }

    #[cfg(not(all(feature = "tokio", not(any(loom, shuttle)))))]
    #[expect(clippy::unused_self, reason = "as that of the other one")]
    fn is_suspended(&self) -> bool {
        false
    }
}

/// A call that has returned `Pending`, and what may wake it.
#[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
pub(crate) struct Suspended {
    /// Returns whether a waker has woken the call since.
    pub(crate) is_woken: Box<dyn Fn() -> bool + Send + Sync>,
    /// Returns whether the call sleeps on the clock.
    pub(crate) is_asleep: Box<dyn Fn() -> bool + Send + Sync>,
    /// The channels of the requests that the call awaits, if it awaits nothing else.
    pub(crate) requests: Option<Vec<ChannelId>>,
}

#[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
impl Suspended {
    fn is_quiet(&self, channels: &[ChannelId]) -> bool {
        let is_under_the_clock = |requests: &Vec<ChannelId>| {
            !requests.is_empty() && requests.iter().all(|request| channels.contains(request))
        };
        let ends_by_the_clock =
            (self.is_asleep)() || self.requests.as_ref().is_some_and(is_under_the_clock);
        // Read last: a waker sets the flag first.
        ends_by_the_clock && !(self.is_woken)()
    }
}

impl<S: Send, R: Send, E: Send> Loop for LoopWorkers<S, R, E> {
    fn channel(&self) -> ChannelId {
        self.channel
    }

    fn describe(&self) -> String {
        let suspends = self.activity.lock().iter().any(Activity::is_suspended);
        let why = if suspends {
            " (its handler awaits what this clock does not know of)"
        } else {
            ""
        };
        format!("{}{why}", self.name)
    }

    fn is_quiet(&self, now: Instant, channels: &[ChannelId]) -> bool {
        let activity = self.activity.lock().clone();
        let wait = activity
            .iter()
            .all(|activity| activity.is_quiet(now, channels));
        let take = activity
            .iter()
            .any(|activity| matches!(activity, Activity::Waiting(_)));
        let taken = self.taken.load(SeqCst);
        // Requests that were withdrawn from the queue are not counted: no worker will take them.
        let to_take = self.server.upgrade().map_or(taken, |server| {
            let stats = server.stats();
            stats.queued + stats.taken + stats.processed()
        });
        wait && (!take || to_take == taken)
    }

    fn next(&self) -> Option<Instant> {
        let activity = self.activity.lock();
        activity.iter().filter_map(Activity::until).min()
    }

    fn set_activity(&self, number: usize, activity: Activity) {
        // Dropped after the lock is released, because it refers to a call.
        let _before = mem::replace(&mut self.activity.lock()[number], activity);
    }

    fn count(&self) {
        self.taken.fetch_add(1, SeqCst);
    }
}

/// A worker's handle for reporting its activity to a test clock. When it is dropped, the worker is
/// gone.
pub(crate) struct Participant(Observer);

/// The target of the reports of one worker.
#[derive(Clone)]
pub(crate) struct Observer {
    registry: Arc<LoopRegistry>,
    the_loop: Arc<dyn Loop>,
    number: usize,
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    clock: Clock,
}

impl Participant {
    /// Creates one for each worker of a loop. The workers are busy until they report otherwise.
    pub(crate) fn of_loop<S, R, E>(
        clock: &TestClock,
        name: &Arc<str>,
        server: &Arc<Server<S, R, E>>,
        workers: usize,
    ) -> Vec<Self>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        let the_loop: Arc<dyn Loop> = Arc::new(LoopWorkers {
            name: Arc::clone(name),
            channel: server.id(),
            server: Arc::downgrade(server),
            taken: AtomicU64::new(0),
            activity: Mutex::new(vec![Activity::Busy; workers]),
        });
        clock.registry.join(Arc::downgrade(&the_loop));
        (0..workers)
            .map(|number| {
                Self(Observer {
                    registry: Arc::clone(&clock.registry),
                    the_loop: Arc::clone(&the_loop),
                    number,
                    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
                    clock: clock.clock(),
                })
            })
            .collect()
    }

    /// Reports that the worker waits for requests, or until an instant.
    pub(crate) fn waits(&self, until: Option<Instant>) {
        self.0.set_activity(Activity::Waiting(until));
    }

    /// Reports that the worker waits until an instant, and takes nothing before.
    pub(crate) fn pauses(&self, until: Option<Instant>) {
        self.0.set_activity(Activity::Pausing(until));
    }

    /// Reports that the worker is busy again, with a request or without.
    pub(crate) fn is_back(&self, with_request: bool) {
        self.0.set_activity(Activity::Busy);
        // Counted after the worker is known to be busy; otherwise the request would seem to be
        // finished.
        if with_request {
            self.0.the_loop.count();
            self.0.registry.change();
        }
    }

    /// Returns the handle for reporting the calls of a task.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    pub(crate) fn observer(&self) -> Observer {
        self.0.clone()
    }
}

impl Observer {
    /// Reports that the call is being polled.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    pub(crate) fn polls(&self) {
        self.set_activity(Activity::Busy);
    }

    /// Reports that the call has returned `Pending`.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    pub(crate) fn suspends(&self, suspended: Suspended) {
        self.set_activity(Activity::Suspended(Arc::new(suspended)));
    }

    /// Returns whether the worker is under this clock.
    #[cfg(all(feature = "tokio", not(any(loom, shuttle))))]
    pub(crate) fn goes_by(&self, clock: &Clock) -> bool {
        self.clock == *clock
    }

    fn set_activity(&self, activity: Activity) {
        self.the_loop.set_activity(self.number, activity);
        self.registry.change();
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        self.0.set_activity(Activity::Gone);
    }
}
