//! The end that arms timers.

use std::{
    fmt,
    time::{Duration, Instant},
};

use super::{
    periodic::{First, Periodic, Repeat},
    shared::Shared,
    table::TimerId,
    tick::Tick,
};
use crate::sync::Arc;

/// Arms timers of a loop, whose handler then gets the token in `on_timer`.
///
/// A handle: clones are of the same timers, and can be used by any thread. A handler keeps one for itself, usually.
///
/// A timer never comes early. How late it comes depends on the loop: it is handled between two requests, after those that are due before it; of two with
/// the same deadline what was armed first comes first. There can be 2³¹ timers at a time; each takes about 64 bytes, with a token of eight.
///
/// A cancelled timer does not come. With `cancel` called by the handler itself this is so even if the timer is due already: it comes to the handler or it is
/// cancelled, never both. [`TimerId`]s are not used again, so an old one can do no harm.
///
/// When the loop ends, or its handler is made anew, what is armed is dropped. After that nothing is armed: tokens are dropped at once, and the ids are those of timers
/// that are gone.
///
/// Nothing blocks: what is done under the lock inside takes a microsecond or so, even with a million timers; longer only when there are more than ever and an array of
/// 24 bytes for each has to move. Tokens are dropped and cloned outside it.
///
/// # Panics
/// To arm one panics if there are 2³¹.
///
/// ```
/// use std::time::Duration;
/// use ump_server::{Clock, timer};
///
/// let (timers, mut due) = timer::timers(Clock::system(), || {});
/// let refresh = timers.every(Duration::from_secs(1), "refresh");
/// let give_up = timers.once(Duration::from_secs(30), "give up");
///
/// assert_eq!(timers.cancel(give_up), Some("give up"));
/// assert_eq!(timers.cancel(give_up), None);
/// assert!(timers.reschedule_after(refresh, Duration::from_millis(100)));
/// # due.begin(Clock::system().now());
/// # assert_eq!(due.pop(), None);
/// ```
pub struct Timers<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Timers<T> {
    pub(super) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { shared }
    }

    /// Arms a timer that comes once, `delay` from now.
    ///
    /// With [`Duration::ZERO`] it comes as soon as the loop looks at its timers again. With more than 292 years it never comes, but it is armed: it can be cancelled
    /// and rescheduled.
    pub fn once(&self, delay: Duration, token: T) -> TimerId {
        self.arm(self.after(delay), token, None)
    }

    /// Arms a timer that comes once, at `deadline`; if that has passed, as soon as the loop looks at its timers again.
    ///
    /// Those that have passed come in the order of their deadlines too.
    pub fn at(&self, deadline: Instant, token: T) -> TimerId {
        self.arm(self.shared.timeline.tick(deadline), token, None)
    }

    /// Arms a timer that comes again and again: every [`Duration`], or as a [`Periodic`] says.
    ///
    /// Without drift: the times are the first one plus exact multiples of the period. If the loop is busy for longer than that, [`Missed`](super::Missed) says what
    /// happens; by default what was missed is skipped.
    ///
    /// The token is cloned each time before the timer comes, in the loop. If that panics, the timer is gone, and it counts as a panic of the handler.
    pub fn every(&self, periodic: impl Into<Periodic>, token: T) -> TimerId
    where
        T: Clone,
    {
        let periodic = periodic.into();
        let Some(repeat) = periodic.repeat() else {
            return TimerId::NONE;
        };
        let first = match periodic.first() {
            First::After(delay) => self.after(delay),
            First::At(at) => self.shared.timeline.tick(at),
        };
        self.arm(first, token, Some(Box::new(repeat)))
    }

    /// Cancels a timer and gives the token back.
    ///
    /// `None` if there is nothing to take back: it has come (for the last time), or it was cancelled before. There is one more case: another thread cancels a
    /// periodic timer just while it is being handed to the handler. Then it comes this once, and not again.
    #[expect(clippy::must_use_candidate, reason = "most do not need the token")]
    pub fn cancel(&self, id: TimerId) -> Option<T> {
        self.shared.cancel(id)
    }

    /// Has a timer come `delay` from now instead; a periodic one from then on at its period. Returns whether it was armed: if it was not, nothing happens.
    ///
    /// Its id stays the same. Among equal deadlines it comes last, as if armed anew.
    #[expect(clippy::must_use_candidate, reason = "the handler may know")]
    pub fn reschedule_after(&self, id: TimerId, delay: Duration) -> bool {
        self.reschedule(id, self.after(delay))
    }

    /// Has a timer come at `deadline` instead. Otherwise like [`reschedule_after`](Self::reschedule_after).
    #[expect(clippy::must_use_candidate, reason = "the handler may know")]
    pub fn reschedule_at(&self, id: TimerId, deadline: Instant) -> bool {
        self.reschedule(id, self.shared.timeline.tick(deadline))
    }

    /// When a timer comes next, which has passed if the loop is late. `None` if it is not armed, or if it will never come.
    #[must_use]
    pub fn deadline(&self, id: TimerId) -> Option<Instant> {
        let tick = self.shared.with(|table| table.deadline(id))?;
        self.shared.timeline.instant(tick)
    }

    /// How many are armed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.with(|table| table.len())
    }

    /// Whether none is armed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn after(&self, delay: Duration) -> Tick {
        match self.shared.clock.now().checked_add(delay) {
            Some(deadline) => self.shared.timeline.tick(deadline),
            None => Tick::NEVER,
        }
    }

    fn arm(&self, deadline: Tick, token: T, repeat: Option<Box<Repeat<T>>>) -> TimerId {
        let (id, _refused) = self
            .shared
            .schedule(|state| state.arm(token, |table, token| table.arm(deadline, token, repeat)));
        id
    }

    fn reschedule(&self, id: TimerId, deadline: Tick) -> bool {
        self.shared.schedule(|state| state.reschedule(id, deadline))
    }
}

impl<T> Clone for Timers<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> fmt::Debug for Timers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("len", &self.len()).finish()
    }
}
