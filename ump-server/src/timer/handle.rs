//! The arming end of a loop's timers.

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
/// This is a handle: clones refer to the same timers, and any thread can use it. Usually a handler
/// keeps one for itself.
///
/// A timer never fires early. How late it fires depends on the loop: the loop handles it between
/// two requests, after the timers with an earlier deadline. Timers with the same deadline fire in
/// the order of arming. There can be 2³¹ timers at a time; each takes about 64 bytes, with a token
/// of eight bytes.
///
/// A cancelled timer does not fire. If the handler itself calls `cancel`, this is so even for a
/// timer that is due already: it is either passed to the handler or cancelled, never both.
/// [`TimerId`]s are not reused, so an old one does no harm.
///
/// When the loop ends, or its handler is rebuilt, all armed timers are dropped. After that, no
/// timer is armed: tokens are dropped immediately, and the ids are those of removed timers.
///
/// No method blocks. An operation under the internal lock takes about a microsecond, even with a
/// million timers. It takes longer only when there are more timers than ever before, and an array
/// of 24 bytes per timer has to move. Tokens are dropped and cloned outside the lock.
///
/// # Panics
/// The methods that arm a timer panic if there are 2³¹ timers.
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

    /// Arms a timer that fires once, `delay` from now.
    ///
    /// With [`Duration::ZERO`] it fires as soon as the loop looks at its timers again. With a delay
    /// of more than 292 years it never fires, but it is armed: it can be cancelled and rescheduled.
    pub fn once(&self, delay: Duration, token: T) -> TimerId {
        self.arm(self.after(delay), token, None)
    }

    /// Arms a timer that fires once, at `deadline`. If that has passed, it fires as soon as the
    /// loop looks at its timers again.
    ///
    /// Timers whose deadline has passed fire in the order of their deadlines too.
    pub fn at(&self, deadline: Instant, token: T) -> TimerId {
        self.arm(self.shared.timeline.tick(deadline), token, None)
    }

    /// Arms a timer that fires periodically: every [`Duration`], or as a [`Periodic`] specifies.
    ///
    /// It does not drift: the times are the first time plus exact multiples of the period. If the
    /// loop is busy for longer than a period, [`Missed`](super::Missed) decides; by default missed
    /// periods are skipped.
    ///
    /// The loop clones the token each time before the timer fires. If that panics, the timer is
    /// removed, and the panic counts as one of the handler.
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

    /// Cancels a timer and returns its token.
    ///
    /// Returns `None` if there is no token to return: the timer has fired (for the last time), or
    /// it was cancelled before. There is one more case: another thread cancels a periodic timer
    /// while the loop passes it to the handler. Then the timer fires this once, and not again.
    #[expect(clippy::must_use_candidate, reason = "most do not need the token")]
    pub fn cancel(&self, id: TimerId) -> Option<T> {
        self.shared.cancel(id)
    }

    /// Reschedules a timer to fire `delay` from now; a periodic one then continues with its period.
    /// Returns whether the timer was armed. If it was not, nothing happens.
    ///
    /// Its id stays the same. Among equal deadlines it fires last, as if armed anew.
    #[expect(clippy::must_use_candidate, reason = "the handler may know")]
    pub fn reschedule_after(&self, id: TimerId, delay: Duration) -> bool {
        self.reschedule(id, self.after(delay))
    }

    /// Reschedules a timer to fire at `deadline`. Otherwise like
    /// [`reschedule_after`](Self::reschedule_after).
    #[expect(clippy::must_use_candidate, reason = "the handler may know")]
    pub fn reschedule_at(&self, id: TimerId, deadline: Instant) -> bool {
        self.reschedule(id, self.shared.timeline.tick(deadline))
    }

    /// Returns the instant at which a timer fires next, which has passed if the loop is late.
    /// `None` if the timer is not armed, or if it will never fire.
    #[must_use]
    pub fn deadline(&self, id: TimerId) -> Option<Instant> {
        let tick = self.shared.with(|table| table.deadline(id))?;
        self.shared.timeline.instant(tick)
    }

    /// Returns the number of armed timers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.with(|table| table.len())
    }

    /// Returns whether no timer is armed.
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
