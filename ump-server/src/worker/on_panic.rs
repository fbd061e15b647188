//! What becomes of a loop whose handler panics.
//!
//! | | the caller in hand | the queue | the handler | the loop |
//! |---|---|---|---|---|
//! | [`OnPanic::Stop`] | learns the panic's message | is told that the server disappeared | is dropped | ends, with the message |
//! | [`OnPanic::Continue`] | the same | stays | stays as it is | goes on |
//! | [`OnPanic::Restart`] | the same | stays | is dropped, and made anew by its factory after a pause | goes on; gives up if it happens too often |

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What a loop does when its handler panics. Whatever it is, the caller whose request was in the
/// handler's hands learns of it at once, with the panic's message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnPanic {
    /// The loop ends, and [joining it](crate::JoinHandle::join) tells why.
    #[default]
    Stop,
    /// The loop goes on with the same handler. Right only for a handler that stays in order
    /// wherever it panics: what it was about to change is changed by half. A handler that panics in
    /// `init` ends the loop.
    Continue,
    /// The handler is dropped and made anew by its factory. What is queued stays queued. Should the
    /// factory refuse or panic, that is a failure like another.
    ///
    /// If by then nobody is left who asks and nothing is queued, or the queue was
    /// [refused](crate::Stop::Refuse), the loop ends instead, in order.
    Restart(Restart),
}

/// How often, and after which pauses, a handler is made anew.
///
/// The first restart comes after the initial pause, each further one within the window after twice
/// the one before, up to the longest. More failures than the limit within the window end the loop.
/// Each worker of a pool counts its own; those of a [group](crate::system::Group) count together.
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
    /// At most five within ten seconds, after pauses of 10 ms, 20 ms and so on up to 1 s.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            limit: 5,
            window: Duration::from_secs(10),
            first: Duration::from_millis(10),
            longest: Duration::from_secs(1),
        }
    }

    /// At most so many within any such time. Zero: not even one.
    #[must_use]
    pub const fn limit(mut self, restarts: u32, window: Duration) -> Self {
        self.limit = restarts;
        self.window = window;
        self
    }

    /// The first pause, and the longest. Zero: none.
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

/// The failures of one handler, to be counted against a policy.
#[derive(Debug)]
pub(crate) struct RestartCounter {
    policy: Restart,
    /// Those within the window, oldest first.
    recent: VecDeque<Instant>,
}

impl RestartCounter {
    pub(crate) fn new(policy: Restart) -> Self {
        Self {
            policy,
            recent: VecDeque::new(),
        }
    }

    /// Another one: how long to pause before the restart, unless that was one too many.
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
