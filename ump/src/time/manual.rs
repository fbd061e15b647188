//! A clock that a test advances by hand, and its list of sleepers.
//!
//! ```text
//!          register, not yet due                advanced to its instant
//!   awake ───────────────────────► on the list ───────────────────► taken off, then woken
//!                                       └──► taken off: woken by something else, or dropped
//! ```
//!
//! # Invariants
//!
//! 1. A sleeper registers in the critical section that decides whether its instant has passed. So
//!    no wake-up is lost between the two.
//! 2. `now` never goes back. No sleeper on the list has an instant that has passed, except between
//!    the moment when the instant passes and the moment when the thread that advances the clock
//!    takes the sleeper off the list.
//! 3. The lock is the innermost one. Wakers are cloned before it is taken, and woken and dropped
//!    after it is released. No other lock is taken under it.

#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, btree_map::OccupiedEntry},
    fmt, mem,
    num::NonZeroU64,
    time::{Duration, Instant},
};

use crate::{
    sync::{Mutex, WakerArc, current, park},
    wait::waiter::Waiter,
};

/// A clock that stands still until it is advanced by hand: a week passes at once, and no time
/// passes otherwise.
///
/// It starts at the instant of its creation. Every wait on a channel with its
/// [`clock`](Self::clock), blocking or async, sleeps without a time-out of the system's: only
/// `advance` makes a deadline pass. Clones move the same clock.
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
pub struct ManualClock(pub(super) WakerArc<ManualTime>);

impl ManualClock {
    /// Creates a clock that stands at the present instant.
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

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.now()
    }

    /// Advances the time by a duration. See [`advance_to`](Self::advance_to).
    ///
    /// # Panics
    /// If the clock cannot represent the resulting instant.
    pub fn advance(&self, by: Duration) {
        let to = self.now().checked_add(by);
        self.advance_to(to.expect("the clock cannot represent a time so far ahead"));
    }

    /// Advances the time to an instant. Does nothing if that instant has passed.
    ///
    /// The clock moves from wake-up to wake-up. It is set to the earliest instant for which there
    /// is a sleeper, wakes that sleeper, and so on. Sleepers of the same instant are woken in the
    /// order in which they fell asleep. At last the clock is set to `to`. So everything that a
    /// waker does at once, even sleeping again, happens at the instant of its sleep. The clock
    /// wakes threads and the tasks of other threads, but does not wait for them. To see each of
    /// them act at its time, advance to [`next_wake`](Self::next_wake) step by step, and wait in
    /// between for what they do.
    ///
    /// Call it from one place at a time: two threads that advance by an hour at once advance the
    /// clock by one hour or by two. A waker may call it.
    pub fn advance_to(&self, to: Instant) {
        while let Some(waiter) = self.0.step(to) {
            waiter.wake();
        }
    }

    /// Returns the earliest instant for which there is a sleeper.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        let state = self.0.state.lock();
        state.sleepers.keys().next().map(|(at, _)| *at)
    }

    /// Returns the number of sleepers: threads, and futures that were polled and not dropped. A
    /// sleeper that was just woken by something else may still be counted.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.0.state.lock().sleepers.len()
    }

    /// Blocks, in real time, until there are at least `count` [sleepers](Self::sleepers). A test
    /// uses it to know that the code that it has started has begun to sleep.
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

/// The state that a manual clock shares with everything that uses it.
pub(super) struct ManualTime {
    state: Mutex<State>,
}

struct State {
    now: Instant,
    /// The sleepers, by the instant at which they are to be woken, and then by the order in which
    /// they fell asleep.
    sleepers: BTreeMap<(Instant, NonZeroU64), Waiter>,
    /// The number of the latest sleeper.
    last: u64,
    /// The threads to wake when there are as many sleepers as the number says.
    watchers: Vec<(usize, Waiter)>,
}

impl ManualTime {
    pub(super) fn now(&self) -> Instant {
        self.state.lock().now
    }

    pub(super) fn park_until(self: &WakerArc<Self>, deadline: Instant) -> bool {
        let mut sleeper = Sleeper::new(self, deadline);
        if !sleeper.register(Waiter::Thread(current())) {
            return true;
        }
        park();
        drop(sleeper);
        deadline <= self.now()
    }

    /// Advances to the next sleeper, or to `to` if no sleeper is due before. Returns that sleeper,
    /// to be woken after unlocking.
    fn step(&self, to: Instant) -> Option<Waiter> {
        let mut state = self.state.lock();
        let first = state.sleepers.first_entry();
        let due = first.filter(|sleeper| sleeper.key().0 <= to);
        let due = due.map(OccupiedEntry::remove_entry);
        let at = due.as_ref().map_or(to, |((at, _), _)| *at);
        state.now = state.now.max(at);
        due.map(|(_, waiter)| waiter)
    }

    /// Returns whether there are at least `count` sleepers. If not, this thread is unparked when
    /// there are.
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
    /// Removes and returns the watchers that wait for no more sleepers than there are.
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

/// The place of a sleeper on the list. Dropping it leaves the list.
#[derive(Debug)]
pub(super) struct Sleeper {
    time: WakerArc<ManualTime>,
    at: Instant,
    /// The number of the sleeper, from the first registration on.
    number: Option<NonZeroU64>,
}

impl Sleeper {
    pub(super) fn new(time: &WakerArc<ManualTime>, at: Instant) -> Self {
        Self {
            time: WakerArc::clone(time),
            at,
            number: None,
        }
    }

    /// Registers `waiter` as the one to wake, or replaces the waiter that is registered. Returns
    /// false if the instant has passed.
    pub(super) fn register(&mut self, waiter: Waiter) -> bool {
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
