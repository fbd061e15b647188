//! Timers that come again.

use std::time::{Duration, Instant};

use super::tick::{Tick, TickSpan};

/// What a periodic timer does when the loop was busy for longer than a period.
///
/// A timer of 10 ms, armed at 0, with a handler busy from 12 ms to 45 ms:
///
/// | | comes at | and then at |
/// |---|---|---|
/// | `Skip` | 10, **45** (for 20) | 50, 60, 70, … |
/// | `Burst` | 10, **45, 45, 45** (for 20, 30, 40) | 50, 60, 70, … |
/// | `Delay` | 10, **45** (for 20) | 55, 65, 75, … |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Missed {
    /// Comes once for all the periods that were missed, and then at its usual times again. What is left out does not count as one of the
    /// [`times`](Periodic::times).
    ///
    /// The default, as it is right for nearly everything that is done now and then: to refresh, to check, to send a sign of life. After a long
    /// handler, or a night in which the machine was suspended, nothing comes in floods. (`tokio::time::interval` bursts unless told otherwise.)
    #[default]
    Skip,
    /// Comes once for every period that was missed, at once, until it has caught up: where each counts. Between two of them the loop handles a request,
    /// if there is one.
    Burst,
    /// Comes once, and from then on a period later each time: at least a period lies between two of them. The only one that drifts.
    Delay,
}

/// How often a periodic timer comes, for [`Timers::every`](super::Timers::every). A [`Duration`] can be given instead, if no more than the period
/// is to be said.
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
#[must_use = "nothing is armed before it is given to `Timers::every`"]
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
    /// Every `period`, for ever, the first time after one period.
    ///
    /// Exact to the nanosecond: the times are those of the first plus multiples of the period, however late the handler is called. A period of zero counts
    /// as one nanosecond: the timer comes at every opportunity, and the loop never sleeps.
    pub fn new(period: Duration) -> Self {
        Self {
            period,
            first: First::After(period),
            times: None,
            missed: Missed::default(),
        }
    }

    /// When it comes first, from when it is armed; at once with zero.
    pub fn first_after(self, delay: Duration) -> Self {
        let first = First::After(delay);
        Self { first, ..self }
    }

    /// When it comes first; at once if that has passed, and [`Missed`] decides about what was missed since.
    pub fn first_at(self, at: Instant) -> Self {
        let first = First::At(at);
        Self { first, ..self }
    }

    /// How often it comes until it is gone. With zero nothing is armed.
    pub fn times(self, times: u64) -> Self {
        let times = Some(times);
        Self { times, ..self }
    }

    /// What happens when the loop was busy for longer than a period.
    pub fn missed(self, missed: Missed) -> Self {
        Self { missed, ..self }
    }

    pub(super) fn first(&self) -> First {
        self.first
    }

    /// `None`: not even once.
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

/// What is kept for a periodic timer, besides what all have.
pub(super) struct Repeat<T> {
    /// Only whoever arms a periodic timer has to know that its token can be cloned.
    pub(super) copy: fn(&T) -> T,
    period: TickSpan,
    /// How often it comes after the next time.
    left: Option<u64>,
    missed: Missed,
}

impl<T> Repeat<T> {
    /// The next deadline, when the one at `due` is handled in a round at `now`; `None` if it was the last.
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
