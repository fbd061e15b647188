//! How time passes: virtually, from one event to the next, or by the wall clock.

use std::{
    fmt,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use thiserror::Error;
use ump_server::{Clock, TestClock};

/// The largest gap between two lines. A line with a wrong time would otherwise keep the timers busy
/// for centuries.
pub(crate) const MAX_GAP: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone, Debug)]
pub(crate) enum TimeMode {
    /// Time stands still until all loops are quiet.
    Virtual(TestClock),
    /// Time is this many times as fast as the wall clock.
    Real(u32),
}

/// Why the time of a line is not accepted.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum TimeError {
    #[error("its time is before that of the line before")]
    Backwards,
    #[error("its time is more than a day after that of the line before")]
    TooFarAhead,
}

impl TimeMode {
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

/// The current position in the file's time.
#[derive(Debug)]
pub(crate) struct Timeline {
    mode: TimeMode,
    /// The start, by the clock of the loops.
    begin: Instant,
    /// The time of the first line, since 1970.
    first: Option<Duration>,
    /// The time of the last line, since 1970.
    last: Duration,
}

impl Timeline {
    pub(crate) fn new(mode: &TimeMode) -> Self {
        Self {
            mode: mode.clone(),
            begin: mode.clock().now(),
            first: None,
            last: Duration::ZERO,
        }
    }

    /// Lets time pass until `at`. Returns false if the sender of `stop` is dropped meanwhile.
    pub(crate) fn go_to(&mut self, at: Duration, stop: &Receiver<()>) -> Result<bool, TimeError> {
        let first = *self.first.get_or_insert(at);
        let last = self.last.max(first);
        let gap = at.checked_sub(last).ok_or(TimeError::Backwards)?;
        if gap > MAX_GAP {
            return Err(TimeError::TooFarAhead);
        }
        self.last = at;
        match &self.mode {
            TimeMode::Virtual(clock) => {
                // Also for a gap of zero it first waits until all loops are quiet.
                clock.advance(gap);
                Ok(true)
            }
            TimeMode::Real(speed) => {
                let until = self.begin + at.saturating_sub(first) / *speed;
                let left = until.saturating_duration_since(Instant::now());
                Ok(stop.recv_timeout(left) == Err(RecvTimeoutError::Timeout))
            }
        }
    }

    /// Waits until all loops are quiet. In real time it does not wait.
    pub(crate) fn settle(&self) {
        if let TimeMode::Virtual(clock) = &self.mode {
            clock.wait_until_quiet();
        }
    }

    /// Returns the time between the first line and the last one.
    pub(crate) fn passed(&self) -> Duration {
        let first = self.first.unwrap_or_default();
        self.last.saturating_sub(first)
    }

    /// Returns the file's time of an instant, since the first line.
    pub(crate) fn of(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.begin) * self.mode.speed()
    }
}

/// Displays a duration in hours, minutes and seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hms(pub(crate) Duration);

impl fmt::Display for Hms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(f, "{hours:02}:{minutes:02}:{:02}", seconds % 60)
    }
}
