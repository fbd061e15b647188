//! Sleeping by a clock: futures, timers, and blocking on a future until a deadline.

#![forbid(unsafe_code)]

use std::{
    fmt,
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Instant,
};

use crate::{
    coop::{self, Coop},
    error::os_error::OsError,
    hooks::{self, Following},
    sync::WakerArc,
    time::SystemTimer,
    time::clock::{BoxSleep, Clock, Kind},
    time::manual::Sleeper,
    time::thread_waker::ThreadWaker,
    wait::waiter::Waiter,
};

pub(crate) struct CustomSleep(BoxSleep);

impl fmt::Debug for CustomSleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomSleep").finish_non_exhaustive()
    }
}

/// A future that resolves at an instant. Created by [`Clock::sleep_until`].
///
/// # Errors
/// Nothing can wake the task: see [`Clock::sleep_until`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    clock: Clock,
    at: Instant,
    timer: Option<Timer>,
    coop: Coop,
}

impl Sleep {
    /// Returns the instant at which the future resolves.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.at
    }
}

impl Future for Sleep {
    type Output = Result<(), OsError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.coop.begin(cx) {
            return Poll::Pending;
        }
        let polled = self.poll_without_budget(cx);
        self.coop.end(&polled);
        polled.map_err(OsError::from)
    }
}

impl Sleep {
    fn poll_without_budget(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self;
        if this.clock.has_passed(Some(this.at)) {
            this.timer = None;
            return Poll::Ready(Ok(()));
        }
        let timer = match &mut this.timer {
            Some(timer) => timer,
            None => this.timer.insert(this.clock.timer(this.at)?),
        };
        let rings = timer.poll(cx);
        if rings.is_ready() {
            this.timer = None;
        }
        rings
    }
}

/// A timer: wakes the task that polls it once an instant has passed. Dropping it cancels the
/// wake-up.
#[derive(Debug)]
pub(crate) enum Timer {
    System(SystemTimer),
    /// Boxed, so that the futures of a real program stay small.
    Manual(Box<ManualTimer>),
    Custom(CustomSleep),
}

impl Timer {
    /// Returns `Ready` once the instant has passed. Otherwise the timer wakes the task of `cx` at
    /// that instant.
    ///
    /// # Errors
    /// Nothing can wake the task: the system refused the timer thread, or the custom clock failed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::System(timer) => timer.poll(cx),
            Self::Custom(CustomSleep(sleep)) => sleep.as_mut().poll(cx),
            Self::Manual(timer) => {
                timer.note();
                if timer.sleeper.register(Waiter::task(cx.waker())) {
                    Poll::Pending
                } else {
                    Poll::Ready(Ok(()))
                }
            }
        }
    }
}

impl Clock {
    /// Blocks the thread until `future` is ready, and returns its output. Returns `None` if
    /// `deadline` passes first: then the future is dropped.
    ///
    /// The future is polled at least once, and once more when the deadline has passed. Use this for
    /// futures that any thread may drive, as all futures of this crate are: those of a runtime's
    /// timers and sockets need their runtime. The call allocates if it has to sleep. The thread's
    /// [watcher](hooks) observes the wait.
    ///
    /// ```
    /// # use std::time::{Duration, Instant};
    /// let clock = ump::Clock::system();
    /// let soon = Some(Instant::now() + Duration::from_millis(1));
    /// assert_eq!(clock.block_on(std::future::ready(1), soon), Some(1));
    /// assert_eq!(clock.block_on(std::future::pending::<u32>(), soon), None);
    /// ```
    pub fn block_on<F: Future>(&self, future: F, deadline: Option<Instant>) -> Option<F::Output> {
        let mut future = pin!(future);
        // The loop polls again after each `Pending`. So the future yields only for the sake of the
        // deadline.
        let mut poll =
            |cx: &mut Context<'_>| coop::with_budget(coop::BUDGET, || future.as_mut().poll(cx));
        // A first poll that finds the future ready needs no waker that does anything.
        let first = poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(output) = first {
            return Some(output);
        }
        let unpark = WakerArc::new(ThreadWaker::new());
        let waker = Waker::from(WakerArc::clone(&unpark));
        let followed = hooks::follow(&waker);
        let mut cx = Context::from_waker(followed.as_ref().map_or(&waker, Following::waker));
        let mut is_over = false;
        loop {
            if let Poll::Ready(output) = poll(&mut cx) {
                return Some(output);
            }
            if is_over {
                return None;
            }
            let is_to_park = followed
                .as_ref()
                .is_none_or(|followed| !followed.parks(deadline, self));
            if is_to_park {
                is_over = self.park_until_woken(&unpark, deadline);
                if let Some(followed) = &followed {
                    followed.unparks();
                }
            }
        }
    }

    /// Parks until the waker is woken or `deadline` has passed. Returns whether the deadline has
    /// passed.
    fn park_until_woken(&self, unpark: &ThreadWaker, deadline: Option<Instant>) -> bool {
        while !unpark.take_wake_up() {
            if self.park_until(deadline) {
                return true;
            }
        }
        self.has_passed(deadline)
    }

    /// Returns a future that resolves at `at`, or at once if that instant has passed.
    ///
    /// By the system's clock the thread `ump-timer` wakes the task; the process has one such
    /// thread. A waker must not block.
    ///
    /// # Errors
    /// The future resolves to an [`OsError`](crate::OsError) if nothing can wake the task: the
    /// system refuses to start that thread (a process starts it once), or the
    /// [`TimeSource`](crate::TimeSource) of a custom clock fails, for example because its runtime
    /// has been shut down. A sleep by a manual clock cannot fail. The failure is an error, and not
    /// an early or late end: a loop whose time stands still must not take it for a timer that is
    /// due. [`NoTimer`](crate::RequestError::NoTimer) contains the same type.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind. Different tasks may poll it in turn; the latest
    /// one is woken.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep {
            clock: self.clone(),
            at,
            timer: None,
            coop: Coop::new(),
        }
    }

    /// Creates a timer that wakes a task at `at`. Nothing is armed before the first poll.
    ///
    /// # Errors
    /// The system refused the thread that the clock needs for this.
    pub(crate) fn timer(&self, at: Instant) -> io::Result<Timer> {
        Ok(match &self.0 {
            None => Timer::System(SystemTimer::new(at)?),
            Some(Kind::Manual(time)) => Timer::Manual(Box::new(ManualTimer {
                sleeper: Sleeper::new(time, at),
                clock: self.clone(),
                noted: None,
            })),
            Some(Kind::Custom(custom)) => Timer::Custom(CustomSleep(custom.source.sleep_until(at))),
        })
    }
}

/// The timer of a task by a manual clock: a [`Sleeper`], and the record that the task's watcher
/// keeps of it.
#[derive(Debug)]
pub(crate) struct ManualTimer {
    sleeper: Sleeper,
    clock: Clock,
    /// The record of the watcher while the task sleeps.
    noted: Option<WakerArc<()>>,
}

impl ManualTimer {
    /// Reports the sleep to the watcher, if there is one, once.
    fn note(&mut self) {
        if self.noted.is_none() {
            self.noted = hooks::sleeps(|| self.clock.clone());
        }
    }
}
