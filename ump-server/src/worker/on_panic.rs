//! The policies of a loop for panics of its handler.
//!
//! | policy | caller of the request in hand | queued requests | handler | loop |
//! |---|---|---|---|---|
//! | [`OnPanic::Stop`] | gets the panic's message | fail, since the server disappeared | is dropped | ends, with the message |
//! | [`OnPanic::Continue`] | gets the panic's message | stay queued | stays as it is | goes on |
//! | [`OnPanic::Restart`] | gets the panic's message | stay queued | is dropped, and rebuilt by its factory after a pause | goes on; ends after too many failures |

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The policy of a loop for panics of its handler.
///
/// With every policy, the caller of the request in hand gets the panic's message at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnPanic {
    /// The loop ends, and [joining it](crate::JoinHandle::join) returns the panic's message.
    #[default]
    Stop,
    /// The loop goes on with the same handler. Use this only for a handler whose state is
    /// consistent wherever it panics: a change that was in progress stays half done. If a handler
    /// panics in `init`, the loop ends.
    Continue,
    /// The handler is dropped and rebuilt by its factory. Queued requests stay queued. If the
    /// factory refuses or panics, that is a further failure.
    ///
    /// If no client is left and nothing is queued by then, or if the queue was
    /// [refused](crate::Stop::Refuse), the loop ends without an error instead.
    Restart(Restart),
}

/// Limits how often a handler is rebuilt, and sets the pauses before that.
///
/// The first restart comes after the initial pause. Each further one within the window comes after
/// twice the previous pause, up to the longest pause. If there are more failures within the window
/// than the limit, the loop ends. Each worker of a pool counts its own failures; those of a
/// [group](crate::system::Group) count together.
///
/// ```
/// use std::time::Duration;
/// use ump_server::{OnPanic, Restart};
///
/// let policy = OnPanic::Restart(
///     Restart::new().limit(3, Duration::from_secs(60)).pause(Duration::from_millis(50), Duration::from_secs(5)),
/// );
/// # let _ = policy;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    pub(crate) limit: u32,
    pub(crate) window: Duration,
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Restart {
    /// Creates the default: at most five restarts within ten seconds, after pauses of 10 ms, 20 ms
    /// and so on up to 1 s.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            limit: 5,
            window: Duration::from_secs(10),
            first: Duration::from_millis(10),
            longest: Duration::from_secs(1),
        }
    }

    /// Allows at most `restarts` restarts within any `window`. Zero allows none.
    #[must_use]
    pub const fn limit(mut self, restarts: u32, window: Duration) -> Self {
        self.limit = restarts;
        self.window = window;
        self
    }

    /// Sets the first pause and the longest pause. Zero means no pause.
    #[must_use]
    pub const fn pause(mut self, first: Duration, longest: Duration) -> Self {
        self.first = first;
        self.longest = longest;
        self
    }
}

impl Default for Restart {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts the failures of a handler against a policy.
#[derive(Debug)]
pub(crate) struct RestartCounter {
    policy: Restart,
    /// The failures within the window, oldest first.
    recent: VecDeque<Instant>,
}

impl RestartCounter {
    pub(crate) fn new(policy: Restart) -> Self {
        Self {
            policy,
            recent: VecDeque::new(),
        }
    }

    /// Counts a failure. Returns the pause before the restart, or `None` if the failure exceeds the
    /// limit.
    pub(crate) fn count(&mut self, now: Instant) -> Option<Duration> {
        let window = self.policy.window;
        while let Some(&oldest) = self.recent.front() {
            if now.saturating_duration_since(oldest) < window {
                break;
            }
            self.recent.pop_front();
        }
        let before = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if before >= self.policy.limit {
            return None;
        }
        self.recent.push_back(now);
        let pause = self
            .policy
            .first
            .saturating_mul(2_u32.saturating_pow(before));
        Some(pause.min(self.policy.longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_the_longest() {
        let policy = Restart::new()
            .limit(10, 60 * SECOND)
            .pause(SECOND, 5 * SECOND);
        let mut failures = RestartCounter::new(policy);
        let now = Instant::now();
        let pauses: Vec<u64> = (0..5)
            .map(|_| failures.count(now).unwrap().as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
    }

    #[test]
    fn too_many_within_the_window_are_given_up() {
        let mut failures = RestartCounter::new(Restart::new().limit(2, 10 * SECOND));
        let now = Instant::now();
        assert!(failures.count(now).is_some());
        assert!(failures.count(now + 9 * SECOND).is_some());
        assert!(failures.count(now + 9 * SECOND).is_none());
    }

    #[test]
    fn failures_long_ago_do_not_count() {
        let mut failures = RestartCounter::new(Restart::new().limit(1, 10 * SECOND));
        let now = Instant::now();
        let first = failures.count(now);
        assert!(first.is_some());
        assert_eq!(failures.count(now + 10 * SECOND), first);
    }

    #[test]
    fn a_limit_of_zero_allows_none() {
        let mut failures = RestartCounter::new(Restart::new().limit(0, SECOND));
        assert!(failures.count(Instant::now()).is_none());
    }
}
