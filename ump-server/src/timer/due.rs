//! The end that timers come out of.

use std::{fmt, time::Instant};

use super::{
    shared::Shared,
    table::{NextPeriod, TimerId, TimerTable},
    tick::Tick,
};
use crate::{catch::CatchDrop, sync::Arc};

/// Hands out the timers that are due: what a loop has, and there is one of it.
///
/// For those who write a loop of their own; those of this crate have one inside. The loop handles timers in **rounds**, and says before it sleeps that
/// it will:
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
/// Dropping it drops all the tokens.
pub struct Due<T> {
    shared: Arc<Shared<T>>,
    /// As it was announced last; nothing is due before, as long as that stands.
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

    /// Whether nothing will come due before something is armed: the loop need not look at its timers, nor at the clock. One load of an atomic.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.announced == Tick::NEVER && self.shared.stands()
    }

    /// Begins a round at `now`: [`pop`](Self::pop) gives what is due then. An earlier round that was not finished goes on in this one.
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

    /// The next one in this round: the earliest deadline first, of equal ones what was armed first. `None` ends the round.
    ///
    /// What is armed or comes again during the round, and is due within it, waits for the next one: each timer comes once in a round at most. What is
    /// cancelled or rescheduled before it is popped is not in it any more.
    ///
    /// # Panics
    /// If the token of a periodic timer panics when it is cloned; the timer is gone then.
    pub fn pop(&mut self) -> Option<T> {
        if !self.is_in_round {
            return None;
        }
        let popped = self.shared.with(TimerTable::pop);
        let Some(popped) = popped else {
            self.is_in_round = false;
            return None;
        };
        // Its drop may panic as well if its clone does.
        let token = CatchDrop::new(popped.token);
        if let Some(timer) = popped.next_period {
            self.give_back_copy(&timer, token.get());
        }
        Some(token.into_inner())
    }

    /// Until when the loop may sleep; `None`: until it is woken. In the past if there is something to do.
    ///
    /// From here on until the next [`begin`](Self::begin), whoever arms something earlier calls `wake`, which has to end the sleep even if it comes before it.
    pub fn sleep_until(&mut self) -> Option<Instant> {
        if !self.shared.stands() {
            self.announced = self.shared.sleep();
        }
        self.shared.timeline.instant(self.announced)
    }

    /// Clones a token for the next time: user code, so not under the lock.
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
