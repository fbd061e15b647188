//! Instants as integers, which compare in one instruction and take half the memory.

use std::time::{Duration, Instant};

/// Nanoseconds since the origin of a [`Timeline`]; negative before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(i64);

impl Tick {
    /// The tick before all others.
    pub(crate) const FIRST: Self = Self(i64::MIN);
    /// The tick after all others, which is never reached. Deadlines more than 292 years away are
    /// `NEVER`.
    pub(crate) const NEVER: Self = Self(i64::MAX);

    #[cfg(test)]
    pub(crate) const fn at(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }

    pub(crate) fn after(self, span: TickSpan) -> Self {
        Self(self.0.saturating_add_unsigned(span.0))
    }

    /// Returns the first tick later than `now` that is `self` plus a multiple of `period`; `now` is
    /// not before `self`.
    pub(crate) fn next_after(self, period: TickSpan, now: Self) -> Self {
        let behind = self.0.abs_diff(now.0);
        self.after(TickSpan(behind - behind % period.0))
            .after(period)
    }
}

/// A time between two ticks, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TickSpan(u64);

impl TickSpan {
    /// The shortest span that is not zero.
    pub(crate) const LEAST: Self = Self(1);

    pub(crate) fn at_least(self, least: Self) -> Self {
        Self(self.0.max(least.0))
    }
}

impl From<Duration> for TickSpan {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// The origin from which ticks are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeline {
    origin: Instant,
}

impl Timeline {
    pub(crate) fn from(origin: Instant) -> Self {
        Self { origin }
    }

    pub(crate) fn tick(&self, at: Instant) -> Tick {
        let nanoseconds = |span: Duration| i64::try_from(span.as_nanos()).unwrap_or(i64::MAX);
        match at.checked_duration_since(self.origin) {
            Some(later) => Tick(nanoseconds(later)),
            None => Tick(-nanoseconds(self.origin.duration_since(at))),
        }
    }

    /// Converts a tick to an instant; `None` for a tick that is never reached.
    pub(crate) fn instant(&self, tick: Tick) -> Option<Instant> {
        let span = Duration::from_nanos(tick.0.unsigned_abs());
        match tick {
            Tick::NEVER => None,
            Tick(0..) => self.origin.checked_add(span),
            Tick(..0) => self.origin.checked_sub(span),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_comes_back_from_its_moment() {
        let origin = Instant::now();
        let line = Timeline::from(origin);
        let past = origin
            .checked_sub(Duration::from_nanos(1_500_000_001))
            .unwrap_or(origin);
        for at in [origin, origin + Duration::from_nanos(12_345_678_901), past] {
            assert_eq!(line.instant(line.tick(at)), Some(at));
        }
    }

    #[test]
    fn what_is_further_away_than_can_be_told_never_comes() {
        let origin = Instant::now();
        let line = Timeline::from(origin);
        let centuries = Duration::from_secs(300 * 365 * 86_400);
        if let Some(at) = origin.checked_add(centuries) {
            assert_eq!(line.tick(at), Tick::NEVER);
        }
        assert_eq!(Tick(7).after(Duration::MAX.into()), Tick::NEVER);
        assert_eq!(line.instant(Tick::NEVER), None);
    }

    #[test]
    fn the_next_moment_of_a_period_is_later_than_now() {
        let period = TickSpan(10);
        for (now, next) in [(3, 13), (12, 13), (13, 23), (14, 23), (1_000, 1_003)] {
            assert_eq!(Tick(3).next_after(period, Tick(now)), Tick(next));
        }
        let late = Tick(i64::MAX - 1);
        assert_eq!(
            Tick(i64::MIN).next_after(TickSpan(u64::MAX), late),
            Tick::NEVER
        );
        assert_eq!(Tick(i64::MIN).next_after(TickSpan(1), late), Tick::NEVER);
    }
}
