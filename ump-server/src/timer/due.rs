//! The receiving end of a loop's timers.

use std::{fmt, time::Instant};

use super::{
    shared::Shared,
    table::{NextPeriod, TimerId, TimerTable},
    tick::Tick,
};
use crate::{catch::CatchDrop, sync::Arc};

/// Returns the timers that are due. It belongs to the loop, and there is one per loop.
///
/// It is for authors of a loop of their own; the loops of this crate have one inside. The loop
/// handles timers in **rounds**, and announces its sleep before it sleeps:
///
/// ```
/// # use std::{thread, time::Duration};
/// use ump_server::{Clock, timer};
///
/// let clock = Clock::system();
/// let me = thread::current();
/// let (timers, mut due) = timer::timers(clock.clone(), move || me.unpark());
///
/// timers.once(Duration::from_millis(1), "a millisecond");
/// let mut came = Vec::new();
/// while came.is_empty() {
///     if !due.is_idle() {
///         due.begin(clock.now());
///         while let Some(token) = due.pop() {
///             came.push(token);
///         }
///     }
///     // Requests and the like; then, if there is nothing else to do:
///     match due.sleep_until() {
///         Some(at) => thread::park_timeout(at.saturating_duration_since(clock.now())),
///         None => break,
///     }
/// }
/// assert_eq!(came, ["a millisecond"]);
/// ```
///
/// Dropping it drops the tokens of all timers.
pub struct Due<T> {
    shared: Arc<Shared<T>>,
    /// The tick that was announced last. While the announcement stands, no timer is due before it.
    announced: Tick,
    is_in_round: bool,
}

impl<T> Due<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self {
            shared,
            announced: Tick::FIRST,
            is_in_round: false,
        }
    }

    /// Returns whether no timer will come due unless one is armed. Then the loop need not look at
    /// its timers, nor at the clock. Costs one load of an atomic.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.announced == Tick::NEVER && self.shared.stands()
    }

    /// Begins a round at `now`, in which [`pop`](Self::pop) returns the timers that are due at
    /// `now`. An unfinished earlier round continues in this one.
    ///
    /// Costs one load of an atomic as long as the next timer is known not to be due.
    pub fn begin(&mut self, now: Instant) {
        let now = self.shared.timeline.tick(now);
        if now < self.announced && self.shared.stands() {
            return;
        }
        match self.shared.begin(now) {
            Ok(()) => self.is_in_round = true,
            Err(next) => (self.is_in_round, self.announced) = (false, next),
        }
    }

    /// Returns the next token of this round: the earliest deadline first, and among equal deadlines
    /// in the order of arming. `None` ends the round.
    ///
    /// A timer that is armed or rearmed during the round, and is due within it, waits for the next
    /// round: each timer fires at most once per round. A timer that is cancelled or rescheduled
    /// before it is popped is no longer in the round.
    ///
    /// # Panics
    /// If the token of a periodic timer panics when it is cloned. Then the timer is removed.
    pub fn pop(&mut self) -> Option<T> {
        if !self.is_in_round {
            return None;
        }
        let popped = self.shared.with(TimerTable::pop);
        let Some(popped) = popped else {
            self.is_in_round = false;
            return None;
        };
        // If its clone panics, its drop may panic as well.
        let token = CatchDrop::new(popped.token);
        if let Some(timer) = popped.next_period {
            self.give_back_copy(&timer, token.get());
        }
        Some(token.into_inner())
    }

    /// Announces a sleep, and returns the instant at which it has to end; `None` if only `wake`
    /// ends it. The instant has passed if there is something to do.
    ///
    /// From this call until the next [`begin`](Self::begin), a thread that arms an earlier timer
    /// calls `wake`, which has to end the sleep even if it is called before the sleep begins.
    pub fn sleep_until(&mut self) -> Option<Instant> {
        if !self.shared.stands() {
            self.announced = self.shared.sleep();
        }
        self.shared.timeline.instant(self.announced)
    }

    /// Clones a token for the next period. This is user code, so it is not under the lock.
    fn give_back_copy(&self, timer: &NextPeriod<T>, token: &T) {
        let undo = CancelOnDrop(self, timer.id);
        let copy = (timer.copy)(token);
        std::mem::forget(undo);
        let _cancelled = self.shared.with(|table| table.give_back(timer.id, copy));
    }
}

impl<T> Drop for Due<T> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl<T> fmt::Debug for Due<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Due").finish_non_exhaustive()
    }
}

/// Cancels a timer whose token could not be cloned.
struct CancelOnDrop<'a, T>(&'a Due<T>, TimerId);

impl<T> Drop for CancelOnDrop<'_, T> {
    fn drop(&mut self) {
        self.0.shared.cancel(self.1);
    }
}
