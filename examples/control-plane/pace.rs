//! How time passes: at once, from one thing that happens to the next, or by the clock on the wall.

use std::{
    fmt,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use ump_server::{Clock, TestClock};

/// Two lines are not further apart. A line with a slip of the pen in its time would keep the timers busy for centuries.
pub(crate) const MAX_GAP: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone, Debug)]
pub(crate) enum Pace {
    /// Until all loops are quiet it stands still.
    Virtual(TestClock),
    /// So many times as quick as the clock on the wall.
    Real(u32),
}

/// Why a line is not at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeError {
    GoesBack,
    Leaps,
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GoesBack => "its time is before that of the line before",
            Self::Leaps => "its time is more than a day after that of the line before",
        })
    }
}

impl Pace {
    pub(crate) fn clock(&self) -> Clock {
        match self {
            Self::Virtual(clock) => clock.clock(),
            Self::Real(_) => Clock::system(),
        }
    }

    pub(crate) fn speed(&self) -> u32 {
        match self {
            Self::Virtual(_) => 1,
            Self::Real(speed) => *speed,
        }
    }
}

/// Where in the file's time we are.
#[derive(Debug)]
pub(crate) struct Passage {
    pace: Pace,
    /// By the clock of the loops.
    begin: Instant,
    /// Of the first line and the last one, since 1970.
    first: Option<Duration>,
    last: Duration,
}

impl Passage {
    pub(crate) fn new(pace: &Pace) -> Self {
        Self {
            pace: pace.clone(),
            begin: pace.clock().now(),
            first: None,
            last: Duration::ZERO,
        }
    }

    /// Lets time pass until then. Returns false if whoever has the other end of this hangs up meanwhile.
    pub(crate) fn go_to(
        &mut self,
        at: Duration,
        hung_up: &Receiver<()>,
    ) -> Result<bool, TimeError> {
        let first = *self.first.get_or_insert(at);
        let last = self.last.max(first);
        let gap = at.checked_sub(last).ok_or(TimeError::GoesBack)?;
        if gap > MAX_GAP {
            return Err(TimeError::Leaps);
        }
        self.last = at;
        match &self.pace {
            Pace::Virtual(clock) => {
                // Not even nothing passes before all loops are quiet.
                clock.advance(gap);
                Ok(true)
            }
            Pace::Real(speed) => {
                let until = self.begin + at.saturating_sub(first) / *speed;
                let left = until.saturating_duration_since(Instant::now());
                Ok(hung_up.recv_timeout(left) == Err(RecvTimeoutError::Timeout))
            }
        }
    }

    /// Lets all that has happened so far have its consequences. If time is real, nobody can tell when that is.
    pub(crate) fn settle(&self) {
        if let Pace::Virtual(clock) = &self.pace {
            clock.wait_until_quiet();
        }
    }

    /// How much time has passed in the file.
    pub(crate) fn passed(&self) -> Duration {
        let first = self.first.unwrap_or_default();
        self.last.saturating_sub(first)
    }

    /// How far in the file's time this is from its beginning.
    pub(crate) fn of(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.begin) * self.pace.speed()
    }
}

/// Hours, minutes and seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hms(pub(crate) Duration);

impl fmt::Display for Hms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(f, "{hours:02}:{minutes:02}:{:02}", seconds % 60)
    }
}
