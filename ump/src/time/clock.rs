//! What time it is, and sleeping until it is later: by the system's clock, or by one that a test moves by hand.
//!
//! Whoever waits for a deadline asks the clock of its channel. The **system's** clock costs a branch that always goes the same way: the
//! system is asked for the time, threads sleep with a time-out of their own, and tasks are woken by the timer thread. By a **manual** clock a sleeper
//! is a thread or a waker on a list, and nothing but [`advance`](ManualClock::advance) makes an instant pass. A **custom** clock is a [`TimeSource`]: it
//! has futures that sleep, which wake threads as well. The list of a manual clock:
//!
//! ```text
//!            register, not yet due               advanced to its instant
//!   awake ───────────────────────► on the list ───────────────────► taken off, then woken
//!                                       └──► taken off: woken by something else, or dropped
//! ```
//!
//! # Invariants
//!
//! 1. Whether an instant has passed is decided in the critical section in which its sleeper registers: no wake-up falls between.
//! 2. `now` never goes back, and nobody on the list has an instant that has passed, except between being passed and being taken off by the
//!    one who advances the clock.
//! 3. The lock is the innermost: wakers are cloned before, woken and dropped after, and no other lock is taken under it.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, btree_map::OccupiedEntry},
    fmt,
    future::Future,
    io, mem,
    num::NonZeroU64,
    pin::{Pin, pin},
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use crate::{
    coop::{self, Coop},
    hooks::{self, Following},
    sync::{self, AtomicBool, Mutex, Ordering, Thread, WakerArc, current, park},
    wait::waiter::{Waiter, catch_user_panic},
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
pub struct Clock(Option<Kind>);

#[derive(Clone, Debug)]
enum Kind {
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

    /// Blocks the thread until `future` is ready, or `deadline` has passed: then the future is dropped, and there is nothing.
    ///
    /// It is polled at least once, and once more when the deadline has passed. For futures that any thread may drive, as all of this crate
    /// are: those of a runtime's timers and sockets need their runtime. Allocates if it has to sleep. The thread's [watcher](hooks) follows it.
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
        // It polls again after each `Pending`, so what yields does so for the sake of the deadline.
        let mut poll =
            |cx: &mut Context<'_>| coop::with_budget(coop::BUDGET, || future.as_mut().poll(cx));
        // Who need not sleep needs no waker that does anything.
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

    /// Sleeps until woken or until `deadline`; tells whether the deadline has passed.
    fn park_until_woken(&self, unpark: &ThreadWaker, deadline: Option<Instant>) -> bool {
        while !unpark.take_wake_up() {
            if self.park_until(deadline) {
                return true;
            }
        }
        self.has_passed(deadline)
    }

    /// Resolves at `at`: at once if that has passed.
    ///
    /// By the system's clock its task is woken by the thread `ump-timer`, of which the process has one: a waker must not block.
    ///
    /// # Errors
    /// The future ends in the system's refusal to start that thread, which it is asked for once in a process. A manual clock needs none. A custom one has
    /// errors of its own.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind. It can be polled by different tasks in turn; the latest is woken.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep {
            clock: self.clone(),
            at,
            timer: None,
            coop: Coop::new(),
        }
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

    /// What wakes a task at `at`. Nothing is armed before the first poll.
    ///
    /// # Errors
    /// The system refused the thread that its clock needs for this.
    pub(crate) fn timer(&self, at: Instant) -> io::Result<Timer> {
        Ok(match &self.0 {
            None => Timer::System(sync::SystemTimer::new(at)?),
            Some(Kind::Manual(time)) => Timer::Manual(Box::new(Sleeper::new(time, at))),
            Some(Kind::Custom(custom)) => Timer::Custom(CustomSleep(custom.source.sleep_until(at))),
        })
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

struct Custom {
    source: Box<dyn TimeSource>,
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

pub(crate) struct CustomSleep(BoxSleep);

impl fmt::Debug for CustomSleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomSleep").finish_non_exhaustive()
    }
}

/// Whether both are the same clock: then they tell the same time.
impl PartialEq for Clock {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Clock {}

/// Wakes the thread that drives a future.
///
/// The flag is what counts. The thread's park token is not enough: a future that parks while it is polled (in a blocking request, or in a
/// channel of the standard library) uses the token up.
struct ThreadWaker {
    thread: Thread,
    is_woken: AtomicBool,
}

impl ThreadWaker {
    /// Of this thread.
    fn new() -> Self {
        Self {
            thread: current(),
            is_woken: AtomicBool::new(false),
        }
    }

    /// Whether the future was woken since this was last asked.
    fn take_wake_up(&self) -> bool {
        // Acquire: pairs with the Release of `wake`, so the next poll sees what was done before it.
        self.is_woken.swap(false, Ordering::Acquire)
    }
}

impl Wake for ThreadWaker {
    fn wake(self: WakerArc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &WakerArc<Self>) {
        // Release: pairs with the Acquire of `take_wake_up`. Before the unpark, so that whoever is unparked finds it. An exchange, so that this and
        // those of `take_wake_up` have one order in loom as well, which does not know that nothing can come between the two halves of an exchange.
        self.is_woken.swap(true, Ordering::Release);
        self.thread.clone().unpark();
    }
}

/// Resolves at an instant. From [`Clock::sleep_until`].
///
/// # Errors
/// The system refused to start the thread that its clock needs to wake tasks.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    clock: Clock,
    at: Instant,
    timer: Option<Timer>,
    coop: Coop,
}

impl Sleep {
    /// When it resolves.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.at
    }
}

impl Future for Sleep {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.coop.begin(cx) {
            return Poll::Pending;
        }
        let polled = self.poll_without_budget(cx);
        self.coop.end(&polled);
        polled
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

/// A clock that stands still until it is advanced by hand: a week passes at once, and not a moment before.
///
/// Its instants are that of its making plus what it was advanced by. All that waits on channels with its
/// [`clock`](Self::clock), blocking or async, sleeps without a time-out of the system's: only `advance` makes a deadline pass. Clones move
/// the same clock.
///
/// ```
/// use std::{thread, time::Duration};
/// use ump::{Builder, ManualClock, RequestError};
///
/// const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
///
/// let clock = ManualClock::new();
/// let (server, client) = Builder::new().clock(clock.clock()).build::<u32, u32, ()>()?;
/// let asking = thread::spawn(move || client.request(1).timeout(WEEK).wait());
///
/// clock.wait_for_sleepers(1); // the request is made, and its caller asleep
/// clock.advance(WEEK);
/// assert!(matches!(asking.join().unwrap(), Err(RequestError::TimeoutQueued(1))));
/// # drop(server);
/// # Ok::<(), ump::ZeroCapacity>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(WakerArc<ManualTime>);

impl ManualClock {
    /// A clock that stands at the present.
    #[must_use]
    pub fn new() -> Self {
        Self(WakerArc::new(ManualTime {
            state: Mutex::new(State {
                now: Instant::now(),
                sleepers: BTreeMap::new(),
                last: 0,
                watchers: Vec::new(),
            }),
        }))
    }

    /// What tells its time: for [`Builder::clock`](crate::Builder::clock), and to be handed to whoever asks for a clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(Some(Kind::Manual(WakerArc::clone(&self.0))))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.now()
    }

    /// Lets so much time pass. See [`advance_to`](Self::advance_to).
    ///
    /// # Panics
    /// If that is later than the clock can tell.
    pub fn advance(&self, by: Duration) {
        let to = self.now().checked_add(by);
        self.advance_to(to.expect("advanced further than the clock can tell"));
    }

    /// Lets the time pass until `to`; if that has passed nothing happens.
    ///
    /// It goes from wake-up to wake-up: the clock is set to the earliest instant that somebody sleeps for, that one is woken, and so on, those of
    /// the same instant in the order in which they fell asleep; at last it is set to `to`. So what a waker does at once, even to sleep
    /// again, happens at the time it slept for. Threads and the tasks of other threads are woken, not waited for: to see each of them act at its
    /// time, go by [`next_wake`](Self::next_wake) and wait in between for what they do.
    ///
    /// To be called from one place at a time: two that advance by an hour at once advance by one hour or two. It may be called by a waker.
    pub fn advance_to(&self, to: Instant) {
        while let Some(waiter) = self.0.step(to) {
            waiter.wake();
        }
    }

    /// The earliest instant that somebody sleeps for.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        let state = self.0.state.lock();
        state.sleepers.keys().next().map(|(at, _)| *at)
    }

    /// How many sleep for an instant: threads, and futures that were polled and not dropped. Who has just been woken by something else
    /// may still be counted.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.0.state.lock().sleepers.len()
    }

    /// Blocks, in real time, until at least so many [sleep](Self::sleepers) for an instant: so a test knows that what it has begun has got there.
    pub fn wait_for_sleepers(&self, count: usize) {
        while !self.0.are_asleep(count) {
            park();
        }
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

/// What a manual clock and all who go by it share.
struct ManualTime {
    state: Mutex<State>,
}

struct State {
    now: Instant,
    /// By when they are to be woken, and then by when they fell asleep.
    sleepers: BTreeMap<(Instant, NonZeroU64), Waiter>,
    /// The number of the latest sleeper.
    last: u64,
    /// To be woken when there are so many sleepers.
    watchers: Vec<(usize, Waiter)>,
}

impl ManualTime {
    fn now(&self) -> Instant {
        self.state.lock().now
    }

    fn park_until(self: &WakerArc<Self>, deadline: Instant) -> bool {
        let mut sleeper = Sleeper::new(self, deadline);
        if !sleeper.register(Waiter::Thread(current())) {
            return true;
        }
        park();
        drop(sleeper);
        deadline <= self.now()
    }

    /// Goes on to the next who is to be woken, or to the end.
    fn step(&self, to: Instant) -> Option<Waiter> {
        let mut state = self.state.lock();
        let first = state.sleepers.first_entry();
        let due = first.filter(|sleeper| sleeper.key().0 <= to);
        let due = due.map(OccupiedEntry::remove_entry);
        let at = due.as_ref().map_or(to, |((at, _), _)| *at);
        state.now = state.now.max(at);
        due.map(|(_, waiter)| waiter)
    }

    /// Whether at least so many are; if not, this thread is unparked when they are.
    fn are_asleep(&self, count: usize) -> bool {
        let mut state = self.state.lock();
        let enough = state.sleepers.len() >= count;
        if !enough {
            state.watchers.push((count, Waiter::Thread(current())));
        }
        enough
    }
}

impl State {
    /// Those who wait for no more sleepers than there are.
    fn satisfied(&mut self) -> Vec<(usize, Waiter)> {
        let asleep = self.sleepers.len();
        let all = mem::take(&mut self.watchers).into_iter();
        let (satisfied, others) = all.partition(|(count, _)| *count <= asleep);
        self.watchers = others;
        satisfied
    }
}

impl fmt::Debug for ManualTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualTime")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

/// Wakes the task that polls it once an instant has passed. Dropping it takes it back.
#[derive(Debug)]
pub(crate) enum Timer {
    System(sync::SystemTimer),
    /// Boxed, so that what real programs keep in their futures stays small.
    Manual(Box<Sleeper>),
    Custom(CustomSleep),
}

impl Timer {
    /// Ready once the instant has passed; otherwise wakes the task of `cx` then.
    ///
    /// # Errors
    /// There is nobody to wake it.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::System(timer) => timer.poll(cx),
            Self::Custom(CustomSleep(sleep)) => sleep.as_mut().poll(cx),
            Self::Manual(sleeper) => {
                sleeper.note();
                if sleeper.register(Waiter::task(cx.waker())) {
                    Poll::Pending
                } else {
                    Poll::Ready(Ok(()))
                }
            }
        }
    }
}

/// One's place on the list of those who sleep; given up when dropped.
#[derive(Debug)]
pub(crate) struct Sleeper {
    time: WakerArc<ManualTime>,
    at: Instant,
    /// From the first registration.
    number: Option<NonZeroU64>,
    /// Of the watcher of the task that sleeps.
    noted: Option<WakerArc<()>>,
}

impl Sleeper {
    fn new(time: &WakerArc<ManualTime>, at: Instant) -> Self {
        Self {
            time: WakerArc::clone(time),
            at,
            number: None,
            noted: None,
        }
    }

    /// Tells the watcher, if there is one, once.
    fn note(&mut self) {
        if self.noted.is_none() {
            self.noted = hooks::sleeps(|| Clock(Some(Kind::Manual(WakerArc::clone(&self.time)))));
        }
    }

    /// Falls asleep, or stays so, with `waiter` as the one to wake. False if the instant has passed.
    fn register(&mut self, waiter: Waiter) -> bool {
        let mut state = self.time.state.lock();
        if state.now >= self.at {
            return false;
        }
        let number = *self.number.get_or_insert_with(|| {
            state.last += 1;
            NonZeroU64::new(state.last).expect("counted up")
        });
        let replaced = state.sleepers.insert((self.at, number), waiter);
        let satisfied = state.satisfied();
        drop(state);
        drop(replaced);
        for (_, watcher) in satisfied {
            watcher.wake();
        }
        true
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let waiter = self.time.state.lock().sleepers.remove(&(self.at, number));
            drop(waiter);
        }
    }
}
