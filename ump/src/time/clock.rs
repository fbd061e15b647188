//! What time it is: by the system's clock, by a custom one, or by one that a test moves by hand.
//!
//! A wait with a deadline asks the clock of its channel. The **system's** clock costs a branch that always goes the same way: the system is asked for the time,
//! threads sleep with a time-out of their own, and tasks are woken by the timer thread (`timer`). With a **manual** clock a sleeper is a thread or a waker on
//! a list (`manual`), and only [`advance`](ManualClock::advance) makes an instant pass. A **custom** clock is a [`TimeSource`]: its futures
//! wake threads as well as tasks. Sleeping, and driving a future until a deadline, is in `sleep`.

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

/// Tells the time, and sleeps until it is later. A channel made with [`Builder::clock`](crate::Builder::clock) does both by it.
///
/// Either the system's monotonic clock, which is the default, or that of a [`ManualClock`], or a [`TimeSource`] of one's own. Clones tell the same time.
///
/// No other clock has a say in it: if a test pauses the time of its runtime (as by `tokio::time::pause`), deadlines by the system's clock are in real time
/// as before. In ump-server there is a clock that follows tokio's, with the feature `tokio-time`.
///
/// ```
/// use std::time::Duration;
/// use ump::{Clock, ManualClock};
///
/// /// Works the same by any clock.
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
    /// The system's monotonic clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(None)
    }

    /// A clock of one's own.
    pub fn custom(source: impl TimeSource) -> Self {
        Self(Some(Kind::Custom(WakerArc::new(Custom::new(source)))))
    }

    /// The time.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Instant {
        match &self.0 {
            None => Instant::now(),
            Some(Kind::Manual(time)) => time.now(),
            Some(Kind::Custom(custom)) => custom.now(),
        }
    }

    /// The time, by no code of the user's: for use under a lock. That of a custom clock is as old as the last [`now`](Self::now).
    #[inline]
    pub(crate) fn recent(&self) -> Instant {
        match &self.0 {
            Some(Kind::Custom(custom)) => *custom.last.lock(),
            _ => self.now(),
        }
    }

    /// Has [`recent`](Self::recent) tell the present time: before a lock is taken under which that is asked for.
    #[inline]
    pub(crate) fn refresh(&self) {
        if let Some(Kind::Custom(custom)) = &self.0 {
            custom.now();
        }
    }

    /// Whether it is moved by hand, through a [`ManualClock`].
    #[must_use]
    pub fn is_manual(&self) -> bool {
        matches!(self.0, Some(Kind::Manual(_)))
    }

    /// Whether it is the system's.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.0.is_none()
    }

    /// Blocks the thread until `at`; not at all if that has passed. How late it returns is up to the operating system's scheduler.
    ///
    /// Like all that blocks here it parks the thread, and may use up an unpark that was meant for something else on it.
    pub fn wait_until(&self, at: Instant) {
        while !self.park_until(Some(at)) {}
    }

    /// The instant after so much time from now, unless the clock cannot tell it.
    #[inline]
    pub(crate) fn after(&self, timeout: Duration) -> Option<Instant> {
        self.now().checked_add(timeout)
    }

    /// Tells clocks apart that are in use.
    pub(crate) fn id(&self) -> usize {
        match &self.0 {
            None => 0,
            Some(Kind::Manual(time)) => WakerArc::as_ptr(time).addr(),
            Some(Kind::Custom(custom)) => WakerArc::as_ptr(custom).addr(),
        }
    }

    /// Whether there is a deadline and it has passed.
    #[inline]
    pub(crate) fn has_passed(&self, deadline: Option<Instant>) -> bool {
        deadline.is_some_and(|deadline| deadline <= self.now())
    }

    /// Sleeps until unparked or until `deadline`; tells whether the deadline has passed. May return early for no reason.
    #[inline]
    pub(crate) fn park_until(&self, deadline: Option<Instant>) -> bool {
        match (&self.0, deadline) {
            (Some(Kind::Manual(time)), Some(deadline)) => time.park_until(deadline),
            (Some(Kind::Custom(custom)), Some(deadline)) => custom.park_until(deadline),
            _ => sync::park_until(deadline),
        }
    }
}

/// A future that sleeps, from a [`TimeSource`].
pub type BoxSleep = Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>;

/// Tells the time for a [custom clock](Clock::custom).
///
/// Its methods are called by any thread, and may be called by a loop's watchdog as well. They must not block.
pub trait TimeSource: Send + Sync + 'static {
    /// The time. It should not go back and not panic: if it does, the clock tells the last time that it knows.
    ///
    /// It is called under no lock, when a clock is asked for the time and before the channel looks for requests.
    fn now(&self) -> Instant;

    /// Resolves when [`now`](Self::now) has got to this instant. It may be polled, woken and dropped on any thread, and by different tasks in turn.
    ///
    /// # Errors
    /// The time does not pass any more. What waits for a deadline takes it for passed, or returns [`NoTimer`](crate::RequestError::NoTimer) if it
    /// has not been sent.
    fn sleep_until(&self, at: Instant) -> BoxSleep;

    /// Whether the time stands still as long as the current thread is blocked, since this is the thread that makes it pass.
    ///
    /// Then a thread that blocks with a deadline sleeps in **real time** for as long as is left until the deadline by this clock: there is nothing else
    /// that could wake it.
    fn needs_this_thread(&self) -> bool {
        false
    }
}

pub(super) struct Custom {
    pub(super) source: Box<dyn TimeSource>,
    /// The last time that it told.
    last: Mutex<Instant>,
}

impl Custom {
    fn new(source: impl TimeSource) -> Self {
        Self {
            last: Mutex::new(source.now()),
            source: Box::new(source),
        }
    }

    /// Not to be called under a lock. If the source panics or goes back, it is as late as it was.
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
            // There is no such time any more.
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

/// Whether both are the same clock: then they tell the same time.
impl PartialEq for Clock {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Clock {}

impl ManualClock {
    /// What tells its time: for [`Builder::clock`](crate::Builder::clock), and to be handed to whoever asks for a clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(Some(Kind::Manual(WakerArc::clone(&self.0))))
    }
}
