//! Periodic timers and their policy for missed periods.

use std::time::{Duration, Instant};

use super::tick::{Tick, TickSpan};

/// The policy of a periodic timer for periods that it missed because the loop was busy.
///
/// A timer of 10 ms, armed at 0, with a handler busy from 12 ms to 45 ms:
///
/// | | fires at | and then at |
/// |---|---|---|
/// | `Skip` | 10, **45** (for 20) | 50, 60, 70, … |
/// | `Burst` | 10, **45, 45, 45** (for 20, 30, 40) | 50, 60, 70, … |
/// | `Delay` | 10, **45** (for 20) | 55, 65, 75, … |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Missed {
    /// Fires once for all missed periods, and then at its usual times again. The periods that it
    /// skips do not count as [`times`](Periodic::times).
    ///
    /// This is the default, because it suits nearly all periodic work: refreshes, checks,
    /// heartbeats. After a long handler, or after the machine was suspended for a night, there is
    /// no flood of timers. (`tokio::time::interval` bursts by default.)
    #[default]
    Skip,
    /// Fires once for every missed period, immediately, until it has caught up. For work in which
    /// each period counts. Between two of them the loop handles a request, if there is one.
    Burst,
    /// Fires once, and then one period after each time that it fires: at least a period lies
    /// between two of them. The only policy that drifts.
    Delay,
}

/// The schedule of a periodic timer, for [`Timers::every`](super::Timers::every). A [`Duration`]
/// can be passed instead if only the period matters.
///
/// ```
/// use std::time::Duration;
/// use ump_server::timer::{Missed, Periodic};
///
/// let thrice = Periodic::new(Duration::from_secs(1))
///     .first_after(Duration::ZERO)
///     .times(3)
///     .missed(Missed::Burst);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a timer is armed by `Timers::every`"]
pub struct Periodic {
    period: Duration,
    first: First,
    times: Option<u64>,
    missed: Missed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    After(Duration),
    At(Instant),
}

impl Periodic {
    /// Creates a schedule that fires every `period`, forever, the first time after one period.
    ///
    /// It is exact to the nanosecond: the times are the first time plus multiples of the period,
    /// however late the handler is called. A period of zero counts as one nanosecond: the timer
    /// fires at every opportunity, and the loop never sleeps.
    pub fn new(period: Duration) -> Self {
        Self {
            period,
            first: First::After(period),
            times: None,
            missed: Missed::default(),
        }
    }

    /// Sets the delay from arming to the first time; with zero it fires immediately.
    pub fn first_after(self, delay: Duration) -> Self {
        let first = First::After(delay);
        Self { first, ..self }
    }

    /// Sets the first time. If that has passed, the timer fires immediately, and [`Missed`] decides
    /// about the periods missed since.
    pub fn first_at(self, at: Instant) -> Self {
        let first = First::At(at);
        Self { first, ..self }
    }

    /// Limits how often the timer fires before it is removed. With zero nothing is armed.
    pub fn times(self, times: u64) -> Self {
        let times = Some(times);
        Self { times, ..self }
    }

    /// Sets the policy for periods that are missed because the loop is busy.
    pub fn missed(self, missed: Missed) -> Self {
        Self { missed, ..self }
    }

    pub(super) fn first(&self) -> First {
        self.first
    }

    /// Returns the state of a timer to be armed; `None` if it is to fire zero times.
    pub(super) fn repeat<T: Clone>(&self) -> Option<Repeat<T>> {
        let left = match self.times {
            Some(times) => Some(times.checked_sub(1)?),
            None => None,
        };
        Some(Repeat {
            copy: T::clone,
            period: TickSpan::from(self.period).at_least(TickSpan::LEAST),
            left,
            missed: self.missed,
        })
    }
}

impl From<Duration> for Periodic {
    fn from(period: Duration) -> Self {
        Self::new(period)
    }
}

/// The state of a periodic timer in addition to that of every timer.
pub(super) struct Repeat<T> {
    /// Clones the token. Stored as a pointer, so only `Timers::every` needs the bound `T: Clone`.
    pub(super) copy: fn(&T) -> T,
    period: TickSpan,
    /// How often it fires after the next time; `None` for no limit.
    left: Option<u64>,
    missed: Missed,
}

impl<T> Repeat<T> {
    /// Returns the next deadline when the one at `due` is handled in a round at `now`; `None` if
    /// that was the last.
    pub(super) fn next(&mut self, due: Tick, now: Tick) -> Option<Tick> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        Some(match self.missed {
            Missed::Skip => due.next_after(self.period, now),
            Missed::Burst => due.after(self.period),
            Missed::Delay => now.after(self.period),
        })
    }
}
