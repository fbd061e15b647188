//! Virtual time for whole programs of loops: a week passes in milliseconds, and each event happens
//! at its time.
//!
//! [`ManualClock`] alone moves the time and wakes the sleepers whose deadline has passed; what they
//! do happens when the scheduler runs them. A [`TestClock`] stands still until all loops under it
//! are *quiet*: each of their workers waits, has nothing to take, and sleeps beyond the present.
//! Only then it moves on, to the next instant that a worker or a sleeper waits for.
//!
//! A worker reports its activity through its [`Participant`]; the [`LoopRegistry`] has the activity
//! of all workers.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use super::{participant::Participant, registry::LoopRegistry};
use crate::wait::executor::{EXECUTOR, blocks_an_executor};
use ump::{Clock, ManualClock, Server, coop::Coop};

/// A clock for tests of loops. It moves only when it is advanced, from one event to the next, and
/// waits for the loops in between.
///
/// ```
/// use std::time::Duration;
/// use ump_server::{TestClock, service, thread};
///
/// const HOUR: Duration = Duration::from_secs(3600);
///
/// struct Hours(u64);
///
/// #[service]
/// impl Hours {
///     fn passed(&self) -> u64 {
///         self.0
///     }
///
///     #[timer(every = HOUR)]
///     fn count(&mut self) {
///         self.0 += 1;
///     }
/// }
///
/// let clock = TestClock::new();
/// let (client, _) = thread::Builder::new().test_clock(&clock).serve(Hours(0))?;
/// clock.advance(7 * 24 * HOUR);
/// assert_eq!(HoursClient(client).passed().wait()?, 168);
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
            patience: DEFAULT_PATIENCE,
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

    /// Registers a loop, and returns the handle of each of its workers.
    pub(crate) fn register<S, R, E>(
        &self,
        name: &Arc<str>,
        server: &Arc<Server<S, R, E>>,
        workers: usize,
    ) -> Vec<Participant>
    where
        S: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        Participant::of_loop(&self.registry, &self.clock(), name, server, workers)
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
        format!(
            "after {:?} of real time these loops are still busy: {busy}",
            self.patience
        )
    }

    #[track_caller]
    fn after(&self, by: Duration) -> Instant {
        let to = self.now().checked_add(by);
        to.expect("the clock cannot represent a time so far ahead")
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
        let mut listener = self.registry.listener();
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
const DEFAULT_PATIENCE: Duration = Duration::from_secs(60);

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}
