//! A clock that a test moves by hand, and the list of those who sleep by it.
//!
//! ```text
//!          register, not yet due                advanced to its instant
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
    fmt, mem,
    num::NonZeroU64,
    time::{Duration, Instant},
};

use crate::{
    sync::{Mutex, WakerArc, current, park},
    wait::waiter::Waiter,
};

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
pub struct ManualClock(pub(super) WakerArc<ManualTime>);

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
pub(super) struct ManualTime {
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

/// One's place on the list of those who sleep; given up when dropped.
#[derive(Debug)]
pub(super) struct Sleeper {
    time: WakerArc<ManualTime>,
    at: Instant,
    /// From the first registration.
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

    /// Falls asleep, or stays so, with `waiter` as the one to wake. False if the instant has passed.
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
