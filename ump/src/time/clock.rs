//! Clocks: the system's clock, a custom one, or one that a test advances by hand.
//!
//! A wait with a deadline uses the clock of its channel. The **system's** clock costs a branch that
//! always goes the same way: the time comes from the system, threads sleep with a time-out of their
//! own, and the timer thread (`timer`) wakes tasks. With a **manual** clock a sleeper is a thread
//! or a waker on a list (`manual`), and only [`advance`](ManualClock::advance) makes an instant
//! pass. A **custom** clock is a [`TimeSource`]: its futures wake threads as well as tasks. The
//! module `sleep` sleeps, and drives a future until a deadline.

#![forbid(unsafe_code)]

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use crate::{
    sync::{self, Mutex, WakerArc, park},
    time::manual::{ManualClock, ManualTime},
    time::thread_waker::ThreadWaker,
    wait::waiter::catch_user_panic,
};

/// Tells the time, and sleeps until an instant. A channel made with
/// [`Builder::clock`](crate::Builder::clock) uses its clock for both.
///
/// A clock is the system's monotonic clock (the default), the clock of a [`ManualClock`], or a
/// custom [`TimeSource`]. Clones tell the same time.
///
/// No other clock affects it. If a test pauses the time of its runtime (for example with
/// `tokio::time::pause`), deadlines by the system's clock still pass in real time. ump-server has a
/// clock that follows tokio's, with the feature `tokio-time`.
///
/// ```
/// use std::time::Duration;
/// use ump::{Clock, ManualClock};
///
/// /// Works the same with any clock.
/// fn rest(clock: &Clock) -> Duration {
///     let start = clock.now();
///     clock.wait_until(start + Duration::from_millis(1));
///     clock.now() - start
/// }
///
/// assert!(rest(&Clock::system()) >= Duration::from_millis(1));
///
/// let manual = ManualClock::new();
/// let clock = manual.clock();
/// let sleeper = std::thread::spawn(move || rest(&clock));
/// manual.wait_for_sleepers(1);
/// manual.advance(Duration::from_millis(1));
/// assert_eq!(sleeper.join().unwrap(), Duration::from_millis(1)); // exactly
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(pub(super) Option<Kind>);

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Manual(WakerArc<ManualTime>),
    Custom(WakerArc<Custom>),
}

impl Clock {
    /// Returns the system's monotonic clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(None)
    }

    /// Creates a clock from a custom source.
    pub fn custom(source: impl TimeSource) -> Self {
        Self(Some(Kind::Custom(WakerArc::new(Custom::new(source)))))
    }

    /// Returns the time.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Instant {
        match &self.0 {
            None => Instant::now(),
            Some(Kind::Manual(time)) => time.now(),
            Some(Kind::Custom(custom)) => custom.now(),
        }
    }

    /// Returns the time without running user code, for use under a lock. The time of a custom clock
    /// is as old as the last call of [`now`](Self::now).
    #[inline]
    pub(crate) fn recent(&self) -> Instant {
        match &self.0 {
            Some(Kind::Custom(custom)) => *custom.last.lock(),
            _ => self.now(),
        }
    }

    /// Updates the time that [`recent`](Self::recent) returns. Call it before taking a lock under
    /// which `recent` is used.
    #[inline]
    pub(crate) fn refresh(&self) {
        if let Some(Kind::Custom(custom)) = &self.0 {
            custom.now();
        }
    }

    /// Returns whether the clock is advanced by hand, through a [`ManualClock`].
    #[must_use]
    pub fn is_manual(&self) -> bool {
        matches!(self.0, Some(Kind::Manual(_)))
    }

    /// Returns whether the clock is the system's.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.0.is_none()
    }

    /// Blocks the thread until `at`. Returns at once if that instant has passed. The operating
    /// system's scheduler determines how late it returns.
    ///
    /// Like every blocking call of this crate it parks the thread, and may use up an unpark token
    /// that was meant for something else on that thread.
    pub fn wait_until(&self, at: Instant) {
        while !self.park_until(Some(at)) {}
    }

    /// Returns the instant after `timeout` from now, or `None` if the clock cannot represent it.
    #[inline]
    pub(crate) fn after(&self, timeout: Duration) -> Option<Instant> {
        self.now().checked_add(timeout)
    }

    /// Returns a number that distinguishes the clocks in use.
    pub(crate) fn id(&self) -> usize {
        match &self.0 {
            None => 0,
            Some(Kind::Manual(time)) => WakerArc::as_ptr(time).addr(),
            Some(Kind::Custom(custom)) => WakerArc::as_ptr(custom).addr(),
        }
    }

    /// Returns whether there is a deadline and it has passed.
    #[inline]
    pub(crate) fn has_passed(&self, deadline: Option<Instant>) -> bool {
        deadline.is_some_and(|deadline| deadline <= self.now())
    }

    /// Parks until the thread is unparked or `deadline` has passed. Returns whether the deadline
    /// has passed. May return early without a reason.
    #[inline]
    pub(crate) fn park_until(&self, deadline: Option<Instant>) -> bool {
        match (&self.0, deadline) {
            (Some(Kind::Manual(time)), Some(deadline)) => time.park_until(deadline),
            (Some(Kind::Custom(custom)), Some(deadline)) => custom.park_until(deadline),
            _ => sync::park_until(deadline),
        }
    }
}

/// A sleeping future, from a [`TimeSource`].
pub type BoxSleep = Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>;

/// Tells the time for a [custom clock](Clock::custom).
///
/// Any thread may call its methods, and so may a loop's watchdog. The methods must not block.
pub trait TimeSource: Send + Sync + 'static {
    /// Returns the time. It should not go back and not panic. If it does, the clock returns the
    /// last time that it knows.
    ///
    /// It is called under no lock: when a clock is asked for the time, and before the channel looks
    /// for requests.
    fn now(&self) -> Instant;

    /// Returns a future that resolves when [`now`](Self::now) has reached `at`. Any thread may
    /// poll, wake and drop the future, and different tasks may poll it in turn.
    ///
    /// # Errors
    /// The time does not pass any more. A wait with a deadline then treats the deadline as passed,
    /// or returns [`NoTimer`](crate::RequestError::NoTimer) if the request has not been sent.
    fn sleep_until(&self, at: Instant) -> BoxSleep;

    /// Returns whether the time stands still while the current thread is blocked, because this
    /// thread makes it pass.
    ///
    /// If it returns true, a thread that blocks with a deadline sleeps in **real time** for the
    /// time that is left until the deadline by this clock: nothing else could wake it.
    fn needs_this_thread(&self) -> bool {
        false
    }
}

pub(super) struct Custom {
    pub(super) source: Box<dyn TimeSource>,
    /// The last time that the clock returned.
    last: Mutex<Instant>,
}

impl Custom {
    fn new(source: impl TimeSource) -> Self {
        Self {
            last: Mutex::new(source.now()),
            source: Box::new(source),
        }
    }

    /// Returns the time. It must not be called under a lock. If the source panics or goes back, the
    /// time stays as it was.
    fn now(&self) -> Instant {
        let mut now = None;
        catch_user_panic(|| now = Some(self.source.now()));
        let mut last = self.last.lock();
        *last = now.map_or(*last, |now| now.max(*last));
        *last
    }

    fn park_until(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(self.now());
        if left.is_zero() {
            return true;
        }
        let by_the_system = || sync::park_until(Instant::now().checked_add(left));
        if self.source.needs_this_thread() {
            return by_the_system();
        }
        let mut sleep = self.source.sleep_until(deadline);
        let waker = Waker::from(WakerArc::new(ThreadWaker::new()));
        match sleep.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(Ok(())) => true,
            // The source's time does not pass any more.
            Poll::Ready(Err(_)) => by_the_system(),
            Poll::Pending => {
                park();
                deadline <= self.now()
            }
        }
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").finish_non_exhaustive()
    }
}

/// Compares clocks by identity: equal clocks tell the same time.
impl PartialEq for Clock {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Clock {}

impl ManualClock {
    /// Returns the clock that tells this time: for [`Builder::clock`](crate::Builder::clock), and
    /// for any code that takes a clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(Some(Kind::Manual(WakerArc::clone(&self.0))))
    }
}
